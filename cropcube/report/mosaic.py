"""Decimated reads of whole maps: tile by tile, never the whole country at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyproj import Transformer

from cropcube.maps.extent import covered_box
from cropcube.report.raster import MAX_SIDE_PX, Raster

if TYPE_CHECKING:
    from cropcube.cube.store import Store
    from cropcube.domain.grid import Grid
    from cropcube.domain.lattice import PixelBox, ZoneGrid
    from cropcube.domain.region import Region

_STRIP_ROWS = 256


def overview(store: Store, name: str, grid: Grid, region: Region) -> Raster:
    """Return one array of a map, small enough to draw: every n-th pixel, all zones in one picture.

    Parameters
    ----------
    store
        The map.
    name
        `crop`, `confidence` or `clear_count`.
    grid
        The project's tiles.
    region
        What the picture is cut to.

    Returns
    -------
    raster
        On the zone's own grid where there is one zone; otherwise in an equal-area projection about the region.
    """
    boxes = [covered_box(region, zone) for zone in grid.zones]
    step = max(1, *(-(-max(box.shape) // MAX_SIDE_PX) for box in boxes))
    rasters = [decimated(store, name, zone, box, step) for zone, box in zip(grid.zones, boxes, strict=True)]
    return rasters[0] if len(rasters) == 1 else _joined(rasters, region)


def decimated(store: Store, name: str, zone: ZoneGrid, box: PixelBox, step: int) -> Raster:
    """Return every `step`-th pixel of a box (the middle one of each square), read tile by tile."""
    height, width = -(-box.height // step), -(-box.width // step)
    values = np.zeros((height, width), store.array(name, box.resolution_m).dtype)
    for tile in zone.tiles():
        part = tile.box(box.resolution_m).intersection(box)
        if part is None:
            continue
        (rows, from_row), (cols, from_col) = (
            _picks(first, length, step)
            for first, length in ((part.row - box.row, part.height), (part.col - box.col, part.width))
        )
        rows, cols = slice(rows.start, min(rows.stop, height)), slice(cols.start, min(cols.stop, width))
        if rows.start < rows.stop and cols.start < cols.stop:
            read = store.read(box.lattice.name, name, part)[from_row::step, from_col::step]
            values[rows, cols] = read[: rows.stop - rows.start, : cols.stop - cols.start]
    left, _, _, top = box.bounds
    return Raster(values, box.lattice.crs, left, top, float(step * box.resolution_m))


def _picks(first: int, length: int, step: int) -> tuple[slice, int]:
    """Return which picked pixels fall in [first, first + length), and where the first of them lies in it.

    Picked are the pixels `step // 2`, `step // 2 + step`, ...
    """
    middle = step // 2
    start = -(-(first - middle) // step)
    stop = -(-(first + length - middle) // step)
    return slice(start, stop), start * step + middle - first


def _joined(rasters: list[Raster], region: Region) -> Raster:
    """Return rasters of several CRS in one, in an equal-area projection centred on the region; zones do not overlap."""
    west, south, east, north = region.bounds
    middle = region.geometry.representative_point().x if east - west > 180 else (west + east) / 2
    crs = f"+proj=laea +lat_0={(south + north) / 2:.4f} +lon_0={middle:.4f} +datum=WGS84 +units=m"
    frames = np.array([_frame(raster, crs) for raster in rasters])
    left, bottom = (float(edge) for edge in frames[:, :2].min(axis=0))
    right, top = (float(edge) for edge in frames[:, 2:].max(axis=0))
    pixel = max(max(right - left, top - bottom) / MAX_SIDE_PX, rasters[0].pixel_m)
    shape = (int(np.ceil((top - bottom) / pixel)), int(np.ceil((right - left) / pixel)))
    whole = Raster(np.zeros(shape, rasters[0].values.dtype), crs, left, top, pixel)
    for raster in rasters:
        _paint(raster, whole)
    return whole


def _frame(raster: Raster, crs: str) -> tuple[float, float, float, float]:
    """Return left, bottom, right, top of a raster in another CRS."""
    left, right, bottom, top = raster.extent
    to_crs = Transformer.from_crs(raster.crs, crs, always_xy=True)
    west, south, east, north = to_crs.transform_bounds(left, bottom, right, top, 21)
    return float(west), float(south), float(east), float(north)


def _paint(raster: Raster, whole: Raster) -> None:
    """Put a raster's values, where it has any, into another raster: the nearest pixel, strip by strip."""
    back = Transformer.from_crs(whole.crs, raster.crs, always_xy=True)
    height, width = raster.values.shape
    x = whole.left_m + (np.arange(whole.values.shape[1]) + 0.5) * whole.pixel_m
    for first in range(0, whole.values.shape[0], _STRIP_ROWS):
        target = whole.values[first : first + _STRIP_ROWS]
        y = whole.top_m - (np.arange(first, first + len(target)) + 0.5) * whole.pixel_m
        east, north = back.transform(*np.meshgrid(x, y))
        cols = np.floor((east - raster.left_m) / raster.pixel_m)
        rows = np.floor((raster.top_m - north) / raster.pixel_m)
        within = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        found = np.zeros_like(target)
        found[within] = raster.values[rows[within].astype(int), cols[within].astype(int)]
        target[found != 0] = found[found != 0]
