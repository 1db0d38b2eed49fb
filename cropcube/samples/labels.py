"""Labels laid on the pixels of a grid: points, polygons or a class raster become classes of the legend."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from cropcube.catalog.vectors import VECTOR_SUFFIXES, read_vectors
from cropcube.domain.grid import inside, owned
from cropcube.domain.lattice import FINEST_M
from cropcube.errors import InvalidInputError, MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cropcube.domain.grid import Grid
    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.legend import Legend
    from cropcube.domain.region import Region

SampleColumns: TypeAlias = "tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]"
"""Rows, columns (absolute at 10 m) and legend rows of labelled pixels of one zone."""
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


class Labels(Protocol):
    """A source of labels."""

    path: Path
    label_field: str

    def touches(self, box: PixelBox) -> bool:
        """Return whether any label may lie in a box."""

    def on(self, box: PixelBox) -> BoxLabels:
        """Return the labels of a box of pixels at 10 m."""

    def counted(self, region: Region) -> dict[str, int]:
        """Return how many features were read and how many of them are no labels of a region; empty for a raster."""


def open_labels(path: Path, legend: Legend, label_field: str | None = None) -> Labels:
    """Open a vector file or class raster of labels.

    Parameters
    ----------
    path
        Points or polygons (GeoPackage, GeoJSON, GeoParquet, ..., CSV with lon and lat), or a raster of codes.
    legend
        Says which row a code or name means.
    label_field
        Field of a vector file that holds the class; may be left out where there is only one.

    Raises
    ------
    MissingError
        If there is no such file.
    InvalidInputError
        If it is of no known kind, is empty, leaves the lon/lat range, or lacks the field.
    """
    if not path.exists():
        raise MissingError(f"there is no label file {path}", "Check the path.")
    suffix = path.suffix.lower()
    if suffix in VECTOR_SUFFIXES:
        from cropcube.samples.label_vectors import VectorLabels

        return VectorLabels.read(path, read_vectors(path), legend, label_field)
    if suffix in RASTER_SUFFIXES:
        from cropcube.samples.label_raster import RasterLabels

        return RasterLabels.open(path, legend)
    known = " ".join((*VECTOR_SUFFIXES, *RASTER_SUFFIXES))
    raise InvalidInputError(f"{path} is no label file that can be read", f"Give one of: {known}")


@dataclass(frozen=True, eq=False)
class Laid:
    """Labels laid on a whole grid."""

    zones: Mapping[str, SampleColumns]
    "Rows, columns (absolute at 10 m) and legend rows of the labelled pixels, by zone."
    dropped: dict[str, int]
    "Pixels left out, by reason."
    features: dict[str, int]
    "Features of the file: `read`, and those left out, by reason; empty for a raster."

    def __len__(self) -> int:
        return sum(len(rows) for rows, _, _ in self.zones.values())


def lay(labels: Labels, legend: Legend, grid: Grid, region: Region) -> Laid:
    """Lay labels on the pixels of a region: those within it, each in the zone that owns it.

    Raises
    ------
    InvalidInputError
        If no label lies within the region, or labels have classes that the legend does not.
    """
    zones = {}
    dropped, unlisted = 0, Counter[str]()
    for zone in grid.zones:
        found: list[SampleColumns] = [(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.uint8))]
        for box in (tile.box(FINEST_M) for tile in zone.tiles()):
            if not labels.touches(box):
                continue
            ours = owned(box) & inside(region, box)
            here = labels.on(box)
            numbers = np.where(ours, here.numbers, 0)
            dropped += int((here.clash & ours).sum())
            unlisted.update({name: int((numbers == number).sum()) for number, name in here.unlisted.items()})
            found.append(_labelled(box, numbers))
        rows, cols, classes = (np.concatenate(column) for column in zip(*found, strict=True))
        zones[zone.lattice.name] = (rows, cols, classes)
    unlisted = +unlisted
    _refuse_unlisted(labels, legend, unlisted)
    laid = Laid(zones, {OVERLAP: dropped} if dropped else {}, labels.counted(region))
    if not len(laid) and dropped:
        raise InvalidInputError(
            f"all {dropped} labelled pixels of {labels.path} in the region {region.name} carry several classes",
            "Overlapping labels of different classes are dropped; keep one class a place.",
        )
    if not len(laid):
        counts = ", ".join(f"{count} {what}" for what, count in laid.features.items() if count)
        raise InvalidInputError(
            f"no label of {labels.path} lies on a pixel of the region {region.name}"
            + (f" (features: {counts})" if counts else ""),
            "Labels must overlap the region; are longitude and latitude swapped, or is the raster's CRS wrong?",
        )
    return laid


def _labelled(box: PixelBox, numbers: NDArray[np.int32]) -> SampleColumns:
    rows, cols = np.nonzero((numbers > 0) & (numbers < UNLISTED))
    classes = numbers[rows, cols].astype(np.uint8)
    return (rows + box.row).astype(np.int32), (cols + box.col).astype(np.int32), classes


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_unlisted(labels: Labels, legend: Legend, unlisted: Counter[str]) -> None:
    if not unlisted:
        return
    shown = ", ".join(f"{value} ({count} pixels)" for value, count in unlisted.most_common(LISTED))
    more = f" and {len(unlisted) - LISTED} more" if len(unlisted) > LISTED else ""
    raise InvalidInputError(
        f"{labels.path} has classes that the legend does not: {shown}{more}",
        f"The legend has: {', '.join(f'{c.code} {c.name}' for c in legend.classes[:LISTED])}. "
        + _what_to_do(unlisted, legend, labels.label_field),
    )


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
