"""Observations of one tile: what was seen on each day, unmasked, with the class of every pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox, Tile


@dataclass(frozen=True, eq=False)
class TileObservations:
    """Reflectance and quality of one tile on the days that have any observation.

    Reflectance is in units of 1e-4 and unmasked; 0 is no data. A pixel is clear on a day if its class is kept and no
    band of its resolution is zero.
    """

    tile: Tile
    "Or a cell of one."
    days: NDArray[np.int32]
    "(T,) days since season start that have any observation, ascending."
    bands: Mapping[int, tuple[str, ...]]
    "Band labels by resolution in metres, in the sensor's order."
    reflectance: Mapping[int, NDArray[np.uint16]]
    "(T, B, Y, X) by resolution in metres."
    quality: NDArray[np.uint8]
    "(T, Yq, Xq) over `quality_box`: 0 not acquired, 1 to 11 the SCL class, 254 read failed."
    quality_box: PixelBox
    "The tile's box at the quality resolution, grown by the halo asked for (clipped to the zone's array)."

    def cell(self, cell: Tile, quality_box: PixelBox, resolutions_m: Collection[int]) -> TileObservations:
        """Return the observations of a cell of the tile at some resolutions, and the quality over a part of the box."""
        inside = {m: cell.box(m).slices_in(self.tile.box(m)) for m in resolutions_m}
        return TileObservations(
            cell,
            self.days,
            {m: self.bands[m] for m in resolutions_m},
            {m: self.reflectance[m][(..., *inside[m])] for m in resolutions_m},
            self.quality[(..., *quality_box.slices_in(self.quality_box))],
            quality_box,
        )
