import numpy as np
import pytest

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native, clear_mask, clear_pixels


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


def test_a_cloud_beside_a_part_spreads_into_it_and_a_band_without_a_value_is_not_clear():
    quality = np.full((1, 6, 6), 4, np.uint8)
    quality[0, 0, 0] = 9
    reflectance = np.ones((1, 2, 8, 8), np.uint16)
    reflectance[0, 1, 7, 6] = 0
    found = clear_pixels(quality, (4,), 2, (slice(1, 5), slice(1, 5)), 2, reflectance)
    expected = np.ones((8, 8), bool)
    expected[:2, :2] = expected[7, 6] = False
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reflectance_TBYX": np.ones((1, 2, 7, 8), np.uint16)}, r"reflectance_TBYX has shape \(1, 2, 7, 8\)"),
        ({"reflectance_TBYX": np.ones((1, 2, 8, 8))}, "reflectance_TBYX has dtype float64"),
        ({"quality_TYX": np.ones((6, 6), np.uint8)}, "quality_TYX has shape"),
        ({"repeats": 0}, "repeats = 0"),
        ({"threads": 0}, "threads = 0"),
        ({"dilate_px": -1}, "dilate_px = -1"),
    ],
)
def test_what_does_not_fit_is_named(change, said):
    given = {"quality_TYX": np.ones((1, 6, 6), np.uint8), "classes": (4,), "dilate_px": 1, "repeats": 2}
    given |= {"part": (slice(1, 5), slice(1, 5)), "reflectance_TBYX": np.ones((1, 2, 8, 8), np.uint16)} | change
    with pytest.raises(InvalidInputError, match=said):
        clear_pixels(**given)


def test_the_native_module_refuses_what_would_read_out_of_bounds():
    kind, reflectance, clear = np.zeros(256, np.uint8), np.ones((1, 1, 4, 4), np.uint16), np.ones((1, 4, 4), bool)
    small, fitting, more = (np.ones(shape, np.uint8) for shape in ((1, 3, 3), (1, 4, 4), (2, 4, 4)))
    for quality, row, repeats in ((small, 0, 1), (fitting, 1, 1), (more, 0, 1), (fitting, 0, 3)):
        with pytest.raises(ValueError, match="do not fit"):
            _native.clear_mask(quality, kind, 1, row, 0, repeats, reflectance, clear, 1, "")


def test_negative_dilation_is_refused():
    with pytest.raises(InvalidInputError, match="dilate_px"):
        clear_mask(np.zeros((2, 2), np.uint8), (4,), -1)
