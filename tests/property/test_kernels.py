"""Kernels against oracles that share no code with them: any shape, any mask, any order of memory."""

import array_api_strict as strict
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cropcube.kernels import _native, clear_mask, clear_pixels, cuda, gap_fill, harmonic_fit, reference, window_median
from cropcube.kernels.masks import KEPT, SPREADS
from tests.support.emulated_device import EmulatedArray, EmulatedDevice
from tests.support.series import least_squares, nan_median, observed_series, ordered


@settings(deadline=None, max_examples=200)
@given(observed_series())
def test_medians_are_those_of_nanmedian_bit_for_bit(series):
    median, count = window_median(*series)
    expected, expected_count = nan_median(*series)
    np.testing.assert_array_equal(median, expected)
    np.testing.assert_array_equal(count, expected_count)
    assert median.dtype == count.dtype == np.uint16


@settings(deadline=None, max_examples=100)
@given(observed_series())
def test_every_instruction_set_gives_the_same_medians(series):
    reflectance, valid, window, _ = series
    expected, expected_count = window_median(*series)
    for variant in _native.variants():
        median = np.full_like(expected, 7)
        count = np.full_like(expected_count, 7)
        inputs = np.ascontiguousarray(reflectance), np.ascontiguousarray(valid), window.astype(np.int32)
        _native.window_median(*inputs, median, count, 2, variant)
        np.testing.assert_array_equal(median, expected, variant)
        np.testing.assert_array_equal(count, expected_count, variant)


@settings(deadline=None, max_examples=60)
@given(observed_series())
def test_the_reference_of_medians_agrees_on_a_strict_array_library(series):
    reflectance, valid, window, windows = series
    inputs = (strict.asarray(np.ascontiguousarray(a)) for a in (reflectance, valid, window.astype(np.int32)))
    median, count = reference.window_median(*inputs, windows)
    expected, expected_count = window_median(*series)
    np.testing.assert_array_equal(np.asarray(median), expected)
    np.testing.assert_array_equal(np.asarray(count), expected_count)


@st.composite
def seasons(draw):
    """A series, its mask and the days it was seen on: whole seasons, single months, single days."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dates, bands = draw(st.integers(0, 60)), draw(st.integers(1, 3))
    height, width = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    days = generator.integers(0, draw(st.sampled_from([1, 10, 30, 120, 365, 700])), dates)
    valid = generator.random((dates, height, width)) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    shape = (dates, bands, height, width)
    values = generator.integers(1, 65536, shape) if draw(st.booleans()) else generator.integers(2000, 2010, shape)
    reflectance, valid = ordered(draw(st.sampled_from(["C", "F", "sliced"])), values.astype(np.uint16), valid)
    return reflectance, valid, days.astype(draw(st.sampled_from([np.int32, np.float64]))), draw(st.integers(1, 3))


def check_fit(found, expected, condition, count, order, ridge):
    """Coefficients within 1e-3 of the oracle where the design is sound, NaN where it is hopeless."""
    coefficient, rmse = found
    oracle, oracle_rmse = expected
    few = count < 2 * order + 1
    assert np.isnan(coefficient[:, :, few]).all()
    assert np.isnan(rmse[:, few]).all()
    if ridge == 0:
        hopeless = few | (condition > 1.01e6)
        assert np.isnan(coefficient[:, :, hopeless]).all()
        assert np.isfinite(coefficient[:, :, ~few & (condition < 0.99e6)]).all()
    sound = ~few & (condition < 1e3)
    error = np.abs(coefficient - oracle)[:, :, sound]
    assert (error <= 1e-3 * np.maximum(1, np.abs(oracle[:, :, sound]))).all()
    # A difference of sums of squares: a fit without any error shows up to 1e-5 of 16 bits (worst of 700,000: 0.18).
    np.testing.assert_allclose(rmse[:, sound], oracle_rmse[:, sound], rtol=1e-4, atol=0.5)


@settings(deadline=None, max_examples=150)
@given(seasons(), st.sampled_from([0.0, 0.5, 20.0]))
def test_harmonics_are_those_of_lstsq(season, ridge):
    reflectance, valid, days, order = season
    coefficient, rmse, count = harmonic_fit(reflectance, valid, days, order, ridge)
    oracle, oracle_rmse, condition = least_squares(reflectance, valid, days, order, ridge)
    np.testing.assert_array_equal(count, valid.sum(axis=0))
    check_fit((coefficient, rmse), (oracle, oracle_rmse), condition, count, order, ridge)
    assert (coefficient.dtype, rmse.dtype, count.dtype) == (np.float32, np.float32, np.uint16)


@settings(deadline=None, max_examples=50)
@given(seasons(), st.sampled_from([0.0, 0.5]))
def test_the_reference_of_harmonics_agrees_on_a_strict_array_library(season, ridge):
    reflectance, valid, days, order = season
    inputs = (strict.asarray(np.ascontiguousarray(a)) for a in (reflectance, valid, days.astype(np.float64)))
    coefficient, rmse, count = (np.asarray(a) for a in reference.harmonic_fit(*inputs, order, ridge))
    oracle, oracle_rmse, condition = least_squares(reflectance, valid, days, order, ridge)
    np.testing.assert_array_equal(count, valid.sum(axis=0))
    check_fit((coefficient, rmse), (oracle, oracle_rmse), condition, count, order, ridge)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(1, 12), st.integers(1, 12))
def test_dilated_masks_are_those_of_the_reference(seed, dilate_px, height, width):
    generator = np.random.default_rng(seed)
    quality = generator.choice(
        np.array([0, 4, 5, 9, 11, 254], np.uint8), (2, height, width), p=[0.1, 0.4, 0.3, 0.1, 0.05, 0.05]
    )
    found = clear_mask(quality, (4, 5), dilate_px)
    expected = reference.clear_mask(strict.asarray(quality), (4, 5), dilate_px)
    np.testing.assert_array_equal(found, np.asarray(expected))


@st.composite
def framed(draw):
    """Quality of a frame, a part of it, and the part's reflectance at once or twice the resolution."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dates, height, width = draw(st.integers(0, 3)), draw(st.integers(1, 12)), draw(st.integers(1, 40))
    rarely = draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    share = [0.05, 0.55 * (1 - rarely), 0.35 * (1 - rarely), 0.9 * rarely, 0.05]
    quality = generator.choice(
        np.array([0, 4, 5, 9, 254], np.uint8), (dates, height, width), p=np.array(share) / sum(share)
    )
    (top, bottom), (left, right) = (sorted(draw(st.tuples(*[st.integers(0, size)] * 2))) for size in (height, width))
    repeats, bands = draw(st.integers(1, 3)), draw(st.integers(0, 3))
    shape = (dates, bands, (bottom - top) * repeats, (right - left) * repeats)
    reflectance = (generator.random(shape) < 0.9) * generator.integers(1, 65536, shape)
    order = draw(st.sampled_from(["C", "F", "sliced"]))
    quality, reflectance = ordered(order, quality, reflectance.astype(np.uint16))
    return quality, draw(st.integers(0, 60)), (slice(top, bottom), slice(left, right)), repeats, reflectance


def clear_by_reference(quality, radius, part, repeats, reflectance):
    whole = np.asarray(reference.clear_mask(strict.asarray(np.ascontiguousarray(quality)), (4, 5), min(radius, 60)))
    return whole[(slice(None), *part)].repeat(repeats, 1).repeat(repeats, 2) & (reflectance != 0).all(axis=1)


@settings(deadline=None, max_examples=150)
@given(framed())
def test_parts_of_masks_are_those_of_the_reference_on_every_instruction_set_and_device(drawn):
    quality, radius, part, repeats, reflectance = drawn
    expected = clear_by_reference(*drawn)
    for threads in (1, 3):
        found = clear_pixels(quality, (4, 5), radius, part, repeats, reflectance, threads)
        np.testing.assert_array_equal(found, expected)
    kind = np.full(256, SPREADS, np.uint8)
    kind[[4, 5]], kind[[0, 254]] = KEPT, 0
    for variant in _native.variants():
        found = np.ones_like(expected)
        held = np.ascontiguousarray(quality), kind, min(radius, sum(quality.shape[1:])), part[0].start, part[1].start
        _native.clear_mask(*held, repeats, np.ascontiguousarray(reflectance), found, 2, variant)
        np.testing.assert_array_equal(found, expected, variant)
    emulator = EmulatedDevice()
    ranges = tuple(range(section.start, section.stop) for section in part)
    held = EmulatedArray(quality), kind, min(radius, sum(quality.shape[1:])), ranges, repeats
    found = cuda.clear_pixels(emulator, *held, EmulatedArray(reflectance) if reflectance.shape[1] else None)
    np.testing.assert_array_equal(found.held, expected)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32 - 1), st.integers(0, 20), st.sampled_from([np.uint16, np.int32, np.float32, np.float64]))
def test_filled_gaps_are_those_of_the_reference(seed, steps, dtype):
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 65536, (steps, 2, 5)).astype(dtype)
    valid = generator.random((steps, 2, 5)) < generator.choice([0.0, 0.2, 0.7, 1.0])
    places = np.sort(generator.choice(400, steps, replace=False))
    expected = reference.gap_fill(values, valid, places) if steps else values
    found = gap_fill(values, valid, places)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == dtype
