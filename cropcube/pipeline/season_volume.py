"""How much the satellites leave of a season over a region: from a catalogue's scenes, or from how often they pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyproj import Transformer

from cropcube.catalog.frozen import FrozenCatalog
from cropcube.cube.ledger import Ledger
from cropcube.domain.lattice import FINEST_M
from cropcube.pipeline.build_plan import plan
from cropcube.pipeline.scene_sizes import (
    BYTES_PER_PIXEL,
    GRANULE_M,
    PARTIAL_GRANULES,
    REFLECTANCE_BYTES_PER_PIXEL,
    bytes_per_pixel,
    looks_per_day,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cropcube.config import Project, ProjectSpec
    from cropcube.domain.lattice import Tile, ZoneGrid
    from cropcube.domain.season import Season
    from cropcube.pipeline.build_plan import PlannedTask

OVERLAP = 2.0
"""Where swaths overlap, places are seen up to so many times as often as on average; near the equator, nearly that."""
ORBITS = "the mean revisit of two satellites at this latitude; no catalogue was asked"


@dataclass(frozen=True)
class SeasonVolume:
    """A season of observations of a region."""

    source: str
    "Where the figures come from, in words."
    scenes: int
    file_bytes: float
    "Of the scenes' files that a build reads."
    fetched_bytes: float
    "Of those, from beyond this machine."
    observed_bytes: float
    "In the cube, before compression."
    days: int
    "The most that one tile is seen on."

    def share(self, part: float) -> SeasonVolume:
        """Return the volume of a part of the region."""
        return replace(
            self,
            file_bytes=part * self.file_bytes,
            fetched_bytes=part * self.fetched_bytes,
            observed_bytes=part * self.observed_bytes,
        )


def looks_at_squares(spec: ProjectSpec) -> Iterator[tuple[tuple[Tile, ...], float]]:
    """Yield the tiles of every build square, and how often a day it is seen on average."""
    for zone in spec.grid.zones:
        to_lonlat = Transformer.from_crs(zone.lattice.epsg, 4326, always_xy=True)
        for tiles in zone.squares().values():
            boxes = [tile.box(FINEST_M).bounds for tile in tiles]
            x, y = (boxes[0][0] + boxes[-1][2]) / 2, (boxes[0][3] + boxes[-1][1]) / 2
            yield tiles, looks_per_day(to_lonlat.transform(x, y)[1])


def volume_from_orbits(spec: ProjectSpec) -> SeasonVolume:
    """Return the volume by the mean revisit at the region's latitudes: no catalogue is asked."""
    sensor, season = spec.sensor, spec.season
    per_granule = sum(
        (GRANULE_M / b.resolution_m) ** 2 * BYTES_PER_PIXEL.get(b.name, REFLECTANCE_BYTES_PER_PIXEL)
        for b in (*sensor.bands, sensor.quality)
    )
    pixel_days = most = 0.0
    for tiles, looks in looks_at_squares(spec):
        pixel_days += looks * season.days * len(tiles) * spec.tile_px**2
        most = max(most, looks)
    file_bytes = pixel_days * per_granule * FINEST_M**2 / GRANULE_M**2
    return SeasonVolume(
        ORBITS,
        round(sum(_scenes(zone, season) for zone in replace(spec, epsg=None).grid.zones)),
        file_bytes,
        file_bytes,
        pixel_days * bytes_per_pixel(sensor),
        min(season.days, math.ceil(OVERLAP * most * season.days)),
    )


def volume_of_plan(planned: Sequence[PlannedTask], scenes: int, source: str) -> SeasonVolume:
    """Return the volume of planned build tasks."""
    days: dict[str, int] = {}
    for item in planned:
        _, zone, _, square = item.task.key.split("/")
        days[f"{zone}/{square}"] = days.get(f"{zone}/{square}", 0) + item.days
    summed = ("read_bytes", "fetched_bytes", "store_bytes")
    read, fetched, observed = (sum(getattr(item, name) for item in planned) for name in summed)
    return SeasonVolume(source, scenes, read, fetched, observed, max(days.values(), default=0))


def season_volume(project: Project) -> SeasonVolume:
    """Return the volume by the frozen catalogue, or by the mean revisit where there is none."""
    if not project.scenes_path.exists():
        return volume_from_orbits(project.spec)
    catalog = FrozenCatalog.open(project.scenes_path)
    known = frozenset(record.key for record in Ledger(project.ledger_path).records(project.build_stage))
    return volume_of_plan(list(plan(project, catalog, False, known)), len(catalog), "the frozen catalogue")


def _scenes(zone: ZoneGrid, season: Season) -> float:
    """Return how many scenes the passes of a season leave over a UTM zone's tiles, whatever grid they end on."""
    boxes = [tile.box(FINEST_M).bounds for tile in zone.tiles()]
    granules = {(int(left // 100_000), int(bottom // 100_000)) for left, bottom, _, _ in boxes}
    x, y = ((min(b[i] for b in boxes) + max(b[i + 2] for b in boxes)) / 2 for i in (0, 1))
    latitude = Transformer.from_crs(zone.lattice.epsg, 4326, always_xy=True).transform(x, y)[1]
    return len(granules) * looks_per_day(latitude) * season.days * PARTIAL_GRANULES
