"""The part of a zone's arrays that a region covers: arrays are whole squares of tiles, pictures and files are not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import shapely
from pyproj import Transformer

from cropcube.domain.grid import EDGE_STEP_DEG, zone_pieces
from cropcube.domain.lattice import FINEST_M, PixelBox

if TYPE_CHECKING:
    from cropcube.domain.lattice import ZoneGrid
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
    left, top, whole = zone.lattice.left_m, zone.lattice.top_m, zone.box(resolution_m)
    # A pixel counts if its centre is inside; to the millimetre, since projected outlines are not exact.
    cols = _centres_within((x.min() - left, x.max() - left), resolution_m)
    rows = _centres_within((top - y.max(), top - y.min()), resolution_m)
    wanted = PixelBox(zone.lattice, resolution_m, rows.start, cols.start, len(rows), len(cols))
    return (wanted.intersection(whole) if rows and cols else None) or whole


def _centres_within(span_m: tuple[float, float], resolution_m: int) -> range:
    """Return the pixels whose centres lie in a span, measured from the lattice's edge."""
    first, last = (round(edge, 3) / resolution_m - 0.5 for edge in span_m)
    return range(math.ceil(first), math.floor(last) + 1)
