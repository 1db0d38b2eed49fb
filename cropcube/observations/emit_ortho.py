"""From an EMIT swath to the 60 m lattice in one step: the swath pixel that is nearest to each cell.

The look-up table of a granule leads to a grid in degrees, and from there to ours would be a second nearest neighbour.
So every cell takes the pixel whose own latitude and longitude lie nearest to its centre. That is looked for from the
pixels' side: a pixel can only be the nearest of the four cells around it, so one pass over the swath finds all.
The table says which cells are filled: those it has no pixel of its own for, only a neighbour's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyproj import Transformer

from cropcube.errors import InvalidInputError
from cropcube.kernels import CellGrid, Polynomial, nearest_pixels
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
POWERS = 8
"""Of the polynomials that stand for a projection over the 75 km of a granule: they are off by under a micrometre."""
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
    x_N, y_N = places(header, box.lattice.epsg, threads)
    left, _, _, top = box.bounds
    grid = CellGrid(left, top, box.resolution_m, box.shape)
    pixel = nearest_pixels(x_N, y_N, grid, REACH * box.resolution_m)
    line, sample = np.divmod(pixel, np.int32(header.samples))
    sample[pixel < 0] = -1
    return OrthoIndex(box, line, sample, _filled(header, box, pixel >= 0, threads))


def places(header: EmitHeader, epsg: int, threads: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y in metres of all pixels' centres, line by line; NaN where the granule says none.

    Raises
    ------
    ReadError
        If the file is damaged.
    """
    with opened(header.path) as file:
        lat, lon = (_read_place(file[f"{LOCATION}/{name}"], most) for name, most in (("lat", 90.0), ("lon", 360.0)))
    known = np.isfinite(lat) & np.isfinite(lon)
    if not known.any():
        return lat, lon
    if np.ptp(lon[known]) > 180:  # the swath crosses the antimeridian
        lon = np.where(lon < 0, lon + 360, lon)
    lat[~known] = lon[~known] = np.nan
    x_N, y_N = _projected(
        Transformer.from_crs(4326, epsg, always_xy=True).transform, (lon, lat), PLACE_TOLERANCE_M, threads
    )
    return x_N, y_N


def _read_place(dataset: Any, most: float) -> NDArray[np.float64]:
    values = dataset.astype(np.float64)[:].ravel() if dataset.dtype != np.float64 else dataset[:].ravel()
    values[(values == fill_of(dataset)) | ~(np.abs(values) <= most)] = np.nan
    return np.asarray(values)


def _projected(
    transform: Transform, points: tuple[NDArray[np.float64], NDArray[np.float64]], tolerance: float, threads: int
) -> NDArray[np.float64]:
    """Return points of a small part of the Earth by another system, (2, N): by polynomials if these are good enough."""
    low = [float(np.nanmin(values)) for values in points]
    high = [float(np.nanmax(values)) for values in points]
    polynomial = fit_transform(transform, np.array([low, high]), tolerance)
    if polynomial is not None:
        return polynomial(*points, threads=threads)
    return np.where(np.isfinite(points[0]), np.array(transform(*points)), np.nan)


def fit_transform(transform: Transform, bounds: NDArray[np.float64], tolerance: float) -> Polynomial | None:
    """Return polynomials that stand for a smooth transform between bounds ((low, low), (high, high)).

    They are twenty times faster than the projection itself. None if they differ from it by over the tolerance anywhere
    on a grid of places between those that they were fitted to.
    """
    centre = bounds.mean(axis=0)
    scale = np.maximum(np.ptp(bounds, axis=0) / 2, 1e-9)

    def grid(steps: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        u, v = np.meshgrid(steps, steps)
        return u.ravel(), v.ravel()

    count = POWERS + 4
    u, v = grid(np.cos(np.pi * (np.arange(count) + 0.5) / count))
    exact = np.array(transform(centre[0] + scale[0] * u, centre[1] + scale[1] * v))
    if not np.isfinite(exact).all():
        return None
    table = np.polynomial.polynomial.polyvander2d(u, v, [POWERS - 1, POWERS - 1])
    found, *_ = np.linalg.lstsq(table, exact.T)
    polynomial = Polynomial(np.column_stack([centre, scale]), np.ascontiguousarray(found.T).reshape(2, POWERS, POWERS))
    u, v = grid(np.linspace(-1, 1, 17))
    first, second = centre[0] + scale[0] * u, centre[1] + scale[1] * v
    apart = np.abs(polynomial(first, second) - np.array(transform(first, second)))
    return polynomial if bool((apart <= tolerance).all()) else None


def _filled(header: EmitHeader, box: PixelBox, held: NDArray[np.bool_], threads: int) -> NDArray[np.bool_]:
    """Return which cells hold a pixel where the table has a negative entry at the cell's centre."""
    filled = np.zeros(box.shape, bool)
    rows, cols = np.nonzero(held)
    if not len(rows):
        return filled
    to_degrees = Transformer.from_crs(box.lattice.epsg, 4326, always_xy=True).transform
    centres = box.x_centres()[cols], box.y_centres()[rows]
    lon, lat = _projected(to_degrees, centres, PLACE_TOLERANCE_DEG, threads)
    left, width, _, top, _, height = header.geotransform
    col = np.floor(((lon - left) % 360) / width).astype(np.int64)
    row = np.floor((lat - top) / height).astype(np.int64)
    inside = (row >= 0) & (row < header.glt_shape[0]) & (col >= 0) & (col < header.glt_shape[1])
    if not inside.any():
        return filled
    row, col = row[inside], col[inside]
    window = slice(int(row.min()), int(row.max()) + 1), slice(int(col.min()), int(col.max()) + 1)
    negative = read_negative(header, window)
    filled[rows[inside], cols[inside]] = negative[row - window[0].start, col - window[1].start]
    return filled


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
