"""Augmentation against np.interp and scipy's splines, and the rules that it keeps."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from cropcube.domain.model_card import Scaling
from cropcube.errors import InvalidInputError
from cropcube.features.model_input import InputLayout
from cropcube.model.augment import KNOTS, Augmentation, Augmenter, Drawn, TimeSpan, changed, draw, spline_basis, suited
from cropcube.samples.stream import Entries

SPAN = TimeSpan(start=15, steps=43, step_days=5)
PUBLISHED = Augmentation()


def unchanged(count):
    return Drawn.nothing(count, SPAN.steps)


@pytest.fixture(scope="module")
def series():
    return np.random.default_rng(0).uniform(100, 6000, (40, 10, 73)).astype(np.float32)


def window(series, span=SPAN):
    return series[:, :, span.start : span.start + span.steps]


def drawn(count, **changes):
    return replace(unchanged(count), **{name: np.full(count, value, float) for name, value in changes.items()})


def oracle(one, shift, first, last, factors):
    """One series (bands, steps) by the text: shifted, then its window scaled, then multiplied by a curve."""
    days = np.arange(one.shape[1]) * 5.0
    start, stop = SPAN.start * 5.0, (SPAN.start + SPAN.steps - 1) * 5.0
    asked = np.linspace(start + first, stop + last, SPAN.steps)
    curve = CubicSpline(np.linspace(start, stop, KNOTS), factors, bc_type="natural")(
        np.linspace(start, stop, SPAN.steps)
    )
    return np.stack([np.interp(asked, days + shift, band) for band in one]) * curve


def test_zero_changes_no_bit(series):
    values, held = changed(series, SPAN, unchanged(len(series)))
    np.testing.assert_array_equal(values, window(series))
    assert held == 0


@pytest.mark.parametrize("windows", [-6, -1, 1, 3, 10])
def test_a_shift_by_whole_windows_is_a_roll_inside_the_window(series, windows):
    values, held = changed(series, SPAN, drawn(len(series), shift_days=5 * windows))
    np.testing.assert_array_equal(values, window(np.roll(series, windows, axis=2)))
    assert held == 0


def test_what_lies_outside_the_series_is_held_and_counted(series):
    late = TimeSpan(start=30, steps=43, step_days=5)
    values, held = changed(series, late, drawn(len(series), shift_days=-50))
    assert held == 10 * len(series)
    np.testing.assert_array_equal(values[:, :, :33], series[:, :, 40:])
    np.testing.assert_array_equal(values[:, :, 33:], np.repeat(series[:, :, -1:], 10, axis=2))


@pytest.mark.parametrize("seed", range(5))
def test_all_three_agree_with_an_independent_reading(series, seed):
    random = np.random.default_rng(seed)
    n = len(series)
    days = random.integers(-50, 51, (3, n)).astype(float)
    factors = random.normal(1, 0.1, (n, KNOTS))
    values, held = changed(
        series, SPAN, replace(unchanged(n), shift_days=days[0], first_days=days[1], last_days=days[2], factors=factors)
    )
    wanted = np.stack([oracle(series[i], *days[:, i], factors[i]) for i in range(n)])
    np.testing.assert_allclose(values, wanted, rtol=2e-5, atol=0.01)
    asked = np.linspace(SPAN.start * 5 + days[1], (SPAN.start + 42) * 5 + days[2], 43) - days[0]
    assert held == ((asked < -1e-6) | (asked > 360 + 1e-6)).sum()


def test_shift_then_scale_composes(series):
    """Scaling what was shifted by whole windows is both at once, and not the scaling of the unshifted series."""
    n = len(series)
    both, _ = changed(series, SPAN, drawn(n, shift_days=15, first_days=-20, last_days=35))
    after, _ = changed(np.roll(series, 3, axis=2), SPAN, drawn(n, first_days=-20, last_days=35))
    np.testing.assert_allclose(both, after, rtol=1e-5)
    scaled_alone, _ = changed(series, SPAN, drawn(n, first_days=-20, last_days=35))
    assert np.abs(both - scaled_alone).max() > 100


def test_the_curve_is_the_natural_spline_and_the_same_for_all_bands(series):
    for steps in (2, 12, 43):
        place = np.linspace(0, KNOTS - 1, steps)
        splines = CubicSpline(np.arange(KNOTS), np.eye(KNOTS), bc_type="natural")(place).T
        np.testing.assert_allclose(spline_basis(steps), splines, atol=1e-12)
    factors = np.random.default_rng(1).normal(1, 0.1, (len(series), KNOTS))
    values, _ = changed(series, SPAN, replace(unchanged(len(series)), factors=factors))
    ratio = values / window(series)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_steps_taken_out_are_filled_from_those_that_are_kept(series, seed):
    kept = np.random.default_rng(seed).random((len(series), SPAN.steps)) < 0.4
    kept[:, 7] = True
    values, _ = changed(series, SPAN, replace(unchanged(len(series)), kept=kept))
    step, whole = np.arange(SPAN.steps), window(series)
    wanted = [[np.interp(step, step[k], band[k]) for band in one] for one, k in zip(whole, kept, strict=True)]
    np.testing.assert_allclose(values, wanted, rtol=1e-5)
    stay = np.broadcast_to(kept[:, None], whole.shape)
    np.testing.assert_array_equal(values[stay], whole[stay])


def test_copies_may_be_left_as_they_are():
    n = 20_000
    found = draw(replace(PUBLISHED, probability=0.5, drop=0.5), SPAN, np.ones(n, np.int64), np.random.default_rng(0))
    touched = (found.shift_days != 0) | ~found.kept.all(axis=1)
    assert touched.mean() == pytest.approx(0.5, abs=0.02)
    other = (found.first_days != 0) | (found.factors != 1).any(axis=1)
    assert (other & ~touched).mean() < 0.01  # all that is done is done to the same copies


def test_what_is_taken_out_is_as_drawn():
    n = 20_000
    copy = np.arange(n) % 2
    single = replace(PUBLISHED, drop=0.6)
    kept = draw(single, SPAN, copy, np.random.default_rng(0)).kept
    assert kept[copy == 0].all()
    assert (~kept[copy == 1]).mean() == pytest.approx(0.3, abs=0.01)
    lost = (~kept[copy == 1]).mean(axis=1)
    assert lost.max() > 0.6
    assert np.quantile(lost, 0.25) == pytest.approx(0.15, abs=0.02)  # a probability for each copy, evenly drawn
    gap = draw(replace(PUBLISHED, gap_days=60), SPAN, copy, np.random.default_rng(0)).kept[copy == 1]
    edges = np.abs(np.diff(gap, axis=1)).sum(axis=1)
    assert edges.max() == 2  # one gap at most
    assert (~gap).sum(axis=1).max() == 12  # 60 days of five
    assert (~gap).any(axis=1).mean() == pytest.approx(0.5 * 57.5 / 60, abs=0.02)
    assert draw(replace(PUBLISHED, drop=1.0), TimeSpan(0, 2, 5), copy, np.random.default_rng(0)).kept.any(axis=1).all()


def test_one_seed_one_batch(series):
    scaling = Scaling("reflectance", ((0.0,),) * 10, ((10000.0,),) * 10)
    augmenter = Augmenter(PUBLISHED, SPAN, scaling)
    copy = np.arange(len(series)) % 3
    entries = Entries(series, np.arange(len(series)), copy, copy)
    one, again, other = (augmenter(entries, (seed, 0))[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one[copy == 0], window(series)[copy == 0] / np.float32(10000))
    assert (one[copy > 0] != other[copy > 0]).any(axis=(1, 2)).all()


def test_draws_are_those_of_the_text():
    n = 60_000
    copy = np.ones(n, np.int64)
    found = draw(PUBLISHED, SPAN, copy, np.random.default_rng(0))
    for days, share in ((found.shift_days, 1.0), (found.first_days, 0.5), (found.last_days, 0.5)):
        assert days.min() == -50
        assert days.max() == 50
        assert (days == np.rint(days)).all()
        assert (days != 0).mean() == pytest.approx(share * 100 / 101, abs=0.01)
        assert days[days != 0].std() == pytest.approx(np.sqrt((101**2 - 1) / 12 * 101 / 100), rel=0.01)
    scale = found.first_days[(found.first_days != 0) & (found.last_days != 0)]
    assert abs(np.corrcoef(scale, found.last_days[(found.first_days != 0) & (found.last_days != 0)])[0, 1]) < 0.02
    warped = (found.factors != 1).any(axis=1)
    assert warped.mean() == pytest.approx(0.25, abs=0.01)
    assert found.factors[warped].mean() == pytest.approx(1, abs=0.002)
    assert found.factors[warped].std() == pytest.approx(0.10, rel=0.01)


def layout(steps, **changes):
    return InputLayout("m", "median", ("B03",), (10,), tuple(steps), **changes)


def test_a_short_window_is_shortened_by_half_at_most_and_terms_are_no_series():
    weeks = [f"2021-03-{day:02d}" for day in (1, 8, 15, 22, 29)]
    span = TimeSpan.of(layout(weeks))
    assert (span.start, span.steps, span.step_days, span.days) == (0, 5, 7.0, 28.0)
    assert suited(PUBLISHED, span) == replace(PUBLISHED, scale_days=7)
    assert suited(PUBLISHED, SPAN) == PUBLISHED
    assert suited(None, span) is None
    assert TimeSpan.of(layout(weeks, window=(2, 5))) == TimeSpan(2, 3, 7.0)
    assert TimeSpan.of(replace(layout(["constant", "cos1"]), kind="harmonic")) is None
    assert suited(PUBLISHED, None) is None


@pytest.mark.parametrize("wrong", [{"copies": 0}, {"shift_probability": 1.5}, {"warp": -0.1}, {"scale_days": -1}])
def test_what_cannot_be_drawn_is_refused(wrong):
    with pytest.raises(InvalidInputError):
        Augmentation(**wrong)
