"""Where a verb takes features from: their store, the cube, or the scenes of the catalogue; and what a tile rests on.

The digest of a tile is that of its features as the ledger has or would have them, whatever they are taken from: what
is made from them is the same, so what is done from one source is done from all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import EMIT_KIND
from cropcube.errors import InvalidInputError, MissingError, UsageError
from cropcube.features.source import CubeObserving, MadeFeatures, TileObserving, stored_source
from cropcube.kernels.device import CPU
from cropcube.observations.choose import reader_for
from cropcube.observations.season import Ground, observe_season
from cropcube.pipeline.build_task import reading_threads, scenes_by_day
from cropcube.pipeline.builds import Builds, features_digest
from cropcube.pipeline.provenance import BUILDS, UsedScenes
from cropcube.pipeline.sources import CUBE, features_command, refuse_damaged, stage_of
from cropcube.pipeline.stage import DONE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from cropcube.config import Project
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.lattice import Tile, ZoneGrid
    from cropcube.domain.scene import Scene
    from cropcube.features.source import FeatureSource
    from cropcube.pipeline.stage import StageTask

FEATURES, CATALOG = "features", "catalog"
ORIGINS = (FEATURES, CUBE, CATALOG)
LISTED_FAILURES = 200
"""Failed reads that a record names; all are counted."""


@dataclass(frozen=True)
class TileContent:
    """What the features of one tile are, or would be."""

    digest: str
    "Content digest of their record."
    builds: tuple[tuple[str, str], ...] = ()
    "Key and content digest of the build records under the tile."
    unfinished: tuple[str, ...] = ()
    "Build tasks under the tile that are not done."
    reading: tuple[StageTask, ...] = ()
    "From the catalogue: build tasks whose scenes are to be read."
    days: int = 0
    "At most so many days are in memory at once; 0 where none is."


def check_origin(origin: str) -> str:
    """Return a word for where features come from, refused if it is none."""
    if origin not in ORIGINS:
        raise InvalidInputError(f"features cannot be taken from {origin!r}", f"Use one of: {', '.join(ORIGINS)}.")
    return origin


def check_samples_origin(origin: str, of_table: bool) -> None:
    """Refuse a word for where the features of samples come from, if it is none or they are the rows of a table."""
    if origin not in (FEATURES, CUBE):
        raise InvalidInputError(f"samples cannot be taken from {origin!r}", f"Use one of: {FEATURES}, {CUBE}.")
    if origin != FEATURES and of_table:
        raise UsageError("--from and --table are both given, and a table has its own series", "Leave one out.")


def contents(project: Project, spec: FeatureSpec, origin: str) -> dict[str, TileContent]:
    """Return what every tile that can be had rests on, by `utm31n/r0573c0074`.

    Raises
    ------
    MissingError
        If nothing was built (or, for the catalogue, searched); the message names the verb.
    ReadError
        If something is gone that was written.
    """
    _check_stored(spec, origin)
    if origin == FEATURES:
        return dict(_recorded(project, spec))
    if origin == CUBE:
        _check_cube(project)
    builds = Builds.done(project) if origin == CUBE else Builds.planned(project)
    return {
        f"{zone.lattice.name}/{tile.name}": _content(project, spec, builds, (zone, tile))
        for zone in project.spec.grid.zones
        for tile in zone.tiles()
    }


def contents_under(
    project: Project, spec: FeatureSpec, origin: str, pixels: Mapping[str, Sequence[NDArray[Any]]]
) -> dict[str, TileContent]:
    """Return the contents of the tiles under some pixels.

    Parameters
    ----------
    project, spec, origin
        As for `contents`.
    pixels
        Rows, then columns, on the 10 m lattice, by zone.

    Raises
    ------
    MissingError
        If the features of a tile are not done.
    """
    side = project.spec.tile_px
    places = [
        f"{zone}/r{row:04d}c{col:04d}"
        for zone, (rows, cols, *_) in sorted(pixels.items())
        for row, col in np.unique(np.column_stack([rows // side, cols // side]), axis=0).tolist()
    ]
    had = contents(project, spec, origin)
    undone = [place for place in places if place not in had]
    if undone:
        raise MissingError(
            f"the features {spec.name} are not done in {len(undone)} of {len(places)} tiles with labels ({undone[0]})",
            f"Run `{features_command(spec)}` again; it does what is missing.",
        )
    return {place: had[place] for place in places}


def _recorded(project: Project, spec: FeatureSpec) -> Iterator[tuple[str, TileContent]]:
    stage = stage_of(spec.name)
    for record in Ledger(project.ledger_path).records(stage):
        if record.state == DONE:
            details: Mapping[str, Any] = record.details
            builds = tuple((str(key), str(digest)) for key, digest in details.get(BUILDS, ()))
            unfinished = tuple(map(str, details.get("unfinished_builds", ())))
            yield record.key.removeprefix(f"{stage}/"), TileContent(record.content_digest, builds, unfinished)


def _content(project: Project, spec: FeatureSpec, builds: Builds, where: tuple[ZoneGrid, Tile]) -> TileContent:
    records, unfinished = builds.under(*where, spec.dilate_m)
    made = Record("", features_digest(project, spec, records), DONE).content_digest
    planned = [builds.tasks[key] for key, _ in records if key in builds.tasks]
    if not planned:
        days = len(Store.open(project.cube_path).days_present(where[1])) if not builds.tasks else 0
        return TileContent(made, records, unfinished, days=days)
    days = sum(item.days for item in planned)
    return TileContent(made, records, unfinished, tuple(item.task for item in planned), days)


@dataclass(frozen=True)
class TileSource:
    """The features of one tile, and what is known of them."""

    features: FeatureSource
    details: Mapping[str, Any]
    "For the record."
    bytes_read: int = 0

    @property
    def failed_reads(self) -> int:
        """Files that could not be read."""
        return int(self.details.get("failed_reads", 0))


def whole_source(
    project: Project, spec: FeatureSpec, origin: str, threads: int = 1, device: str = CPU
) -> FeatureSource:
    """Return the features of all tiles, from their store or made from the cube.

    Raises
    ------
    MissingError
        If they are not there; the message names the command that makes them.
    ReadError
        If something of the cube is gone that was written.
    """
    _check_stored(spec, origin)
    if origin == CUBE:
        _check_cube(project)
        cube = Store.open(project.cube_path, threads=threads)
        return MadeFeatures(CubeObserving(cube), spec, project.spec.season, threads, device)
    path = project.features_path(spec.name)
    if not Store.exists(path):
        raise MissingError(
            f"{project.root} has no features {spec.name}, which the model takes",
            f"Run `{features_command(spec)}` first"
            + ("." if spec.kind == EMIT_KIND else ", or use --from cube or --from catalog."),
        )
    return stored_source(Store.open(path, threads=threads))


def _check_stored(spec: FeatureSpec, origin: str) -> None:
    """Refuse features that are taken from their store alone."""
    if spec.kind == EMIT_KIND and origin != FEATURES:
        raise UsageError(
            f"{spec.name} is not made on the way from the {origin}", "Leave --from out: it is read as stored."
        )


def _check_cube(project: Project) -> None:
    if not Store.exists(project.cube_path):
        raise MissingError(f"{project.root} has no cube yet", "Run `cropcube build` first, or use --from catalog.")
    refuse_damaged(project, CUBE)


def tile_source(
    project: Project,
    spec: FeatureSpec,
    origin: str,
    where: tuple[Tile, TileContent],
    threads: int,
    device: str = CPU,
) -> TileSource:
    """Return the features of one tile; from the catalogue, its scenes are read here and kept in memory.

    Raises
    ------
    ConflictError
        If the frozen catalogue is not the one that the tile was planned from.
    """
    tile, content = where
    details: dict[str, Any] = {"unfinished_builds": list(content.unfinished)} if content.unfinished else {}
    if origin != CATALOG:
        details[BUILDS] = [list(pair) for pair in content.builds]
        return TileSource(whole_source(project, spec, origin, threads, device), details)
    scenes = _scenes(project, content)
    sensor = project.spec.sensor
    reader = reader_for(sensor)
    ground = Ground(project.spec.grid.zone(tile.lattice.name), tile, spec.dilate_m)
    files = reading_threads((scene for day in scenes.values() for scene in day), threads)
    seen = observe_season(ground, scenes, sensor, reader, files)
    used = UsedScenes()
    used.add(tile, seen.used)
    details |= used.as_details() | {"retries": reader.counts.retries}
    if seen.failed:
        failed = [{"scene": each.scene, "band": each.band, "error": each.error} for each in seen.failed]
        details |= {"failed": failed[:LISTED_FAILURES], "failed_reads": len(failed)}
    features = MadeFeatures(TileObserving(seen.observations), spec, project.spec.season, threads, device)
    return TileSource(features, details, reader.counts.bytes_read)


def _scenes(project: Project, content: TileContent) -> dict[int, list[Scene]]:
    """Return the scenes of the squares under a tile by day."""
    found: dict[int, dict[str, Scene]] = {}
    for task in content.reading:
        for day, scenes in scenes_by_day(project, task).items():
            found.setdefault(day, {}).update({scene.id: scene for scene in scenes})
    return {day: [scenes[name] for name in sorted(scenes)] for day, scenes in sorted(found.items())}
