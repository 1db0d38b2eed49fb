import array_api_strict as strict
import numpy as np
import pytest

from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError
from cropcube.kernels import INDICES, Reflectance, index_statistics, reference, spectral_indices

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


def leaf(**other):
    """One pixel of one step."""
    integers = {band: round(10000 * value) for band, value in (LEAF | other).items()}
    return Reflectance(np.array(list(integers.values()), np.uint16)[None, :, None, None], tuple(integers))


def series(*ndvi_pairs):
    """Near infrared and red of one pixel on several days."""
    values = np.array(ndvi_pairs, np.uint16)[:, :, None, None]
    return Reflectance(values, ("B08", "B04"))


@pytest.mark.parametrize("name", sorted(INDICES))
def test_formulas(name):
    found = spectral_indices([name.lower()], [leaf()])
    np.testing.assert_allclose(found[0, 0, 0, 0], EXPECTED[name], rtol=1e-5)
    assert found.dtype == np.float32
    whole = leaf()
    other = Reflectance(strict.asarray(whole.values_SBYX), whole.bands)
    np.testing.assert_allclose(np.asarray(reference.spectral_indices([name], [other])), found, rtol=1e-5)


def test_several_at_once_are_those_of_each():
    names = sorted(INDICES)
    found = spectral_indices(names, [leaf()])
    for place, name in enumerate(names):
        np.testing.assert_array_equal(found[:, place], spectral_indices([name], [leaf()])[:, 0])


def test_every_index_is_of_the_sensor_and_says_where_it_is_from():
    assert set(INDICES) == set(EXPECTED)
    for index in INDICES.values():
        for band in index.bands:
            assert SENTINEL2.band(band).name in index.formula
        assert index.source
        assert len(index.above) == len(index.below) == len(index.bands) + 1


def test_missing_bands_and_zero_denominators_are_nan():
    of = series((0, 1000), (4000, 1000), (2000, 0))
    assert np.isnan(spectral_indices(["NDVI"], [of])[[0, 2]]).all()
    assert spectral_indices(["NDVI"], [of])[1, 0, 0, 0] == pytest.approx(0.6)
    # A mask says what counts, zeros too: then NDVI of two zeros has no denominator.
    masked = Reflectance(np.array([[[[0]], [[0]]], [[[0]], [[5]]]], np.uint16), of.bands, np.ones((2, 1, 1), bool))
    found = spectral_indices(["NDVI"], [masked])[:, 0, 0, 0]
    assert np.isnan(found[0])
    assert found[1] == -1


def test_averages_take_only_what_was_seen():
    fine = Reflectance(np.array([[[[1000, 0, 0, 0], [3000, 0, 0, 0]]]], np.uint16), ("B08",))
    coarse = Reflectance(np.array([[[[1000, 1000]]]], np.uint16), ("B11",))
    found = spectral_indices(["LSWI"], [fine, coarse])
    assert found.shape == (1, 1, 1, 2)
    assert found[0, 0, 0, 0] == pytest.approx(1 / 3)
    assert np.isnan(found[0, 0, 0, 1])
    seen = np.array([[[1, 0, 0, 0], [0, 0, 0, 0]]], bool)
    masked = Reflectance(fine.values_SBYX, fine.bands, seen)
    assert spectral_indices(["LSWI"], [masked, coarse])[0, 0, 0, 0] == 0


def test_statistics_of_one_pixel():
    of = series((3000, 1000), (9000, 1000), (0, 1000), (1000, 1000), (9000, 1000))
    found = index_statistics(["NDVI"], [of], np.array([40, 90, 3, 1, 60]))[:, 0, 0, 0]
    values = np.array([0.5, 0.8, 0.0, 0.8])
    expected = [values.mean(), values.std(), 0, 0.8, 0.8, 60]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_a_long_season_is_summed_as_well_as_a_short_one():
    generator = np.random.default_rng(0)
    values = generator.integers(500, 6000, (365, 2, 20, 20)).astype(np.uint16)
    values[:, 0, 0], values[:, 1, 0] = 4000, 1000  # series that never vary
    near, red = values[:, 0].astype(float), values[:, 1].astype(float)
    ndvi = (near - red) / (near + red)
    found = index_statistics(["NDVI"], [Reflectance(values, ("B08", "B04"))], np.arange(365))[:, 0]
    np.testing.assert_allclose(found[0], ndvi.mean(axis=0), atol=2e-6)
    np.testing.assert_allclose(found[1], ndvi.std(axis=0), atol=2e-6)
    assert not found[1, 0].any()


def test_statistics_of_nothing_are_nan():
    assert np.isnan(index_statistics(["NDVI"], [series((0, 0), (1, 0))], np.arange(2))).all()
    none = Reflectance(np.zeros((0, 2, 3, 4), np.uint16), ("B08", "B04"))
    assert index_statistics(["NDVI"], [none], np.zeros(0)).shape == (6, 1, 3, 4)
    assert np.isnan(index_statistics(["NDVI"], [none], np.zeros(0))).all()
    assert spectral_indices(["NDVI"], [none]).shape == (0, 1, 3, 4)


@pytest.mark.parametrize(
    ("names", "of", "said"),
    [
        (["NVDI"], [leaf()], "unknown index 'NVDI'"),
        ([], [leaf()], "0 indices of 1 resolutions"),
        (["NDVI"], [], "1 indices of 0 resolutions"),
        (["NDVI"], [Reflectance(np.ones((1, 1, 2, 2), np.uint16), ("B08",))], "needs B04, which is not there"),
        (["NDVI"], [Reflectance(np.ones((1, 2, 2, 2), np.float32), ("B08", "B04"))], "values_SBYX has dtype float32"),
        (["NDVI"], [Reflectance(np.ones((1, 3, 2, 2), np.uint16), ("B08", "B04"))], "expected 2 bands"),
        (
            ["NDVI"],
            [Reflectance(np.ones((1, 2, 2, 2), np.uint16), ("B08", "B04"), np.ones((1, 2, 3), bool))],
            r"seen_SYX has shape \(1, 2, 3\); expected \(1, 2, 2\)",
        ),
        (
            ["LSWI"],
            [
                Reflectance(np.ones((1, 1, 5, 4), np.uint16), ("B08",)),
                Reflectance(np.ones((1, 1, 2, 2), np.uint16), ("B11",)),
            ],
            "expected as many steps, and rows and columns that are multiples",
        ),
        (
            ["LSWI"],
            [
                Reflectance(np.ones((2, 1, 4, 4), np.uint16), ("B08",)),
                Reflectance(np.ones((1, 1, 2, 2), np.uint16), ("B11",)),
            ],
            "expected as many steps",
        ),
    ],
)
def test_bad_input_is_named(names, of, said):
    with pytest.raises(InvalidInputError, match=said):
        spectral_indices(names, of)
    with pytest.raises(InvalidInputError, match=said):
        index_statistics(names, of, np.zeros(1))


@pytest.mark.parametrize("days", [np.zeros(3), np.array([0, np.nan]), np.array([True, False])])
def test_bad_days_are_named(days):
    with pytest.raises(InvalidInputError, match="days_S"):
        index_statistics(["NDVI"], [series((1, 2), (3, 4))], days)
