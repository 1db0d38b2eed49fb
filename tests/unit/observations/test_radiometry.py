"""Digital numbers to stored reflectance."""

import numpy as np
import pytest

from cropcube.domain.scene import Radiometry
from cropcube.observations.radiometry import lookup_table, to_stored


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        (1e-4, 0.0, {0: 0, 1: 1, 5000: 5000, 65535: 65535}),
        (1e-4, -0.1, {0: 0, 1: 1, 999: 1, 1000: 1, 1001: 1, 1002: 2, 6000: 5000, 65535: 64535}),
        (1e-4, 0.1, {0: 0, 1: 1001, 65535: 65535}),
        (2e-4, 0.0, {0: 0, 3: 6, 40000: 65535}),
        (5e-5, 0.0, {0: 0, 1: 1, 3: 2, 10: 5}),
    ],
)
def test_table(scale: float, offset: float, expected: dict[int, int]) -> None:
    table = lookup_table(Radiometry(scale, offset, "test"))
    assert {dn: int(table[dn]) for dn in expected} == expected


def test_valid_pixels_are_never_no_data() -> None:
    table = lookup_table(Radiometry(1e-4, -0.1, "test"))
    assert table[0] == 0
    assert (table[1:] > 0).all()


def test_integers_are_exact() -> None:
    """1e-4 and -0.1 are not exact in binary; the stored integers are."""
    table = lookup_table(Radiometry(1e-4, -0.1, "test"))
    dn = np.arange(1001, 65536)
    np.testing.assert_array_equal(table[dn], dn - 1000)


def test_arrays_keep_shape_and_type() -> None:
    dn = np.array([[0, 1000], [1500, 65535]], np.uint16)
    stored = to_stored(dn, lookup_table(Radiometry(1e-4, -0.1, "test")))
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored, [[0, 1], [500, 64535]])
