"""What `features` would come to: of the cube that stands, or of the observations that are expected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cropcube.cube.ledger import Ledger
from cropcube.domain.emit import EMIT
from cropcube.domain.feature_spec import EMIT_KIND
from cropcube.errors import MissingError
from cropcube.pipeline.dry_run import MB, DryRun, Estimate, tiles_of
from cropcube.pipeline.features import STAGE, plan_features
from cropcube.pipeline.features_memory import feature_compression, made_tile_bytes, tile_memory_bytes
from cropcube.pipeline.rates import read_rates
from cropcube.pipeline.scene_sizes import COMPRESSION, bytes_per_pixel
from cropcube.pipeline.season_volume import SeasonVolume, season_volume
from cropcube.pipeline.stage import not_done

if TYPE_CHECKING:
    from collections.abc import Callable

    from cropcube.config import Project
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.location import Location
    from cropcube.pipeline.planning import Planning
    from cropcube.run.options import RunOptions

GPU = "hours are of processors, also where a GPU would reduce tiles"


def dry_run_features(
    project_root: Location, spec: FeatureSpec, planning: Planning, run: RunOptions, say: Callable[[str], None]
) -> DryRun:
    """Say what `features` would be, from what is on this machine; write nothing.

    Parameters
    ----------
    project_root
        The project's folder, or one below it; with a region, one that need not stand.
    spec
        What would be computed.
    planning
        Of what, and at which rates.
    run
        What the run would have.
    say
        Gets one line for each thing the user should know on the way.

    Raises
    ------
    MissingError
        If no project stands and no region is given.
    InvalidInputError
        If an index needs a band that the cube lacks, or a rate cannot be used.
    """
    rates, project = read_rates(planning.rates), planning.project(project_root, say)
    return DryRun.of(STAGE, estimate_features(project, spec), project.root, run.or_else(project.cluster), rates)


def estimate_features(project: Project, spec: FeatureSpec) -> Estimate:
    """Return what features of every tile come to, less those that the ledger says are done.

    Raises
    ------
    InvalidInputError
        If an index needs a band that the cube lacks.
    """
    of_emit = spec.kind == EMIT_KIND
    own = project.seen_by(EMIT).spec if of_emit else project.spec
    try:
        tasks, incomplete = plan_features(project, spec)
    except MissingError:  # nothing is built yet
        if of_emit:  # it looks where it is told to: what it will have seen cannot be told
            raise
        whole = season_volume(project)
        volume = replace(whole, source=f"{whole.source}; the cube is not built yet")
        return _estimate(project, spec, len(own.grid), volume)
    standing = {record.key: record for record in Ledger(project.ledger_path).records(f"{STAGE}/{spec.name}")}
    todo = not_done(tasks, standing, project.features_path(spec.name))
    if incomplete:
        whole = season_volume(project.seen_by(EMIT) if of_emit else project)
        volume = replace(whole.share(len(todo) / len(tasks)), source=f"{whole.source}; the cube is built in part")
    else:
        days = [task.payload.days for task in todo]
        observed = sum(days) * own.tile_px**2 * bytes_per_pixel(own.sensor)
        volume = SeasonVolume("the days that the cube holds", 0, 0.0, 0.0, observed, max(days, default=0))
    return _estimate(project, spec, len(todo), volume)


def _estimate(project: Project, spec: FeatureSpec, tasks: int, volume: SeasonVolume) -> Estimate:
    own = project.spec
    made = tasks * made_tile_bytes(spec, own.season, own.sensor, own.tile_px)
    tile = next(own.grid.tiles())
    return Estimate(
        source=volume.source,
        tiles=tiles_of(own.grid),
        tasks=tasks,
        reused=len(own.grid) - tasks,
        read_bytes=round(volume.observed_bytes / COMPRESSION),
        store_bytes=round(made / feature_compression(spec)),
        task_memory_bytes=tile_memory_bytes(spec, own.season, own.sensor, tile, volume.days) if tasks else 0,
        work={"features_mb_s": volume.observed_bytes / MB, "write_mb_s": made / MB},
        notes=(GPU,),
    )
