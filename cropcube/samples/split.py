"""Splitting samples by place: whole square blocks are dealt out, never single pixels.

Neighbouring pixels are nearly copies of one another; a split by pixel measures memory, not skill.
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from cropcube.domain.grid import Grid
    from cropcube.domain.lattice import Lattice
    from cropcube.domain.region import Region

MAX_BLOCK_M = 5000
"""Default blocks are a quarter of the region's shorter side, and at most this."""
SETS = ("train", "validation", "test")
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
    numbers, block_of = np.unique(blocks, return_inverse=True)
    if parts < 2 or len(numbers) < parts:
        raise InvalidInputError(
            f"the samples lie in {len(numbers)} blocks, which cannot be dealt into {parts} parts",
            "Give smaller blocks (--block-m METRES), fewer folds, or labels from more places.",
        )
    classes, class_of = np.unique(labels, return_inverse=True)
    shares = np.zeros((len(numbers), len(classes)))
    np.add.at(shares, (block_of, class_of), 1.0)
    shares /= shares.sum(axis=0)
    order = np.random.default_rng([seed, 0x5B11]).permutation(len(numbers))
    order = order[np.argsort(-np.ceil(shares.max(axis=1)[order] * 4), kind="stable")]
    return _deal_in_order(shares, order, parts)[block_of]


def three_sets(blocks: NDArray[np.int64], labels: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Return the set (index into `SETS`) of each sample: three fifths train, one validation, one test by blocks.

    With three or four blocks there are as many parts. A block that alone holds a class is for training, as long as
    there are two others: such a class can be learnt but not tested. Raises as `deal` does.
    """
    numbers, block_of = np.unique(blocks, return_inverse=True)
    parts = min(len(_PARTS), max(len(SETS), len(numbers)))
    part_of_block = np.zeros(len(numbers), dtype=np.int64)
    part_of_block[block_of] = deal(blocks, labels, parts, seed)
    set_of_block = np.array(_PARTS, dtype=np.uint8)[part_of_block]
    sole = np.zeros(len(numbers), dtype=bool)
    for label in np.unique(labels):
        holders = np.unique(block_of[labels == label])
        sole[holders] |= len(holders) == 1
    for block in np.flatnonzero(sole & (set_of_block > 0)):
        # an own set for it: exchanged with a training block that holds no class alone
        free = np.flatnonzero(~sole & (set_of_block == 0))
        if len(free):
            set_of_block[free[0]], set_of_block[block] = set_of_block[block], 0
    return set_of_block[block_of]


def folds(blocks: NDArray[np.int64], labels: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.int64]:
    """Return the fold (0 to `count` - 1) of each sample, whole blocks together. Raises as `deal` does."""
    return deal(blocks, labels, count, seed)


def _deal_in_order(shares: NDArray[np.float64], order: NDArray[np.int64], parts: int) -> NDArray[np.int64]:
    filled = np.zeros((parts, shares.shape[1]))
    sizes = np.zeros(parts, dtype=np.int64)
    part_of = np.zeros(len(shares), dtype=np.int64)
    most = -(-len(shares) // parts)
    for block in order:
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
