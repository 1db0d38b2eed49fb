"""Inputs: known numbers, gaps, 20 m pixels repeated, and the same numbers for training and prediction."""

import numpy as np
import pytest

from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.model_card import Scaling
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError
from cropcube.features.model_input import (
    InputLayout,
    ScalingMeasure,
    model_input,
    observed,
    pixel_features,
    reflectance_scaling,
    scaled,
)

LAYOUT = InputLayout("median-10d", "median", ("B03", "B05", "B08"), (10, 20, 10), ("a", "b", "c"))
SEASON = Season.parse("2019-03-01/2019-04-15")
HARMONIC = InputLayout("harmonic-1", "harmonic", ("B03", "B05"), (10, 20), ("constant", "cos1", "sin1"))


def features():
    fine = np.arange(3 * 2 * 4 * 4, dtype=np.uint16).reshape(3, 2, 4, 4) + 1000
    coarse = np.arange(3 * 1 * 2 * 2, dtype=np.uint16).reshape(3, 1, 2, 2) + 5000
    return {10: fine, 20: coarse}


def test_bands_in_order_and_20_m_pixels_repeated():
    found = features()
    rows, cols = np.indices((4, 4)).reshape(2, -1)
    values = pixel_features(LAYOUT, found, rows, cols)
    assert values.shape == (16, 3, 3)
    assert values.dtype == np.float32
    for n, (y, x) in enumerate(zip(rows, cols, strict=True)):
        np.testing.assert_array_equal(values[n, 0], found[10][:, 0, y, x])
        np.testing.assert_array_equal(values[n, 1], found[20][:, 0, y // 2, x // 2])
        np.testing.assert_array_equal(values[n, 2], found[10][:, 1, y, x])


def test_gaps_are_filled_linearly_with_ends_held():
    layout = InputLayout("m", "median", ("B03",), (10,), tuple("abcdef"))
    series = np.array([0, 100, 0, 0, 400, 0], dtype=np.uint16).reshape(6, 1, 1, 1)
    values = pixel_features(layout, {10: series}, np.array([0]), np.array([0]))
    assert values[0, 0].tolist() == [100, 100, 200, 300, 400, 400]


def test_the_classifier_sees_its_window_filled_from_the_whole_series():
    layout = InputLayout("m", "median", ("B03",), (10,), tuple("abcdef"), (2, 5))
    assert (layout.steps, layout.shape, layout.series.steps) == (tuple("cde"), (1, 3), tuple("abcdef"))
    series = np.array([0, 100, 0, 0, 400, 0], dtype=np.uint16).reshape(6, 1, 1, 1)
    here = np.array([0]), np.array([0])
    assert pixel_features(layout, {10: series}, *here)[0, 0].tolist() == [200, 300, 400]
    assert pixel_features(layout.series, {10: series}, *here)[0, 0].tolist() == [100, 100, 200, 300, 400, 400]


def test_observed_needs_a_value_at_every_resolution():
    found = features()
    found[10][:, :, 0, 1] = 0  # never
    found[10][1:, :, 3, 3] = 0  # once is enough
    found[20][:, :, 1, 0] = 0  # its four pixels at 10 m
    wanted = np.ones((4, 4), dtype=bool)
    wanted[0, 1] = False
    wanted[2:, :2] = False
    np.testing.assert_array_equal(observed(LAYOUT, found), wanted)


def test_harmonics_without_a_fit_are_not_observed():
    fine, coarse = np.ones((3, 1, 2, 2), np.float32), np.ones((3, 1, 1, 1), np.float32)
    fine[:, :, 1, 1] = np.nan
    np.testing.assert_array_equal(observed(HARMONIC, {10: fine, 20: coarse}), [[True, True], [True, False]])


def test_pixels_where_one_index_has_no_statistics_are_not_observed():
    layout = InputLayout.of(FeatureSpec("statistics", indices=("EVI", "NDVI", "LSWI")), SEASON, SENTINEL2)
    assert (layout.bands, layout.resolutions_m) == (("EVI", "NDVI", "LSWI"), (10, 10, 20))
    assert (layout.array, layout.band_dimension, layout.dtype) == ("statistic", "index_name", np.float32)
    fine, coarse = np.ones((6, 2, 2, 4), np.float32), np.ones((6, 1, 1, 2), np.float32)
    fine[:, 1, 1, 0] = np.nan
    coarse[:, :, 0, 1] = np.nan
    np.testing.assert_array_equal(observed(layout, {10: fine, 20: coarse}), [[1, 1, 0, 0], [0, 1, 0, 0]])
    found = pixel_features(layout, {10: fine * 2, 20: coarse}, np.array([0]), np.array([1]))
    np.testing.assert_array_equal(found[0], [[2] * 6, [2] * 6, [1] * 6])
    measure = ScalingMeasure(layout)
    measure.add(np.random.default_rng(0).normal(size=(50, 3, 6)).astype(np.float32))
    assert np.shape(measure.result().mean) == (3, 6)


def test_percentiles_are_observed_where_anything_is_and_scaled_by_band():
    layout = InputLayout.of(FeatureSpec("percentiles", percentiles=(10, 90)), SEASON, SENTINEL2)
    assert (layout.steps, layout.dtype) == (("p10", "p90"), np.uint16)
    fine, coarse = np.ones((2, 4, 2, 2), np.uint16), np.ones((2, 6, 1, 1), np.uint16)
    fine[:, :, 0, 0] = 0
    np.testing.assert_array_equal(observed(layout, {10: fine, 20: coarse}), [[0, 1], [1, 1]])
    measure = ScalingMeasure(layout)
    measure.add(np.ones((5, 10, 2), np.float32))
    assert np.shape(measure.result().mean) == (10, 1)


def test_scaling_is_the_mean_and_deviation_by_band_of_medians():
    draw = np.random.default_rng(0)
    values = draw.uniform(100, 9000, (500, 3, 3)).astype(np.float32)
    measure = ScalingMeasure(LAYOUT)
    for piece in np.array_split(values, 7):
        measure.add(piece)
    scaling = measure.result()
    np.testing.assert_allclose(np.array(scaling.mean)[:, 0], values.mean(axis=(0, 2), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(np.array(scaling.deviation)[:, 0], values.std(axis=(0, 2), dtype=np.float64), rtol=1e-5)
    result = scaled(values, scaling)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.mean(axis=(0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std(axis=(0, 2)), 1, atol=1e-4)


def test_scaling_is_by_term_for_harmonics():
    values = np.random.default_rng(0).normal([5000, 100, -50], [900, 40, 3], (400, 2, 3)).astype(np.float32)
    measure = ScalingMeasure(HARMONIC)
    measure.add(values)
    assert np.shape(measure.result().mean) == (2, 3)
    np.testing.assert_allclose(scaled(values, measure.result()).std(axis=0), 1, atol=1e-3)


def test_a_band_that_never_varies_is_only_centred():
    measure = ScalingMeasure(LAYOUT)
    measure.add(np.full((10, 3, 3), 1234, np.float32))
    assert np.array(measure.result().deviation).tolist() == [[1.0]] * 3
    assert not scaled(np.full((2, 3, 3), 1234, np.float32), measure.result()).any()


def test_no_pixel_no_scaling():
    with pytest.raises(InvalidInputError):
        ScalingMeasure(LAYOUT).result()


def test_reflectance_scaling_divides_by_10000():
    scaling = reflectance_scaling(3)
    np.testing.assert_array_equal(scaled(np.full((1, 3, 3), 2500, np.float32), scaling), np.full((1, 3, 3), 0.25))


def test_a_pixel_has_the_same_numbers_alone_in_a_chunk_and_in_a_whole_tile():
    scaling = Scaling("standard", ((10.0,), (20.0,), (30.0,)), ((3.0,), (7.0,), (11.0,)))
    found = features()
    found[10][1, :, ::2] = 0
    rows, cols = np.indices((4, 4)).reshape(2, -1)
    whole = model_input(LAYOUT, scaling, found, rows, cols)
    part = {10: found[10][:, :, 2:, 2:], 20: found[20][:, :, 1:, 1:]}
    np.testing.assert_array_equal(
        model_input(LAYOUT, scaling, part, np.array([1]), np.array([0])), whole[(rows == 3) & (cols == 2)]
    )


def test_features_of_another_shape_are_refused():
    found = features()
    found[20] = found[20][:2]
    with pytest.raises(InvalidInputError, match="20 m"):
        pixel_features(LAYOUT, found, np.array([0]), np.array([0]))


@pytest.mark.parametrize(
    ("kind", "steps"), [("median", 5), ("annual-median", 1), ("geomedian", 5), ("percentiles", 5), ("harmonic", 5)]
)
def test_layout_of_a_specification(kind, steps):
    spec = FeatureSpec(kind, window_days=10)
    layout = InputLayout.of(spec, SEASON, SENTINEL2)
    assert layout.shape == (10, steps)
    assert layout.bands_at(20) == ("B05", "B06", "B07", "B8A", "B11", "B12")
