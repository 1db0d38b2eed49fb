"""What the features of one tile need in memory, from the days it was observed on, and on the disk."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cropcube.cube.layout import tile_side
from cropcube.domain.feature_spec import EMIT_KIND, IN_WINDOWS, REAL_VALUED
from cropcube.features.cells import cell_px
from cropcube.features.compute import index_resolutions, indices_at, resolutions_of, resolutions_read
from cropcube.features.layout import feature_store_spec
from cropcube.pipeline.emit_features import strip_memory_bytes

if TYPE_CHECKING:
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.lattice import Tile
    from cropcube.domain.season import Season
    from cropcube.domain.sensor import Sensor

PROCESS_BYTES = 300 << 20
"""A worker with its libraries before the first read."""

FEATURE_COMPRESSION = {
    "median": 1.8,
    "annual-median": 1.6,
    "geomedian": 1.8,
    "percentiles": 1.5,
    "statistics": 1.4,
    "harmonic": 1.2,
    EMIT_KIND: 1.1,
}
"""Bytes before over after, by kind, of the sample's pixels: measured by benchmarks/bench_verbs.py."""
SHORT_WINDOW_DAYS, SHORT_WINDOW_COMPRESSION = 6, 2.9
"""The same of windows about as long as a revisit, many of which hold no clear day."""


def tile_memory_bytes(spec: FeatureSpec, season: Season, sensor: Sensor, tile: Tile, days: int) -> int:
    """Return the projected peak of the features of one tile.

    Parameters
    ----------
    spec
        What is computed.
    season, sensor
        Windows and bands.
    tile
        Its size counts.
    days
        Days present.
    """
    steps = len(spec.steps(season))
    if spec.kind == EMIT_KIND:
        return PROCESS_BYTES + strip_memory_bytes(spec, season, sensor, (tile, days))
    share = (cell_px(tile.tile_px) / tile.tile_px) ** 2
    bands = {m: sensor.bands_at(m) for m in sensor.resolutions if sensor.bands_at(m)}
    pixels = {m: tile.box(m).height * tile.box(m).width for m in bands}
    # Classes, masks repeated and compared, and running sums where the mask is dilated.
    masks = 4 + (8 if spec.dilate_m else 0)
    size = 4 if spec.kind in REAL_VALUED else 2
    largest = kept = 0
    for resolution_m in resolutions_of(spec, bands):
        read = sum(days * pixels[m] * (2 * len(bands[m]) + masks) for m in resolutions_read(spec, bands, resolution_m))
        columns = indices_at(spec, bands, resolution_m) if spec.kind == "statistics" else bands[resolution_m]
        made = pixels[resolution_m] * (steps * (len(columns) * size + 2) + 4 * len(columns))
        # Observations are of one cell; what is made is held once more while its shards are compressed.
        largest = max(largest, round(share * read) + 2 * made)
        kept += made if spec.indices else 0
    indices = index_resolutions(spec, bands) if spec.kind != "statistics" else {}
    index_bytes = (2 * steps * pixels[m] * 4 * len(names) for m, names in indices.items())
    return PROCESS_BYTES + max(largest, *index_bytes, 0) + kept


def made_tile_bytes(spec: FeatureSpec, season: Season, sensor: Sensor, tile_px: int) -> int:
    """Return what the features of one tile are before compression.

    Parameters
    ----------
    spec
        What is computed.
    season, sensor
        Windows and bands.
    tile_px
        Side of a tile at 10 m.

    Raises
    ------
    InvalidInputError
        If an index needs a band that the sensor does not have.
    """
    return sum(
        np.dtype(array.dtype).itemsize
        * math.prod(length for _, length in array.leading)
        * tile_side(tile_px, array.resolution_m) ** 2
        for array in feature_store_spec(spec, season, sensor, tile_px).arrays
    )


def feature_compression(spec: FeatureSpec) -> float:
    """Return the bytes of features before compression over those on the disk."""
    short = spec.kind in IN_WINDOWS and spec.window_days <= SHORT_WINDOW_DAYS
    return SHORT_WINDOW_COMPRESSION if short else FEATURE_COMPRESSION[spec.kind]
