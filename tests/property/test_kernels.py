"""Kernels against oracles that share no code with them: any shape, any mask, any order of memory."""

import warnings

import array_api_strict as strict
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cropcube.kernels import (
    INDICES,
    Reflectance,
    _native,
    clear_mask,
    clear_pixels,
    cuda,
    gap_fill,
    harmonic_fit,
    index_statistics,
    reference,
    spectral_indices,
    time_percentiles,
    window_geomedian,
    window_median,
)
from cropcube.kernels.masks import KEPT, SPREADS
from cropcube.kernels.percentiles import sorting_network
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
    whole = reference.clear_mask(np.ascontiguousarray(quality), (4, 5), radius)
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


def assert_same_on_every_dialect(kernel, arguments, expected):
    """Check that threads and the emulated device give the same bytes.

    Parameters
    ----------
    kernel
        Of the arguments' arrays, of NumPy or on a device, and a number of threads.
    arguments
        Arrays that the device takes.
    expected
        What one thread gives.
    """
    for threads in (2, 5):
        for found, wanted in zip(kernel(*arguments, threads), expected, strict=True):
            assert found.tobytes() == wanted.tobytes()
    emulator = EmulatedDevice()
    held = [EmulatedArray(array, emulator) for array in arguments]
    for found, wanted in zip(kernel(*held, 1), expected, strict=True):
        assert (found.held.shape, found.held.dtype) == (wanted.shape, wanted.dtype)
        assert found.held.tobytes() == wanted.tobytes()


@settings(deadline=None, max_examples=60)
@given(observed_series())
def test_geometric_medians_are_no_worse_than_the_reference_and_the_same_everywhere(series):
    reflectance, valid, window, windows = series
    found, count = window_geomedian(*series)
    for number in range(windows):
        mine = valid & (window == number)[:, None, None]
        np.testing.assert_array_equal(count[number], mine.sum(axis=0))
        values, seen = np.ascontiguousarray(reflectance).astype(float), mine.sum(axis=0) > 0
        _, least = reference.geomedian(reflectance, mine, 300)
        summed = reference.distances(values, mine, found[number].astype(float))
        room = 0.5 * np.sqrt(reflectance.shape[1]) + 0.02  # a date, of rounding to integers
        assert (summed <= least * 1.001 + room * mine.sum(axis=0) + 1e-6)[seen].all()
        assert not found[number][:, ~seen].any()
    assert_same_on_every_dialect(
        lambda r, v, t: window_geomedian(r, v, window, windows, t), (reflectance, valid), (found, count)
    )
    for variant in _native.variants():
        other, counted = np.full_like(found, 7), np.full_like(count, 7)
        inputs = np.ascontiguousarray(reflectance), np.ascontiguousarray(valid), window.astype(np.int32)
        _native.geomedian(*inputs, other, counted, 2, variant)
        np.testing.assert_array_equal(other, found, variant)
        np.testing.assert_array_equal(counted, count, variant)


@settings(deadline=None, max_examples=100)
@given(observed_series(), st.lists(st.integers(0, 1000), min_size=1, max_size=4))
def test_percentiles_are_those_of_nanpercentile_and_the_same_everywhere(series, thousandths):
    reflectance, valid, _, _ = series
    wanted = [number / 10 for number in thousandths]
    found, count = time_percentiles(reflectance, valid, wanted)
    np.testing.assert_array_equal(count, valid.sum(axis=0))
    values = np.where(valid[:, None], reflectance.astype(np.float64), np.nan)
    expected = np.zeros(found.shape)
    if len(valid):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = np.nan_to_num(np.nanpercentile(values, wanted, axis=0))
    assert np.abs(found - expected).max(initial=0) <= 0.5 + 1e-6
    inputs = (strict.asarray(np.ascontiguousarray(a)) for a in (reflectance, valid))
    np.testing.assert_array_equal(np.asarray(reference.time_percentiles(*inputs, wanted)), found)
    assert_same_on_every_dialect(
        lambda r, v, t: time_percentiles(r, v, wanted, t), (reflectance, valid), (found, count)
    )
    network, held = sorting_network(len(valid)), np.array(thousandths, np.int32)
    for variant in _native.variants():
        other, counted = np.full_like(found, 7), np.full_like(count, 7)
        inputs = np.ascontiguousarray(reflectance), np.ascontiguousarray(valid)
        _native.percentiles(*inputs, held, network, other, counted, 2, variant)
        np.testing.assert_array_equal(other, found, variant)
        np.testing.assert_array_equal(counted, count, variant)


BANDS_OF = (("B02", "B03", "B04", "B08"), ("B05", "B06", "B8A", "B11", "B12"))


@st.composite
def observed_bands(draw):
    """Reflectance of two resolutions with masks or without, and names of indices."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    steps, height, width = draw(st.integers(0, 7)), draw(st.integers(0, 4)), draw(st.integers(0, 40))
    factor, masked = draw(st.integers(1, 3)), draw(st.booleans())
    order, largest = draw(st.sampled_from(["C", "F", "sliced"])), draw(st.sampled_from([3, 12000, 65536]))
    of = []
    for bands, times in zip(BANDS_OF, (factor, 1), strict=True):
        shape = (steps, len(bands), height * times, width * times)
        values = generator.integers(1, largest, shape).astype(np.uint16)
        values[generator.random(shape) < 0.2] = 0
        values, seen = ordered(order, values, generator.random((steps, *shape[2:])) < 0.6)
        of.append(Reflectance(values, bands, seen if masked else None))
    names = draw(st.lists(st.sampled_from(sorted(INDICES)), min_size=1, max_size=4, unique=True))
    return names, of, generator.integers(0, 400, steps).astype(draw(st.sampled_from([np.int32, np.float64])))


def flat(of):
    return [array for part in of for array in (part.values_SBYX, part.seen_SYX) if array is not None]


def put_back(of, arrays):
    left = iter(arrays)
    return [Reflectance(next(left), p.bands, None if p.seen_SYX is None else next(left)) for p in of]


@settings(deadline=None, max_examples=100)
@given(observed_bands())
def test_indices_and_their_statistics_are_those_of_the_reference_and_the_same_everywhere(drawn):
    names, of, days = drawn
    found = spectral_indices(names, of)
    if found.size:
        inputs = put_back(of, [strict.asarray(np.ascontiguousarray(array)) for array in flat(of)])
        expected = np.asarray(reference.spectral_indices(names, inputs))
        # Near a denominator of zero the float32 of the kernel and the float64 of the reference part.
        sound = np.isfinite(expected) & (np.abs(expected) < 30)
        np.testing.assert_allclose(found[sound], expected[sound], rtol=2e-4, atol=2e-5)
    assert_same_on_every_dialect(
        lambda *given: [spectral_indices(names, put_back(of, given[:-1]), given[-1])], flat(of), [found]
    )
    summed = index_statistics(names, of, days)
    assert_same_on_every_dialect(
        lambda *given: [index_statistics(names, put_back(of, given[:-1]), days, given[-1])], flat(of), [summed]
    )
    assert_statistics(summed, found.astype(np.float64), days)


def assert_statistics(summed, values, days):
    """Statistics of float32 indices, by NumPy."""
    values = np.where(np.isfinite(values), values, np.nan)
    seen = np.isfinite(values).any(axis=0)
    assert np.isnan(summed[:, ~seen]).all()
    if not seen.any():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [f(values, axis=0)[seen] for f in (np.nanmean, np.nanstd, np.nanmin, np.nanmax)]
    large = np.maximum(np.abs(expected[2]), np.abs(expected[3]))
    assert (np.abs(summed[0][seen] - expected[0]) <= 1e-6 * large).all()
    assert (np.abs(summed[1][seen] - expected[1]) <= 1e-6 * large).all()
    np.testing.assert_array_equal(summed[2:4, seen], expected[2:])
    np.testing.assert_array_equal(summed[4], summed[3] - summed[2])
    order = np.argsort(days, kind="stable")
    best = np.where(np.isnan(values), -np.inf, values)[order].argmax(axis=0)
    np.testing.assert_array_equal(summed[5][seen], days[order][best][seen])


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 20),
    st.sampled_from([np.uint16, np.int32, np.float32, np.float64]),
    st.sampled_from(["C", "F", "sliced", "reversed"]),
)
def test_filled_gaps_are_those_of_the_reference(seed, steps, dtype, order):
    generator = np.random.default_rng(seed)
    values = generator.integers(0, 65536, (steps, 2, 5)).astype(dtype)
    valid = generator.random((steps, 2, 5)) < generator.choice([0.0, 0.2, 0.7, 1.0])
    places = np.sort(generator.choice(400, steps, replace=False))
    expected = reference.gap_fill(values, valid, places) if steps else values
    found = gap_fill(values, valid, places)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == dtype
    given_values, given_valid = ordered(order, values, valid)
    assert gap_fill(given_values, given_valid, places).tobytes() == found.tobytes()
    if dtype != np.int32:
        assert_same_on_every_dialect(lambda v, m, t: [gap_fill(v, m, places, t)], (values, valid), [found])
        shared = np.ascontiguousarray(valid[:, 0])
        every = gap_fill(values, np.repeat(shared[:, None], 2, axis=1), places)
        assert_same_on_every_dialect(lambda v, m, t: [gap_fill(v, m, places, t)], (values, shared), [every])


@settings(deadline=None, max_examples=40)
@given(seasons(), st.sampled_from([0.0, 0.5]))
def test_fits_are_the_same_everywhere(season, ridge):
    reflectance, valid, days, order = season
    expected = harmonic_fit(reflectance, valid, days, order, ridge)
    assert_same_on_every_dialect(
        lambda r, v, t: harmonic_fit(r, v, days, order, ridge, t), (reflectance, valid), expected
    )
