"""Splitting samples by place: whole groups (square blocks, fields, regions) are dealt out, never single pixels.

Neighbouring pixels are nearly copies of one another; a split by pixel measures memory, not skill. Nor may a field be in
two sets: one that reaches over the border of its block is used on one side only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pyproj import Transformer
from shapely import get_coordinates

from cropcube.domain.grid import zone_pieces
from cropcube.domain.lattice import FINEST_M
from cropcube.errors import InvalidInputError
from cropcube.samples.index import LEFT_OUT, NO_FIELD
from cropcube.samples.index import SETS as SETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from cropcube.domain.grid import Grid
    from cropcube.domain.lattice import Lattice
    from cropcube.domain.region import Region

MAX_BLOCK_M = 5000
"""Default blocks are a quarter of the region's shorter side, and at most this."""
ATTEMPTS, MANY_BLOCKS = 32, 4096
"""Deals that are tried for the three sets; fewer where there are many blocks, which even out by themselves."""
_PARTS = (0, 1, 2, 0, 0)
"""Set of each of five equal parts: three fifths train, one validates, one tests."""


@dataclass(frozen=True)
class Blocks:
    """Squares of the ground, counted from the top left of the region's bounds in each zone."""

    block_px: int
    "Side in 10 m pixels."
    anchors: Mapping[str, tuple[int, int]]
    "(row, col) of the pixel at the top left of block (0, 0), by zone."

    def of(self, zone: str, rows: NDArray[np.integer[Any]], cols: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return a number for the block of each pixel, unique over zones.

        Parameters
        ----------
        zone
            Name of the zone; all pixels lie in it.
        rows, cols
            Absolute pixel rows and columns on the zone's 10 m lattice, (N,).
        """
        row, col = self.anchors[zone]
        block_row = (np.asarray(rows, dtype=np.int64) - row) // self.block_px
        block_col = (np.asarray(cols, dtype=np.int64) - col) // self.block_px
        place = sorted(self.anchors).index(zone)
        return (place << 48) + ((block_row + 2**23) << 24) + (block_col + 2**23)


def plan_blocks(region: Region, grid: Grid, block_m: int | None = None) -> Blocks:
    """Lay blocks over a region.

    Parameters
    ----------
    region, grid
        The project's; blocks are anchored in every zone of the grid.
    block_m
        Side in metres, a multiple of 10; None takes a quarter of the region's shorter side, at most 5 km.

    Raises
    ------
    InvalidInputError
        If the side is no positive multiple of 10.
    """
    pieces = zone_pieces(region)
    bounds = {z.lattice.name: _bounds_px(pieces.get(z.lattice, region.geometry), z.lattice) for z in grid.zones}
    if block_m is None:
        shorter = max(min(bottom - top, right - left) for top, left, bottom, right in bounds.values())
        block_m = max(FINEST_M, min(MAX_BLOCK_M, shorter * FINEST_M // 4) // FINEST_M * FINEST_M)
    if block_m <= 0 or block_m % FINEST_M:
        raise InvalidInputError(
            f"blocks of {block_m} m do not fit whole pixels", f"Give --block-m as a positive multiple of {FINEST_M}."
        )
    return Blocks(block_m // FINEST_M, {zone: (top, left) for zone, (top, left, _, _) in bounds.items()})


def deal(blocks: NDArray[np.int64], labels: NDArray[np.uint8], parts: int, seed: int) -> NDArray[np.int64]:
    """Deal whole blocks into parts that hold about the same share of every class.

    Blocks are taken in an order that the seed shuffles, those rich in rare classes first, each into the part where the
    shares of the classes then differ least.

    Parameters
    ----------
    blocks
        Block number of each sample, (N,).
    labels
        Class of each sample, (N,).
    parts
        How many parts, at least 2.
    seed
        Same seed, same parts.

    Returns
    -------
    part of each sample from 0, (N,).

    Raises
    ------
    InvalidInputError
        If there are fewer blocks than parts.
    """
    shares, block_of = _shares(blocks, labels)
    if parts < 2 or len(shares) < parts:
        raise InvalidInputError(
            f"the samples lie in {len(shares)} blocks, which cannot be dealt into {parts} parts",
            "Give smaller blocks (--block-m METRES), fewer folds, or labels from more places.",
        )
    nowhere = np.full(len(shares), -1, dtype=np.int64)
    return _deal_in_order(shares, _order(shares, seed, 0), parts, nowhere)[block_of]


def three_sets(
    blocks: NDArray[np.int64], labels: NDArray[np.uint8], seed: int, fields: NDArray[np.int64] | None = None
) -> NDArray[np.uint8]:
    """Return the set (index into `SETS`) of each sample: three fifths train, one validation, one test by blocks.

    With three or four blocks there are as many parts. A class of a single place (see `places`) is for training, as long
    as two blocks are left: it can be learnt but not tested. Of several deals drawn from the seed the one is taken that
    spreads the classes best. No two sets share a block or a field: a field that was dealt into several is tested if it
    can be, else validated, and its other samples are `LEFT_OUT` (of a class of a single place, they train). Raises as
    `deal` does.
    """
    deal(blocks, labels, len(SETS), seed)
    fields = np.full(len(blocks), NO_FIELD, np.int64) if fields is None else fields
    shares, block_of = _shares(blocks, labels)
    parts = min(len(_PARTS), len(shares))
    set_of_part = np.array(_PARTS[:parts], dtype=np.uint8)
    given = _for_training(shares, places(blocks, fields, labels), set_of_part)
    lone = np.isin(labels, np.unique(labels)[places(blocks, fields, labels) == 1])
    wanted = np.bincount(set_of_part) / parts
    best, least = np.zeros(0, dtype=np.uint8), np.inf
    for attempt in range(min(ATTEMPTS, max(1, MANY_BLOCKS // len(shares)))):
        dealt = set_of_part[_deal_in_order(shares, _order(shares, seed, attempt), parts, given)][block_of]
        found = _without_shared_fields(dealt, fields, lone)
        filled = _spread(found, labels)
        # a class that cannot be learnt is worse than any share that is off
        off = float(((filled - wanted[:, None]) ** 2).sum()) + int((filled[0] == 0).sum())
        if off < least and filled.any(axis=1).all():
            best, least = found, off
    if not len(best):
        raise InvalidInputError(
            f"the samples lie in {len(shares)} blocks, and fields reach over all of them",
            "Split by whole fields (--split field), give larger blocks (--block-m METRES), or labels of more places.",
        )
    return best


def places(blocks: NDArray[np.int64], fields: NDArray[np.int64], labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return in how many places each class lies, in the order of `np.unique(labels)`.

    The fewer of its blocks and its fields: one place cannot be on both sides of a split, two can.
    """
    classes, class_of = np.unique(labels, return_inverse=True)
    in_blocks = np.bincount(np.unique(np.stack([class_of, blocks]), axis=1)[0], minlength=len(classes))
    distinct = np.where(fields == NO_FIELD, -2 - np.arange(len(fields)), fields)
    in_fields = np.bincount(np.unique(np.stack([class_of, distinct]), axis=1)[0], minlength=len(classes))
    return np.minimum(in_blocks, in_fields)


def folds(blocks: NDArray[np.int64], labels: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.int64]:
    """Return the fold (0 to `count` - 1) of each sample, whole blocks together. Raises as `deal` does."""
    return deal(blocks, labels, count, seed)


def apart_from(held: NDArray[np.bool_], fields: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which samples are not held and of no field that is held: what may be learnt from to test the held."""
    return ~held & ~np.isin(fields, fields[held & (fields != NO_FIELD)])


def _shares(blocks: NDArray[np.int64], labels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the part of each class that each block holds, (blocks, classes), and the row of each sample."""
    numbers, block_of = np.unique(blocks, return_inverse=True)
    classes, class_of = np.unique(labels, return_inverse=True)
    counts = np.bincount(block_of * len(classes) + class_of, minlength=len(numbers) * len(classes))
    shares = counts.reshape(len(numbers), len(classes)) / np.bincount(class_of)
    return shares, block_of


def _for_training(
    shares: NDArray[np.float64], places_C: NDArray[np.int64], set_of_part: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Return a training part for the block that holds most of each class of a single place, -1 for all others."""
    given = np.full(len(shares), -1, dtype=np.int64)
    sole = np.unique(shares[:, places_C == 1].argmax(axis=0))
    if len(sole) <= len(shares) - 2:
        for_training = np.flatnonzero(set_of_part == 0)
        given[sole] = for_training[np.arange(len(sole)) % len(for_training)]
    return given


def _without_shared_fields(
    part: NDArray[np.uint8], fields: NDArray[np.int64], lone: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return the sets, `LEFT_OUT` for samples of a field that goes to another; `lone` ones rather train than test."""
    known = np.flatnonzero(fields != NO_FIELD)
    if not len(known):
        return part
    numbers, field_of = np.unique(fields[known], return_inverse=True)
    of_lone_class = np.isin(field_of, field_of[lone[known]])
    wish = np.where(of_lone_class, part[known], len(SETS) - 1 - part[known])
    first = np.full(len(numbers), len(SETS))
    np.minimum.at(first, field_of, wish)
    found = part.copy()
    found[known[wish != first[field_of]]] = LEFT_OUT
    return found


def _spread(part: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return which part of each class each set holds, (sets, classes)."""
    classes, class_of = np.unique(labels, return_inverse=True)
    kept = part != LEFT_OUT
    counts = np.bincount(part[kept] * len(classes) + class_of[kept], minlength=len(SETS) * len(classes))
    shares: NDArray[np.float64] = counts.reshape(len(SETS), len(classes)) / np.bincount(class_of)
    return shares


def _order(shares: NDArray[np.float64], seed: int, attempt: int) -> NDArray[np.int64]:
    """Return the blocks in an order drawn from the seed, those that hold much of a class first."""
    order = np.random.default_rng([seed, 0x5B11, attempt]).permutation(len(shares))
    return order[np.argsort(-np.ceil(shares.max(axis=1)[order] * 4), kind="stable")]


def _deal_in_order(
    shares: NDArray[np.float64], order: NDArray[np.int64], parts: int, given: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the part of each block; those with a part already `given` (not -1) keep it."""
    filled = np.zeros((parts, shares.shape[1]))
    np.add.at(filled, given[given >= 0], shares[given >= 0])
    sizes = np.bincount(given[given >= 0], minlength=parts)
    part_of = given.copy()
    most = max(-(-len(shares) // parts), int(sizes.max()))
    for block in order[given[order] < 0]:
        # the increase of the sum of squared shares; equal totals make this the least difference between parts
        cost = (2 * filled * shares[block]).sum(axis=1) + np.where(sizes >= most, np.inf, 0.0)
        best = np.lexsort((sizes, cost.round(9)))[0]
        part_of[block] = best
        filled[best] += shares[block]
        sizes[best] += 1
    return part_of


def _bounds_px(geometry: BaseGeometry, lattice: Lattice) -> tuple[int, int, int, int]:
    """First row, first column, last row + 1, last column + 1 of pixels whose centres lie in a geometry's bounds."""
    lon, lat = get_coordinates(geometry).T
    x, y = Transformer.from_crs("EPSG:4326", lattice.crs, always_xy=True).transform(lon, lat)
    keep = np.isfinite(x) & np.isfinite(y)
    x, y = np.round(x[keep], 3), np.round(y[keep], 3)

    def first(distance: float) -> int:
        return int(np.ceil(distance / FINEST_M - 0.5))

    return (
        first(lattice.top_m - y.max()),
        first(x.min() - lattice.left_m),
        first(lattice.top_m - y.min()),
        first(x.max() - lattice.left_m),
    )
