import numpy as np
import pytest

from cropcube.errors import InvalidInputError
from cropcube.kernels import NARROW_INDICES, SpectralBands, narrow_indices
from cropcube.kernels.narrow_indices import bands_of, find_narrow_index
from tests.support.real_spectra import real_bands, real_spectra

# Each wavelength has a band of its own here.
LEAF = {
    531: 0.05, 550: 0.09, 570: 0.07, 670: 0.03, 700: 0.10, 720: 0.22, 740: 0.36, 780: 0.44, 790: 0.45, 860: 0.46,
    1240: 0.42, 1510: 0.20, 1680: 0.28, 1754: 0.26, 2000: 0.10, 2100: 0.16, 2200: 0.18,
}  # fmt: skip
A, B, C = (np.log(1 / LEAF[wavelength]) for wavelength in (1510, 1680, 1754))
EXPECTED = {
    "NDRE": (0.45 - 0.22) / (0.45 + 0.22),
    "NDNI": (A - B) / (A + B),
    "NDLI": (C - B) / (C + B),
    "CAI": 100 * (0.5 * (0.10 + 0.18) - 0.16),
    "NDWI": (0.46 - 0.42) / (0.46 + 0.42),
    "PRI": (0.05 - 0.07) / (0.05 + 0.07),
    "MCARI": ((0.10 - 0.03) - 0.2 * (0.10 - 0.09)) * (0.10 / 0.03),
    "REP": 700 + 40 * ((0.03 + 0.44) / 2 - 0.10) / (0.36 - 0.10),
}


def leaf(**other):
    """Spectrum of one cell and its bands."""
    values = LEAF | {int(key[1:]): value for key, value in other.items()}
    bands = SpectralBands(np.array(list(values), np.float64), np.full(len(values), 8.5), np.ones(len(values), bool))
    return np.array(list(values.values()), np.float32)[:, None, None], bands


@pytest.mark.parametrize("name", sorted(NARROW_INDICES))
def test_formulas(name):
    found = narrow_indices([name.lower()], *leaf())
    assert found.dtype == np.float32
    assert found.shape == (1, 1, 1)
    np.testing.assert_allclose(found[0, 0, 0], EXPECTED[name], rtol=2e-6)


def test_every_index_says_where_it_is_from():
    assert set(NARROW_INDICES) == set(EXPECTED)
    for name, index in NARROW_INDICES.items():
        assert index.name == name
        assert index.source
        assert all(f"R{wavelength:g}" in index.formula for wavelength in index.wavelengths_nm)


@pytest.mark.parametrize("name", sorted(NARROW_INDICES))
def test_a_missing_band_is_nan(name):
    for wavelength in NARROW_INDICES[name].wavelengths_nm:
        for gone in (np.nan, np.inf):
            assert np.isnan(narrow_indices([name], *leaf(**{f"r{wavelength:g}": gone}))).all()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("NDRE", {"r790": 0.0, "r720": 0.0}),
        ("NDRE", {"r790": -0.3, "r720": 0.2}),
        ("PRI", {"r531": 0.0, "r570": -0.01}),
        ("NDNI", {"r1510": 0.0}),
        ("NDNI", {"r1510": -0.1}),
        ("NDNI", {"r1510": 1.0, "r1680": 1.0}),
        ("NDLI", {"r1754": 1.2, "r1680": 1.1}),
        ("MCARI", {"r670": 0.0}),
        ("REP", {"r700": 0.36, "r740": 0.36}),
        ("REP", {"r700": 0.4, "r740": 0.3}),
    ],
)
def test_what_has_no_denominator_is_nan(name, other):
    assert np.isnan(narrow_indices([name], *leaf(**other))).all()


def test_the_nearest_bands_of_emit_are_taken():
    bands = real_bands()
    for index in NARROW_INDICES.values():
        found = bands.centre_nm_W[list(bands_of(index, bands))]
        assert (np.abs(found - index.wavelengths_nm) < 3.8).all()  # bands are 7.4 nm apart


def test_indices_of_real_spectra_are_what_they_are_for_such_ground():
    """The red edge of green points lies between 705 and 735 nm, and others are in the range of vegetation."""
    bands, spectra = real_bands(), real_spectra()[:, 10:]
    near, red = (spectra[np.abs(bands.centre_nm_W - nm).argmin()] for nm in (860, 665))
    green = (near - red) / (near + red) > 0.6
    assert green.any()
    found = narrow_indices(["REP", "NDRE", "NDWI", "PRI", "NDNI"], spectra, bands)
    assert ((found[0][green] > 705) & (found[0][green] < 735)).all()
    assert (found[1][green] > 0.1).all()
    assert (np.abs(found[3]) < 0.3).all()
    assert ((found[4][green] > 0) & (found[4][green] < 0.5)).all()


def test_several_at_once_are_those_of_each():
    spectra, bands, names = real_spectra(), real_bands(), sorted(NARROW_INDICES)
    found = narrow_indices(names, spectra, bands)
    for place, name in enumerate(names):
        np.testing.assert_array_equal(found[place], narrow_indices([name], spectra, bands)[0])
        assert np.isfinite(found[place]).any()


def test_bands_that_are_not_there_are_named():
    spectra, bands = real_spectra(), real_bands()
    bad = bands.good_W.copy()
    bad[np.abs(bands.centre_nm_W - 2100).argmin()] = False
    with pytest.raises(InvalidInputError, match=r"index CAI needs 2100 nm; .* 2100.8 nm, which is a bad one"):
        narrow_indices(["CAI"], spectra, SpectralBands(bands.centre_nm_W, bands.fwhm_nm_W, bad))
    some = bands.centre_nm_W < 1200
    few = SpectralBands(bands.centre_nm_W[some], bands.fwhm_nm_W[some], bands.good_W[some])
    with pytest.raises(InvalidInputError, match=r"index NDWI needs 1240 nm; .* over 10 nm away"):
        narrow_indices(["NDRE", "NDWI"], spectra[some], few)
    with pytest.raises(InvalidInputError, match="unknown index 'NDVI'"):
        find_narrow_index("NDVI")
    with pytest.raises(InvalidInputError, match="0 indices"):
        narrow_indices([], spectra, bands)
    with pytest.raises(InvalidInputError, match="expected one or more, of 285 bands"):
        narrow_indices(["NDRE"], spectra[:5], bands)
