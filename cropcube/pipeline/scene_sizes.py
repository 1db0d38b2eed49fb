"""What scenes take, as files and in the cube, and how often the satellites leave one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cropcube.domain.lattice import FINEST_M

if TYPE_CHECKING:
    from cropcube.domain.scene import Scene
    from cropcube.domain.sensor import Sensor

COMPRESSION = 1.4
"""Bytes before over after, lz4 with bit shuffle: 1.49 on the sample's 10 m bands (72 dates, 64 x 64, clouds included).
Tiles that the region only touches compress less, down to 0.8 where a quarter of a small tile is inside."""
GRANULE_M = 109_800
"""Side of a granule; granules stand 100 km apart."""
BYTES_PER_PIXEL = {"SCL": 0.1}
REFLECTANCE_BYTES_PER_PIXEL = 1.7
"""What a pixel takes in the catalogues' COGs where an item does not state the size of its file."""
SWATH_BYTES = {"RFL": 1.81e9, "RFLUNCERT": 1.81e9, "MASK": 1.1e8}
"""Files of an EMIT granule of 1280 lines, 1242 samples and 285 bands, which are stored as they are."""

SATELLITES, CYCLE_DAYS, CYCLE_ORBITS = 2, 10, 143
SWATH_KM, EQUATOR_KM, INCLINATION_DEG = 290.0, 40_075.0, 98.62
"""Sentinel-2's orbit and swath (ESA, Sentinel-2 User Handbook)."""
PARTIAL_GRANULES = (SWATH_KM + GRANULE_M / 1000) / SWATH_KM
"""Granules that a pass touches, over granules that it fills."""


def file_bytes(scene: Scene, sensor: Sensor, label: str) -> float:
    """Return the bytes of a scene's file: as its item states, or as such files usually take."""
    asset = scene.assets.get(label)
    if asset is None:
        return 0.0
    if asset.size is not None:
        return float(asset.size)
    if label in SWATH_BYTES:
        return SWATH_BYTES[label]
    rows, cols = asset.shape or (GRANULE_M // sensor.band(label).resolution_m,) * 2
    return rows * cols * BYTES_PER_PIXEL.get(label, REFLECTANCE_BYTES_PER_PIXEL)


def bytes_per_pixel(sensor: Sensor) -> float:
    """Return the bytes that one day of one 10 m pixel takes before compression."""
    if sensor.files:  # reflectance and its uncertainty as float32, and a byte of quality
        return (8 * len(sensor.bands) + 1) * (FINEST_M / sensor.quality.resolution_m) ** 2
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
