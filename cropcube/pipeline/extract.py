"""`extract`: the series of the cube, of features or of the map at places, to GeoParquet."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from cropcube.catalog.vectors import read_vectors
from cropcube.config import find_project
from cropcube.cube.ledger import Ledger
from cropcube.domain.feature_spec import DEFAULT_CLASSES
from cropcube.errors import CropcubeError, InvalidInputError, UsageError
from cropcube.pipeline.extract_places import PointsTask, PolygonsTask, check_kind, plan_points, plan_polygons
from cropcube.pipeline.extract_table import Sources, writing
from cropcube.pipeline.extract_tasks import Found, Job, Source, nothing, perform
from cropcube.pipeline.sources import CUBE, refuse_damaged, stage_of
from cropcube.pipeline.stage import DONE
from cropcube.run.cluster import Wanted, open_executor
from cropcube.run.drive import drive
from cropcube.run.options import RunOptions
from cropcube.run.progress import note, progress_bar
from cropcube.run.task import Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cropcube.config import Project, ProjectSpec
    from cropcube.location import Location

IN_REGION = "in_region"


@dataclass(frozen=True)
class ExtractOptions:
    """What to extract."""

    points: Path | None = None
    "Vector file of points; or"
    polygons: Path | None = None
    "one of polygons."
    source: str = CUBE
    "`cube`, `map`, or a name of features such as `median-5d`."
    output: Path | None = None
    "GeoParquet file; by default NAME-SOURCE.parquet in the project's folder."
    classes: tuple[int, ...] = DEFAULT_CLASSES
    "Quality classes that count as clear."

    @property
    def places(self) -> Path:
        """The file of places.

        Raises
        ------
        UsageError
            If none is given, or two.
        """
        given = [path for path in (self.points, self.polygons) if path is not None]
        if len(given) != 1:
            raise UsageError(
                "extract takes points or polygons: " + ("both are given" if given else "none is given"),
                "Give --points FILE or --polygons FILE.",
            )
        return given[0]


@dataclass(frozen=True)
class ExtractSummary:
    """What came of it; places are counted from 0 in file order, features without a geometry left out."""

    output: Path
    source: str
    places: int
    "In the file, with a geometry."
    rows: int
    outside: tuple[int, ...]
    "Places off the project's tiles: they have no row."
    unobserved: tuple[int, ...]
    "Places that no scene covers: they have no row."
    without_pixels: tuple[int, ...]
    "Polygons too small to hold the centre of a pixel: they have no row."
    partly_outside: tuple[int, ...]
    "Polygons of which some pixels lie off the project's tiles; they are extracted from the others."
    outside_region: tuple[int, ...]
    "Points outside the region but in a tile of it: they have rows, with `in_region` false."
    without_geometry: int
    "Features of the file that were left out."
    unfinished_tasks: int
    "Tasks that made the source and are incomplete."

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        lists = ("outside", "unobserved", "without_pixels", "partly_outside", "outside_region")
        figures = ("places", "rows", "without_geometry", "unfinished_tasks")
        return {
            "output": str(self.output),
            "source": self.source,
            **{name: getattr(self, name) for name in figures},
            **{name: list(getattr(self, name)) for name in lists},
        }


@dataclass
class _Tally:
    """What has come of the places so far."""

    seen: NDArray[np.bool_]
    "Places with rows."
    rows: int = 0
    empty: list[int] = field(default_factory=list)
    partly: list[int] = field(default_factory=list)

    def add(self, found: Found) -> None:
        """Count what a task found."""
        self.seen[found.places] = True
        self.rows += found.places.size
        self.empty += found.empty
        self.partly += found.partly


def extract(project_root: Location, options: ExtractOptions, run: RunOptions | None = None) -> ExtractSummary:
    """Extract series at points, or their mean and median over polygons.

    Of the cube there is one row for each place and day on which it was acquired, with a column for each band, the
    class and whether it is clear (polygons: statistics over the clear pixels); of medians one row for each place and
    window; of harmonics and of the map one row for each place. 20 m values are those of the pixel that holds the 10 m
    one, as models get them.

    Parameters
    ----------
    project_root
        The project's folder, or one below it.
    options
        Places, source and output.
    run
        Where tasks run.

    Raises
    ------
    MissingError
        If the file or the source is not there.
    InvalidInputError
        If the file cannot be used, leaves the lon/lat range, or no place lies on the project's tiles.
    """
    project, path = find_project(project_root), options.places
    run = (run or RunOptions()).or_else(project.cluster)
    source, points = Source(project.place, options.source, options.classes), options.points is not None
    output = _output(project.output_folder, path, options)
    refuse_damaged(project, source.name)
    columns = nothing(source, points).columns
    frame = read_vectors(path)
    check_kind(frame, points)
    geometry = frame.geometry.to_numpy()
    tasks, on_tiles = _plan(project.spec, geometry, points)
    _refuse_nothing(project.spec, path, on_tiles)
    in_region = shapely.covers(project.spec.region.geometry, geometry)
    sources = Sources(frame, set(columns), {IN_REGION: in_region} if points else {})
    schema = sources.table(np.zeros(0, np.int64), columns).schema
    about = {"source": source.name, "season": str(project.spec.season), "classes": list(options.classes)}
    tally = _Tally(np.zeros(len(frame), bool))
    with writing(output, schema, sources.kinds, about) as writer:
        for found in _in_order(project, [(source, task) for task in tasks], run):
            tally.add(found)
            if found.places.size:
                writer.write_table(sources.table(found.places, found.columns))
    off = ~on_tiles
    return ExtractSummary(
        output, source.name, len(frame), tally.rows,
        outside=_listed(off),
        unobserved=_listed(on_tiles & ~tally.seen & ~_marked(tally.empty, len(frame))),
        without_pixels=_listed(on_tiles & _marked(tally.empty, len(frame))),
        partly_outside=tuple(sorted(tally.partly)),
        outside_region=_listed(on_tiles & ~in_region) if points else (),
        without_geometry=frame.attrs["without_geometry"],
        unfinished_tasks=_unfinished(project, source.name),
    )  # fmt: skip


def _output(root: Path, places: Path, options: ExtractOptions) -> Path:
    output = options.output or root / f"{places.stem}-{options.source}.parquet"
    if output.suffix.lower() not in (".parquet", ".geoparquet"):
        raise InvalidInputError(f"{output} is not called .parquet", "Give --output NAME.parquet.")
    if output.resolve() == places.resolve():
        raise InvalidInputError(f"{output} is the file of places itself", "Give another --output.")
    return output


def _plan(
    spec: ProjectSpec, geometry: NDArray[np.object_], points: bool
) -> tuple[Sequence[PointsTask | PolygonsTask], NDArray[np.bool_]]:
    """Return the tasks, and which places touch a tile of the project."""
    if points:
        return plan_points(spec, geometry)
    tasks, on_tiles = plan_polygons(spec, geometry)
    return tasks, on_tiles


def _refuse_nothing(spec: ProjectSpec, path: Path, on_tiles: NDArray[np.bool_]) -> None:
    if not on_tiles.any():
        bounds = ",".join(f"{edge:.4f}" for edge in spec.region.bounds)
        raise InvalidInputError(
            f"none of the {len(on_tiles)} places of {path} lies on the project's tiles",
            f"The region {spec.region.name} spans {bounds} (west,south,east,north).",
        )


def _in_order(project: Project, jobs: list[Job], run: RunOptions) -> Iterator[Found]:
    """Yield what each task found, in the order of the tasks, so that the file does not depend on who was faster."""
    wanted = Wanted(len(jobs), check=project.place.open, say=partial(note, quiet=run.quiet))
    tasks = (Task(f"extract/{number}", job) for number, job in enumerate(jobs))
    early: dict[str, Found] = {}
    due = 0
    with open_executor(run, wanted) as executor, progress_bar("extract", len(jobs), run.quiet) as advance:
        for outcome in drive(executor, perform, tasks):
            advance(0)
            if outcome.result is None:
                raise outcome.error or CropcubeError(f"{outcome.key} ended with nothing", "Run the command again.")
            early[outcome.key] = outcome.result
            while f"extract/{due}" in early:
                yield early.pop(f"extract/{due}")
                due += 1


def _unfinished(project: Project, source: str) -> int:
    return sum(record.state != DONE for record in Ledger(project.ledger_path).records(stage_of(source)))


def _marked(places: list[int], count: int) -> NDArray[np.bool_]:
    mask = np.zeros(count, bool)
    mask[places] = True
    return mask


def _listed(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())
