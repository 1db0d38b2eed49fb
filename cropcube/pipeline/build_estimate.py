"""What a build will read and store: from the sizes of its files, or from how often the satellites pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyproj import Transformer

from cropcube.domain.lattice import FINEST_M
from cropcube.pipeline.build_memory import task_memory_bytes

if TYPE_CHECKING:
    from cropcube.config import ProjectSpec
    from cropcube.domain.scene import Scene
    from cropcube.domain.sensor import Band, Sensor

COMPRESSION = 2.0
"""Bytes before over after, lz4 with bit shuffle on a real series of Sentinel-2 (2.03)."""
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
    scenes = tasks = read = store = memory = 0.0
    sensor, season = spec.sensor, spec.season
    per_granule = sum(
        (GRANULE_M / b.resolution_m) ** 2 * BYTES_PER_PIXEL.get(b.name, REFLECTANCE_BYTES_PER_PIXEL)
        for b in (*sensor.bands, sensor.quality)
    )
    for zone in spec.grid.zones:
        to_lonlat = Transformer.from_crs(zone.lattice.epsg, 4326, always_xy=True)
        granules: set[tuple[int, int]] = set()
        for tiles in zone.squares().values():
            boxes = [tile.box(FINEST_M).bounds for tile in tiles]
            x, y = (boxes[0][0] + boxes[-1][2]) / 2, (boxes[0][3] + boxes[-1][1]) / 2
            looks = looks_per_day(to_lonlat.transform(x, y)[1])
            granules |= {(int(b[0] // 100_000), int(b[1] // 100_000)) for b in boxes}
            tasks += season.slabs
            area = sum(tile.tile_px**2 for tile in tiles)
            store += looks * season.days * area * bytes_per_pixel(sensor) / COMPRESSION
            read += looks * season.days * per_granule * area * FINEST_M**2 / GRANULE_M**2
            memory = max(memory, task_memory_bytes(sensor, tiles, math.ceil(1.5 * looks * 32)))
        row, col, rows, cols = zone.window
        side = zone.tile_px * FINEST_M
        middle = zone.lattice.top_m - (row + rows / 2) * side
        latitude = to_lonlat.transform(zone.lattice.left_m + (col + cols / 2) * side, middle)[1]
        scenes += len(granules) * looks_per_day(latitude) * season.days * PARTIAL_GRANULES
    return BuildEstimate(
        "the mean revisit of two satellites at this latitude; no catalogue was asked (--search asks it)",
        round(scenes), round(tasks), 0, round(read), round(store), round(memory),
    )  # fmt: skip
