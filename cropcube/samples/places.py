"""What samples have in common: the field they lie in, and the group of ground that is dealt as a whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from cropcube.catalog.vectors import read_vectors
from cropcube.domain.grid import lonlat_of
from cropcube.domain.lattice import Lattice
from cropcube.errors import InvalidInputError, UsageError
from cropcube.samples.index import NO_FIELD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.lattice import Lattice
    from cropcube.samples.index import SampleIndex

BLOCKS, FIELD, REGION = "blocks", "field", "region"
"""What samples can be split by, beside a column of the label files."""


@dataclass(frozen=True)
class SplitRule:
    """What is dealt as a whole to training, validation and test, or to folds."""

    by: str = BLOCKS
    "`blocks` of ground, `field`, `region` (the polygons of a file), or the name of a column of the label files."
    block_m: int | None = None
    "Side of the blocks; None = a quarter of the region's shorter side, at most 5 km."
    regions: Path | None = None
    "Polygons to split by."

    def __post_init__(self) -> None:
        if not self.by.strip():
            raise UsageError("--split says nothing", "Give --split blocks, field, region or a column of the labels.")
        if self.block_m is not None and self.by != BLOCKS:
            raise UsageError(
                f"--block-m belongs to --split {BLOCKS}, not to {self.by}", "Leave --block-m out, or split by blocks."
            )
        if (self.regions is None) == (self.by == REGION):
            raise UsageError(
                f"--split {REGION} and --regions FILE go together", "Give both, or split by blocks, field or a column."
            )

    @property
    def column(self) -> str | None:
        """The column of the label files to split by."""
        return None if self.by in (BLOCKS, FIELD, REGION) else self.by


def with_fields(index: SampleIndex, ties: NDArray[np.int64]) -> SampleIndex:
    """Return an index whose features are one field where they are tied.

    Parameters
    ----------
    index
        `field` is the feature that each sample lies in.
    ties
        (K, 2): features that have a pixel in common.
    """
    known = index.field != NO_FIELD
    if not len(ties) or not known.any():
        return index
    count = int(max(index.field.max(), ties.max())) + 1
    field = index.field.copy()
    field[known] = _components(count, ties[:, 0], ties[:, 1])[field[known]]
    return replace(index, field=field)


def with_patches(index: SampleIndex) -> SampleIndex:
    """Return an index where samples without a field get one: the connected patch of their class, edge to edge.

    A raster of classes says no more about fields than that.
    """
    bare = np.flatnonzero(index.field == NO_FIELD)
    if not len(bare):
        return index
    key = np.column_stack([index.zone[bare], index.row[bare], index.col[bare]]).astype(np.int64)
    packed = (key[:, 0] << 48) + (key[:, 1] << 24) + key[:, 2]
    order = np.argsort(packed)
    first, second = [], []
    for step in (1, 1 << 24):  # the pixel to the right, the pixel below
        place = np.searchsorted(packed[order], packed + step).clip(max=len(bare) - 1)
        there = order[place]
        joined = (packed[there] == packed + step) & (index.label[bare[there]] == index.label[bare])
        first.append(np.flatnonzero(joined))
        second.append(there[joined])
    patch = _components(len(bare), np.concatenate(first), np.concatenate(second))
    field = index.field.copy()
    field[bare] = patch + field.max() + 1
    return replace(index, field=field)


def regions_of(index: SampleIndex, path: Path) -> NDArray[np.int64]:
    """Return the number of the polygon of a file that each sample's centre lies in; see `polygons_at`."""
    lonlat = np.zeros((len(index), 2))
    for zone in index.zones:
        mine = np.flatnonzero(index.in_zone(zone))
        lonlat[mine] = lonlat_of(Lattice.named(zone), index.row[mine], index.col[mine])
    return polygons_at(lonlat, path)


def polygons_at(lonlat: NDArray[np.float64], path: Path) -> NDArray[np.int64]:
    """Return the number of the polygon of a file that each place (N, 2) lies in, the first of several; -1 = none.

    Raises
    ------
    MissingError
        If there is no such file.
    InvalidInputError
        If it cannot be read, or holds no polygons.
    """
    shapes = read_vectors(path).geometry.to_numpy()
    if (shapely.get_dimensions(shapes) != 2).any():
        raise InvalidInputError(f"{path} holds more than polygons", "Regions to split by are polygons.")
    found = np.full(len(lonlat), len(shapes), dtype=np.int64)
    which, shape = shapely.STRtree(shapes).query(shapely.points(lonlat), predicate="intersects")
    np.minimum.at(found, which, shape)
    return np.where(found == len(shapes), -1, found)


def _components(count: int, first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of the connected component of each of `count` things."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(count, count))
    found: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return found
