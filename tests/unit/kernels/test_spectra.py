import warnings

import numpy as np
import pytest

from cropcube.errors import InvalidInputError
from cropcube.kernels import Acquisitions, _native, best_view, median_view, weighted_mean
from cropcube.kernels.spectra import _composite
from tests.support.real_spectra import acquisitions, real_bands, real_spectra

WAYS = {"best": best_view, "median": median_view, "mean": weighted_mean}
ARRAYS = ("spectrum_WYX", "uncertainty_WYX", "acquisition_YX", "clear_count_YX")


def seen(values, spreads, clear=None, good=None):
    """Acquisitions of one cell, (dates, bands)."""
    values, spreads = (np.array(of, np.float32)[:, :, None, None] for of in (values, spreads))
    clear = np.ones(len(values), bool) if clear is None else np.array(clear, bool)
    good = np.ones(values.shape[1], bool) if good is None else np.array(good, bool)
    return Acquisitions(values, spreads, clear[:, None, None], good)


def flat(made):
    """Spectrum, uncertainty, acquisition and count of one cell."""
    spectrum, spread = made.spectrum_WYX[:, 0, 0], made.uncertainty_WYX[:, 0, 0]
    return spectrum.tolist(), spread.tolist(), int(made.acquisition_YX[0, 0]), int(made.clear_count_YX[0, 0])


def believed(of):
    """Values and uncertainties as float64, NaN where they do not count, and which acquisitions have some."""
    values = np.where(of.clear_TYX[:, None] & of.good_W[:, None, None], of.reflectance_TWYX, np.nan).astype(np.float64)
    spreads = np.where(np.isfinite(values) & (of.uncertainty_TWYX > 0), of.uncertainty_TWYX, np.nan)
    return values, spreads.astype(np.float64), np.isfinite(values).any(axis=1)


def test_the_best_view_is_the_surest_clear_acquisition():
    of = seen([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], [[0.02, 0.02], [0.01, 0.01], [0.001, 0.001]], [1, 1, 0])
    spectrum, spread, acquisition, count = flat(best_view(of))
    np.testing.assert_allclose(spectrum, [0.3, 0.4])
    np.testing.assert_allclose(spread, [0.01, 0.01])
    assert (acquisition, count) == (1, 2)


def test_of_equal_acquisitions_the_first_is_the_best():
    assert flat(best_view(seen([[0.1], [0.2], [0.3]], [[0.02], [0.01], [0.01]])))[2] == 1


def test_acquisitions_without_uncertainty_come_last():
    none = np.nan
    of = seen([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]], [[none, 0], [none, 0.5], [-1, none]])
    spectrum, spread, acquisition, count = flat(best_view(of))
    np.testing.assert_allclose(spectrum, [0.2, 0.2])
    np.testing.assert_allclose(spread, [none, 0.5])
    assert (acquisition, count) == (1, 3)
    alone = flat(best_view(seen([[none], [0.3]], [[0.1], [none]])))
    assert alone[2:] == (1, 1)
    assert np.isnan(alone[1]).all()


@pytest.mark.parametrize("way", WAYS)
def test_where_nothing_is_clear_there_is_nothing(way):
    for of in (
        seen([[0.1, 0.2]], [[0.01, 0.01]], [0]),
        seen([[np.nan, np.inf]], [[0.01, 0.01]]),
        seen([[np.nan, 0.3]], [[0.01, 0.01]], good=[1, 0]),
        seen(np.zeros((0, 2)), np.zeros((0, 2))),
    ):
        spectrum, spread, acquisition, count = flat(WAYS[way](of))
        assert np.isnan(spectrum).all()
        assert np.isnan(spread).all()
        assert (acquisition, count) == (-1, 0)


@pytest.mark.parametrize("way", WAYS)
def test_bad_bands_are_never_looked_at(way):
    of = acquisitions()
    other = of.reflectance_TWYX.copy(), of.uncertainty_TWYX.copy()
    for array in other:
        array[:, ~of.good_W] = 7
    found, expected = WAYS[way](Acquisitions(*other, of.clear_TYX, of.good_W)), WAYS[way](of)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert np.isnan(found.spectrum_WYX[~of.good_W]).all()
    assert np.isnan(found.uncertainty_WYX[~of.good_W]).all()


def test_medians_and_how_sure_they_are():
    values, spreads = [[0.5], [0.1], [0.3]], [[0.05], [0.01], [0.03]]
    np.testing.assert_allclose(np.hstack(flat(median_view(seen(values, spreads)))), [0.3, 0.03, 1, 3])
    two = flat(median_view(seen(values, spreads, [1, 0, 1])))
    np.testing.assert_allclose(np.hstack(two), [0.4, np.hypot(0.05, 0.03) / 2, 0, 2], rtol=1e-6)
    unknown = flat(median_view(seen(values, [[0.05], [0.01], [0]])))
    np.testing.assert_allclose(np.hstack(unknown), [0.3, np.nan, 1, 3])
    same = flat(median_view(seen([[0.2], [0.2]], [[0.02], [0.02]])))
    np.testing.assert_allclose(np.hstack(same), [0.2, 0.02 / np.sqrt(2), 0, 2], rtol=1e-6)


def test_means_are_weighted_by_what_is_sure():
    found = flat(weighted_mean(seen([[0.1], [0.4]], [[0.01], [0.02]])))
    np.testing.assert_allclose(np.hstack(found), [(0.1 * 4 + 0.4) / 5, 0.02 / np.sqrt(5), 0, 2], rtol=1e-6)
    for unknown in (0, np.nan, -0.01, np.inf):
        found = flat(weighted_mean(seen([[0.1], [0.4]], [[unknown], [0.02]])))
        np.testing.assert_allclose(np.hstack(found), [0.4, 0.02, 0, 2], rtol=1e-6)
        found = flat(weighted_mean(seen([[0.1], [0.4]], [[unknown], [unknown]])))
        np.testing.assert_allclose(np.hstack(found), [0.25, np.nan, 0, 2], rtol=1e-6)


@pytest.mark.parametrize("dates", [1, 2, 3, 4, 6, 17])
def test_composites_of_real_spectra_are_those_of_numpy(dates):
    of = acquisitions(dates, seed=dates)
    values, spreads, known = believed(of)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        np.testing.assert_array_equal(
            median_view(of).spectrum_WYX, np.nanmedian(values.astype(np.float32), axis=0).astype(np.float32)
        )
        weights = np.nan_to_num(spreads**-2)
        weighted, whole = np.nansum(weights * values, axis=0), weights.sum(axis=0)
        mean = np.where(whole > 0, weighted / whole, np.nanmean(values, axis=0))
        ranked = np.where(known, np.nan_to_num(np.nanmean(spreads, axis=1), nan=1e9), np.inf)
        expected_spread = np.where(whole > 0, whole**-0.5, np.nan)
    found = weighted_mean(of)
    np.testing.assert_allclose(found.spectrum_WYX, mean, rtol=2e-7)
    np.testing.assert_allclose(found.uncertainty_WYX, expected_spread, rtol=2e-7)
    best = best_view(of)
    expected = np.where(known.any(axis=0), ranked.argmin(axis=0), -1)
    np.testing.assert_array_equal(best.acquisition_YX, expected)
    chosen = np.take_along_axis(values, np.maximum(expected, 0)[None, None], axis=0)[0]
    np.testing.assert_array_equal(best.spectrum_WYX, chosen.astype(np.float32))
    for made in (found, best, median_view(of)):
        np.testing.assert_array_equal(made.clear_count_YX, known.sum(axis=0))
    for y, x in np.ndindex(known.shape[1:]):
        places = np.flatnonzero(known[:, y, x])
        assert found.acquisition_YX[y, x] == (places[(len(places) - 1) // 2] if len(places) else -1)


def test_uncertainties_of_medians_of_real_spectra_are_propagated():
    of = acquisitions(5, seed=3)
    values, spreads, _ = believed(of)
    found = median_view(of).uncertainty_WYX
    for band, y, x in np.ndindex(found.shape):
        counted = np.isfinite(values[:, band, y, x])
        order = np.argsort(values[counted, band, y, x].astype(np.float32))
        middle = spreads[counted, band, y, x][order]
        n = len(middle)
        half = [middle[(n - 1) // 2], middle[n // 2]] if n else [np.nan]
        expected = half[0] if n % 2 else np.sqrt(np.square(half).sum()) / 2
        np.testing.assert_allclose(found[band, y, x], expected, rtol=3e-7)


def test_noise_of_medians_is_no_more_than_stated():
    """Of many equal normal errors: exact for two, and for five between the true size and that stated."""
    generator = np.random.default_rng(1)
    for dates, ratio in ((2, 1.0), (5, 0.536)):
        values = (0.3 + 0.01 * generator.standard_normal((dates, 1, 100, 200))).astype(np.float32)
        of = Acquisitions(values, np.full_like(values, 0.01), np.ones((dates, 100, 200), bool), np.ones(1, bool))
        made = median_view(of)
        assert made.spectrum_WYX.std() == pytest.approx(ratio * made.uncertainty_WYX.mean(), rel=0.02)


@pytest.mark.parametrize("variant", _native.variants())
@pytest.mark.parametrize("way", WAYS)
def test_every_instruction_set_and_number_of_threads_gives_the_same_bits(way, variant):
    of = acquisitions(6, seed=9)
    expected = WAYS[way](of)
    for threads in (1, 3):
        found = _composite(way, of, threads, variant)
        for name in ARRAYS:
            assert getattr(found, name).tobytes() == getattr(expected, name).tobytes()


def test_types_are_as_stated():
    made = best_view(acquisitions(2))
    assert [getattr(made, name).dtype.name for name in ARRAYS] == ["float32", "float32", "int16", "uint16"]
    assert made.spectrum_WYX.shape == real_spectra().shape


def test_bad_input_is_named():
    of = acquisitions(2)
    arrays = of.reflectance_TWYX, of.uncertainty_TWYX, of.clear_TYX, of.good_W
    for number, wrong, said in (
        (0, of.reflectance_TWYX.astype(np.float64), "reflectance_TWYX has dtype float64"),
        (1, of.uncertainty_TWYX[:1], "uncertainty_TWYX has shape"),
        (2, of.clear_TYX[:, :3], "clear_TYX has shape"),
        (3, real_bands().good_W[:9], r"good_W has shape \(9,\); expected \(285,\)"),
        (3, np.zeros(285, bool), "good_W has none of 285 bands"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            best_view(Acquisitions(*(wrong if n == number else array for n, array in enumerate(arrays))))
    with pytest.raises(InvalidInputError, match="threads = 0"):
        weighted_mean(of, 0)
    many = np.zeros((32768, 1, 1, 1), np.float32)
    with pytest.raises(InvalidInputError, match="acquisitions = 32768"):
        median_view(Acquisitions(many, many, np.zeros((32768, 1, 1), bool), np.ones(1, bool)))
