"""What a build will read and store: from the sizes of its files, or from how often the satellites pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyproj import Transformer

from cropcube.domain.lattice import FINEST_M
from cropcube.pipeline.build_memory import task_memory_bytes

if TYPE_CHECKING:
    from cropcube.config import ProjectSpec
    from cropcube.domain.lattice import ZoneGrid
    from cropcube.domain.scene import Scene
    from cropcube.domain.season import Season
    from cropcube.domain.sensor import Band, Sensor

COMPRESSION = 1.4
"""Bytes before over after, lz4 with bit shuffle: 1.49 on the sample's 10 m bands (72 dates, 64 x 64, clouds included).
Tiles that the region only touches compress less, down to 0.8 where a quarter of a small tile is inside."""
GRANULE_M = 109_800
"""Side of a granule; granules stand 100 km apart."""
BYTES_PER_PIXEL = {"SCL": 0.1}
REFLECTANCE_BYTES_PER_PIXEL = 1.7
"""What a pixel takes in the catalogues' COGs where an item does not state the size of its file."""

SATELLITES, CYCLE_DAYS, CYCLE_ORBITS = 2, 10, 143
SWATH_KM, EQUATOR_KM, INCLINATION_DEG = 290.0, 40_075.0, 98.62
"""Sentinel-2's orbit and swath (ESA, Sentinel-2 User Handbook)."""
PARTIAL_GRANULES = (SWATH_KM + GRANULE_M / 1000) / SWATH_KM
"""Granules that a pass touches, over granules that it fills."""


def file_bytes(scene: Scene, band: Band) -> float:
    """Return the bytes of a scene's file: as its item states, or as such files usually take."""
    asset = scene.assets.get(band.name)
    if asset is None:
        return 0.0
    if asset.size is not None:
        return float(asset.size)
    rows, cols = asset.shape or (GRANULE_M // band.resolution_m,) * 2
    return rows * cols * BYTES_PER_PIXEL.get(band.name, REFLECTANCE_BYTES_PER_PIXEL)


def bytes_per_pixel(sensor: Sensor) -> float:
    """Return the bytes that one day of one 10 m pixel takes before compression."""
    return (
        sum(2 * (FINEST_M / band.resolution_m) ** 2 for band in sensor.bands)
        + (FINEST_M / sensor.quality.resolution_m) ** 2
    )


def looks_per_day(latitude: float) -> float:
    """Return how many times a day a place is seen, on average, by the descending passes of both satellites.

    The density of ground tracks grows towards the poles as 1 / sqrt(cos^2 latitude - cos^2 inclination) until the
    orbit's own latitude.

    Parameters
    ----------
    latitude
        Degrees.
    """
    tilt = math.radians(INCLINATION_DEG)
    spacing_km = EQUATOR_KM / CYCLE_ORBITS
    narrowing = max(math.cos(math.radians(latitude)) ** 2 - math.cos(tilt) ** 2, 0.01)
    cover = SWATH_KM / spacing_km * math.sin(tilt) / math.sqrt(narrowing)
    return min(SATELLITES / CYCLE_DAYS * cover, 2.0)


@dataclass(frozen=True)
class BuildEstimate:
    """What a build is expected to be."""

    source: str
    "Where the figures come from, in words."
    scenes: int
    tasks: int
    "Tasks to do."
    reused: int
    "Tasks that are done already."
    read_bytes: int
    store_bytes: int
    "After compression."
    task_memory_bytes: int
    "Of the largest task."

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {
            "source": self.source,
            "scenes": self.scenes,
            "tasks": self.tasks,
            "reused": self.reused,
            "bytes_to_read": self.read_bytes,
            "bytes_to_store": self.store_bytes,
            "task_memory_bytes": self.task_memory_bytes,
        }


def estimate_from_orbits(spec: ProjectSpec) -> BuildEstimate:
    """Return what a build would be by the mean revisit at its latitude: no catalogue is asked."""
    tasks = read = store = memory = 0.0
    sensor, season = spec.sensor, spec.season
    per_granule = sum(
        (GRANULE_M / b.resolution_m) ** 2 * BYTES_PER_PIXEL.get(b.name, REFLECTANCE_BYTES_PER_PIXEL)
        for b in (*sensor.bands, sensor.quality)
    )
    for zone in spec.grid.zones:
        to_lonlat = Transformer.from_crs(zone.lattice.epsg, 4326, always_xy=True)
        for tiles in zone.squares().values():
            boxes = [tile.box(FINEST_M).bounds for tile in tiles]
            x, y = (boxes[0][0] + boxes[-1][2]) / 2, (boxes[0][3] + boxes[-1][1]) / 2
            looks = looks_per_day(to_lonlat.transform(x, y)[1])
            tasks += season.slabs
            area = sum(tile.tile_px**2 for tile in tiles)
            store += looks * season.days * area * bytes_per_pixel(sensor) / COMPRESSION
            read += looks * season.days * per_granule * area * FINEST_M**2 / GRANULE_M**2
            memory = max(memory, task_memory_bytes(sensor, tiles, math.ceil(1.5 * looks * 32)))
    scenes = sum(_scenes(zone, season) for zone in replace(spec, epsg=None).grid.zones)
    return BuildEstimate(
        "the mean revisit of two satellites at this latitude; no catalogue was asked (--search asks it)",
        round(scenes), round(tasks), 0, round(read), round(store), round(memory),
    )  # fmt: skip


def _scenes(zone: ZoneGrid, season: Season) -> float:
    """Return how many scenes the passes of a season leave over a UTM zone's tiles, whatever grid they end on."""
    boxes = [tile.box(FINEST_M).bounds for tile in zone.tiles()]
    granules = {(int(left // 100_000), int(bottom // 100_000)) for left, bottom, _, _ in boxes}
    x, y = ((min(b[i] for b in boxes) + max(b[i + 2] for b in boxes)) / 2 for i in (0, 1))
    latitude = Transformer.from_crs(zone.lattice.epsg, 4326, always_xy=True).transform(x, y)[1]
    return len(granules) * looks_per_day(latitude) * season.days * PARTIAL_GRANULES
