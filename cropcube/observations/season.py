"""A whole season of one tile, read straight from its scenes: what the cube would hold of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.lattice import FINEST_M, grown
from cropcube.observations.day import observe_day
from cropcube.observations.tile import TileObservations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox, Tile, ZoneGrid
    from cropcube.domain.scene import Scene
    from cropcube.domain.sensor import Sensor
    from cropcube.observations.day import DayPixels, FailedRead
    from cropcube.observations.reader import Reader


@dataclass(frozen=True, eq=False)
class SeenTile:
    """A tile as its scenes show it."""

    observations: TileObservations
    used: tuple[Scene, ...]
    "Scenes that pixels of the tile are from."
    failed: tuple[FailedRead, ...]


@dataclass(frozen=True)
class Ground:
    """A tile with the frame around it that is looked at too."""

    zone: ZoneGrid
    "The region's tiles: nothing else is seen, as in the cube."
    tile: Tile
    halo_m: int
    "Width of the frame."

    def quality_box(self, resolution_m: int) -> PixelBox:
        """Return tile and frame at the quality's resolution, as far as the zone's arrays go."""
        box = self.tile.box(resolution_m)
        return grown(box, self.halo_m).intersection(self.zone.box(resolution_m)) or box

    def planned(self, box: PixelBox) -> NDArray[np.bool_]:
        """Return which pixels of a box lie in tiles of the region."""
        side = self.tile.tile_px * FINEST_M // box.resolution_m
        rows, cols = np.arange(box.row, box.row + box.height) // side, np.arange(box.col, box.col + box.width) // side
        cells = [row * 2**32 + col for row, col in self.zone.cells]
        return np.isin(rows[:, None] * 2**32 + cols, cells)


def observe_season(
    ground: Ground, scenes: Mapping[int, Sequence[Scene]], sensor: Sensor, reader: Reader, threads: int
) -> SeenTile:
    """Read all days of a tile.

    Parameters
    ----------
    ground
        The tile and its frame.
    scenes
        By day since the season's start, ascending.
    sensor
        Bands wanted, and the quality band.
    reader
        Reads raw numbers.
    threads
        Files read at the same time.
    """
    tile, box = ground.tile, ground.quality_box(sensor.quality.resolution_m)
    part, planned = tile.box(box.resolution_m).slices_in(box), ground.planned(box)
    days: dict[int, DayPixels] = {}
    used: dict[str, Scene] = {}
    failed: list[FailedRead] = []
    for day, present in scenes.items():
        seen = observe_day(present, sensor, box, reader, threads)
        failed += [failure for failure in seen.failed if failure not in failed]
        if seen.quality[part].any():
            seen.quality[~planned] = 0
            days[day] = seen
            used |= {scene.id: scene for scene in seen.used(*part)}
    return SeenTile(_stacked(tile, box, sensor, days), tuple(used[name] for name in sorted(used)), tuple(failed))


def _stacked(tile: Tile, box: PixelBox, sensor: Sensor, days: dict[int, DayPixels]) -> TileObservations:
    """Return the days as one array of each resolution; each day is let go when it is laid."""
    bands = {m: sensor.bands_at(m) for m in sensor.resolutions if sensor.bands_at(m)}
    numbers = np.array(list(days), np.int32)
    reflectance = {m: np.zeros((len(days), len(names), *tile.box(m).shape), np.uint16) for m, names in bands.items()}
    quality = np.zeros((len(days), *box.shape), np.uint8)
    for place, day in enumerate(list(days)):
        seen = days.pop(day)
        quality[place] = seen.quality
        for m, values in reflectance.items():
            values[place] = seen.reflectance[m][(slice(None), *tile.box(m).slices_in(box.at(m)))]
    return TileObservations(tile, numbers, bands, reflectance, quality, box)
