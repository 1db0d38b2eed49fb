import numpy as np
import pytest

from cropcube.errors import InvalidInputError
from cropcube.kernels import time_percentiles, window_median
from cropcube.kernels.percentiles import sorting_network


def percentiles(values, wanted, clear=None):
    """Of one pixel and band."""
    series = np.array(values, np.uint16)[:, None, None, None]
    valid = np.ones((len(values), 1, 1), bool) if clear is None else np.array(clear, bool)[:, None, None]
    return time_percentiles(series, valid, wanted)[0][:, 0, 0, 0].tolist()


def test_known_answers():
    assert percentiles([30, 10, 20], [0, 50, 100]) == [10, 20, 30]
    assert percentiles([10, 20], [0, 10, 25, 50, 99.9]) == [10, 11, 13, 15, 20]
    assert percentiles([9, 8, 7], [50], [0, 1, 0]) == [8]
    assert percentiles([9, 8, 7], [0, 50], [0, 0, 0]) == [0, 0]
    assert percentiles([65535, 65535, 1], [0, 50, 100]) == [1, 65535, 65535]
    assert percentiles([4], [2.5]) == [4]


@pytest.mark.parametrize("count", [*range(40), 73, 146, 365])
def test_networks_sort(count):
    network = sorting_network(count)
    zeros_and_ones = np.random.default_rng(count).integers(0, 2, (count, 300))  # what sorts these sorts all (Knuth)
    for low, high in network:
        assert low < high
        zeros_and_ones[[low, high]] = np.sort(zeros_and_ones[[low, high]], axis=0)
    assert (np.diff(zeros_and_ones, axis=0) >= 0).all()


@pytest.mark.parametrize("dates", [1, 2, 12, 36, 73, 146, 365])
def test_the_fiftieth_is_the_median(dates):
    generator = np.random.default_rng(dates)
    values = generator.integers(0, 65536, (dates, 2, 7, 90)).astype(np.uint16)
    valid = generator.random((dates, 7, 90)) < 0.5
    found, count = time_percentiles(values, valid, [50], 2)
    median, counted = window_median(values, valid, np.zeros(dates, np.int32), 1)
    np.testing.assert_array_equal(found, median)
    np.testing.assert_array_equal(count, counted[0])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ([], "expected one or more from 0 to 100"),
        ([-1], "expected one or more from 0 to 100"),
        ([50, 100.5], "expected one or more from 0 to 100"),
        ([np.nan], "expected one or more from 0 to 100"),
        ([2.55], "expected at most one decimal place"),
    ],
)
def test_bad_percentiles_are_named(wanted, said):
    with pytest.raises(InvalidInputError, match=said):
        percentiles([1, 2], wanted)


def test_bad_input_is_named():
    values, valid = np.zeros((3, 2, 4, 4), np.uint16), np.zeros((3, 4, 4), bool)
    with pytest.raises(InvalidInputError, match="reflectance_TBYX has dtype int32"):
        time_percentiles(values.astype(np.int32), valid, [50])
    with pytest.raises(InvalidInputError, match="valid_TYX has shape"):
        time_percentiles(values, valid[:2], [50])
    with pytest.raises(InvalidInputError, match="threads = 0"):
        time_percentiles(values, valid, [50], 0)
    with pytest.raises(InvalidInputError, match="dates = 32768"):
        time_percentiles(np.zeros((32768, 1, 1, 1), np.uint16), np.zeros((32768, 1, 1), bool), [50])
