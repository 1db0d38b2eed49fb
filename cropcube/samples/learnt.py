"""Where a model has learnt: which pixels and which rows of tables lie in a place of its training or validation set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.grid import lonlat_of, pixels_at
from cropcube.domain.lattice import FINEST_M, Lattice
from cropcube.samples.index import LEFT_OUT, NO_FIELD, SETS
from cropcube.samples.places import BLOCKS, FIELD, with_patches
from cropcube.samples.split import Blocks
from cropcube.samples.table import ZONE, coordinates_of, ground_blocks, place_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.model_card import SplitRecord
    from cropcube.samples.index import SampleIndex


@dataclass(frozen=True, eq=False)
class Learnt:
    """The samples that decided a model: its training and validation sets.

    A place is a block where the sets were dealt by blocks. Other groups (fields, regions, values of a column) have
    numbers of their own in each file of labels, so that there a place is a pixel with the field around it.
    """

    index: SampleIndex
    split: SplitRecord
    fields: SampleIndex
    "The same and those in no set that lie in a field with one of them."

    @classmethod
    def of(cls, index: SampleIndex, split: SplitRecord) -> Learnt:
        """Return what decided a model whose samples are an index; also those in no set."""
        decided = index.part < SETS.index("test")
        of_fields = np.isin(index.field, index.field[decided & (index.field != NO_FIELD)])
        whole = decided | (of_fields & (index.part == LEFT_OUT))
        return cls(index.select(decided), split, index.select(whole))

    @property
    def of_table(self) -> bool:
        """Whether the samples were rows of a table."""
        return self.index.zones == (ZONE,)

    @property
    def words(self) -> str:
        """What a place is."""
        return self.split.words if self.split.by == BLOCKS else ("coordinates" if self.of_table else "pixels, fields")

    @property
    def known(self) -> bool:
        """Whether the places are known: not if they are rows of a table without coordinates, dealt by a column."""
        return self.split.by == BLOCKS or not self.of_table or bool((coordinates_of(self.index.field) <= 180).all())

    def holds_pixels(self, index: SampleIndex) -> NDArray[np.bool_]:
        """Return which labelled pixels of a project (N,) lie in a place of these samples, or in a field that has one.

        Parameters
        ----------
        index
            `field` is the feature of the labels that each pixel lies in.
        """
        same, held = np.zeros(len(index), dtype=bool), np.zeros(len(index), dtype=bool)
        if self.split.by == FIELD:
            index = with_patches(index)
        for zone in index.zones:
            mine, lattice = np.flatnonzero(index.in_zone(zone)), Lattice.named(zone)
            row, col = index.row[mine].astype(np.int64), index.col[mine].astype(np.int64)
            same[mine] = np.isin(_packed(row, col), _packed(*self._pixels(lattice)))
            held[mine] = self._in_blocks(lattice, row, col)
        return held | same | np.isin(index.field, index.field[same & (index.field != NO_FIELD)])

    def holds_places(self, lonlat: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which places, (N, 2) lon and lat, are places of these samples."""
        if self.of_table:
            if self.split.by == BLOCKS:
                return np.isin(ground_blocks(lonlat, self.split.block_m), self.index.block)
            return np.isin(place_numbers(lonlat), self.index.field)
        held = np.zeros(len(lonlat), dtype=bool)
        for zone in self.index.zones:
            lattice = Lattice.named(zone)
            row, col = pixels_at(lattice, lonlat)
            held |= np.isin(_packed(row, col), _packed(*self._pixels(lattice))) | self._in_blocks(lattice, row, col)
        return held

    def _pixels(self, lattice: Lattice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the pixels of a lattice, rows and columns, of the samples and their fields."""
        if self.of_table:
            return pixels_at(lattice, coordinates_of(self.index.field))
        mine = self.fields.in_zone(lattice.name)
        return self.fields.row[mine].astype(np.int64), self.fields.col[mine].astype(np.int64)

    def _in_blocks(self, lattice: Lattice, row: NDArray[np.int64], col: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pixels lie in a block of the samples."""
        if self.split.by != BLOCKS:
            return np.zeros(len(row), dtype=bool)
        if self.of_table:
            return np.isin(ground_blocks(lonlat_of(lattice, row, col), self.split.block_m), self.index.block)
        if lattice.name not in self.split.anchors:
            return np.zeros(len(row), dtype=bool)
        blocks = Blocks(self.split.block_m // FINEST_M, self.split.anchors)
        return np.isin(blocks.of(lattice.name, row, col), self.index.block)


def _packed(row: NDArray[np.int64], col: NDArray[np.int64]) -> NDArray[np.int64]:
    return (row << 32) + col
