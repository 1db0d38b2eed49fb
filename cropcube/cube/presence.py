"""Which tiles have any observation on which day: a small array beside the pixels of the cube."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.season import SLAB_DAYS
from cropcube.errors import LayoutError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from cropcube.cube.description import StoredZone
    from cropcube.domain.lattice import Tile


def square_ranges(zone: StoredZone, slab: int, square: tuple[int, int], days: int) -> tuple[range, range, range]:
    """Return the days, tile rows and tile columns of a build task, counted from the start of the arrays.

    Raises
    ------
    LayoutError
        If the zone's arrays do not hold them.
    """
    first_row, first_col, rows, cols = zone.index_window
    row, col = square[0] * zone.square - first_row, square[1] * zone.square - first_col
    time = range(slab * SLAB_DAYS, min((slab + 1) * SLAB_DAYS, days))
    if not time or slab < 0 or not (0 <= row < rows and 0 <= col < cols):
        raise LayoutError(f"{zone.lattice.name} has no slab {slab} of square {square}", "Plan from the project's grid.")
    return time, range(row, row + zone.square), range(col, col + zone.square)


def present_values(
    zone: StoredZone, ranges: tuple[range, range, range], days: Mapping[Tile, Iterable[int]]
) -> NDArray[np.uint8]:
    """Return 1 where a tile has an observation, over the days, tile rows and tile columns of a build task.

    Raises
    ------
    LayoutError
        If a day or a tile is not the task's own.
    """
    values = np.zeros([len(span) for span in ranges], np.uint8)
    for tile, seen in days.items():
        for day in seen:
            at = (int(day), tile.row - zone.index_window[0], tile.col - zone.index_window[1])
            if any(index not in span for index, span in zip(at, ranges, strict=True)):
                raise LayoutError(
                    f"day {day} of tile {tile.name} is not of the slab and square that are marked",
                    "A build task marks the tiles and days it owns.",
                )
            values[tuple(index - span.start for index, span in zip(at, ranges, strict=True))] = 1
    return values
