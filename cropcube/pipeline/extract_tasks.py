"""The two kinds of work of an extraction: points in a tile, and some polygons."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from cropcube.errors import InvalidInputError
from cropcube.pipeline.extract_places import PointsTask, PolygonsTask, blocks_of_points, pixels_of, together
from cropcube.pipeline.extract_series import (
    Columns,
    acquired_of,
    blocks_of_steps,
    clear_of,
    read_series,
    statistics,
    steps_of,
    valid_of,
)
from cropcube.pipeline.sources import CUBE, open_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from cropcube.config import Project, ProjectPlace
    from cropcube.cube.store import Store
    from cropcube.pipeline.extract_places import Pixels

BLOCK_PX = 192
"""Points are read by blocks of this side: about a chunk of the cube."""
GROUP_PX = 512
"""Polygons with their middle in one square of this side are read together."""


@dataclass(frozen=True)
class Source:
    """What is extracted from."""

    place: ProjectPlace
    name: str
    "`cube`, `map`, or a name of features."
    classes: tuple[int, ...]
    "Quality classes that count as clear."

    @property
    def project(self) -> Project:
        """The project; raises what `ProjectPlace.open` does."""
        return self.place.open()


@dataclass(frozen=True, eq=False)
class Found:
    """What a task found."""

    places: NDArray[np.int64]
    "Of every row."
    columns: Mapping[str, NDArray[Any]]
    "By name, one value a row."
    empty: tuple[int, ...] = ()
    "Polygons without a pixel in the project's tiles."
    partly: tuple[int, ...] = ()
    "Polygons with some pixels off them."


Rows = dict[str, "NDArray[Any]"]
Job = tuple[Source, PointsTask | PolygonsTask]


def perform(job: Job) -> Found:
    """Extract the places of one task."""
    source, task = job
    store = open_source(source.project, source.name)
    columns = Columns.of(store)
    if isinstance(task, PointsTask):
        return _points(source, store, columns, task)
    return _polygons(source, store, columns, task)


def nothing(source: Source, points: bool) -> Found:
    """Return no rows, with the columns and types that rows have.

    Raises
    ------
    InvalidInputError
        If the source has no meaning for polygons.
    """
    store = open_source(source.project, source.name)
    if not points and store.kind == "map":
        raise InvalidInputError(
            "the map holds classes, which have no mean over a polygon", "Use --points, or --from a name of features."
        )
    columns = Columns.of(store)
    series = {name: np.zeros((0, 0), dtype) for name, dtype in columns.dtypes.items()}
    none = np.zeros(0, np.int64)
    if points:
        return Found(none, _point_rows(source, columns, series, [])[1])
    return Found(none, _polygon_rows(source, columns, series, []))


def _points(source: Source, store: Store, columns: Columns, task: PointsTask) -> Found:
    """Extract the points of one tile."""
    places, rows = [], []
    for numbers, pixels in blocks_of_points(task, BLOCK_PX):
        steps = steps_of(store, columns, [pixels])
        for block in blocks_of_steps(store, [pixels], steps):
            series = read_series(store, columns, pixels, block)
            at, found = _point_rows(source, columns, series, block)
            places.append(numbers[at])
            rows.append(found)
    if not rows:
        return nothing(source, points=True)
    joined = {name: np.concatenate([found[name] for found in rows]) for name in rows[0]}
    every = np.concatenate(places)
    order = np.argsort(every, kind="stable")
    return Found(every[order], {name: values[order] for name, values in joined.items()})


def _point_rows(
    source: Source, columns: Columns, series: Rows, steps: list[int]
) -> tuple[NDArray[np.intp], dict[str, NDArray[Any]]]:
    """Return the point of every row, and the rows: point by point, steps ascending."""
    shape = next(iter(series.values())).shape
    keep = np.ones(shape, bool)
    if source.name == CUBE:
        keep = acquired_of(series)
        series = {**series, "clear": clear_of(columns, series, source.classes)}
    point, step = np.nonzero(keep.T)
    rows = _step_column(columns, steps, step)
    return point, {**rows, **{name: values[step, point] for name, values in series.items()}}


def _polygons(source: Source, store: Store, columns: Columns, task: PolygonsTask) -> Found:
    """Extract some polygons; those under the same chunks are read together."""
    empty, partly = [], []
    groups: dict[Any, dict[int, list[Pixels]]] = defaultdict(dict)
    for number, polygon in zip(task.places.tolist(), shapely.from_wkb(task.wkb), strict=True):
        parts, off = pixels_of(source.project.spec, polygon)
        if not parts:
            empty.append(number)
            continue
        if off:
            partly.append(number)
        box = parts[0].box
        near = (box.lattice.name, (box.row + box.height // 2) // GROUP_PX, (box.col + box.width // 2) // GROUP_PX)
        groups[near if len(parts) == 1 else number][number] = parts
    found = [rows for group in groups.values() for rows in _group(source, store, columns, group)]
    if not found:
        return Found(np.zeros(0, np.int64), nothing(source, points=False).columns, tuple(empty), tuple(partly))
    joined = {name: np.concatenate([rows[name] for _, rows in found]) for name in found[0][1]}
    places = np.concatenate([np.full(len(rows["pixels"]), number, np.int64) for number, rows in found])
    order = np.argsort(places, kind="stable")
    sorted_rows = {name: values[order] for name, values in joined.items()}
    return Found(places[order], sorted_rows, tuple(empty), tuple(partly))


def _group(
    source: Source, store: Store, columns: Columns, group: Mapping[int, list[Pixels]]
) -> Iterator[tuple[int, Rows]]:
    """Yield the rows of polygons that are read together, block of steps by block of steps."""
    read = next(iter(group.values())) if len(group) == 1 else [together([parts[0] for parts in group.values()])]
    days = {number: set(steps_of(store, columns, parts)) for number, parts in group.items()}
    ends = np.cumsum([sum(part.rows.size for part in parts) for parts in group.values()])
    for block in blocks_of_steps(store, read, sorted(set().union(*days.values()))):
        series = _joined(store, columns, read, block)
        for number, end, parts in zip(group, ends, group.values(), strict=True):
            mine = slice(end - sum(part.rows.size for part in parts), end)
            kept = [at for at, step in enumerate(block) if step in days[number]]
            own = {name: values[kept, mine] for name, values in series.items()}
            yield number, _polygon_rows(source, columns, own, [block[at] for at in kept])


def _joined(store: Store, columns: Columns, parts: list[Pixels], steps: list[int]) -> Rows:
    """Return the series of all pixels of a polygon, whatever zone they lie in."""
    every: dict[str, list[NDArray[Any]]] = defaultdict(list)
    for part in parts:
        for name, values in read_series(store, columns, part, steps).items():
            every[name].append(values)
    return {name: np.concatenate(values, axis=1) for name, values in every.items()}


def _polygon_rows(source: Source, columns: Columns, series: Rows, steps: list[int]) -> Rows:
    """Return a polygon's statistics, one row for each step (of the cube: on which some pixel was acquired)."""
    length, pixels = next(iter(series.values())).shape
    rows = _step_column(columns, steps, np.arange(length))
    rows["pixels"] = np.full(length, pixels, np.int32)
    names = [name for name in series if name != "quality"]
    keep = np.ones(length, bool)
    if source.name == CUBE:
        acquired, clear = acquired_of(series), clear_of(columns, series, source.classes)
        keep = np.any(acquired, axis=1)
        rows["acquired"], rows["clear"] = acquired.sum(axis=1, dtype=np.int32), clear.sum(axis=1, dtype=np.int32)
        means, medians = statistics(np.stack([series[name] for name in names]), clear)
    else:
        each = [statistics(series[name][None], valid_of(columns, name, series[name])) for name in names]
        means, medians = (np.concatenate(found) for found in zip(*each, strict=True))
    for name, mean, median in zip(names, means, medians, strict=True):
        rows[f"{name}_mean"], rows[f"{name}_median"] = mean, median
    return {name: values[keep] for name, values in rows.items()}


def _step_column(columns: Columns, steps: list[int], at: NDArray[np.intp]) -> Rows:
    """Return the column of days (cube) or first days of windows."""
    if columns.long is None:
        return {}
    labels = np.array([columns.steps[step] for step in steps], dtype="datetime64[D]")
    return {"date" if columns.long == "time" else "window": labels[at]}
