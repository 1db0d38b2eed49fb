"""What the features of one tile need in memory, from the days it was observed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropcube.domain.feature_spec import REAL_VALUED
from cropcube.features.cells import cell_px
from cropcube.features.compute import index_resolutions, indices_at, resolutions_of, resolutions_read

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
