"""`build`: from the catalogue to the cube of observations."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cropcube.catalog.frozen import FrozenCatalog
from cropcube.catalog.search import SearchRequest, freeze, search_folder
from cropcube.config import Project, create_project, discard_project
from cropcube.cube.layout import cube_spec, emit_cube_spec
from cropcube.cube.ledger import Ledger
from cropcube.cube.store import Store
from cropcube.domain.emit import EMIT
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import ConflictError, CropcubeError, MissingError, ResourceError
from cropcube.location import Location
from cropcube.pipeline import emit_task
from cropcube.pipeline.build_estimate import estimate_from_orbits, estimate_of_plan
from cropcube.pipeline.build_options import (
    BuildOptions,
    is_answered,
    needs_network,
    standing_project,
    wanted_request,
    wanted_spec,
)
from cropcube.pipeline.build_plan import PlannedTask, plan
from cropcube.pipeline.build_summary import BuildSummary, tally
from cropcube.pipeline.build_task import erase, write
from cropcube.pipeline.dry_run import DryRun, free_bytes
from cropcube.pipeline.rates import read_rates
from cropcube.pipeline.stage import StageSummary, StageWork, run_stage
from cropcube.run.options import RunOptions

if TYPE_CHECKING:
    from cropcube.pipeline.dry_run import Estimate

TASKS = {SENTINEL2.name: (cube_spec, erase, write), EMIT.name: (emit_cube_spec, emit_task.erase, emit_task.write)}
"""By sensor: the layout of its cube, and what a worker does."""


def build(
    project_root: Location,
    options: BuildOptions | None = None,
    run: RunOptions | None = None,
    say: Callable[[str], None] | None = None,
) -> BuildSummary | DryRun:
    """Build a region's cube of observations, or go on with the build that stands.

    Parameters
    ----------
    project_root
        Folder of the project; made if a region is given.
    options
        What to build; all may be left open in a project that stands.
    run
        Where and how wide to run.
    say
        Gets one line for each thing the user should know on the way.

    Returns
    -------
    BuildSummary or DryRun
        Failed reads are in the summary; its `check` raises if they are beyond the budget.

    Raises
    ------
    CropcubeError
        For everything the user can cause; nothing half-written is ever marked done.
    """
    options, run, say = options or BuildOptions(), run or RunOptions(), say or _silent
    standing = standing_project(project_root, options)
    spec = wanted_spec(options, standing.spec if standing else None, say)
    run = run.or_else(standing.cluster if standing else {})
    root = standing.root if standing else project_root.resolve()
    if options.dry_run:
        return _dry_run(Project(root, spec).seen_by(options.seen_by(spec)), options, run, say)
    made = create_project(root, spec)
    project = made.seen_by(options.seen_by(spec))
    try:
        catalog = _catalog(project, options, say)
    except CropcubeError:
        with contextlib.suppress(OSError):  # answers of a search that broke off are kept
            search_folder(project.scenes_path).rmdir()
        if standing is None and not project.scenes_path.exists():
            discard_project(project)  # no scene was found: the next try may well name another region or season
        raise
    if options.scenes_only:
        return _summary(project, catalog, StageSummary(project.build_stage, (), 0, 0.0), options)
    planned = _prepare(project, catalog, options)
    work = StageWork(project.build_stage, project.cube_path, *TASKS[project.spec.sensor.name][1:])
    stage = run_stage(made, [item.task for item in planned], work, run)
    emit_task.drop_scratch(made)
    return _summary(project, catalog, stage, options)


def _prepare(project: Project, catalog: FrozenCatalog, options: BuildOptions) -> list[PlannedTask]:
    """Return the tasks, with the store laid out for them, or refuse before the first read."""
    ledger, spec = Ledger(project.ledger_path), project.spec
    if not Store.exists(project.cube_path):
        ledger.withdraw_all(project.build_stage)
    known = frozenset(record.key for record in ledger.records(project.build_stage))
    planned = list(plan(project, catalog, options.verify, known))
    _refuse_nothing(project, catalog, planned)
    _refuse_without_room(project.root, estimate_of_plan(project, planned, len(catalog), "the catalogue"))
    layout = TASKS[spec.sensor.name][0]
    Store.create(project.cube_path, spec.grid, layout(spec.season, spec.sensor, spec.tile_px))
    return planned


def _summary(project: Project, catalog: FrozenCatalog, stage: StageSummary, options: BuildOptions) -> BuildSummary:
    records = {record.key: record for record in Ledger(project.ledger_path).records(project.build_stage)}
    ran = tally(records[report.key] for report in stage.reports if report.key in records)
    return BuildSummary(
        project=str(project.root),
        catalog=catalog.request,
        scenes=len(catalog),
        stage=stage,
        tally=tally(records.values()),
        amplification=ran.decoded / ran.needed if ran.needed else None,
        max_failed_reads=options.max_failed_reads,
    )


def _catalog(project: Project, options: BuildOptions, say: Callable[[str], None]) -> FrozenCatalog:
    """Return the frozen catalogue, asked anew only if the request is another one or a search is wanted."""
    frozen = FrozenCatalog.open(project.scenes_path) if project.scenes_path.exists() else None
    request = wanted_request(options, project.spec, frozen.request if frozen else None)
    if frozen is not None and not options.search and is_answered(request, frozen.request):
        return frozen
    try:
        return freeze(request, project.spec.grid, project.scenes_path, say)
    except ConflictError:
        # A second driver that began at the same time may have the answer, and taken away what we were gathering.
        if frozen is None and project.scenes_path.exists():
            answer = FrozenCatalog.open(project.scenes_path)
            if is_answered(request, answer.request):
                return answer
        raise


def _dry_run(project: Project, options: BuildOptions, run: RunOptions, say: Callable[[str], None]) -> DryRun:
    """Say what a build would be, from what is on this machine unless a search is wanted; write nothing."""
    rates = read_rates(options.rates)
    frozen = FrozenCatalog.open(project.scenes_path) if project.scenes_path.exists() else None
    request = wanted_request(options, project.spec, frozen.request if frozen else None)
    if frozen is not None and not options.search and is_answered(request, frozen.request):
        estimate = _plan_estimate(project, frozen, options, "the frozen catalogue")
    elif options.search or not needs_network(request):
        estimate = _estimate_by_search(project, request, options, say)
    elif project.spec.sensor.files:
        raise MissingError(
            "EMIT looks where it is told to from a space station: no revisit can be counted on",
            "Add --search to ask the catalogue, which takes the network.",
        )
    else:
        estimate = estimate_from_orbits(project.spec)
        estimate = replace(estimate, source=f"{estimate.source} (--search asks it)")
    return DryRun.of(project.build_stage, estimate, project.root, run, rates)


def _estimate_by_search(
    project: Project, request: SearchRequest, options: BuildOptions, say: Callable[[str], None]
) -> Estimate:
    with tempfile.TemporaryDirectory(prefix="cropcube-") as folder:
        catalog = freeze(request, project.spec.grid, Path(folder) / "scenes.parquet", say)
        return _plan_estimate(project, catalog, options, f"the catalogue {request.as_dict()['catalog']}")


def _plan_estimate(project: Project, catalog: FrozenCatalog, options: BuildOptions, source: str) -> Estimate:
    known = frozenset(record.key for record in Ledger(project.ledger_path).records(project.build_stage))
    planned = list(plan(project, catalog, options.verify, known))
    return estimate_of_plan(project, planned, len(catalog), source)


def _refuse_nothing(project: Project, catalog: FrozenCatalog, planned: Sequence[PlannedTask]) -> None:
    """Refuse a build in which no scene touches a tile.

    Raises
    ------
    MissingError
        Naming the grids and the CRS of the scenes.
    """
    if any(item.scenes for item in planned):
        return
    zones = ", ".join(f"{zone.lattice.name} ({zone.lattice.crs})" for zone in project.spec.grid.zones)
    crs = ", ".join(f"{count} in {name or 'no stated CRS'}" for name, count in catalog.summary().crs.items())
    raise MissingError(
        f"none of {len(catalog)} scenes lies on the grid of {zones}: {crs or 'there are none'}",
        "Check --region and --season; --crs EPSG:n puts scenes of any zone on one grid.",
    )


def _refuse_without_room(root: Location, estimate: Estimate) -> None:
    """Refuse a build that does not fit the disk.

    Raises
    ------
    ResourceError
        With the numbers.
    """
    free = free_bytes(root)
    if free is not None and estimate.store_bytes > free:
        raise ResourceError(
            f"the build is projected to store {estimate.store_bytes / 1e9:.2f} GB in {estimate.tasks} tasks; "
            f"{free / 1e9:.2f} GB are free at {root}",
            "Make room, use another --project folder, a smaller region or season, or fewer --bands.",
        )


def _silent(line: str) -> None:
    """Say nothing."""
