"""The part of a zone's arrays that a region covers: arrays are whole squares of tiles, pictures and files are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import Transformer

from cropcube.domain.grid import EDGE_STEP_DEG, zone_pieces
from cropcube.domain.lattice import FINEST_M

if TYPE_CHECKING:
    from cropcube.domain.lattice import PixelBox, ZoneGrid
    from cropcube.domain.region import Region


def covered_box(region: Region, zone: ZoneGrid, resolution_m: int = FINEST_M) -> PixelBox:
    """Return the smallest box of pixels around what a zone holds of a region, within the zone's arrays.

    Parameters
    ----------
    region
        The project's region.
    zone
        One of the zones of its grid.
    resolution_m
        Side of the pixels.
    """
    piece = zone_pieces(region)[zone.lattice] if zone.lattice.is_utm else region.geometry
    lon, lat = shapely.get_coordinates(shapely.segmentize(piece, EDGE_STEP_DEG)).T
    x, y = Transformer.from_crs(4326, zone.lattice.epsg, always_xy=True).transform(lon, lat)
    # To the millimetre, so that an outline drawn along pixel edges does not take in a row beyond them.
    left, bottom, right, top = (float(np.round(edge, 3)) for edge in (x.min(), y.min(), x.max(), y.max()))
    wanted = zone.lattice.box_of_bounds((left, bottom, right, top), resolution_m)
    whole = zone.box(resolution_m)
    return wanted.intersection(whole) or whole
