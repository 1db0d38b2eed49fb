"""One build task of EMIT on a worker: a square of tiles for 32 days, granule by granule, written tile by tile."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from rasterio.features import rasterize

from cropcube.cube.store import Store
from cropcube.domain.emit import EMIT, FILES, GOOD, RESOLUTION_M, WAVELENGTHS_NM
from cropcube.domain.grid import inside, owned
from cropcube.domain.sensor import READ_FAILED
from cropcube.errors import CropcubeError, InvalidInputError, ResourceError
from cropcube.features.spectra import is_clear
from cropcube.observations.day import FailedRead
from cropcube.observations.emit_granule import open_granule
from cropcube.observations.emit_ortho import ortho_index
from cropcube.observations.emit_sweep import SweepOptions, sweep
from cropcube.observations.extent import footprints_in
from cropcube.observations.granule_files import GranuleFiles
from cropcube.pipeline import build_task
from cropcube.pipeline.build_memory import bounding_box
from cropcube.pipeline.build_task import LISTED_FAILURES, scenes_by_day
from cropcube.pipeline.provenance import UsedScenes
from cropcube.pipeline.stage import DONE, INCOMPLETE, StageTask, TaskResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cropcube.config import Project
    from cropcube.domain.lattice import PixelBox, Tile
    from cropcube.domain.region import Region
    from cropcube.domain.scene import Scene
    from cropcube.observations.emit_granule import EmitGranule, EmitHeader
    from cropcube.observations.emit_ortho import OrthoIndex
    from cropcube.observations.emit_sweep import OrthoTile
    from cropcube.pipeline.build_plan import BuildSquare

SCRATCH_BYTES = 20 << 30
"""Fetched granules that a machine keeps for the squares beside this one, which touch them too."""
CENTRE_TOLERANCE_NM = 0.02
"""Between the cube's band centres, which are rounded, and a granule's."""


def scratch_of(project: Project) -> Path:
    """Return where the tasks of a machine leave each other the granules that they fetched for a project."""
    return Path(tempfile.gettempdir()) / f"cropcube-{os.getuid()}-{project.spec.digest[:16]}"


def drop_scratch(project: Project) -> None:
    """Delete the granules that this machine has fetched; another build that needs them fetches them again."""
    shutil.rmtree(scratch_of(project), ignore_errors=True)


def erase(project: Project, task: StageTask) -> None:
    """Remove everything that a build task owns."""
    build_task.erase(project.seen_by(EMIT), task)


def write(project: Project, task: StageTask) -> TaskResult:
    """Lay a task's granules on its tiles, day by day.

    Raises
    ------
    ConflictError
        If the frozen catalogue is not the one that the task was planned from.
    ResourceError
        If the disk is full.
    """
    seen = project.seen_by(EMIT)
    store = Store.open(seen.cube_path, writable=True, threads=task.threads)
    with tempfile.TemporaryDirectory(prefix="cropcube-task-") as own:
        scratch = GranuleFiles(Path(own), shared=scratch_of(project))
        work = _Work(seen.spec.region, task.payload, store, scratch, task.threads)
        for day, scenes in scenes_by_day(seen, task).items():
            work.do(day, scenes)
            for scene in scenes:
                scratch.drop(scene)
            scratch.trim(SCRATCH_BYTES)
    present = {tile: days for tile, days in work.cells.items() if days}
    store.mark_present(task.payload.zone, task.payload.slab, task.payload.square, present)
    details = {
        "scenes": len(task.payload.scenes),
        "days": {tile.name: sorted(days) for tile, days in sorted(present.items())},
        "seen": {str(day): cells for day, cells in sorted(work.seen.items())},
        "clear": {tile.name: count for tile, count in sorted(work.clear.items()) if count},
        **work.used.as_details(),
        "failed": [asdict(failure) for failure in work.failed[:LISTED_FAILURES]],
        "failed_reads": len(work.failed),
        "bytes_read": work.bytes_read,
        "pixels_decoded": work.pixels_read,
        "pixels_needed": sum(sum(days.values()) for days in work.cells.values()),
        "retries": scratch.counts.retries,
        "bytes_written": sum(store.written.values()),
    }
    return TaskResult(INCOMPLETE if work.failed else DONE, details, work.bytes_read, store.written)


@dataclass(frozen=True)
class _Pass:
    """A granule that has pixels of the task's tiles."""

    scene: Scene
    granule: EmitGranule
    index: OrthoIndex

    def sees(self, tile: Tile) -> bool:
        """Return whether any cell of a tile is seen."""
        return bool((self.index.line[tile.box(RESOLUTION_M).slices_in(self.index.box)] >= 0).any())


@dataclass
class _Work:
    """What a task has and what it has done so far."""

    region: Region
    square: BuildSquare
    store: Store
    scratch: GranuleFiles
    threads: int
    cells: dict[Tile, dict[int, int]] = field(default_factory=dict)
    "Cells seen, by tile and day."
    seen: Counter[int] = field(default_factory=Counter)
    "Cells of the region that are seen, by day."
    clear: dict[Tile, int] = field(default_factory=dict)
    "Cells x days without a cloud."
    qualities: dict[Tile, NDArray[np.uint8]] = field(default_factory=dict)
    "Of the day being laid, until it is written."
    used: UsedScenes = field(default_factory=UsedScenes)
    failed: list[FailedRead] = field(default_factory=list)
    bytes_read: int = 0
    pixels_read: int = 0
    "Pixels of the swaths between the first and the last that a tile needs."

    def do(self, day: int, scenes: Sequence[Scene]) -> None:
        """Read the granules of a day and write its tiles, each when the last granule that sees it is read."""
        box = bounding_box(self.square.tiles, RESOLUTION_M)
        passes, lost = [], []
        for scene in scenes:
            opened = self._opened(scene, box)
            if opened is None:
                lost.append(scene)
            elif (opened.index.line >= 0).any():
                passes.append(opened)
        left = {tile: [each.scene.id for each in passes if each.sees(tile)] for tile in self.square.tiles}
        waiting: dict[Tile, _Mosaic] = {}
        for each in passes:
            if not self._laid(each, waiting, left, day):
                lost.append(each.scene)
        for tile, mosaic in waiting.items():  # for a granule that broke off
            self._write(tile, day, mosaic)
        self._mark_lost(day, lost)

    def _opened(self, scene: Scene, box: PixelBox) -> _Pass | None:
        """Return a granule with the pixels of the task's cells; None, and a record of why, where it cannot be read."""
        try:
            paths = [self.scratch.path(scene, label) for label in FILES]
            granule = open_granule(*paths)
            _refuse_other_bands(granule.header)
            found = _Pass(scene, granule, ortho_index(granule.header, box, self.threads))
        except (CropcubeError, OSError) as error:
            self._fail(scene, error)
            return None
        self._count_read(found)
        return found

    def _laid(self, each: _Pass, waiting: dict[Tile, _Mosaic], left: Mapping[Tile, list[str]], day: int) -> bool:
        """Lay one granule; False, and a record of why, where reading it breaks off."""
        tiles = [tile for tile in self.square.tiles if each.scene.id in left[tile]]
        options = SweepOptions(drop_marked=True, threads=self.threads)
        try:
            for seen in sweep(each.granule, each.index, tiles, options):
                mosaic = waiting.setdefault(seen.tile, _Mosaic())
                mosaic.add(each.scene, seen, each.granule.header)
                left[seen.tile].remove(each.scene.id)
                if not left[seen.tile]:
                    self._write(seen.tile, day, waiting.pop(seen.tile))
        except ResourceError:
            raise
        except CropcubeError as error:
            self._fail(each.scene, error)
            for tile in tiles:
                if each.scene.id in left[tile]:
                    left[tile].remove(each.scene.id)
            return False
        return True

    def _mark_lost(self, day: int, lost: Sequence[Scene]) -> None:
        """Mark cells that only granules see that could not be read.

        The quality of tiles without any is written too, which removes marks of a run that was killed: it may have
        failed to read what this one has read.
        """
        footprints = footprints_in([scene.geometry for scene in lost], self.square.tiles[0].lattice)
        for tile in self.square.tiles:
            box = tile.box(RESOLUTION_M)
            quality = self.qualities.pop(tile, np.zeros(box.shape, np.uint8))
            if len(footprints):
                shown = rasterize(footprints, box.shape, transform=box.transform, dtype=np.uint8)
                quality = np.where((quality == 0) & (shown != 0), np.uint8(READ_FAILED), quality)
            self.store.write_days(self.square.zone, "quality", box, range(day, day + 1), {day: quality})
            if quality.any():
                self.cells.setdefault(tile, {}).setdefault(day, 0)

    def _write(self, tile: Tile, day: int, mosaic: _Mosaic) -> None:
        box, zone = tile.box(RESOLUTION_M), self.square.zone
        self.qualities[tile] = mosaic.quality
        for name, values in (("reflectance", mosaic.reflectance), ("uncertainty", mosaic.uncertainty)):
            self.store.write_days(zone, name, box, range(day, day + 1), {day: values})
        self.used.add(tile, mosaic.scenes)
        self.cells.setdefault(tile, {})[day] = int(np.count_nonzero(mosaic.quality))
        self.seen[day] += int(((mosaic.quality != 0) & inside(self.region, box) & owned(box)).sum())
        self.clear[tile] = self.clear.get(tile, 0) + int(is_clear(mosaic.quality).sum())

    def _count_read(self, each: _Pass) -> None:
        held = each.index.line >= 0
        if not held.any():
            return
        lines, samples = each.index.line[held], each.index.sample[held]
        pixels = (int(np.ptp(lines)) + 1) * (int(np.ptp(samples)) + 1)
        self.pixels_read += pixels
        self.bytes_read += pixels * each.granule.header.bands * 8

    def _fail(self, scene: Scene, error: CropcubeError | OSError) -> None:
        what = error.what if isinstance(error, CropcubeError) else str(error)
        self.failed.append(FailedRead(scene.id, "granule", what))


class _Mosaic:
    """One day of one tile: per cell the first granule that sees it without a cloud, or else the first that sees it."""

    def __init__(self) -> None:
        self.scenes: list[Scene] = []
        self.reflectance: NDArray[np.float32]
        self.uncertainty: NDArray[np.float32]
        self.quality: NDArray[np.uint8]

    def add(self, scene: Scene, seen: OrthoTile, header: EmitHeader) -> None:
        """Take in what one granule shows."""
        uncertainty = cast("NDArray[np.float32]", seen.uncertainty)  # the sweep was asked for all three
        quality = cast("NDArray[np.uint8]", seen.quality)
        lacking = np.asarray(GOOD) & ~header.good
        seen.reflectance[lacking] = np.nan  # bands that this granule alone calls bad
        if not self.scenes:
            self.scenes = [scene]
            self.reflectance, self.uncertainty, self.quality = seen.reflectance, uncertainty, quality
            return
        better = (quality != 0) & ((self.quality == 0) | (is_clear(quality) & ~is_clear(self.quality)))
        if better.any():
            self.scenes.append(scene)
            self.reflectance[:, better] = seen.reflectance[:, better]
            self.uncertainty[:, better] = uncertainty[:, better]
            self.quality[better] = quality[better]


def _refuse_other_bands(header: EmitHeader) -> None:
    """Refuse a granule whose bands are not those of the cube.

    Raises
    ------
    InvalidInputError
        If their number differs, or a centre by over 0.02 nm.
    """
    apart = np.abs(header.wavelengths_nm - np.array(WAVELENGTHS_NM)) if header.bands == len(WAVELENGTHS_NM) else None
    if apart is None or apart.max() > CENTRE_TOLERANCE_NM:
        how = "" if apart is None else f", off by up to {apart.max():.2f} nm"
        raise InvalidInputError(
            f"{header.path} has {header.bands} bands that are not the {len(WAVELENGTHS_NM)} of the cube{how}",
            "Leave this granule out: its spectra cannot lie in one cube with the others.",
        )
