"""Kernels of spectra: any spectra, gaps, clouds and order of acquisitions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cropcube.kernels import (
    Acquisitions,
    SpectralBands,
    TargetBands,
    best_view,
    continuum_removed,
    median_view,
    resample,
    resampling,
    weighted_mean,
)
from cropcube.kernels.continuum import continuum
from tests.support.series import ordered

ARRAYS = ("spectrum_WYX", "uncertainty_WYX", "acquisition_YX", "clear_count_YX")


@st.composite
def seasons(draw):
    """Acquisitions with gaps, clouds, repeated values and uncertainties of nothing."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dates, bands = draw(st.integers(0, 9)), draw(st.integers(1, 6))
    height, width = draw(st.integers(0, 4)), draw(st.integers(0, 50))
    shape = (dates, bands, height, width)
    values = generator.uniform(-0.02, 0.7, shape)
    if draw(st.booleans()):
        values = np.round(values, 1)
    spreads = generator.uniform(1e-4, 0.1, shape).round(draw(st.sampled_from([1, 2, 7])))
    lost = draw(st.sampled_from([0.0, 0.1, 0.9]))
    values[generator.random(shape) < lost] = np.nan
    spreads[generator.random(shape) < lost] = np.nan
    clear = generator.random((dates, height, width)) < draw(st.sampled_from([0.0, 0.4, 1.0]))
    good = generator.random(bands) < 0.8
    good[0] = True
    return Acquisitions(values.astype(np.float32), spreads.astype(np.float32), clear, good)


@settings(deadline=None, max_examples=100)
@given(seasons(), st.sampled_from(["F", "sliced"]))
def test_any_number_of_threads_and_order_of_memory_gives_the_same_bits(seen, order):
    arrays = ordered(order, seen.reflectance_TWYX, seen.uncertainty_TWYX, seen.clear_TYX)
    for way in (best_view, median_view, weighted_mean):
        expected = way(seen)
        for threads in (2, 5):
            found = way(Acquisitions(*arrays, seen.good_W), threads)
            for name in ARRAYS:
                assert getattr(found, name).tobytes() == getattr(expected, name).tobytes()


@settings(deadline=None, max_examples=100)
@given(seasons(), st.randoms(use_true_random=False))
def test_the_order_of_acquisitions_changes_no_median_and_only_last_digits_of_means(seen, shuffle):
    order = list(range(len(seen.clear_TYX)))
    shuffle.shuffle(order)
    other = Acquisitions(seen.reflectance_TWYX[order], seen.uncertainty_TWYX[order], seen.clear_TYX[order], seen.good_W)
    for name in ("spectrum_WYX", "uncertainty_WYX", "clear_count_YX"):
        np.testing.assert_array_equal(getattr(median_view(seen), name), getattr(median_view(other), name))
        found, expected = getattr(weighted_mean(seen), name), getattr(weighted_mean(other), name)
        np.testing.assert_allclose(found, expected, rtol=3e-7, atol=1e-8)  # float32; sums near 0 cancel


@settings(deadline=None, max_examples=100)
@given(seasons())
def test_composites_lie_among_what_was_seen(seen):
    counts = seen.clear_TYX[:, None] & np.isfinite(seen.reflectance_TWYX) & seen.good_W[:, None, None]
    least = np.where(counts, seen.reflectance_TWYX, np.inf).min(axis=0, initial=np.inf)
    most = np.where(counts, seen.reflectance_TWYX, -np.inf).max(axis=0, initial=-np.inf)
    some = counts.any(axis=0)
    for way in (best_view, median_view, weighted_mean):
        made = way(seen)
        there = np.isfinite(made.spectrum_WYX)
        assert not (there & ~some).any()
        if way is not best_view:
            np.testing.assert_array_equal(there, some)
        assert (made.spectrum_WYX[there] >= least[there] - 1e-7).all()
        assert (made.spectrum_WYX[there] <= most[there] + 1e-7).all()
        assert not (np.isfinite(made.uncertainty_WYX) & ~there).any()
        np.testing.assert_array_equal(made.acquisition_YX >= 0, made.clear_count_YX > 0)


@st.composite
def spectra(draw):
    """Spectra of any shape and the bands that they are measured in."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, width = draw(st.integers(1, 60)), draw(st.integers(0, 150))
    values = generator.uniform(0.001, 1, (count, 1, width)) ** draw(st.sampled_from([0.1, 1, 4]))
    if draw(st.booleans()):
        values = np.round(values, 1) + 0.1
    if draw(st.booleans()):
        values = np.cumsum(values, axis=0) / count
    values[generator.random(values.shape) < draw(st.sampled_from([0.0, 0.0, 0.02]))] = np.nan
    good = generator.random(count) < 0.8
    good[generator.integers(count)] = True
    bands = SpectralBands(400 + np.cumsum(generator.uniform(2, 12, count)), np.full(count, 8.5), good)
    return values.astype(np.float32), bands


@settings(deadline=None, max_examples=200)
@given(spectra())
def test_hulls_are_concave_and_above_their_spectra(drawn):
    values, bands = drawn
    hull, removed = continuum(values, bands), continuum_removed(values, bands)
    sound = np.isfinite(values[bands.good_W]).all(axis=0)
    inside = np.ix_(bands.good_W)
    assert np.isnan(hull[~bands.good_W]).all()
    assert np.isnan(hull[inside][:, ~sound]).all()
    over, under = hull[inside][:, sound].astype(np.float64), values[inside][:, sound]
    assert (over >= under).all()
    np.testing.assert_array_equal(over[[0, -1]], under[[0, -1]])
    slopes = np.diff(over, axis=0) / np.diff(bands.centre_nm_W[bands.good_W])[:, None]
    assert (np.diff(slopes, axis=0) <= 1e-6).all()
    quotient = removed[inside][:, sound]
    assert (quotient <= 1).all()
    np.testing.assert_array_equal(quotient, under / hull[inside][:, sound])
    # Two points at least touch the hull, or the only one.
    assert ((quotient == 1).sum(axis=0) >= min(2, bands.good_W.sum())).all()
    assert continuum_removed(values, bands, 4).tobytes() == removed.tobytes()


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([0.0, 0.2, 0.7]))
def test_broad_bands_are_weighted_means_of_what_is_there(seed, count, lost):
    generator = np.random.default_rng(seed)
    good = np.ones(67, bool)
    good[::4] = generator.random(17) < 0.5  # never two together, so that half of every response is left
    bands = SpectralBands(np.arange(400.0, 900.0, 7.5), np.full(67, 8.5), good)
    targets = TargetBands(
        tuple(map(str, range(count))),
        tuple(generator.uniform(480, 820, count)),
        tuple(generator.uniform(20, 90, count)),
    )
    by = resampling(bands, targets)
    values, spreads = generator.uniform(0, 0.6, (2, 67, 3, 30)).astype(np.float32)
    values[generator.random(values.shape) < lost] = np.nan
    found, spread = resample(values, spreads, by, 2)
    known = np.isfinite(values)
    there = np.einsum("nw,wyx->nyx", by.weight_NW, known)
    mean = np.einsum("nw,wyx->nyx", by.weight_NW, np.where(known, values, 0.0))
    variance = np.einsum("nw,wyx->nyx", by.weight_NW**2, np.where(known, spreads, 0.0) ** 2.0)
    sure = np.abs(there - 0.5) > 1e-9
    np.testing.assert_array_equal(np.isfinite(found)[sure], (there > 0.5)[sure])
    some = np.isfinite(found)
    np.testing.assert_allclose(found[some], (mean[some] / there[some]), rtol=1e-6)
    known_spread = np.isfinite(spread)
    expected = np.sqrt(variance[known_spread]) / there[known_spread]
    np.testing.assert_allclose(spread[known_spread], expected, rtol=1e-6)
