"""Digital numbers to stored reflectance: the one place where scale and offset are applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.sensor import REFLECTANCE_SCALE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.scene import Radiometry

DN_VALUES = 1 << 16
LARGEST = 65535


def lookup_table(radiometry: Radiometry) -> NDArray[np.uint16]:
    """Return the stored integer for each of the 65,536 digital numbers.

    Stored = (DN x scale + offset) / 1e-4, rounded half to even. DN 0 is no data and stays 0; a valid pixel at or below
    zero becomes 1, never no data; anything above 65,535 is clipped.
    """
    dn = np.arange(DN_VALUES, dtype=np.float64)
    stored = np.rint((dn * radiometry.scale + radiometry.offset) / REFLECTANCE_SCALE)
    table = np.clip(stored, 1, LARGEST).astype(np.uint16)
    table[0] = 0
    return table


def to_stored(dn: NDArray[np.uint16], table: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return reflectance in units of 1e-4 for digital numbers, by a table of `lookup_table`."""
    return table[dn]
