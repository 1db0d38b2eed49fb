import array_api_strict as strict
import numpy as np
import pytest

from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError
from cropcube.kernels import INDICES, reference, spectral_index

LEAF = {
    "B02": 0.03,
    "B03": 0.06,
    "B04": 0.04,
    "B05": 0.10,
    "B06": 0.30,
    "B08": 0.42,
    "B8A": 0.44,
    "B11": 0.20,
    "B12": 0.09,
}
EXPECTED = {
    "NDVI": (0.42 - 0.04) / (0.42 + 0.04),
    "GCVI": 0.42 / 0.06 - 1,
    "NDWI": (0.06 - 0.42) / (0.06 + 0.42),
    "EVI": 2.5 * (0.42 - 0.04) / (0.42 + 6 * 0.04 - 7.5 * 0.03 + 1),
    "SAVI": 1.5 * (0.42 - 0.04) / (0.42 + 0.04 + 0.5),
    "GNDVI": (0.42 - 0.06) / (0.42 + 0.06),
    "LSWI": (0.42 - 0.20) / (0.42 + 0.20),
    "MNDWI": (0.06 - 0.20) / (0.06 + 0.20),
    "NBR": (0.42 - 0.09) / (0.42 + 0.09),
    "BSI": ((0.20 + 0.04) - (0.42 + 0.03)) / ((0.20 + 0.04) + (0.42 + 0.03)),
    "PSRI": (0.04 - 0.03) / 0.30,
    "NDRE": (0.44 - 0.10) / (0.44 + 0.10),
    "NDTI": (0.20 - 0.09) / (0.20 + 0.09),
}


def leaf():
    return {band: np.full((2, 3), value, np.float32) for band, value in LEAF.items()}


@pytest.mark.parametrize("name", sorted(INDICES))
def test_formulas(name):
    found = spectral_index(name.lower(), leaf())
    np.testing.assert_allclose(found, EXPECTED[name], rtol=1e-5)
    assert found.dtype == np.float32
    other = reference.spectral_index(name, {band: strict.asarray(values) for band, values in leaf().items()})
    np.testing.assert_allclose(np.asarray(other), found, rtol=1e-6)


def test_every_index_is_of_the_sensor_and_says_where_it_is_from():
    assert set(INDICES) == set(EXPECTED)
    for index in INDICES.values():
        for band in index.bands:
            assert SENTINEL2.band(band).name in index.formula
        assert index.source


def test_missing_bands_and_zero_denominators_are_nan():
    bands = {"B08": np.array([np.nan, 0, 0.4], np.float32), "B04": np.array([0.1, 0, 0.1], np.float32)}
    found = spectral_index("NDVI", bands)
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(0.6)


def test_bad_input_is_named():
    with pytest.raises(InvalidInputError, match="NVDI"):
        spectral_index("NVDI", leaf())
    with pytest.raises(InvalidInputError, match="B04"):
        spectral_index("NDVI", {"B08": leaf()["B08"]})
    with pytest.raises(InvalidInputError, match="shape"):
        spectral_index("NDVI", {"B08": leaf()["B08"], "B04": np.ones(2, np.float32)})
