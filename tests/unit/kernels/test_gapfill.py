import numpy as np
import pytest

from cropcube.errors import InvalidInputError
from cropcube.kernels import gap_fill


def fill(values, valid, places=None, dtype=np.uint16):
    found = gap_fill(np.array(values, dtype).reshape(-1, 1), np.array(valid, bool).reshape(-1, 1), places)
    return found[:, 0].tolist()


def test_gaps_are_filled_linearly_and_ends_held():
    assert fill([9, 10, 0, 0, 40, 7], [0, 1, 0, 0, 1, 0]) == [10, 10, 20, 30, 40, 40]


def test_unequal_steps_count():
    assert fill([10, 0, 30], [1, 0, 1], np.array([0, 15, 20])) == [10, 25, 30]


def test_integers_are_rounded_half_up_and_exactly():
    assert fill([1, 0, 2], [1, 0, 1]) == [1, 2, 2]
    assert fill([2, 0, 1], [1, 0, 1]) == [2, 2, 1]
    assert fill([65535, 0, 65535], [1, 0, 1]) == [65535] * 3
    ends = np.arange(1, 60)
    for steps in range(2, 12):
        values = np.zeros((steps + 1, len(ends)), np.uint16)
        values[-1] = ends
        valid = np.zeros(values.shape, bool)
        valid[[0, -1]] = True
        exact = [[(2 * end * k + steps) // (2 * steps) for end in ends.tolist()] for k in range(steps + 1)]
        np.testing.assert_array_equal(gap_fill(values, valid), exact)


def test_a_series_without_any_value_stays_zero_whatever_it_held():
    assert fill([5, 6, 7], [0, 0, 0]) == [0, 0, 0]


def test_real_numbers_keep_their_type_and_ignore_nan():
    values = np.array([1, np.nan, 2], np.float32).reshape(3, 1)
    found = gap_fill(values, np.isfinite(values))
    assert found.dtype == np.float32
    assert found[:, 0].tolist() == [1, 1.5, 2]


def test_bands_share_a_mask():
    values = np.arange(12, dtype=np.uint16).reshape(3, 2, 2) * 10
    valid = np.array([[True, True], [False, True], [True, False]])
    found = gap_fill(values, valid)
    np.testing.assert_array_equal(found, gap_fill(values, np.repeat(valid[:, None], 2, axis=1)))
    assert found[:, 0, 1].tolist() == [10, 50, 50]


@pytest.mark.parametrize(
    ("values", "valid", "places", "said"),
    [
        (np.zeros((3, 2), bool), np.ones((3, 2), bool), None, "values"),
        (np.zeros((3, 2)), np.ones((2, 2), bool), None, "valid"),
        (np.zeros((3, 2)), np.ones((3, 2)), None, "valid"),
        (np.zeros((3, 2)), np.ones((3, 2), bool), np.arange(4), "positions_T"),
        (np.zeros((3, 2)), np.ones((3, 2), bool), np.array([0, 2, 1]), "positions_T"),
        (np.zeros((3, 2)), np.ones((3, 2), bool), np.array([0, 2, np.nan]), "positions_T"),
        ([[1.0, 2.0]], np.ones((1, 2), bool), None, "values is a list"),
    ],
)
def test_bad_input_is_named(values, valid, places, said):
    with pytest.raises(InvalidInputError, match=said):
        gap_fill(values, valid, places)
