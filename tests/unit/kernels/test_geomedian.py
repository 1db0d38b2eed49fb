import numpy as np
import pytest
from scipy.optimize import minimize

from cropcube.demo.sample import load_sample
from cropcube.errors import InvalidInputError
from cropcube.kernels import reference, window_geomedian


def geomedian(points, clear=None):
    """Of observations (dates, bands) of one pixel."""
    values = np.array(points, np.uint16)[:, :, None, None]
    valid = np.ones((len(values), 1, 1), bool) if clear is None else np.array(clear, bool)[:, None, None]
    found, count = window_geomedian(values, valid, np.zeros(len(values), np.int32), 1)
    return found[0, :, 0, 0].tolist(), int(count[0, 0, 0])


def test_known_answers():
    assert geomedian([[7, 9]]) == ([7, 9], 1)
    assert geomedian([[100, 1000], [200, 3000]]) == ([150, 2000], 2)
    assert geomedian([[1, 1], [500, 40], [9, 9]], [0, 1, 0]) == ([500, 40], 1)
    assert geomedian([[1, 1], [2, 2]], [0, 0]) == ([0, 0], 0)
    assert geomedian([[10, 10], [10, 10], [900, 1]]) == ([10, 10], 3)
    # An angle of 120 degrees or more: the observation there. Of four corners: where the diagonals cross.
    assert geomedian([[1000, 1000], [5000, 1100], [9000, 1000]]) == ([5000, 1100], 3)
    assert geomedian([[1000, 1000], [5000, 1000], [5000, 3000], [1000, 3000]])[0] == [3000, 2000]
    # Fermat's point of an equilateral triangle is its centre.
    assert geomedian([[10000, 10000], [30000, 10000], [20000, 27321]])[0] == [20000, 15774]


def test_extremes():
    assert geomedian([[65535] * 6, [65535] * 6, [1] * 6])[0] == [65535] * 6
    assert geomedian([[0] * 4, [65535] * 4])[0] == [32768] * 4  # a mean of 32767.5, rounded half up


@pytest.mark.parametrize("bands", [1, 2, 4, 6, 7, 10, 16])
@pytest.mark.parametrize("dates", [3, 4, 9, 40])
def test_it_is_what_a_minimiser_finds(dates, bands):
    generator = np.random.default_rng([dates, bands])
    points = generator.normal(3000, 700, (dates, bands)).clip(1, 65535).astype(np.uint16)
    found, _ = geomedian(points)

    def summed(centre):
        return np.sqrt(((points - centre) ** 2).sum(axis=1)).sum()

    best = min(minimize(summed, start, method="Powell", tol=1e-10).fun for start in (points.mean(axis=0), *points))
    # Half an integer of rounding in each band, at most.
    assert summed(np.array(found)) <= best * (1 + 1e-6) + 0.5 * np.sqrt(bands) * dates


@pytest.mark.parametrize("bands", [1, 2, 10])
@pytest.mark.parametrize("dates", [5, 20, 31, 60, 145])
def test_observations_on_a_line_have_their_median(bands, dates):
    """Steps are slow there, end beside observations and are prolonged the most."""
    generator = np.random.default_rng([bands, dates])
    along = generator.integers(1, 65536, (dates, 1, 20, 50)).astype(np.uint16)
    valid = generator.random((dates, 20, 50)) < 0.6
    found, count = window_geomedian(along.repeat(bands, axis=1), valid, np.zeros(dates, np.int32), 1, 2)
    values = np.where(valid, along[:, 0].astype(float), np.nan)
    seen = count[0] > 0
    middle = np.nanmedian(values[:, seen], axis=0)
    least = np.nansum(abs(values[:, seen] - middle), axis=0)
    summed = np.nansum(abs(values[:, seen] - found[0, 0][seen]), axis=0)
    np.testing.assert_array_equal(found[0], found[0, :1].repeat(bands, axis=0))
    assert (summed <= least * (1 + 1e-6) + 0.5 * count[0][seen]).all()
    odd = count[0][seen] % 2 == 1
    np.testing.assert_array_equal(found[0, 0][seen][odd], middle[odd])


def test_real_series_of_every_length():
    sample = load_sample()
    fine = np.stack([sample.bands[band] for band in ("B02", "B03", "B04", "B08")], axis=1)[:, :, ::3, ::3]
    clear = np.isin(sample.bands["SCL"].repeat(2, 1).repeat(2, 2)[:, ::3, ::3], (4, 5, 6, 7)) & (fine != 0).all(axis=1)
    for first, stop in ((30, 35), (33, 40), (20, 44), (0, len(fine))):
        part, seen = fine[first:stop], clear[first:stop]
        found, count = window_geomedian(part, seen, np.zeros(len(part), np.int32), 1, 2)
        centre, least = reference.geomedian(part, seen)
        summed = reference.distances(part.astype(float), seen, found[0].astype(float))
        np.testing.assert_array_equal(count[0], seen.sum(axis=0))
        # Rounding to integers costs up to one a date (half of the diagonal of four bands), the search little more.
        assert ((summed - least)[count[0] > 0] <= 1.05 * count[0][count[0] > 0] + 1e-3 * least[count[0] > 0]).all()
        if stop - first > 12:
            assert np.abs(found[0] - centre)[:, count[0] > 12].max() <= 1.5


def test_the_pixel_and_not_its_neighbours_decides():
    generator = np.random.default_rng(3)
    values = generator.integers(1, 9000, (9, 4, 1, 37)).astype(np.uint16)
    valid = generator.random((9, 1, 37)) < 0.7
    window = np.arange(9, dtype=np.int32) // 5
    whole, _ = window_geomedian(values, valid, window, 2)
    for first in (0, 5, 20):
        part, _ = window_geomedian(values[..., first : first + 11], valid[..., first : first + 11], window, 2)
        np.testing.assert_array_equal(part, whole[..., first : first + 11])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reflectance": np.zeros((3, 2, 4, 4), np.float32)}, "reflectance_TBYX has dtype float32"),
        ({"reflectance": np.zeros((3, 17, 4, 4), np.uint16)}, "reflectance_TBYX has 17 bands; expected at most 16"),
        ({"valid": np.zeros((3, 4, 5), bool)}, r"valid_TYX has shape \(3, 4, 5\); expected \(3, 4, 4\)"),
        ({"window": np.zeros(2, int)}, r"window_T has shape \(2,\)"),
        ({"window": np.array([0, 1, 5])}, "window_T runs from 0 to 5; expected -1"),
        ({"window": np.zeros(3)}, "window_T has dtype float64"),
        ({"windows": -1}, "expected windows >= 0"),
        ({"threads": 0}, "threads >= 1"),
    ],
)
def test_bad_input_is_named(change, said):
    arguments = {
        "reflectance": np.zeros((3, 2, 4, 4), np.uint16), "valid": np.zeros((3, 4, 4), bool),
        "window": np.zeros(3, int), "windows": 2, "threads": 1,
    } | change  # fmt: skip
    with pytest.raises(InvalidInputError, match=said):
        window_geomedian(*arguments.values())
