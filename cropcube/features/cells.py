"""Cells: the squares of ground that the time axis is reduced in, whether the features are stored or made on the fly.

A cell is whole chunks of the cube at every resolution, so that each chunk is read once. Everything is reduced cell by
cell, so that the season of a whole tile is never in memory at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cropcube.cube.layout import CUBE_CHUNK_PX, FEATURE_CHUNK_M, largest_divisor, tile_side
from cropcube.domain.lattice import FINEST_M, Tile
from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox

K = TypeVar("K")
RESOLUTIONS_M = (10, 20)
"""Of a cube's arrays; a cell is the same whichever of them it has."""
CELLS_AT_ONCE = 4
"""Whose samples are mixed, and which features made on the fly are kept for: a tile of 768 px, some 0.5 GB of medians of
five days."""


def cell_px(tile_px: int) -> int:
    """Return the side of a cell in pixels at 10 m: whole chunks of the cube; it divides the side of a tile."""
    sides = (largest_divisor(tile_side(tile_px, m), CUBE_CHUNK_PX) * m // FINEST_M for m in RESOLUTIONS_M)
    return math.lcm(*sides)


def square_px(tile_px: int) -> int:
    """Return the side in pixels at 10 m of the squares that samples are read in: whole chunks of stored features."""
    sides = (largest_divisor(tile_side(tile_px, m), FEATURE_CHUNK_M // m) * m // FINEST_M for m in RESOLUTIONS_M)
    side, cell = math.lcm(*sides), cell_px(tile_px)
    return side if cell % side == 0 else cell


def cells_of(box: PixelBox, side_px: int) -> Iterator[Tile]:
    """Yield the cells of a box at 10 m that is made of whole ones, row by row.

    Raises
    ------
    InvalidInputError
        If the box cuts a cell.
    """
    if any(edge % side_px for edge in (box.row, box.col, box.height, box.width)):
        raise InvalidInputError(f"{box} cuts cells of {side_px} px", "Read whole cells.")
    for row in range(box.row // side_px, (box.row + box.height) // side_px):
        for col in range(box.col // side_px, (box.col + box.width) // side_px):
            yield Tile(box.lattice, side_px, row, col)


def paste(whole: dict[K, NDArray[Any]], made: Mapping[K, NDArray[Any]], cell: PixelBox, box: PixelBox) -> None:
    """Put the arrays of a cell into those of the box around it, which are made with the first cell.

    Parameters
    ----------
    whole
        By name (of any kind): (..., y, x) over the box; changed here.
    made
        By the same names: over the cell.
    cell, box
        At the resolution of the arrays.
    """
    for name, values in made.items():
        if cell == box:
            whole[name] = values
            continue
        if name not in whole:
            whole[name] = np.empty((*values.shape[:-2], *box.shape), values.dtype)
        whole[name][(..., *cell.slices_in(box))] = values
