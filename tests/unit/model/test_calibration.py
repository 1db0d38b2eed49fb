"""Calibration: the temperature that was hidden is found, and the error is the one counted by hand."""

import numpy as np
import pytest

from cropcube.model.calibration import BINS, LEAST, calibrate, expected_calibration_error, halves, tempered


def drawn(temperature, samples=40_000, classes=4, seed=0):
    """Return true probabilities and labels drawn from them, and what a classifier says that is off by a temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (samples, classes))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (truth.cumsum(axis=1) < rng.random((samples, 1))).sum(axis=1)
    said = np.exp(logits * temperature)
    return labels, (said / said.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_hidden_is_found(temperature):
    labels, said = drawn(temperature)
    places = np.arange(len(labels)) // 100
    found = calibrate(said, labels, places)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.samples == len(labels)
    assert found.ece_after < 0.012
    assert found.ece_after <= found.ece_before + 1e-6
    assert found == calibrate(said, labels, places)


def test_a_temperature_is_a_power_of_the_probabilities():
    said = np.array([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9]], np.float32)
    for temperature in (0.5, 3.0):
        raised = np.maximum(said.astype(float), LEAST) ** (1 / temperature)
        np.testing.assert_allclose(tempered(said, temperature), raised / raised.sum(axis=1, keepdims=True), rtol=1e-12)
    np.testing.assert_array_equal(tempered(said, 1.0), said.astype(np.float64))
    assert (tempered(said, 7.0).argmax(axis=1) == said.argmax(axis=1)).all()


def test_the_error_is_counted_bin_by_bin():
    rng = np.random.default_rng(3)
    said = rng.dirichlet((1, 1, 1), 500)
    labels = rng.integers(0, 3, 500)
    total = 0.0
    for number in range(BINS):
        sure = said.max(axis=1)
        inside = (sure >= number / BINS) & (sure < (number + 1) / BINS)
        if inside.any():
            right = (said.argmax(axis=1) == labels)[inside].mean()
            total += inside.mean() * abs(right - sure[inside].mean())
    assert expected_calibration_error(said, labels) == pytest.approx(total)
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0


def test_a_forest_that_says_never_of_what_is_costs_no_infinity():
    said = np.array([[1.0, 0.0], [1.0, 0.0], [0.9, 0.1]])
    found = calibrate(said, np.array([0, 1, 0]), np.arange(3))
    assert np.isfinite([found.temperature, found.ece_before, found.ece_after]).all()
    assert found.temperature > 1


def test_what_is_left_is_measured_on_places_that_the_temperature_was_not_found_on():
    # half of the places is right as often as it says, half far less: one temperature cannot serve both
    sure = np.tile(np.array([[0.9, 0.1]], np.float32), (2000, 1))
    labels, places = np.zeros(2000, np.int64), np.repeat([7, 3], 1000)
    labels[:100], labels[1000:1600] = 1, 1  # 90 % and 40 % right
    found = calibrate(sure, labels, places)
    mean_right = 0.65  # what one temperature for all would state, with no error left on its own samples
    assert tempered(sure[:1], found.temperature)[0, 0] == pytest.approx(mean_right, abs=0.01)
    one, other = (calibrate(sure[part], labels[part], places[part]) for part in (places == 7, places == 3))
    stated = np.repeat([tempered(sure[:1], each.temperature).max() for each in (other, one)], 1000)  # by the other
    by_hand = expected_calibration_error(np.column_stack([stated, 1 - stated]), labels)
    assert found.ece_after == pytest.approx(by_hand, abs=1e-3)
    assert found.ece_after > 0.05
    assert one.ece_after is None


def test_halves_of_places_share_none_and_are_about_equal():
    places = np.random.default_rng(1).integers(0, 9, 500)
    half = halves(places)
    assert not set(places[half]) & set(places[~half])
    assert abs(int(half.sum()) - 250) < 60
    assert not halves(np.full(10, 4)).any()
