"""What a build is expected to come to: of its planned tasks, or of how often the satellites pass."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cropcube.cube.ledger import Ledger
from cropcube.domain.season import SLAB_DAYS
from cropcube.pipeline.build_memory import task_memory_bytes
from cropcube.pipeline.dry_run import MB, Estimate, tiles_of
from cropcube.pipeline.scene_sizes import COMPRESSION
from cropcube.pipeline.season_volume import looks_at_squares, volume_from_orbits, volume_of_plan
from cropcube.pipeline.stage import not_done

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cropcube.config import Project, ProjectSpec
    from cropcube.pipeline.build_plan import PlannedTask
    from cropcube.pipeline.season_volume import SeasonVolume

OVERLAP = 1.5
"""A square of tiles, which swaths cut, has so many times the mean number of days in one slab."""


def estimate_of_plan(project: Project, planned: Sequence[PlannedTask], scenes: int, source: str) -> Estimate:
    """Return what a build of planned tasks comes to, less what the ledger says is done.

    Parameters
    ----------
    project, planned
        Whose tasks.
    scenes
        Of the catalogue that they were planned from.
    source
        What that is, in words.
    """
    standing = {record.key: record for record in Ledger(project.ledger_path).records(project.build_stage)}
    waiting = {task.key for task in not_done((item.task for item in planned), standing, project.cube_path)}
    todo = [item for item in planned if item.task.key in waiting]
    memory = max((item.task.memory_bytes for item in todo), default=0)
    volume = volume_of_plan(todo, scenes, source)
    return _estimate(project.spec, volume, len(todo), len(planned) - len(todo), memory)


def estimate_from_orbits(spec: ProjectSpec) -> Estimate:
    """Return what a build would be by the mean revisit at its latitude: no catalogue is asked."""
    tasks = memory = 0
    for tiles, looks in looks_at_squares(spec):
        tasks += spec.season.slabs
        memory = max(memory, task_memory_bytes(spec.sensor, tiles, math.ceil(OVERLAP * looks * SLAB_DAYS)))
    return _estimate(spec, volume_from_orbits(spec), tasks, 0, memory)


def _estimate(spec: ProjectSpec, volume: SeasonVolume, tasks: int, reused: int, memory: int) -> Estimate:
    return Estimate(
        source=volume.source,
        tiles=tiles_of(spec.grid),
        tasks=tasks,
        reused=reused,
        read_bytes=round(volume.file_bytes),
        store_bytes=round(volume.observed_bytes / COMPRESSION),
        task_memory_bytes=memory,
        work={"build_mb_s": volume.observed_bytes / MB},
        fetched_bytes=round(volume.fetched_bytes),
        scenes=volume.scenes,
    )
