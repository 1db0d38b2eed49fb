import numpy as np
import pytest

from cropcube.errors import InvalidInputError
from cropcube.kernels import clear_mask


def test_kept_classes_are_clear_and_nothing_else_ever_is():
    quality = np.array([[0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 254, 255]], np.uint8)
    np.testing.assert_array_equal(np.flatnonzero(clear_mask(quality, (4, 5, 6, 7))), [3, 4, 5, 6])
    assert not clear_mask(quality, (0, 254, 255)).any()


def test_dilation_is_a_disc_around_excluded_classes():
    quality = np.full((7, 7), 4, np.uint8)
    quality[3, 3] = 9
    y, x = np.mgrid[-3:4, -3:4]
    for radius in range(4):
        np.testing.assert_array_equal(clear_mask(quality, (4,), radius), y**2 + x**2 > radius**2)


@pytest.mark.parametrize("nothing", [0, 254])
def test_pixels_without_a_class_do_not_spread(nothing):
    quality = np.full((5, 5), 4, np.uint8)
    quality[2, 2] = nothing
    assert clear_mask(quality, (4,), 2).sum() == 24


def test_days_do_not_spread_to_each_other():
    quality = np.full((3, 4, 4), 4, np.uint8)
    quality[1] = 8
    assert clear_mask(quality, (4,), 9).sum(axis=(1, 2)).tolist() == [16, 0, 16]


@pytest.mark.parametrize("quality", [np.zeros((2, 2), np.int64), np.zeros(3, np.uint8), [[1]]])
def test_bad_quality_is_named(quality):
    with pytest.raises(InvalidInputError, match="quality"):
        clear_mask(quality, (4,))


def test_negative_dilation_is_refused():
    with pytest.raises(InvalidInputError, match="dilate_px"):
        clear_mask(np.zeros((2, 2), np.uint8), (4,), -1)
