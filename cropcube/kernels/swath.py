"""From a swath to a grid: the pixel nearest to each cell, and the spectra of chosen pixels as planes of bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native
from cropcube.kernels.arguments import check_array, in_native_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIGNED = 64
"""Planes that begin on a line of the processor's cache are written around it, which is a third faster."""


@dataclass(frozen=True)
class CellGrid:
    """Square cells, rows downwards."""

    left: float
    top: float
    "x of the left edge, y of the top edge."
    size: float
    "Side of a cell."
    shape: tuple[int, int]
    "Rows, columns."


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Two polynomials in u and v, which are the two unknowns moved and scaled."""

    frame: NDArray[np.float64]
    "(2, 2): centre and scale of either unknown."
    coefficient_RUV: NDArray[np.float64]
    "(2, powers, powers): of u^i v^j for either result; only i + j < powers counts."

    def __call__(
        self, first_N: NDArray[np.float64], second_N: NDArray[np.float64], threads: int = 1
    ) -> NDArray[np.float64]:
        """Return both results, (2, N); NaN where an unknown is. Any number of threads gives the same.

        Raises
        ------
        InvalidInputError
            If a type or shape does not fit.
        """
        check_array("first_N", first_N, "float64", 1)
        check_array("second_N", second_N, "float64", 1)
        results = np.empty((2, len(first_N)))
        try:
            _native.evaluate_polynomial(
                in_native_order(first_N), in_native_order(second_N), self.frame, self.coefficient_RUV, results, threads
            )
        except ValueError as error:
            raise InvalidInputError(f"this polynomial cannot be evaluated ({error})") from None
        return results


@dataclass(frozen=True, eq=False)
class DegreeTable:
    """Marks on a grid in degrees, rows downwards."""

    marks: NDArray[np.bool_]
    "(rows, columns)"
    place: tuple[float, float, float, float]
    "Left, width of a cell, top, minus its height."

    def at(self, lon_N: NDArray[np.float64], lat_N: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the marks at places; False outside of the table."""
        left, width, top, height = self.place
        east = lon_N - left
        col, row = np.floor(np.where(east < -180, east + 360, east) / width), np.floor((lat_N - top) / height)
        inside = (row >= 0) & (row < self.marks.shape[0]) & (col >= 0) & (col < self.marks.shape[1])
        found = np.zeros(lon_N.shape, bool)
        found[inside] = self.marks[row[inside].astype(np.int64), col[inside].astype(np.int64)]
        return found


def table_marks(
    pixel_YX: NDArray[np.int32], grid: CellGrid, degrees: Polynomial, table: DegreeTable, threads: int = 1
) -> NDArray[np.bool_]:
    """Return what a table has at the centres of cells, False for those that hold no pixel.

    Parameters
    ----------
    pixel_YX
        What `nearest_pixels` found; negative = none.
    grid
        The cells.
    degrees
        From x and y to longitude and latitude.
    table
        Where to look.
    threads
        Threads to share the rows among: the caller's budget. Any number gives the same.

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit.
    """
    check_array("pixel_YX", pixel_YX, "int32", 2)
    check_array("table.marks", table.marks, "bool", 2)
    marks = np.empty(pixel_YX.shape, np.uint8)
    try:
        _native.table_marks(
            degrees.frame, degrees.coefficient_RUV, np.array([grid.left, grid.top, grid.size], np.float64),
            np.ascontiguousarray(pixel_YX), np.ascontiguousarray(table.marks).view(np.uint8),
            np.array(table.place, np.float64), marks, threads,
        )  # fmt: skip
    except ValueError as error:
        raise InvalidInputError(f"cells {pixel_YX.shape} cannot be looked up ({error})") from None
    return marks.view(np.bool_)


def nearest_pixels(
    x_N: NDArray[np.float64], y_N: NDArray[np.float64], grid: CellGrid, reach: float, threads: int = 1
) -> NDArray[np.int32]:
    """Return for each cell, (rows, columns), the pixel whose centre is nearest to the cell's; -1 = none within reach.

    Parameters
    ----------
    x_N, y_N
        Centres of pixels in any order; NaN = nowhere. On a tie the one that comes first is taken.
    grid
        The cells.
    reach
        Longest distance; below the side of a cell, so that a pixel concerns the four cells around it alone.
    threads
        Threads to share the rows among: the caller's budget. Any number gives the same.

    Raises
    ------
    InvalidInputError
        If a type, shape or the reach does not fit.
    """
    check_array("x_N", x_N, "float64", 1)
    check_array("y_N", y_N, "float64", 1)
    if not 0 <= reach < grid.size:
        raise InvalidInputError(f"a reach of {reach} is not below the side of a cell, {grid.size}")
    pixel, squared = np.empty(grid.shape, np.int32), np.empty(grid.shape)
    try:
        _native.nearest_pixels(
            in_native_order(x_N), in_native_order(y_N), grid.left, grid.top, grid.size, reach, pixel, squared, threads
        )
    except ValueError as error:
        raise InvalidInputError(f"{len(x_N)} and {len(y_N)} coordinates, cells {grid.shape}: {error}") from None
    return pixel


def empty_planes(bands: int, cells: int) -> NDArray[np.float32]:
    """Return memory (bands, cells) for `gather_spectra`, aligned as it likes it."""
    room = np.empty(bands * cells * 4 + ALIGNED, np.uint8)
    skipped = -room.ctypes.data % ALIGNED
    return room[skipped : skipped + bands * cells * 4].view(np.float32).reshape(bands, cells)


def gather_spectra(
    source_PB: NDArray[np.float32],
    pixel_N: NDArray[np.int32],
    planes_BN: NDArray[np.float32],
    marked_NK: NDArray[np.uint8] | None = None,
    *,
    fill: float,
    threads: int = 1,
) -> None:
    """Write the spectra of pixels into planes of bands.

    Parameters
    ----------
    source_PB
        Spectra, one after the other.
    pixel_N
        Which of them; negative = none, NaN.
    planes_BN
        Written to, in C order (`empty_planes` makes such).
    marked_NK
        Bits of bands that become NaN, packed as `numpy.packbits` does; None = no band.
    fill
        Value of the source that becomes NaN.
    threads
        Threads to share the cells among: the caller's budget. Any number gives the same.

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit, or a pixel is not in the source.
    """
    check_array("source_PB", source_PB, "float32", 2)
    check_array("pixel_N", pixel_N, "int32", 1)
    check_array("planes_BN", planes_BN, "float32", 2)
    if not (source_PB.flags.c_contiguous and planes_BN.flags.c_contiguous):
        raise InvalidInputError("spectra or planes are not in C order")
    marked = None if marked_NK is None else np.ascontiguousarray(marked_NK)
    if marked is not None:
        check_array("marked_NK", marked, "uint8", 2)
    try:
        _native.gather_spectra(
            source_PB, np.ascontiguousarray(pixel_N), float(fill), marked, planes_BN, max(1, threads), ""
        )
    except ValueError as error:
        raise InvalidInputError(
            f"{len(pixel_N)} cells of spectra {source_PB.shape} do not go into planes {planes_BN.shape} ({error})"
        ) from None
