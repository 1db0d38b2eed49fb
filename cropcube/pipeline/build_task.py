"""One build task on a worker: a square of tiles for 32 days, read date by date, written shard by shard."""

from __future__ import annotations

import itertools
import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cropcube.catalog.frozen import FrozenCatalog
from cropcube.catalog.hrefs import is_remote
from cropcube.cube.store import Store
from cropcube.errors import ConflictError
from cropcube.observations.choose import reader_for
from cropcube.observations.day import observe_day
from cropcube.observations.mosaic import CLEAR_CLASSES
from cropcube.pipeline.build_memory import bounding_box, passes
from cropcube.pipeline.build_plan import BuildSquare, build_digest, fingerprint
from cropcube.pipeline.provenance import UsedScenes
from cropcube.pipeline.stage import DONE, INCOMPLETE, StageTask, TaskResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from cropcube.config import Project, ProjectSpec
    from cropcube.domain.lattice import PixelBox, Tile
    from cropcube.domain.scene import Scene
    from cropcube.observations.day import DayPixels, FailedRead
    from cropcube.observations.reader import Reader

REMOTE_READS = 8
"""Files of a server that are asked for at the same time: they wait, and take no processor from the task's threads."""
LISTED_FAILURES = 200
"""Failed reads that a record names; all are counted."""


def erase(project: Project, task: StageTask) -> None:
    """Remove everything that a build task owns."""
    square: BuildSquare = task.payload
    store = Store.open(project.cube_path, writable=True)
    days = project.spec.season.slab_days(square.slab)
    store.erase_present(square.zone, square.slab, square.square)
    for tile, (name, resolution_m) in itertools.product(square.tiles, store.arrays):
        store.erase(square.zone, name, tile.box(resolution_m), (days,))


def write(project: Project, task: StageTask) -> TaskResult:
    """Read a task's scenes, day by day, and write its shards.

    Raises
    ------
    ConflictError
        If the frozen catalogue is not the one that the task was planned from.
    ResourceError
        If the disk is full.
    """
    # What GDAL logs may hold signed URLs; what matters of it is in the classified errors.
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)
    store = Store.open(project.cube_path, writable=True, threads=task.threads)
    work = _Work(project.spec, task.payload, scenes_by_day(project, task), store)
    reader = reader_for(project.spec.sensor, task.payload.verify)
    for tiles in passes(project.spec.sensor, task.payload.tiles, len(work.by_day)):
        work.do(tiles, reader, task.threads)
    work.store.mark_present(
        task.payload.zone, task.payload.slab, task.payload.square, {t: d for t, d in work.present.items() if d}
    )
    counts = reader.counts
    details = {
        "scenes": len(task.payload.scenes),
        "days": {tile.name: days for tile, days in sorted(work.present.items()) if days},
        "clear": {tile.name: count for tile, count in sorted(work.clear.items()) if count},
        **work.used.as_details(),
        "failed": [asdict(failure) for failure in work.failed[:LISTED_FAILURES]],
        "failed_reads": len(work.failed),
        "bytes_read": counts.bytes_read,
        "pixels_decoded": counts.pixels_decoded,
        "pixels_needed": work.pixels_needed,
        "retries": counts.retries,
        "bytes_written": sum(store.written.values()),
    }
    state = INCOMPLETE if work.failed else DONE
    return TaskResult(state, details, counts.bytes_read, store.written)


@dataclass
class _Work:
    """What a task has and what it has done so far."""

    spec: ProjectSpec
    square: BuildSquare
    by_day: Mapping[int, list[Scene]]
    store: Store
    present: dict[Tile, list[int]] = field(default_factory=dict)
    clear: dict[Tile, int] = field(default_factory=dict)
    "Pixels of the quality grid x days of class 4 to 7."
    used: UsedScenes = field(default_factory=UsedScenes)
    failed: list[FailedRead] = field(default_factory=list)
    pixels_needed: int = 0

    def do(self, tiles: tuple[Tile, ...], reader: Reader, threads: int) -> None:
        """Read every day of some tiles, then write their shards."""
        sensor = self.spec.sensor
        box = bounding_box(tiles, sensor.quality.resolution_m)
        days: dict[int, DayPixels] = {}
        for day, scenes in self.by_day.items():
            seen = observe_day(scenes, sensor, box, reader, reading_threads(scenes, threads))
            self.failed += [failure for failure in seen.failed if failure not in self.failed]
            if seen.quality.any():
                days[day] = seen
        for tile in tiles:
            self._write(tile, box, days)

    def _write(self, tile: Tile, box: PixelBox, days: Mapping[int, DayPixels]) -> None:
        """Write the shards of one tile; days on which it has nothing stay absent."""
        quality_m = self.spec.sensor.quality.resolution_m
        rows, cols = tile.box(quality_m).slices_in(box)
        self.present[tile] = [day for day, seen in days.items() if seen.quality[rows, cols].any()]
        if not self.present[tile]:
            return
        self.used.add(tile, (scene for day in self.present[tile] for scene in days[day].used(rows, cols)))
        for name, resolution_m in self.store.arrays:
            part = tile.box(resolution_m)
            inside = part.slices_in(box.at(resolution_m))
            pieces = {
                day: (days[day].quality if name == "quality" else days[day].reflectance[resolution_m])[(..., *inside)]
                for day in self.present[tile]
            }
            slab = self.spec.season.slab_days(self.square.slab)
            self.store.write_days(self.square.zone, name, part, slab, pieces)
        self._count(tile, [days[day].quality[rows, cols] for day in self.present[tile]])

    def _count(self, tile: Tile, qualities: Sequence[NDArray[np.uint8]]) -> None:
        sensor, (first, last) = self.spec.sensor, CLEAR_CLASSES
        of_pixel = sum((sensor.quality.resolution_m // band.resolution_m) ** 2 for band in sensor.bands) + 1
        self.pixels_needed += of_pixel * sum(int(np.count_nonzero(quality)) for quality in qualities)
        self.clear[tile] = sum(int(((quality >= first) & (quality <= last)).sum()) for quality in qualities)


def reading_threads(scenes: Iterable[Scene], threads: int) -> int:
    """Return how many files are read at the same time."""
    remote = any(is_remote(asset.href) for scene in scenes for asset in scene.assets.values())
    return max(threads, REMOTE_READS) if remote else threads


def scenes_by_day(project: Project, task: StageTask) -> dict[int, list[Scene]]:
    """Return the task's scenes by day, as they stand in the frozen catalogue.

    Raises
    ------
    ConflictError
        If they are not the ones that the task was planned with.
    """
    square: BuildSquare = task.payload
    season = project.spec.season
    found: list[Scene] = []
    if square.scenes:
        catalog = FrozenCatalog.open(project.scenes_path)
        found = catalog.scenes(season.slab_days(square.slab), season, square.scenes)
    prints = [fingerprint(scene, project.spec.sensor, project.root) for scene in found]
    if build_digest(square, prints, project.spec) != task.digest:
        raise ConflictError(
            f"{task.key}: {project.scenes_path.name} was replaced while the build ran",
            "Another build searched the catalogue again. Run the same command again.",
        )
    by_day: dict[int, list[Scene]] = {}
    for scene in found:
        day = season.day_of(scene.solar_day)
        if day is not None:
            by_day.setdefault(day, []).append(scene)
    return dict(sorted(by_day.items()))
