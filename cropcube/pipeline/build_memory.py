"""What a build task needs in memory, and in how many passes it therefore works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropcube.domain.lattice import FINEST_M, PixelBox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cropcube.domain.lattice import Tile
    from cropcube.domain.sensor import Sensor

PASS_BYTES = 2 << 30
"""A task whose days do not fit this is done in several passes over rows of tiles. Fixed, and not taken from the
machine, so that every machine reads the same windows and writes the same bytes."""
PROCESS_BYTES = 300 << 20
"""A worker with its libraries before the first read."""
SWATH_BYTES = 400 << 20
"""Lines of an EMIT granule that are read for one tile and for those after it, its places, and a shard being packed."""
BANDS_IN_FLIGHT = 6
"""Bands of one scene that are held at the same time while a day is laid, in bytes of the finest one."""


def day_bytes(sensor: Sensor, box: PixelBox) -> int:
    """Return the bytes of one day of a rectangle: all bands, the quality, and which scene each pixel is from.

    Parameters
    ----------
    sensor
        The bands kept.
    box
        The rectangle at any resolution.
    """
    area = box.height * box.width * box.resolution_m**2
    return sum(2 * area // band.resolution_m**2 for band in sensor.bands) + 3 * area // sensor.quality.resolution_m**2


def passes(sensor: Sensor, tiles: Sequence[Tile], days: int) -> list[tuple[Tile, ...]]:
    """Return the tiles of a task as groups of whole rows of tiles that are read at a time."""
    rows: dict[int, list[Tile]] = {}
    for tile in tiles:
        rows.setdefault(tile.row, []).append(tile)
    groups: list[tuple[Tile, ...]] = []
    for row in rows.values():
        joined = (*groups[-1], *row) if groups else ()
        if joined and _held_bytes(sensor, joined, days) <= PASS_BYTES:
            groups[-1] = joined
        else:
            groups.append(tuple(row))
    return groups


def task_memory_bytes(sensor: Sensor, tiles: Sequence[Tile], days: int) -> int:
    """Return the projected peak of a task with so many days."""
    if not tiles or not days:
        return PROCESS_BYTES
    if sensor.files:
        return PROCESS_BYTES + SWATH_BYTES + _waiting_tiles(tiles) * spectra_bytes(sensor, tiles[0])
    held = max(_held_bytes(sensor, group, days) for group in passes(sensor, tiles, days))
    return PROCESS_BYTES + held


def spectra_bytes(sensor: Sensor, tile: Tile) -> int:
    """Return the bytes of reflectance, uncertainty and quality of one day of a tile, of a sensor of swaths."""
    box = tile.box(sensor.quality.resolution_m)
    return (8 * len(sensor.bands) + 1) * box.height * box.width


def _waiting_tiles(tiles: Sequence[Tile]) -> int:
    """Return how many tiles may wait for another granule of their day: swaths that follow each other share a row."""
    return 2 + 2 * len({tile.col for tile in tiles})


def bounding_box(tiles: Sequence[Tile], resolution_m: int) -> PixelBox:
    """Return the smallest rectangle of pixels that holds some tiles of one zone."""
    boxes = [tile.box(resolution_m) for tile in tiles]
    row, col = min(box.row for box in boxes), min(box.col for box in boxes)
    height = max(box.row + box.height for box in boxes) - row
    width = max(box.col + box.width for box in boxes) - col
    return PixelBox(boxes[0].lattice, resolution_m, row, col, height, width)


def _held_bytes(sensor: Sensor, tiles: Sequence[Tile], days: int) -> int:
    """Return the bytes of the days of a group, of the day being laid and of the shards being written."""
    box = bounding_box(tiles, FINEST_M)
    reading = BANDS_IN_FLIGHT * 2 * box.height * box.width
    writing = 2 * days * day_bytes(sensor, tiles[0].box(FINEST_M))
    return days * day_bytes(sensor, box) + day_bytes(sensor, box) + max(reading, writing)
