"""From an EMIT swath to the 60 m lattice in one step: the swath pixel that is nearest to each cell.

The look-up table of a granule leads to a grid in degrees, and from there to ours would be a second nearest neighbour.
So every cell takes the pixel whose own latitude and longitude lie nearest to its centre. That is looked for from the
pixels' side: a pixel can only be the nearest of the four cells around it, so one pass over the swath finds all.
The table says which cells are filled: those it has no pixel of its own for, only a neighbour's.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyproj import Transformer

from cropcube.errors import InvalidInputError
from cropcube.kernels import CellGrid, DegreeTable, Polynomial, nearest_pixels, table_marks
from cropcube.observations.emit_granule import AGAIN, LOCATION, fill_of, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox
    from cropcube.observations.emit_granule import EmitHeader

    Transform = Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]

RESOLUTION_M = 60
REACH = 0.75
"""Cells whose nearest pixel is farther away than this part of their side stay empty."""
POWERS = (6, 8)
"""Of the polynomials that stand for a projection over the 75 km of a granule, the first that will do: with six they are
off by 0.02 mm at most (UTM and three other projections, latitudes to 51 degrees)."""
MARGIN = 3
"""Cells of the table read around what bounds say."""
PLACE_TOLERANCE_M, PLACE_TOLERANCE_DEG = 1e-3, 1e-8
"""Where the polynomials are off by more, each place is projected by itself."""


@dataclass(frozen=True, eq=False)
class OrthoIndex:
    """Which pixel of a swath each cell of a box holds."""

    box: PixelBox
    line: NDArray[np.int32]
    "(y, x), counted from 0; -1 = no pixel within reach."
    sample: NDArray[np.int32]
    "Likewise."
    filled: NDArray[np.bool_]
    "(y, x) Whether the granule's own table has a neighbour's pixel there (negative entries)."


def ortho_index(header: EmitHeader, box: PixelBox, threads: int = 1) -> OrthoIndex:
    """Find the pixel that is nearest to each cell of a box.

    Parameters
    ----------
    header
        The granule.
    box
        Cells of 60 m; a part of another box gets what that one gets there.
    threads
        Threads to use. Any number gives the same.

    Raises
    ------
    InvalidInputError
        If cells are not of 60 m, or the granule's table points outside of its swath.
    ReadError
        If the file is damaged.
    """
    if box.resolution_m != RESOLUTION_M:
        raise InvalidInputError(f"cells of {box.resolution_m} m; EMIT is laid on cells of {RESOLUTION_M} m")
    lon_N, lat_N = degrees(header)
    with ThreadPoolExecutor(1) as beside:  # the table is decoded while pixels are placed
        table = beside.submit(_negative_near, header, box)
        if threads == 1:
            wait([table])
        x_N, y_N = places(lon_N, lat_N, box.lattice.epsg, threads)
        left, _, _, top = box.bounds
        grid = CellGrid(left, top, box.resolution_m, box.shape)
        pixel = nearest_pixels(x_N, y_N, grid, REACH * box.resolution_m, threads)
        line, sample = np.divmod(pixel, np.int32(header.samples))
        sample[pixel < 0] = -1
        filled = _marked(box, grid, pixel, table.result(), threads)
    return OrthoIndex(box, line, sample, filled)


def degrees(header: EmitHeader) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude of all pixels' centres, line by line; NaN where the granule says none.

    Raises
    ------
    ReadError
        If the file is damaged.
    """
    with opened(header.path) as file:
        lon, lat = (_read_place(file[f"{LOCATION}/{name}"], most) for name, most in (("lon", 360.0), ("lat", 90.0)))
    known = np.isfinite(lon) & np.isfinite(lat)
    if not known.all():
        lon[~known] = lat[~known] = np.nan
    if known.any() and np.nanmax(lon) - np.nanmin(lon) > 180:  # the swath crosses the antimeridian
        lon[lon < 0] += 360
    return lon, lat


def places(
    lon_N: NDArray[np.float64], lat_N: NDArray[np.float64], epsg: int, threads: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y in metres; NaN where longitude and latitude are.

    Polynomials do it where they are good enough for all of it, which they are for a granule.
    """
    if np.isnan(lon_N).all():
        return lon_N, lat_N
    transform = Transformer.from_crs(4326, epsg, always_xy=True).transform
    bounds = np.array([[np.nanmin(lon_N), np.nanmin(lat_N)], [np.nanmax(lon_N), np.nanmax(lat_N)]])
    polynomial = fit_transform(transform, bounds, PLACE_TOLERANCE_M)
    if polynomial is not None:
        x_N, y_N = polynomial(lon_N, lat_N, threads)
    else:
        x_N, y_N = np.where(np.isnan(lon_N), np.nan, np.array(transform(lon_N, lat_N)))
    return x_N, y_N


def _read_place(dataset: Any, most: float) -> NDArray[np.float64]:
    values = dataset.astype(np.float64)[:].ravel() if dataset.dtype != np.float64 else dataset[:].ravel()
    values[(values == fill_of(dataset)) | ~(np.abs(values) <= most)] = np.nan
    return np.asarray(values)


def fit_transform(transform: Transform, bounds: NDArray[np.float64], tolerance: float) -> Polynomial | None:
    """Return polynomials that stand for a smooth transform between bounds ((low, low), (high, high)).

    They are far faster than the projection itself. None if they differ from it by over the tolerance anywhere
    on a grid of places between those that they were fitted to.
    """
    centre = bounds.mean(axis=0)
    scale = np.maximum(np.ptp(bounds, axis=0) / 2, 1e-9)

    def grid(steps: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        u, v = np.meshgrid(steps, steps, indexing="ij")
        return u.ravel(), v.ravel()

    u, v = grid(np.linspace(-1, 1, 17))
    places = centre[0] + scale[0] * u, centre[1] + scale[1] * v
    wanted = np.array(transform(*places))
    for powers in POWERS:
        nodes = np.cos(np.pi * (np.arange(powers) + 0.5) / powers)
        u, v = grid(nodes)
        exact = np.array(transform(centre[0] + scale[0] * u, centre[1] + scale[1] * v))
        if not (np.isfinite(exact).all() and np.isfinite(wanted).all()):
            return None
        from_nodes = np.linalg.inv(np.vander(nodes, increasing=True))
        table = from_nodes @ exact.reshape(2, powers, powers) @ from_nodes.T
        polynomial = Polynomial(np.column_stack([centre, scale]), np.ascontiguousarray(table))
        if bool((np.abs(polynomial(*places) - wanted) <= tolerance).all()):
            return polynomial
    return None


def _table_window(header: EmitHeader, box: PixelBox) -> tuple[slice, slice]:
    """Return rows and columns of the granule's table that the cells of a box may lie in; those of none are empty."""
    west, south, east, north = Transformer.from_crs(box.lattice.epsg, 4326, always_xy=True).transform_bounds(
        *box.bounds, densify_pts=21
    )
    left, width, _, top, _, height = header.geotransform
    rows, cols = header.glt_shape
    first_col, first_row = ((west - left + 180) % 360 - 180) / width, (north - top) / height
    stop_col, stop_row = first_col + ((east - west) % 360) / width, (south - top) / height
    return (
        slice(min(rows, max(0, int(first_row) - MARGIN)), max(0, min(rows, int(stop_row) + MARGIN))),
        slice(min(cols, max(0, int(first_col) - MARGIN)), max(0, min(cols, int(stop_col) + MARGIN))),
    )


def _negative_near(header: EmitHeader, box: PixelBox) -> DegreeTable:
    """Return the part of the granule's table that a box lies in, marked where entries are negative."""
    rows, cols = _table_window(header, box)
    left, width, _, top, _, height = header.geotransform
    place = left + cols.start * width, width, top + rows.start * height, height
    return DegreeTable(read_negative(header, (rows, cols)), place)


def _marked(
    box: PixelBox, grid: CellGrid, pixel: NDArray[np.int32], table: DegreeTable, threads: int
) -> NDArray[np.bool_]:
    """Return which cells hold a pixel where the table is marked at the cell's centre."""
    to_degrees = Transformer.from_crs(box.lattice.epsg, 4326, always_xy=True).transform
    left, bottom, right, top = (float(edge) for edge in box.bounds)
    polynomial = fit_transform(to_degrees, np.array([[left, bottom], [right, top]]), PLACE_TOLERANCE_DEG)
    if polynomial is not None:
        return table_marks(pixel, grid, polynomial, table, threads)
    lon, lat = to_degrees(*np.meshgrid(box.x_centres(), box.y_centres()))
    return table.at(lon, lat) & (pixel >= 0)


def read_negative(header: EmitHeader, window: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Return which entries of a part of the granule's table are negative: filled from a neighbour.

    Raises
    ------
    InvalidInputError
        If entries point outside of the swath.
    ReadError
        If the file is damaged.
    """
    with opened(header.path) as file:
        glt_x, glt_y = (file[f"{LOCATION}/{name}"][window] for name in ("glt_x", "glt_y"))
    outside_x, outside_y = np.abs(glt_x) > header.samples, np.abs(glt_y) > header.lines
    halves = (glt_x == 0) != (glt_y == 0)
    wrong = outside_x | outside_y | halves
    if wrong.any():
        raise InvalidInputError(
            f"{header.path}: {int(wrong.sum())} of {int((glt_x != 0).sum())} entries of its look-up table point "
            f"outside of the swath of {header.lines} lines and {header.samples} samples ({int(outside_y.sum())} in "
            f"glt_y, {int(outside_x.sum())} in glt_x, {int(halves.sum())} in one of them only)",
            AGAIN,
        )
    return np.asarray((glt_x < 0) | (glt_y < 0))
