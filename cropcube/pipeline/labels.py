"""The label files of a verb: read, laid on the project's grid, and split by place."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.lattice import FINEST_M
from cropcube.errors import InvalidInputError, UsageError
from cropcube.samples.index import SampleIndex
from cropcube.samples.label_rules import LabelRules
from cropcube.samples.labels import RASTER_SUFFIXES, files_digest, lay, open_labels
from cropcube.samples.places import FIELD, REGION, SplitRule, polygons_at, regions_of, with_fields, with_patches
from cropcube.samples.split import MAX_BLOCK_M, Blocks, plan_blocks
from cropcube.samples.table import coordinates, ground_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

    from numpy.typing import NDArray

    from cropcube.config import ProjectSpec
    from cropcube.domain.legend import Legend
    from cropcube.samples.labels import Labels, Laid
    from cropcube.samples.table import TableSamples

WITHOUT_PLACE = "without a place to split by"
"""Why samples are dropped: outside the regions of the split, or without a value in its column."""


@dataclass(frozen=True)
class LabelFiles:
    """Labels as they are given: files to lay on the project's pixels, or a table that has series beside its labels."""

    paths: tuple[Path, ...]
    rules: LabelRules = field(default_factory=LabelRules)
    table: Path | None = None

    def __post_init__(self) -> None:
        if bool(self.paths) == (self.table is not None):
            both = "label files and a table are both given" if self.paths else "no labels are given"
            raise UsageError(both, "Give --labels FILE, once or more, or --table FILE of series with labels.")
        if self.table is not None and self.rules != LabelRules(self.rules.fields):
            raise UsageError(
                "dates, erosion, radius and least area are rules for label files, not for a table of series",
                "Leave them out, or give --labels FILE.",
            )
        rasters = bool(self.paths) and all(path.suffix.lower() in RASTER_SUFFIXES for path in self.paths)
        if rasters and self.rules != LabelRules():
            raise UsageError(
                f"fields, dates, erosion, radius and least area are rules for vector files; {self.name} has none",
                "Leave them out, or give points or polygons.",
            )
        twice = [path for path in self.paths if self.paths.count(path) > 1]
        if twice:
            raise UsageError(f"--labels {twice[0]} is given twice", "Give each file once.")

    @classmethod
    def of(cls, path: Path, *fields: str) -> LabelFiles:
        """Return one file, with the fields that hold its classes."""
        return cls((path,), LabelRules(fields))

    @classmethod
    def of_words(
        cls, paths: Iterable[str | PathLike[str]], fields: Iterable[str], said: Mapping[str, Any]
    ) -> LabelFiles:
        """Return files with the rules and the table that were given (None where not), in the command line's words."""
        names = {"erode": "erode_m", "radius": "radius_m", "min_area": "min_area_ha"}
        given = {names.get(word, word): value for word, value in said.items() if value is not None}
        table = given.pop("table", None)
        rules = LabelRules(tuple(fields), **given)
        return cls(tuple(Path(path) for path in paths), rules, None if table is None else Path(table))

    @classmethod
    def if_given(
        cls, paths: Iterable[str | PathLike[str]], fields: Iterable[str], said: Mapping[str, Any]
    ) -> LabelFiles | None:
        """Return the same; None where there is neither a file nor a table, refused if there are rules for them."""
        paths, fields = tuple(paths), tuple(fields)
        if paths or fields or any(said.values()):
            return cls.of_words(paths, fields, said)
        return None

    @property
    def name(self) -> str:
        """Names of the files without their folders."""
        return self.table.name if self.table else ", ".join(path.name for path in self.paths)

    @property
    def digest(self) -> str:
        """The sha256 of the file, or of the digests of several."""
        return files_digest([self.table] if self.table else self.paths)


@dataclass(frozen=True, eq=False)
class ReadLabels:
    """Label files laid on the pixels of a project."""

    files: tuple[Labels, ...]
    laid: Laid

    @property
    def index(self) -> SampleIndex:
        """All labelled pixels; `field` is the feature that each lies in."""
        return SampleIndex.join(SampleIndex.of(zone, *columns) for zone, columns in self.laid.zones.items())

    @property
    def label_fields(self) -> str:
        """Fields that classes were taken from."""
        return ", ".join(dict.fromkeys(labels.label_field for labels in self.files if labels.label_field))

    def column(self, name: str) -> NDArray[Any]:
        """Return a field's value of every feature of all files."""
        return np.concatenate([labels.column(name) for labels in self.files])


def read_labels(given: LabelFiles, legend: Legend, spec: ProjectSpec, known_only: bool = False) -> ReadLabels:
    """Read label files and lay them on the pixels of a project; `known_only` leaves out what the legend does not have.

    Raises
    ------
    MissingError
        If a file is not there.
    InvalidInputError
        If a file cannot be used, or none of the labels lies in the region, is valid in the season and of the legend.
    """
    files = tuple(open_labels(path, legend, given.rules, spec.season) for path in given.paths)
    used = {name for labels in files for name in labels.label_field.split(", ")}
    idle = [name for name in given.rules.fields if name not in used]
    if idle:
        raise InvalidInputError(
            f"no file of labels has a field {' or '.join(map(repr, idle))}", "Leave it out, or mend its name."
        )
    if any(labels.features for labels in files):
        given.rules.refuse_idle(frozenset().union(*(labels.geometry for labels in files)))
    return ReadLabels(files, lay(files, legend, spec.grid, spec.region, known_only))


def grouped(
    index: SampleIndex, rule: SplitRule, spec: ProjectSpec, labels: ReadLabels | None = None
) -> tuple[SampleIndex, Blocks]:
    """Return samples with their fields and the groups that are dealt as a whole, and the blocks laid over the region.

    Parameters
    ----------
    index
        With `labels`, `field` is the feature that each sample lies in; otherwise it is the field.
    rule
        What to split by. Samples that lie in none of its groups get the block -1.
    spec
        Of the project.
    labels
        Where the index is from.

    Raises
    ------
    InvalidInputError
        If the files of labels lack the column, or the file of regions cannot be used.
    """
    blocks = plan_blocks(spec.region, spec.grid, rule.block_m)
    group = np.zeros(len(index), np.int64)
    if rule.column is not None:
        if labels is None:
            raise UsageError(
                f"--split {rule.column} names a column, and the model's samples have none any more",
                "Give the label files again, or split by blocks, field or region.",
            )
        group = _values(index, labels, rule.column)
    index = with_fields(index, labels.laid.ties) if labels else index
    if rule.by == FIELD:
        index = with_patches(index)
        group = index.field
    elif rule.by == REGION and rule.regions is not None:
        group = regions_of(index, rule.regions)
    elif rule.column is None:
        group = block_numbers(index, blocks)
    return replace(index, block=group), blocks


def grouped_rows(path: Path, found: TableSamples, rule: SplitRule) -> tuple[SampleIndex, Blocks]:
    """Return the samples of a table with the groups that are dealt as a whole; see `grouped`.

    Raises
    ------
    InvalidInputError
        If the table has no coordinates, or lacks the column.
    """
    block_m = MAX_BLOCK_M if rule.block_m is None else rule.block_m
    blocks, index, lonlat = Blocks(block_m // FINEST_M, {}), found.index, coordinates(found.about)
    if rule.column is not None:
        if rule.column not in found.about.columns:
            raise InvalidInputError(
                f"{path} has no column {rule.column!r} to split by",
                f"It has {', '.join(map(str, found.about.columns))}.",
            )
        values = found.about[rule.column]
        numbers = np.unique(values.astype(str), return_inverse=True)[1]
        return replace(index, block=np.where(values.isna(), -1, numbers)), blocks
    if lonlat is None:
        raise InvalidInputError(
            f"{path} has no coordinates, so nothing is known of places", "Give columns lon and lat, or --split COLUMN."
        )
    if rule.by == FIELD:
        return replace(index, block=index.field), blocks
    if rule.regions is not None:
        return replace(index, block=polygons_at(lonlat, rule.regions)), blocks
    return replace(index, block=ground_blocks(lonlat, block_m)), blocks


def block_numbers(index: SampleIndex, blocks: Blocks) -> NDArray[np.int64]:
    """Return the block of each sample."""
    numbers = np.zeros(len(index), np.int64)
    for zone in index.zones:
        mine = index.in_zone(zone)
        numbers[mine] = blocks.of(zone, index.row[mine], index.col[mine])
    return numbers


def _values(index: SampleIndex, labels: ReadLabels, column: str) -> NDArray[np.int64]:
    """Return a number for the value that each sample's feature has in a column; -1 = none."""
    values = labels.column(column)
    if not (values != "").any():
        raise InvalidInputError(f"the column {column!r} is empty", "Give another --split.")
    numbers = np.where(values == "", -1, np.unique(values, return_inverse=True)[1])
    found: NDArray[np.int64] = numbers[index.field].astype(np.int64)
    return found
