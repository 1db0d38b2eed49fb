"""Features of EMIT on a worker: one tile, strip by strip."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.cube.layout import EMIT_CHUNK_PX
from cropcube.cube.store import Store
from cropcube.domain.emit import EMIT, RESOLUTION_M
from cropcube.domain.grid import inside, owned
from cropcube.domain.lattice import PixelBox
from cropcube.domain.sensor import NOT_ACQUIRED, READ_FAILED
from cropcube.features.compute import ARRAY_OF
from cropcube.features.spectra import COUNT, JOINED, means_of_cells, reduce_spectra
from cropcube.pipeline.provenance import BUILDS
from cropcube.pipeline.stage import DONE, StageTask, TaskResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.config import Project
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.lattice import Tile
    from cropcube.domain.season import Season
    from cropcube.domain.sensor import Sensor

STRIP_PX = EMIT_CHUNK_PX
"""Rows that are in memory at once: whole chunks of the cube."""


def strip_memory_bytes(spec: FeatureSpec, season: Season, sensor: Sensor, where: tuple[Tile, int]) -> int:
    """Return what a strip of a tile takes that was seen on so many days, and the tile's features."""
    tile, days = where
    box, steps = tile.box(RESOLUTION_M), len(spec.steps(season, sensor))
    strip = min(STRIP_PX, box.height) * box.width
    joined = len(spec.joined.steps(season)) if spec.join else 0
    of_cell = sum(2 * (RESOLUTION_M // band.resolution_m) ** 2 + 24 for band in sensor.bands)
    spectra = 8 * len(EMIT.bands) * strip * (days + 4) + 3 * 8 * steps * box.height * box.width
    return spectra + 3 * joined * of_cell * strip


def write_spectra(project: Project, task: StageTask) -> TaskResult:
    """Reduce one tile and write its shards."""
    tile, spec = task.payload.tile, task.payload.spec
    cube = Store.open(project.seen_by(EMIT).cube_path, threads=task.threads)
    store = Store.open(project.features_path(spec.name), writable=True, threads=task.threads)
    whole, days = tile.box(RESOLUTION_M), cube.days_present(tile)
    details: dict[str, Any] = {"days": len(days), BUILDS: list(task.payload.builds)}
    if task.payload.unfinished:
        details["unfinished_builds"] = list(task.payload.unfinished)
    if not len(days):
        return TaskResult(DONE, details, 0, store.written)
    arrays = {
        name: np.full(array.shape(*whole.shape), array.fill_value, array.dtype)
        for (name, _), array in store.arrays.items()
    }
    counts: Counter[str] = Counter()
    bytes_read = 0
    for first in range(0, whole.height, STRIP_PX):
        rows = slice(first, min(first + STRIP_PX, whole.height))
        box = PixelBox(
            whole.lattice, RESOLUTION_M, whole.row + rows.start, whole.col, rows.stop - rows.start, whole.width
        )
        names = ("reflectance", "uncertainty", "quality")
        seen = {name: cube.read(tile.lattice.name, name, box, ([int(day) for day in days],)) for name in names}
        bytes_read += sum(values.nbytes for values in seen.values())
        made = reduce_spectra(spec, seen, days, task.threads)
        if spec.join:
            made[JOINED] = _joined(project, spec, box)
        for name, values in made.items():
            arrays[name][..., rows, :] = values
        counts.update(_count(seen["quality"], made[COUNT]))
    of_region = inside(project.spec.region, whole) & owned(whole)
    for name, values in arrays.items():
        store.write(tile.lattice.name, name, whole, values)
    details |= {**counts, "cells": int(((arrays[COUNT] > 0) & of_region).sum())}
    return TaskResult(DONE, details, bytes_read, store.written)


def _joined(project: Project, spec: FeatureSpec, box: PixelBox) -> NDArray[np.float32]:
    """Return what of Sentinel-2 lies beside the spectra of a box, (band and step, y, x)."""
    store, name = Store.open(project.features_path(spec.join)), ARRAY_OF[spec.joined.kind]
    of_band: dict[str, NDArray[np.float32]] = {}
    for array, resolution_m in store.arrays:
        if array == name:
            values = store.read(box.lattice.name, name, box.at(resolution_m))
            means = means_of_cells(values, RESOLUTION_M // resolution_m)
            of_band |= dict(zip(store.labels("band", resolution_m), np.moveaxis(means, 1, 0), strict=True))
    return np.concatenate([of_band[band.name] for band in project.spec.sensor.bands])


def _count(quality: np.ndarray[Any, Any], clear_count: np.ndarray[Any, Any]) -> dict[str, int]:
    acquired = ((quality != NOT_ACQUIRED) & (quality != READ_FAILED)).sum(axis=0)
    return {
        "acquired": int(acquired.sum()),
        "clear": int(clear_count.sum(dtype=np.int64)),
        "never_clear": int(((acquired > 0) & (clear_count == 0)).sum()),
    }
