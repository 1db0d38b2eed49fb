import numpy as np
import pytest

from cropcube.errors import InvalidInputError
from cropcube.kernels import SENTINEL2_TARGETS, SpectralBands, TargetBands, _native, broad_bands, resample, resampling
from cropcube.kernels.spectral_bands import WATER_VAPOUR_NM, _resample
from tests.support.real_spectra import real_bands, real_spectra

FINE_NM = np.arange(370.0, 2510.0, 0.5)


def one_cell(values):
    return np.array(values, np.float32)[:, None, None]


def responding(centre, width, spectrum):
    """What a Gaussian response makes of a fine spectrum, by plain sums."""
    weight = np.exp(-4 * np.log(2) * ((FINE_NM - centre) / width) ** 2)
    return (weight * spectrum).sum() / weight.sum()


@pytest.mark.parametrize("targets", [SENTINEL2_TARGETS, broad_bands(30), broad_bands(100)])
def test_broad_bands_of_measured_ones_are_those_of_the_light_itself(targets):
    """A fine spectrum seen through EMIT's responses and then resampled, against the targets' responses on it."""
    bands = real_bands()
    everywhere = SpectralBands(bands.centre_nm_W, bands.fwhm_nm_W, np.ones(285, bool))
    by = resampling(everywhere, targets)
    green = 0
    for point in real_spectra()[:, 10].T:
        fine = np.interp(FINE_NM, bands.centre_nm_W[bands.good_W], point[bands.good_W])
        seen = [responding(*band, fine) for band in zip(bands.centre_nm_W, bands.fwhm_nm_W, strict=True)]
        found, _ = resample(one_cell(seen), one_cell(np.ones(285)), by)
        expected = [responding(*band, fine) for band in zip(targets.centre_nm, targets.width_nm, strict=True)]
        np.testing.assert_allclose(found[:, 0, 0], expected, atol=4e-4)
        green += fine[(FINE_NM == 780)] > 2 * fine[(FINE_NM == 670)]
    assert green >= 3  # so that steep red edges are among them


def test_a_flat_spectrum_stays_flat_and_independent_errors_shrink():
    bands = real_bands()
    by = resampling(bands, SENTINEL2_TARGETS)
    found, spread = resample(one_cell(np.full(285, 0.3)), one_cell(np.full(285, 0.01)), by)
    np.testing.assert_allclose(found[:, 0, 0], 0.3, rtol=1e-6)
    for n in range(len(by.weight_NW)):
        share = by.weight_NW[n] / by.weight_NW[n].sum()
        np.testing.assert_allclose(spread[n, 0, 0], 0.01 * np.sqrt((share**2).sum()), rtol=1e-6)
    assert (spread < 0.01).all()


def test_weights_leave_out_bad_bands_and_say_what_they_hold():
    bands = real_bands()
    by = resampling(bands, SENTINEL2_TARGETS)
    assert not by.weight_NW[:, ~bands.good_W].any()
    np.testing.assert_allclose(by.weight_NW.sum(axis=1), 1, atol=0.03)
    for n, (first, stop) in enumerate(by.span_N2):
        places = np.flatnonzero(by.weight_NW[n])
        assert (first, stop) == (places[0], places[-1] + 1)


def test_sentinel2_widths_are_those_of_esa():
    assert dict(zip(SENTINEL2_TARGETS.names, SENTINEL2_TARGETS.width_nm, strict=True)) == {
        "B02": 66, "B03": 36, "B04": 31, "B05": 15, "B06": 15, "B07": 20, "B08": 106, "B8A": 21, "B11": 91, "B12": 175,
    }  # fmt: skip
    assert SENTINEL2_TARGETS.centre_nm[:2] == (492.4, 559.8)


def test_missing_bands_are_made_up_for_until_half_is_gone():
    bands = SpectralBands(np.arange(400.0, 500.0, 7.5), np.full(14, 8.5), np.ones(14, bool))
    by = resampling(bands, TargetBands(("one",), (450.0,), (40.0,)))
    weight = by.weight_NW[0]
    values, spreads = one_cell(np.full(14, 0.2)), one_cell(np.full(14, 0.01))
    order = np.argsort(weight)[::-1]
    for gone in range(14):
        values[order[:gone]] = np.nan
        found, spread = resample(values, spreads, by)
        left = weight[order[gone:]]
        if left.sum() >= 0.5:
            assert found[0, 0, 0] == pytest.approx(0.2)
            assert spread[0, 0, 0] == pytest.approx(0.01 * np.sqrt((left**2).sum()) / left.sum())
        else:
            assert np.isnan(found).all()
            assert np.isnan(spread).all()


@pytest.mark.parametrize("unknown", [0, -0.01, np.nan, np.inf])
def test_an_uncertainty_that_is_not_stated_leaves_that_of_the_target_unknown(unknown):
    bands = SpectralBands(np.arange(400.0, 500.0, 7.5), np.full(14, 8.5), np.ones(14, bool))
    by = resampling(bands, TargetBands(("one", "other"), (440.0, 470.0), (10.0, 10.0)))
    spreads = one_cell(np.full(14, 0.01))
    spreads[5] = unknown
    found, spread = resample(one_cell(np.full(14, 0.2)), spreads, by)
    np.testing.assert_allclose(found[:, 0, 0], 0.2)
    assert np.isnan(spread[0]).all()
    assert np.isfinite(spread[1]).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 12, 30, 64, 100, 190])
def test_broad_bands_lie_side_by_side_outside_water_vapour(count):
    made = broad_bands(count)
    assert len(made.names) == len(made.centre_nm) == len(made.width_nm) == len(set(made.names)) == count
    assert len(set(made.width_nm)) == 1
    low, high = (np.array(made.centre_nm) + side * made.width_nm[0] / 2 for side in (-1, 1))
    assert low[0] >= 400 - 1e-6
    assert high[-1] <= 2450 + 1e-6
    assert (low[1:] >= high[:-1] - 1e-6).all()
    for begin, end in WATER_VAPOUR_NM:
        assert ((high <= begin + 1e-6) | (low >= end - 1e-6)).all()
    # Nothing wider fits: with a little more width a piece holds one less.
    wider = made.width_nm[0] * 1.0001
    assert sum(piece // wider for piece in (925, 335, 488)) < count
    resampling(real_bands(), made)


def test_every_instruction_set_and_number_of_threads_gives_the_same_bits():
    by, spectra = resampling(real_bands(), broad_bands(30)), real_spectra()
    spread = np.abs(spectra) * np.float32(0.01)
    expected = resample(spectra, spread, by)
    assert [array.dtype for array in expected] == [np.float32, np.float32]
    for variant in _native.variants():
        for threads in (1, 3):
            for found, wanted in zip(_resample(spectra, spread, by, threads, variant), expected, strict=True):
                assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (TargetBands((), (), ()), "targets have 0 names"),
        (TargetBands(("a",), (500.0,), (20.0, 20.0)), "1 centres and 2 widths"),
        (TargetBands(("a",), (500.0,), (8.0,)), "a at 500 nm is 8 nm wide; the bands there are 8.4 nm"),
        (TargetBands(("a",), (500.0,), (np.nan,)), "a at 500 nm is nan nm wide"),
        (TargetBands(("a",), (1380.0,), (40.0,)), "good bands hold 0 % of its response"),
        (TargetBands(("a",), (360.0,), (30.0,)), "of its response; expected 50 % or more"),
    ],
)
def test_targets_that_cannot_be_made_are_named(targets, said):
    with pytest.raises(InvalidInputError, match=said):
        resampling(real_bands(), targets)


def test_bad_input_is_named():
    by, spectra = resampling(real_bands(), SENTINEL2_TARGETS), real_spectra()
    with pytest.raises(InvalidInputError, match="expected the same shape, 285 bands"):
        resample(spectra[:9], spectra[:9], by)
    with pytest.raises(InvalidInputError, match="expected the same shape, 285 bands"):
        resample(spectra, spectra[:, :3], by)
    with pytest.raises(InvalidInputError, match="threads = 0"):
        resample(spectra, spectra, by, 0)
    with pytest.raises(InvalidInputError, match="0 bands between"):
        broad_bands(0)
    with pytest.raises(InvalidInputError, match="3 bands between 1330 and 1400 nm"):
        broad_bands(3, 1330, 1400)
