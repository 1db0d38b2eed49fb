"""Cells: the squares of ground that the time axis is reduced in, whether the features are stored or made on the fly.

A cell is whole chunks of the cube at every resolution, so that each chunk is read once. Everything is reduced cell by
cell, since the sums of a harmonic fit depend, in their last bit, on how many pixels are fitted at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from cropcube.domain.lattice import FINEST_M, Tile
from cropcube.errors import InvalidInputError
from cropcube.features.compute import reduce_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from cropcube.cube.layout import ArraySpec
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.season import Season
    from cropcube.observations.tile import TileObservations

K = TypeVar("K")


def cell_px(arrays: Iterable[ArraySpec]) -> int:
    """Return the side of a cell in pixels at 10 m, from the layout of the cube; it divides the side of a tile."""
    return math.lcm(*(spec.chunk[-1] * spec.resolution_m // FINEST_M for spec in arrays))


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


def reduce_cell(
    spec: FeatureSpec, observations: TileObservations, resolution_m: int, season: Season, threads: int
) -> dict[str, NDArray[Any]]:
    """Return the features of one resolution of a cell, the same bits for any number of threads; see `reduce_time`."""
    with threadpool_limits(1, "blas"):  # the order of its sums depends on its threads
        return reduce_time(spec, observations, resolution_m, season, threads)


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
