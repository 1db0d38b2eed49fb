"""Decimated reads of whole maps: tile by tile, never the whole country at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.transform import from_origin
from rasterio.warp import Resampling, calculate_default_transform, reproject

from cropcube.maps.extent import covered_box
from cropcube.report.raster import MAX_SIDE_PX, Raster

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.cube.store import Store
    from cropcube.domain.grid import Grid
    from cropcube.domain.lattice import PixelBox, ZoneGrid
    from cropcube.domain.region import Region


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
    centre = region.geometry.representative_point() if region.bounds[2] - region.bounds[0] > 180 else None
    lon = centre.x if centre is not None else (region.bounds[0] + region.bounds[2]) / 2
    lat = (region.bounds[1] + region.bounds[3]) / 2
    crs = f"+proj=laea +lat_0={lat:.4f} +lon_0={lon:.4f} +datum=WGS84 +units=m"
    frames = [_frame(raster, crs) for raster in rasters]
    left, top = min(f[0] for f in frames), max(f[3] for f in frames)
    right, bottom = max(f[2] for f in frames), min(f[1] for f in frames)
    pixel = max(max(right - left, top - bottom) / MAX_SIDE_PX, rasters[0].pixel_m)
    shape = (int(np.ceil((top - bottom) / pixel)), int(np.ceil((right - left) / pixel)))
    whole = np.zeros(shape, rasters[0].values.dtype)
    for raster in rasters:
        part = _warped(raster, whole, crs, (left, top, pixel))
        whole = np.where(part != 0, part, whole)
    return Raster(whole, crs, left, top, pixel)


def _frame(raster: Raster, crs: str) -> tuple[float, float, float, float]:
    """Return left, bottom, right, top of a raster in another CRS."""
    left, right, bottom, top = raster.extent
    height, width = raster.values.shape[:2]
    transform, columns, rows = calculate_default_transform(raster.crs, crs, width, height, left, bottom, right, top)
    return transform.c, transform.f + rows * transform.e, transform.c + columns * transform.a, transform.f


def _warped(raster: Raster, whole: NDArray[Any], crs: str, origin: tuple[float, float, float]) -> NDArray[Any]:
    left, top, pixel = origin
    part = np.zeros_like(whole)
    reproject(
        raster.values,
        part,
        src_transform=from_origin(raster.left_m, raster.top_m, raster.pixel_m, raster.pixel_m),
        src_crs=raster.crs,
        dst_transform=from_origin(left, top, pixel, pixel),
        dst_crs=crs,
        src_nodata=0,
        dst_nodata=0,
        resampling=Resampling.nearest,
    )
    return part
