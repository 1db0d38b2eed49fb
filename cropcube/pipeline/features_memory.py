"""What the features of one tile need in memory, from the days it was observed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropcube.features.cells import cell_px
from cropcube.features.compute import index_resolutions

if TYPE_CHECKING:
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.lattice import Tile
    from cropcube.domain.season import Season
    from cropcube.domain.sensor import Sensor

PROCESS_BYTES = 300 << 20
"""A worker with its libraries before the first read."""


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
    share = (cell_px(tile.tile_px) / tile.tile_px) ** 2
    largest = kept = 0
    for resolution_m in sensor.resolutions:
        height, width = tile.box(resolution_m).shape
        pixels, bands = height * width, len(sensor.bands_at(resolution_m))
        read = days * pixels * 2 * bands
        # Classes, masks repeated and compared, and running sums where the mask is dilated.
        masks = days * pixels * (4 + (8 if spec.dilate_m else 0))
        made = pixels * (steps * (bands * (4 if spec.kind == "harmonic" else 2) + 2) + 4 * bands)
        # Observations are of one cell; what is made is held once more while its shards are compressed.
        largest = max(largest, round(share * (read + masks)) + 2 * made)
        kept += made if spec.indices else 0
    return PROCESS_BYTES + max(largest, _index_bytes(spec, sensor, tile, steps)) + kept


def _index_bytes(spec: FeatureSpec, sensor: Sensor, tile: Tile, steps: int) -> int:
    """Return the bytes of the indices of one resolution: those made, their stack, the bands and terms of one."""
    bands = {m: sensor.bands_at(m) for m in sensor.resolutions}
    found = index_resolutions(spec, bands)
    sizes = (steps * tile.box(m).height * tile.box(m).width * 4 * (3 * len(names) + 8) for m, names in found.items())
    return max(sizes, default=0)
