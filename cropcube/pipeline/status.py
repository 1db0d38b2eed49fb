"""`status`: what of a project is done, what is missing, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from cropcube.catalog.frozen import FrozenCatalog
from cropcube.config import Project, find_project
from cropcube.cube.ledger import Ledger
from cropcube.cube.objects import SizeOf, sizes_of
from cropcube.cube.store import Store
from cropcube.domain.emit import EMIT
from cropcube.domain.lattice import FINEST_M
from cropcube.domain.map_product import PROBABILITY
from cropcube.errors import CropcubeError, MissingError
from cropcube.features.layout import feature_spec_of
from cropcube.model.checkpoint import check_files, read_card
from cropcube.pipeline.build_plan import plan
from cropcube.pipeline.build_summary import tally
from cropcube.pipeline.emit_coverage import coverage
from cropcube.pipeline.features import plan_features
from cropcube.pipeline.map_records import boxes_of, part_digest
from cropcube.pipeline.model_check import is_of_other_model
from cropcube.pipeline.predict_plan import wanted_digests
from cropcube.pipeline.sources import CUBE, CUBE_EMIT, MAP, path_of
from cropcube.pipeline.stage import DONE, INCOMPLETE

if TYPE_CHECKING:
    from cropcube.cube.ledger import Record
    from cropcube.location import Location

BUILD, BUILD_EMIT, PREDICT = "build", "build-emit", "predict"
MISSING, OUTDATED, INTERRUPTED, DAMAGED, PARTIAL = "missing", "outdated", "interrupted", "damaged", "partial"
STATES = (DONE, PARTIAL, INCOMPLETE, INTERRUPTED, OUTDATED, DAMAGED, MISSING)
"""Of a task; `partial` is a tile of the map of which only boxes were mapped."""
LISTED_TASKS = 20


@dataclass(frozen=True)
class StageStatus:
    """One stage: `build`, `features/median-5d`, `predict`."""

    stage: str
    counts: Mapping[str, int]
    "Tasks by state, see `STATES`."
    unfinished: tuple[str, ...]
    "The first tasks that are not done, and why."
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return all(count == 0 for state, count in self.counts.items() if state != DONE)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {
            "stage": self.stage,
            "tasks": sum(self.counts.values()),
            **{state: self.counts.get(state, 0) for state in STATES},
            "unfinished": list(self.unfinished),
            **self.details,
        }


@dataclass(frozen=True)
class Status:
    """A project as it stands."""

    project: str
    "Its folder."
    specification: Mapping[str, Any]
    "Region, season, grid, bands."
    catalog: Mapping[str, Any] | None
    "What the frozen catalogue holds; None before the first search."
    stages: tuple[StageStatus, ...]
    model: Mapping[str, Any] | None
    "The trained model in brief; None if there is none."
    problems: tuple[str, ...]
    "What could not be looked at, and what to do about it."

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {
            "project": self.project,
            "specification": dict(self.specification),
            "catalog": None if self.catalog is None else dict(self.catalog),
            "stages": [stage.as_dict() for stage in self.stages],
            "model": None if self.model is None else dict(self.model),
            "problems": list(self.problems),
        }


def status(project_root: Location) -> Status:
    """Return what of a project is done, what is missing, and why. Writes nothing and asks no catalogue.

    Raises
    ------
    MissingError
        If there is no project.
    InvalidInputError
        If its specification is damaged.
    """
    project = find_project(project_root)
    problems: list[str] = []
    records = _standing(project, problems)
    catalog = _catalog(project, problems)
    stages = [_build_status(project, catalog, [r for r in records if _stage_of(r) == BUILD])]
    emit = project.seen_by(EMIT)
    if emit.scenes_path.exists():
        stages.append(_emit_status(emit, _catalog(emit, problems), [r for r in records if _stage_of(r) == BUILD_EMIT]))
    for stage, found in _by_stage(records).items():
        stages.append(_tile_status(project, stage, found, problems))
    if Store.exists(project.map_before_path):
        problems.append(
            f"{project.map_before_path} is the map before one that is not whole; `cropcube predict` goes on with that, "
            "and then removes it"
        )
    return Status(
        project=str(project.root),
        specification=_specification(project),
        catalog=None if catalog is None else {**catalog.request, **catalog.summary().as_dict()},
        stages=tuple(stages),
        model=_model(project, problems),
        problems=tuple(problems),
    )


def _standing(project: Project, problems: list[str]) -> list[Record]:
    """Return the records whose stores stand; a store that is gone is a problem, and its tasks are missing."""
    records = list(Ledger(project.ledger_path).records())
    gone = {}
    for stage in sorted({_stage_of(record) for record in records}):
        path = _store_of(project, stage)
        if not Store.exists(path):
            count = sum(_stage_of(record) == stage for record in records)
            gone[stage] = (
                f"{path} is gone, though {count} tasks of {stage} are recorded; the same command makes it again"
            )
    problems += gone.values()
    return [record for record in records if _stage_of(record) not in gone]


def _store_of(project: Project, stage: str) -> Location:
    return path_of(project, {BUILD: CUBE, BUILD_EMIT: CUBE_EMIT, PREDICT: MAP}.get(stage, stage.partition("/")[2]))


def _stage_of(record: Record) -> str:
    """Return everything before zone and tile (or zone, slab and square) in a record's key."""
    first = record.key.partition("/")[0]
    return first if first in (BUILD, BUILD_EMIT) else record.key.rsplit("/", 2)[0]


def _specification(project: Project) -> dict[str, Any]:
    spec = project.spec
    zones = {zone.lattice.name: len(zone.cells) for zone in spec.grid.zones}
    return {
        "region": spec.region.name,
        "season": str(spec.season),
        "days": spec.season.days,
        "bands": [band.name for band in spec.sensor.bands],
        "tile_px": spec.tile_px,
        "crs": None if spec.epsg is None else f"EPSG:{spec.epsg}",
        "tiles": zones,
    }


def _catalog(project: Project, problems: list[str]) -> FrozenCatalog | None:
    if not project.scenes_path.exists():
        return None
    try:
        return FrozenCatalog.open(project.scenes_path)
    except CropcubeError as error:
        problems.append(str(error))
        return None


def _build_status(project: Project, catalog: FrozenCatalog | None, records: list[Record]) -> StageStatus:
    """Compare the plan of the frozen catalogue with what the ledger says."""
    standing = {record.key: record for record in records}
    known = frozenset(standing)
    wanted = {} if catalog is None else {p.task.key: p.task.digest for p in plan(project, catalog, False, known)}
    if catalog is None:
        wanted = {key: record.digest for key, record in standing.items()}
    size_of = sizes_of(project.cube_path, True)
    states = {key: _state(standing.get(key), digest, size_of) for key, digest in wanted.items()}
    found = tally(records)
    details = {
        "observations": found.observations,
        "failed_reads": found.failed_reads,
        "failures": list(found.failures),
        "clear_observations": _clear(project, records),
    }
    return StageStatus(project.build_stage, Counter(states.values()), _unfinished(states, standing), details)


def _emit_status(project: Project, catalog: FrozenCatalog | None, records: list[Record]) -> StageStatus:
    """Return the same of EMIT, with the share of the region that it saw on each day."""
    found = _build_status(project, catalog, records)
    return replace(found, details={**found.details, "seen": coverage(project, records)})


def _tile_status(project: Project, stage: str, records: Mapping[str, Record], problems: list[str]) -> StageStatus:
    """Compare what a tile would be made of now with what the ledger says it was made of."""
    wanted, size_of = _wanted(project, stage, records, problems), sizes_of(_store_of(project, stage), True)
    tiles = sorted(f"{stage}/{tile.lattice.name}/{tile.name}" for tile in project.spec.grid.tiles())
    states = {key: _state(records.get(key), wanted.get(key), size_of) for key in tiles}
    boxes = {key: list(boxes_of(records[key])) for key, state in states.items() if state == PARTIAL}
    return StageStatus(
        stage, Counter(states.values()), _unfinished(states, records), {"boxes": boxes} if stage == PREDICT else {}
    )


def _wanted(project: Project, stage: str, records: Mapping[str, Record], problems: list[str]) -> dict[str, str]:
    """Return the digests of a stage's tasks as they would be now, of those whose sources stand."""
    try:
        store = Store.open(_store_of(project, stage))
        if stage == PREDICT:
            return wanted_digests(project, store.attrs, records, (PROBABILITY, FINEST_M) in store.arrays)
        tasks, _ = plan_features(project, feature_spec_of(store))
    except MissingError:
        return {}
    except CropcubeError as error:
        problems.append(str(error))
        return {}
    return {task.key: task.digest for task in tasks}


def _state(record: Record | None, digest: str | None, size_of: SizeOf) -> str:
    """Return the state of a task; one whose sources are gone is as its record says."""
    if record is None:
        return MISSING
    if record.state not in (DONE, INCOMPLETE):
        return INTERRUPTED
    parts = boxes_of(record)
    if digest is not None and part_digest(digest, parts) != record.digest:
        return OUTDATED
    if record.damaged(size_of):
        return DAMAGED
    return PARTIAL if parts and record.state == DONE else record.state


def _unfinished(states: Mapping[str, str], records: Mapping[str, Record]) -> tuple[str, ...]:
    lines: list[str] = []
    for key, state in states.items():
        if state != DONE and len(lines) < LISTED_TASKS:
            record = records.get(key)
            lines.append(f"{key}: {state}" + (_why(record, state) if record is not None else ""))
    return tuple(lines)


def _why(record: Record, state: str) -> str:
    """Return what there is to say of a task that is not done."""
    failed, parts = record.details.get("failed_reads", 0), boxes_of(record)
    if state == PARTIAL:
        return f" (only {'boxes' if len(parts) > 1 else 'the box'} {' and '.join(parts)})"
    return f" ({failed} failed reads)" if failed and state == INCOMPLETE else ""


def _clear(project: Project, records: Iterable[Record]) -> dict[str, float] | None:
    """Return how many clear observations (class 4 to 7) a pixel has on average, over the tiles built so far."""
    totals: Counter[str] = Counter()
    for record in records:
        _, zone, *_ = record.key.split("/")
        counts: Any = record.details.get("clear", {})
        for tile, count in counts.items():
            totals[f"{zone}/{tile}"] += count
        days: Any = record.details.get("days", {})
        for tile in days:
            totals[f"{zone}/{tile}"] += 0
    if not totals:
        return None
    side = project.spec.tile_px * 10 // project.spec.sensor.quality.resolution_m
    means = [count / side**2 for count in totals.values()]
    return {
        "tiles": len(means),
        "least": round(min(means), 2),
        "median": round(median(means), 2),
        "most": round(max(means), 2),
    }


def _by_stage(records: Iterable[Record]) -> dict[str, dict[str, Record]]:
    """Return the records of tile-wise stages by stage: everything before zone and tile in their keys."""
    found: dict[str, dict[str, Record]] = {}
    for record in records:
        if _stage_of(record) not in (BUILD, BUILD_EMIT):
            found.setdefault(_stage_of(record), {})[record.key] = record
    return dict(sorted(found.items()))


def _model(project: Project, problems: list[str]) -> dict[str, Any] | None:
    if not project.model_path.exists():
        return None
    try:
        card = read_card(project.model_path)
        check_files(project.model_path, card)
    except CropcubeError as error:
        problems.append(str(error))
        return None
    if is_of_other_model(project):
        problems.append(
            f"{project.map_path} was made by another model than {project.model_path}; `cropcube predict` renews it"
        )
    return {"classifier": card.classifier, "features": card.feature, "classes": list(card.class_names)}
