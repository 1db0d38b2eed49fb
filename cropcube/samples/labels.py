"""Labels laid on the pixels of a grid: points, polygons or a class raster become classes of the legend."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from cropcube.catalog.vectors import VECTOR_SUFFIXES, read_vectors
from cropcube.domain.grid import inside, owned
from cropcube.domain.lattice import FINEST_M
from cropcube.errors import InvalidInputError, MissingError
from cropcube.samples.label_rules import LabelRules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cropcube.domain.grid import Grid
    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.legend import Legend
    from cropcube.domain.region import Region
    from cropcube.domain.season import Season

SampleColumns: TypeAlias = "tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8], NDArray[np.int64]]"
"""Rows, columns (absolute at 10 m), legend rows and features (-1 = of a raster) of labelled pixels of one zone."""
RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".nc", ".img")
UNLISTED = 255
"""First number of label values that are not in the legend."""
OVERLAP = "covered by different classes"
"""Why pixels are dropped: labels of two classes claim them."""
READ, NO_GEOMETRY, NO_CLASS, OUTSIDE = "read", "without geometry", "without a class", "outside the region"
"""What is counted of the features of a vector file: all of them, and those that are no labels here, by reason."""
LISTED = 12
"""Codes named in one message."""


@dataclass(frozen=True, eq=False)
class BoxLabels:
    """Labels of a box of pixels."""

    numbers: NDArray[np.int32]
    "(y, x): 1-based row of the legend; 0 = no label; from `UNLISTED` on, values that the legend does not have."
    clash: NDArray[np.bool_]
    "(y, x): whether labels of different classes cover the pixel; 0 in `numbers`."
    unlisted: Mapping[int, str]
    "What the numbers from `UNLISTED` on stand for in the label file."
    features: NDArray[np.int64]
    "(y, x): number of the feature that the pixel lies in, counted from 0; -1 = none."
    ties: NDArray[np.int64]
    "(K, 2): features of one class that have a pixel in common."


class Labels(Protocol):
    """A source of labels."""

    path: Path
    label_field: str
    geometry: frozenset[str]
    "What its features are, of `POINTS` and `POLYGONS`; empty for a raster."

    @property
    def features(self) -> int:
        """Number of features that are labels; 0 for a raster."""

    def column(self, name: str) -> NDArray[Any]:
        """Return a field's value of each feature as text."""

    def touches(self, box: PixelBox) -> bool:
        """Return whether any label may lie in a box."""

    def on(self, box: PixelBox) -> BoxLabels:
        """Return the labels of a box of pixels at 10 m."""

    def counted(self, region: Region) -> dict[str, int]:
        """Return how many features were read and how many of them are no labels of a region; empty for a raster."""


def open_labels(path: Path, legend: Legend, rules: LabelRules | None = None, season: Season | None = None) -> Labels:
    """Open a vector file or class raster of labels.

    Parameters
    ----------
    path
        Points or polygons (GeoPackage, GeoJSON, GeoParquet, ..., CSV with lon and lat), or a raster of codes.
    legend
        Says which row a code or name means.
    rules
        Which features of a vector file are labels; by default all, of the only field that there is.
    season
        Features with validity dates outside it are left out; None takes all.

    Raises
    ------
    MissingError
        If there is no such file.
    InvalidInputError
        If it is of no known kind, is empty, leaves the lon/lat range, lacks a field, or holds no label of the season.
    """
    if not path.exists():
        raise _missing(path)
    suffix = path.suffix.lower()
    if suffix in VECTOR_SUFFIXES:
        from cropcube.samples.label_vectors import VectorLabels

        return VectorLabels.read(path, read_vectors(path), legend, rules or LabelRules(), season)
    if suffix in RASTER_SUFFIXES:
        from cropcube.samples.label_raster import RasterLabels

        return RasterLabels.open(path, legend)
    known = " ".join((*VECTOR_SUFFIXES, *RASTER_SUFFIXES))
    raise InvalidInputError(f"{path} is no label file that can be read", f"Give one of: {known}")


@dataclass(frozen=True, eq=False)
class Laid:
    """Labels laid on a whole grid."""

    zones: Mapping[str, SampleColumns]
    "Rows, columns (absolute at 10 m), legend rows and features of the labelled pixels, by zone."
    dropped: dict[str, int]
    "Pixels left out, by reason."
    features: dict[str, int]
    "Features of the files: `read`, and those left out, by reason; empty for rasters."
    ties: NDArray[np.int64]
    "(K, 2): features of one class that have a pixel in common."
    unlisted: dict[str, int] = field(default_factory=dict)
    "Pixels left out since the legend does not have their class, by class."

    def __len__(self) -> int:
        return sum(len(rows) for rows, *_ in self.zones.values())


def lay(files: Sequence[Labels], legend: Legend, grid: Grid, region: Region, known_only: bool = False) -> Laid:
    """Lay labels on the pixels of a region: those within it, each in the zone that owns it.

    Pixels on which two files, or two features, say different classes are dropped. Features are counted on from file to
    file.

    Raises
    ------
    InvalidInputError
        If no label lies within the region, or (unless `known_only`) labels have classes that the legend does not.
    """
    zones, ties = {}, [np.zeros((0, 2), np.int64)]
    dropped, unlisted = 0, Counter[str]()
    for zone in grid.zones:
        found: list[SampleColumns] = [_labelled(None)]
        for box in (tile.box(FINEST_M) for tile in zone.tiles()):
            if not any(labels.touches(box) for labels in files):
                continue
            here = _together(files, box)
            ours = owned(box) & inside(region, box)
            numbers = np.where(ours, here.numbers, 0)
            dropped += int((here.clash & ours).sum())
            unlisted.update({name: int((numbers == number).sum()) for number, name in here.unlisted.items()})
            found.append(_labelled((box, numbers, here.features)))
            ties.append(here.ties)
        rows, cols, classes, features = (np.concatenate(column) for column in zip(*found, strict=True))
        zones[zone.lattice.name] = (rows, cols, classes, features)
    if not known_only:
        _refuse_unlisted(files, legend, +unlisted)
    counts = Counter[str]()
    for labels in files:
        counts.update(labels.counted(region))
    tied = np.unique(np.concatenate(ties), axis=0)
    laid = Laid(zones, {OVERLAP: dropped} if dropped else {}, dict(counts), tied, dict((+unlisted).most_common()))
    _refuse_nothing(files, legend, region, laid)
    return laid


def _together(files: Sequence[Labels], box: PixelBox) -> BoxLabels:
    """Return what all files say of a box."""
    whole = BoxLabels(
        np.zeros(box.shape, np.int32), np.zeros(box.shape, bool), {}, np.full(box.shape, -1), np.zeros((0, 2), int)
    )
    first, unlisted = 0, dict[str, int]()
    for labels in files:
        here = labels.on(box)
        numbers = here.numbers.copy()
        for number, name in here.unlisted.items():
            numbers[here.numbers == number] = unlisted.setdefault(name, UNLISTED + len(unlisted))
        features = np.where(here.features >= 0, here.features + first, -1)
        both = (whole.numbers > 0) & (numbers > 0)
        tied = both & (whole.numbers == numbers) & (whole.features >= 0) & (features >= 0)
        clash = whole.clash | here.clash | (both & (whole.numbers != numbers))
        whole = BoxLabels(
            np.where(clash, 0, np.maximum(whole.numbers, numbers)),
            clash,
            {number: name for name, number in unlisted.items()},
            np.where(clash, -1, np.where(features >= 0, features, whole.features)),
            np.concatenate([whole.ties, here.ties + first, np.column_stack([whole.features[tied], features[tied]])]),
        )
        first += labels.features
    return whole


def _refuse_nothing(files: Sequence[Labels], legend: Legend, region: Region, laid: Laid) -> None:
    if len(laid):
        return
    names = ", ".join(str(labels.path) for labels in files)
    if laid.unlisted:
        raise InvalidInputError(
            f"{names} has no class of the legend in the region {region.name}, only {listed(laid.unlisted, 'pixels')}",
            f"{_known(legend)} Give labels of some of these.",
        )
    if laid.dropped:
        raise InvalidInputError(
            f"all {laid.dropped[OVERLAP]} labelled pixels of {names} in the region {region.name} carry several classes",
            "Overlapping labels of different classes are dropped; keep one class a place.",
        )
    counts = ", ".join(f"{count} {what}" for what, count in laid.features.items() if count)
    raise InvalidInputError(
        f"no label of {names} lies on a pixel of the region {region.name}"
        + (f" (features: {counts})" if counts else ""),
        "Labels must overlap the region; are longitude and latitude swapped, or is the raster's CRS wrong?",
    )


def _labelled(found: tuple[PixelBox, NDArray[np.int32], NDArray[np.int64]] | None) -> SampleColumns:
    """Return the labelled pixels of a box; of None, no pixel."""
    if found is None:
        none = np.zeros(0, np.int32)
        return none, none, none.astype(np.uint8), none.astype(np.int64)
    box, numbers, features = found
    rows, cols = np.nonzero((numbers > 0) & (numbers < UNLISTED))
    at = rows, cols
    return (
        (rows + box.row).astype(np.int32), (cols + box.col).astype(np.int32),
        numbers[at].astype(np.uint8), features[at].astype(np.int64),
    )  # fmt: skip


def files_digest(paths: Sequence[Path]) -> str:
    """Return the sha256 of a file, or of several files' digests."""
    found = [file_digest(path) for path in paths]
    return found[0] if len(found) == 1 else hashlib.sha256(" ".join(found).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the sha256 of a file of labels; raises as `open_labels` does where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise _missing(path) from None


def _missing(path: Path) -> MissingError:
    return MissingError(f"there is no label file {path}", "Check the path.")


def _refuse_unlisted(files: Sequence[Labels], legend: Legend, unlisted: Counter[str]) -> None:
    if not unlisted:
        return
    shown = listed(dict(unlisted.most_common()), "pixels")
    raise InvalidInputError(
        f"{', '.join(str(labels.path) for labels in files)} has classes that the legend does not: {shown}",
        f"{_known(legend)} "
        + _what_to_do(unlisted, legend, next((labels.label_field for labels in files if labels.label_field), "")),
    )


def listed(counts: Mapping[str, int], what: str) -> str:
    """Return the first of some counted classes in words: `rye (12 pixels), hops (3 pixels) and 4 more`."""
    shown = ", ".join(f"{name} ({count} {what})" for name, count in list(counts.items())[:LISTED])
    return shown + (f" and {len(counts) - LISTED} more" if len(counts) > LISTED else "")


def _known(legend: Legend) -> str:
    return f"The legend has: {', '.join(f'{c.code} {c.name}' for c in legend.classes[:LISTED])}."


def _what_to_do(unlisted: Counter[str], legend: Legend, label_field: str) -> str:
    """Return how classes get into the legend: by code if they are whole numbers, by name if they are words."""
    first = unlisted.most_common(1)[0][0]
    if any(_is_fraction(value) for value in unlisted):
        return f"Codes are whole numbers; is {label_field!r} the field of classes? Give another --label-field."
    line = f"{first},name" if first.lstrip("-").isdigit() else f"{max(legend.codes) + 1},{first}"
    return f"Give --legend FILE.csv with a line code,name such as {line} for each, or take these labels out."


def _is_fraction(value: str) -> bool:
    try:
        return not float(value).is_integer()
    except (ValueError, OverflowError):
        return False
