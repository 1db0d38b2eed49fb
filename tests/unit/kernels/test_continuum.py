import numpy as np
import pytest
from scipy.spatial import ConvexHull

from cropcube.errors import InvalidInputError
from cropcube.kernels import SpectralBands, _native, continuum_removed
from cropcube.kernels.continuum import _hull, continuum
from tests.support.real_spectra import real_bands, real_spectra


def bands(count, good=None):
    return SpectralBands(
        np.arange(count) * 10.0 + 400, np.full(count, 8.0), np.ones(count, bool) if good is None else good
    )


def removed(values, good=None):
    spectrum = np.array(values, np.float32)[:, None, None]
    return continuum_removed(spectrum, bands(len(values), good))[:, 0, 0].tolist()


def test_known_answers():
    np.testing.assert_allclose(removed([1, 1, 4, 1, 1]), [1, 0.4, 1, 0.4, 1])
    np.testing.assert_allclose(removed([2, 1, 2]), [1, 0.5, 1])
    assert removed([0.25, 0.5, 0.75, 1.0]) == [1, 1, 1, 1]
    assert removed([0.2, 0.2, 0.2]) == [1, 1, 1]
    assert removed([0.3]) == [1]


def test_the_hull_spans_bad_bands():
    none = np.nan
    good = np.array([1, 1, 0, 1, 1], bool)
    np.testing.assert_allclose(removed([1, 0.5, 9, 0.5, 1], good), [1, 0.5, none, 0.5, 1])
    np.testing.assert_allclose(removed([1, 0.5, none, 0.5, 1], good), [1, 0.5, none, 0.5, 1])


@pytest.mark.parametrize("values", [[1, np.nan, 1], [1, np.inf, 1], [0, 1, 1], [1, 1, -0.1], [-1, -2, -1]])
def test_cells_without_a_sound_hull_are_nan(values):
    assert np.isnan(removed(values)).all()


def test_a_value_below_zero_between_sound_ends_is_kept():
    np.testing.assert_allclose(removed([1, -0.1, 1]), [1, -0.1, 1])


def test_continua_of_real_spectra_are_those_of_qhull():
    spectra, of = real_spectra(), real_bands()
    hull, quotient = continuum(spectra, of), continuum_removed(spectra, of)
    assert np.isnan(hull[~of.good_W]).all()
    assert np.isnan(quotient[~of.good_W]).all()
    x = of.centre_nm_W[of.good_W]
    for y, column in np.ndindex(spectra.shape[1:]):
        values = spectra[of.good_W, y, column].astype(np.float64)
        floor = [(x[0], -10.0), (x[-1], -10.0)]
        corners = ConvexHull(np.concatenate([np.stack([x, values], axis=1), floor])).vertices
        corners = np.sort(corners[corners < len(x)])
        expected = np.interp(x, x[corners], values[corners])
        np.testing.assert_allclose(hull[of.good_W, y, column], expected, rtol=1e-6)
        found = quotient[of.good_W, y, column]
        np.testing.assert_allclose(found, values / expected, rtol=1e-6)
        assert (found[corners] == 1).all()


def test_absorptions_of_real_vegetation_are_where_they_are_known_to_be():
    """Chlorophyll near 670 nm is the deepest place between 560 and 760 nm of every point that has a red edge."""
    spectra, of = real_spectra()[:, 10], real_bands()
    green = spectra[np.abs(of.centre_nm_W - 780).argmin()] > 2 * spectra[np.abs(of.centre_nm_W - 670).argmin()]
    assert green.sum() >= 3
    there = (of.centre_nm_W > 560) & (of.centre_nm_W < 760)
    found = continuum_removed(spectra[:, None, green], of)[there, 0]
    deepest = of.centre_nm_W[there][found.argmin(axis=0)]
    assert (np.abs(deepest - 670) < 15).all()


@pytest.mark.parametrize("variant", _native.variants())
@pytest.mark.parametrize("divides", [False, True])
def test_every_instruction_set_and_number_of_threads_gives_the_same_bits(variant, divides):
    spectra = real_spectra()
    expected = _hull(spectra, real_bands(), divides, 1)
    for threads in (1, 3):
        assert _hull(spectra, real_bands(), divides, threads, variant).tobytes() == expected.tobytes()


def test_bad_input_is_named():
    spectra = np.ones((3, 1, 1), np.float32)
    with pytest.raises(InvalidInputError, match="expected 4 bands"):
        continuum_removed(spectra, bands(4))
    with pytest.raises(InvalidInputError, match="threads = 0"):
        continuum(spectra, bands(3), 0)
    with pytest.raises(InvalidInputError, match="spectrum_WYX has dtype float64"):
        continuum(spectra.astype(np.float64), bands(3))
    with pytest.raises(InvalidInputError, match="does not ascend"):
        SpectralBands(np.array([500.0, 400.0]), np.ones(2), np.ones(2, bool))
    with pytest.raises(InvalidInputError, match="expected 2 widths above 0"):
        SpectralBands(np.array([400.0, 500.0]), np.zeros(2), np.ones(2, bool))
