"""`features`: reduce the time axis of every tile of the cube."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.config import find_project
from cropcube.cube.ledger import Ledger, digest
from cropcube.cube.observed import read_observations
from cropcube.cube.store import Store
from cropcube.domain.emit import EMIT
from cropcube.domain.feature_spec import EMIT_KIND, IN_WINDOWS, FeatureSpec
from cropcube.domain.lattice import FINEST_M, Tile
from cropcube.domain.sensor import NOT_ACQUIRED
from cropcube.errors import InvalidInputError, MissingError
from cropcube.features.cells import cell_px, cells_of, paste
from cropcube.features.compute import (
    ARRAY_OF,
    CLEAR_COUNT,
    INDEX,
    compute_indices,
    reduce_time,
    resolutions_of,
    resolutions_read,
)
from cropcube.features.layout import feature_store_spec
from cropcube.pipeline.builds import Builds, features_digest
from cropcube.pipeline.emit_coverage import region_cells
from cropcube.pipeline.emit_features import write_spectra
from cropcube.pipeline.feature_sources import FEATURES, contents
from cropcube.pipeline.features_memory import tile_memory_bytes
from cropcube.pipeline.provenance import BUILDS
from cropcube.pipeline.sources import CUBE, CUBE_EMIT, command_of, features_command, refuse_damaged
from cropcube.pipeline.stage import DONE, StageSummary, StageTask, StageWork, TaskResult, run_stage
from cropcube.run.options import RunOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.config import Project
    from cropcube.location import Location
    from cropcube.observations.tile import TileObservations

STAGE, BUILD = "features", "build"


@dataclass(frozen=True)
class FeaturesOptions:
    """What to compute."""

    spec: FeatureSpec = field(default_factory=FeatureSpec)


@dataclass(frozen=True)
class TilePayload:
    """What a worker needs to know to reduce one tile."""

    tile: Tile
    spec: FeatureSpec
    builds: tuple[tuple[str, str], ...] = ()
    "Key and content digest of the build records under the tile; recorded with it."
    unfinished: tuple[str, ...] = ()
    "Build tasks under the tile that are not done; recorded with it."
    days: int = 0
    "That the cube holds of the tile."


@dataclass(frozen=True)
class FeaturesSummary:
    """What came of it."""

    stage: StageSummary
    spec: FeatureSpec
    path: Location
    "The store."
    clear_share: float
    "Of the observations acquired."
    pixels_never_clear: int
    "Pixels of the finest resolution that were acquired at least once and never clear."
    incomplete_builds: tuple[str, ...]
    "Build tasks that failed in part or were never finished; once they are, `features` redoes their tiles."
    tiles_unobserved: int
    "Tiles without a single day of observation."
    notes: tuple[str, ...]
    "What was made of the options, where that may surprise."

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {
            **self.stage.as_dict(),
            "name": self.spec.name,
            "features": self.spec.as_dict(),
            "path": str(self.path),
            "clear_share": round(self.clear_share, 4),
            "pixels_never_clear": self.pixels_never_clear,
            "incomplete_builds": list(self.incomplete_builds),
            "tiles_unobserved": self.tiles_unobserved,
            "notes": list(self.notes),
        }


def features(
    project_root: Location, options: FeaturesOptions | None = None, run: RunOptions | None = None
) -> FeaturesSummary:
    """Compute one product of features for every tile of the cube.

    A tile is computed again only if what it was computed from has changed: the build records of its square, of
    neighbouring ones within the dilation, the options, the algorithm.

    Parameters
    ----------
    project_root
        The project's folder, or one below it.
    options
        What to compute; medians of 5 days by default.
    run
        Where tasks run.

    Raises
    ------
    MissingError
        If nothing was built; the message names the verb that does it.
    InvalidInputError
        If an index needs a band that the cube lacks, or not one observation of the whole season is clear (the store
        is then valid, and says so).
    ResourceError
        If a tile does not fit the memory of a worker, before the first read.
    """
    project = find_project(project_root)
    run = (run or RunOptions()).or_else(project.cluster)
    spec = (options or FeaturesOptions()).spec
    layout = feature_store_spec(spec, project.spec.season, project.spec.sensor, project.spec.tile_px)
    tasks, incomplete = plan_features(project, spec)
    for source in [CUBE_EMIT, *([spec.join] if spec.join else [])] if spec.kind == EMIT_KIND else [CUBE]:
        refuse_damaged(project, source)
    ledger = Ledger(project.ledger_path)
    path, prefix = project.features_path(spec.name), f"{STAGE}/{spec.name}"
    if not Store.exists(path):
        ledger.withdraw_all(prefix)
    Store.create(path, project.spec.grid, layout)
    stage = run_stage(project, tasks, StageWork(prefix, path, _erase, _write), run)
    stage.raise_failed()
    made = [record.details for record in ledger.records(prefix)]
    summary = _summary(project, spec, stage, made, incomplete)
    if not any(details.get("clear") for details in made):
        raise _never_clear(project, spec, made)
    return summary


def plan_features(project: Project, spec: FeatureSpec) -> tuple[list[StageTask], tuple[str, ...]]:
    """Return one task for each tile of the region, and the keys of build tasks that are not done.

    Raises
    ------
    MissingError
        If nothing was built.
    """
    seen = project.seen_by(EMIT) if spec.kind == EMIT_KIND else project
    if not Store.exists(seen.cube_path):
        command = command_of(project, seen.cube_path.stem)
        raise MissingError(f"{project.root} has no {seen.cube_path.stem} yet", f"Run `{command}` first.")
    builds = Builds.done(seen)
    tasks = list(_tasks(seen, Store.open(seen.cube_path), spec, builds))
    return (list(_joined_tasks(project, spec, tasks)) if spec.join else tasks), builds.incomplete


def _joined_tasks(project: Project, spec: FeatureSpec, tasks: Iterable[StageTask]) -> Iterator[StageTask]:
    """Yield tasks that rest on features of Sentinel-2 as well.

    Raises
    ------
    MissingError
        If those of a tile are not done.
    """
    had = contents(project, spec.joined, FEATURES)
    for task in tasks:
        under = had.get(task.key.removeprefix(f"{STAGE}/{spec.name}/"))
        if under is None:
            raise MissingError(
                f"{task.key} rests on {spec.join}, which is not done there",
                f"Run `{features_command(spec.joined)}` first.",
            )
        payload = replace(task.payload, builds=(*task.payload.builds, *under.builds))
        tile, days = task.payload.tile, task.payload.days
        memory = tile_memory_bytes(spec, project.spec.season, project.spec.sensor, tile, days)
        yield replace(task, digest=digest(task.digest, under.digest), payload=payload, memory_bytes=memory)


def _tasks(project: Project, cube: Store, spec: FeatureSpec, builds: Builds) -> Iterator[StageTask]:
    """Yield one task for each tile of the region."""
    for zone in project.spec.grid.zones:
        present, window = cube.present(zone.lattice.name), cube.zone(zone.lattice.name).index_window
        for tile in zone.tiles():
            days = int(np.count_nonzero(present[:, tile.row - window[0], tile.col - window[1]]))
            records, unfinished = builds.under(zone, tile, spec.dilate_m)
            yield StageTask(
                f"{STAGE}/{spec.name}/{zone.lattice.name}/{tile.name}",
                features_digest(project, spec, records),
                TilePayload(tile, spec, records, unfinished, days),
                tile_memory_bytes(spec, project.spec.season, project.spec.sensor, tile, days),
            )


def _erase(project: Project, task: StageTask) -> None:
    """Remove what the store holds of the tile."""
    tile: Tile = task.payload.tile
    store = Store.open(project.features_path(task.payload.spec.name), writable=True)
    for name, resolution_m in store.arrays:
        store.erase(tile.lattice.name, name, tile.box(resolution_m))


def _write(project: Project, task: StageTask) -> TaskResult:
    """Reduce one tile, one resolution after the other, so that only one is in memory."""
    payload: TilePayload = task.payload
    tile, spec = payload.tile, payload.spec
    if spec.kind == EMIT_KIND:
        return write_spectra(project, task)
    cube = Store.open(project.cube_path, threads=task.threads)
    store = Store.open(project.features_path(spec.name), writable=True, threads=task.threads)
    bands = {m: project.spec.sensor.bands_at(m) for m in project.spec.sensor.resolutions}
    bands = {m: names for m, names in bands.items() if names}
    composites: dict[int, NDArray[np.uint16] | None] = {}
    counts: Counter[str] = Counter()
    bytes_read = 0
    for resolution_m in reversed(resolutions_of(spec, bands)):
        read = tuple(band for m in resolutions_read(spec, bands, resolution_m) for band in bands[m])
        arrays, counts = _reduce(project, task, cube, resolution_m, read)
        bytes_read += counts.pop("bytes_read")
        _put(store, tile, resolution_m, arrays)
        composites[resolution_m] = arrays.get(ARRAY_OF[spec.kind]) if spec.indices else None
    for resolution_m, values in compute_indices(spec, bands, composites, task.threads).items():
        _put(store, tile, resolution_m, {INDEX: values})
    details: dict[str, Any] = {"days": len(cube.days_present(tile)), **counts, BUILDS: list(payload.builds)}
    if payload.unfinished:
        details["unfinished_builds"] = list(payload.unfinished)
    return TaskResult(DONE, details, bytes_read, store.written)


def _reduce(
    project: Project, task: StageTask, cube: Store, resolution_m: int, bands: tuple[str, ...]
) -> tuple[dict[str, NDArray[Any]], Counter[str]]:
    """Return the features of one resolution of the tile, made cell by cell, and what was counted on the way."""
    tile, spec = task.payload.tile, task.payload.spec
    arrays: dict[str, NDArray[Any]] = {}
    counts: Counter[str] = Counter()
    for cell in cells_of(tile.box(FINEST_M), cell_px(tile.tile_px)):
        seen = read_observations(cube, cell, spec.dilate_m, bands)
        made = reduce_time(spec, seen, resolution_m, project.spec.season, task.threads, task.device)
        counts.update(_count(seen, resolution_m, made[CLEAR_COUNT]))
        counts["bytes_read"] += seen.quality.nbytes + sum(values.nbytes for values in seen.reflectance.values())
        paste(arrays, made, cell.box(resolution_m), tile.box(resolution_m))
    return arrays, counts


def _count(observations: TileObservations, resolution_m: int, clear_count: NDArray[np.uint16]) -> dict[str, int]:
    """Count, in pixels of one resolution, what was acquired and what of it was clear."""
    box = observations.quality_box
    tile_box = observations.tile.box(box.resolution_m)
    acquired = (observations.quality[(slice(None), *tile_box.slices_in(box))] != NOT_ACQUIRED).sum(axis=0)
    factor = box.resolution_m // resolution_m
    clear = clear_count.reshape(-1, *observations.tile.box(resolution_m).shape).sum(axis=0, dtype=np.int64)
    seen = acquired.repeat(factor, axis=0).repeat(factor, axis=1) > 0
    return {
        "acquired": int(acquired.sum()) * factor**2,
        "clear": int(clear.sum()),
        "never_clear": int((seen & (clear == 0)).sum()),
    }


def _put(store: Store, tile: Tile, resolution_m: int, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, values in arrays.items():
        store.write(tile.lattice.name, name, tile.box(resolution_m), values)


def _summary(
    project: Project,
    spec: FeatureSpec,
    stage: StageSummary,
    made: list[Mapping[str, Any]],
    incomplete: tuple[str, ...],
) -> FeaturesSummary:
    acquired = sum(details.get("acquired", 0) for details in made)
    clear = sum(details.get("clear", 0) for details in made)
    return FeaturesSummary(
        stage,
        spec,
        project.features_path(spec.name),
        clear / acquired if acquired else 0.0,
        sum(details.get("never_clear", 0) for details in made),
        incomplete,
        sum(not details.get("days") for details in made),
        _notes(project, spec, made),
    )


def _notes(project: Project, spec: FeatureSpec, made: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    days = project.spec.season.days
    if spec.kind == EMIT_KIND:
        share = min(1.0, sum(details.get("cells", 0) for details in made) / region_cells(project.spec.region))
        return (f"EMIT saw {share:.1%} of {project.spec.region.name} without a cloud; the rest has no spectrum",)
    if spec.kind not in IN_WINDOWS or spec.window_days <= days:
        return ()
    return (f"a window of {spec.window_days} days is longer than the season of {days}: the season is one window",)


def _never_clear(project: Project, spec: FeatureSpec, made: list[Mapping[str, Any]]) -> InvalidInputError:
    days = max((details.get("days", 0) for details in made), default=0)
    if spec.kind == EMIT_KIND:
        return InvalidInputError(
            f"no clear spectrum exists: EMIT saw no cell of {project.spec.region.name} without a cloud on any of up to "
            f"{days} days of the season {project.spec.season}",
            "Build a longer season, or search again. The store holds no data, which is right.",
        )
    kept = ",".join(map(str, spec.classes))
    dilation = f" and {spec.dilate_m} m of dilation" if spec.dilate_m else ""
    return InvalidInputError(
        f"no clear observation exists: not one pixel of {project.spec.region.name} is clear on any of up to {days} "
        f"observed days of the season {project.spec.season} with the mask scl:{kept}{dilation}",
        "Keep more classes (--mask), dilate less, or build another season. The store holds no data, which is right.",
    )
