"""Samples and where their inputs come from, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cropcube.domain.lattice import FINEST_M, PixelBox
from cropcube.features.cells import cell_px, square_px
from cropcube.features.model_input import ScalingMeasure, observed, pixel_features, scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cropcube.domain.legend import Legend
    from cropcube.domain.model_card import Scaling
    from cropcube.features.model_input import InputLayout
    from cropcube.features.source import FeatureSource
    from cropcube.samples.index import SampleIndex


@dataclass(frozen=True, eq=False)
class Cell:
    """Samples that are read at once."""

    positions: NDArray[np.int64]
    "In the index."
    group: int = 0
    "Number of the ground around it: cells of one are best read soon after one another."
    turn: int = 0
    "Cells of a few groups have one turn, in the order in which a stream reads them."


class SampleSource(Protocol):
    """Gives the inputs of samples, cell by cell; goes to the workers of a DataLoader, so it must be picklable."""

    @property
    def name(self) -> str:
        """What it is, for messages."""

    @property
    def in_turns(self) -> bool:
        """Whether cells are to be read turn by turn, since what their groups are made of is kept no longer."""

    def cells(self, layout: InputLayout, index: SampleIndex) -> list[Cell]:
        """Return the cells of an index, always in the same order; each sample is in exactly one."""

    def read_into(self, rows_NBS: NDArray[Any], layout: InputLayout, index: SampleIndex, cell: Cell) -> None:
        """Write the inputs of a cell's samples into rows (n, bands, steps), in order: gap-filled, not scaled."""

    def dtype(self, layout: InputLayout) -> np.dtype[Any]:
        """Return the smallest type that holds the inputs exactly; `read_into` writes it as well as float32."""

    def observed(self, layout: InputLayout, index: SampleIndex) -> NDArray[np.bool_]:
        """Return which samples of an index (N,) have been observed; see `model_input.observed`."""


@dataclass(frozen=True, eq=False)
class OnGrid:
    """Samples at pixels of the project's grid; a cell is a square of ground, whole chunks of what is read."""

    features: FeatureSource

    @property
    def name(self) -> str:
        """What the features are."""
        return self.features.name

    @property
    def in_turns(self) -> bool:
        """Features that are made come in whole cells, of which a few are kept."""
        return self.features.rows_px > 1

    def cells(self, layout: InputLayout, index: SampleIndex) -> list[Cell]:
        """Return the squares to read, group by group; a group is what features on the fly are made in at once."""
        if not len(index):
            return []
        tile_px = self.features.tile_px
        group, square = (_numbers(index, side) for side in (cell_px(tile_px), square_px(tile_px)))
        order = np.lexsort((square, group))
        ends = np.flatnonzero(np.diff(square[order])) + 1
        return [Cell(positions, int(group[positions[0]])) for positions in np.split(order, ends)]

    def read_into(self, rows_NBS: NDArray[Any], layout: InputLayout, index: SampleIndex, cell: Cell) -> None:
        """Write the inputs of a cell's samples; see `SampleSource`."""
        box = self.box(layout, index, cell)
        rows, cols = index.row[cell.positions] - box.row, index.col[cell.positions] - box.col
        pixel_features(layout, self.features.read(layout, box), rows, cols, rows_NBS)

    def dtype(self, layout: InputLayout) -> np.dtype[Any]:
        """Return the type of the features; see `SampleSource`."""
        return layout.dtype

    def observed(self, layout: InputLayout, index: SampleIndex) -> NDArray[np.bool_]:
        """Return which samples have been observed; see `SampleSource`."""
        mask = np.zeros(len(index), dtype=bool)
        for cell in self.cells(layout, index):
            box = self.box(layout, index, cell)
            seen = observed(layout, self.features.read(layout, box))
            mask[cell.positions] = seen[index.row[cell.positions] - box.row, index.col[cell.positions] - box.col]
        return mask

    def box(self, layout: InputLayout, index: SampleIndex, cell: Cell) -> PixelBox:
        """Return the square of ground of a cell, at 10 m."""
        side, first = square_px(self.features.tile_px), int(cell.positions[0])
        row, col = int(index.row[first]) // side * side, int(index.col[first]) // side * side
        return PixelBox(self.features.lattice(index.zones[index.zone[first]]), FINEST_M, row, col, side, side)


def _numbers(index: SampleIndex, side_px: int) -> NDArray[np.int64]:
    """Return for each sample the number of the square that it lies in, counted by zone, row and column."""
    row, col = (axis.astype(np.int64) // side_px for axis in (index.row, index.col))
    row, col = row - row.min(), col - col.min()
    numbers: NDArray[np.int64] = (index.zone.astype(np.int64) * (row.max() + 1) + row) * (col.max() + 1) + col
    return numbers


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled pixels with where their inputs come from: what classifiers are fitted to and scored on."""

    source: SampleSource
    layout: InputLayout
    index: SampleIndex
    legend: Legend

    def __len__(self) -> int:
        return len(self.index)

    @property
    def classes(self) -> NDArray[np.int64]:
        """Class of each sample from 0, (N,)."""
        return self.index.label.astype(np.int64) - 1

    def counts(self) -> NDArray[np.int64]:
        """Return the number of samples of each class of the legend."""
        return np.bincount(self.classes, minlength=len(self.legend))

    def select(self, which: NDArray[Any]) -> Samples:
        """Return the samples that a mask or array of positions chooses."""
        return Samples(self.source, self.layout, self.index.select(which), self.legend)

    def of_set(self, name: str) -> Samples:
        """Return the samples of `train`, `validation` or `test`."""
        return Samples(self.source, self.layout, self.index.of_set(name), self.legend)

    def cells(self) -> list[Cell]:
        """Return the cells to read, in order."""
        return list(self._cells)

    @cached_property
    def _cells(self) -> list[Cell]:
        """Sorted once, not for every epoch."""
        return self.source.cells(self.layout, self.index)

    def read(self, cell: Cell) -> NDArray[np.float32]:
        """Return the unscaled inputs (N, bands, steps) of a cell's samples."""
        rows_NBS = np.empty((len(cell.positions), *self.layout.shape), np.float32)
        self.read_into(rows_NBS, cell)
        return rows_NBS

    def read_into(self, rows_NBS: NDArray[Any], cell: Cell) -> None:
        """Write the unscaled inputs of a cell's samples into rows (N, bands, steps)."""
        self.source.read_into(rows_NBS, self.layout, self.index, cell)

    def batches(self, scaling: Scaling, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield positions (n,) and scaled inputs (n, bands, steps) of all samples, `size` at a time, read cell by cell.

        Holds one cell's samples and one batch.
        """
        positions, inputs = np.zeros(0, np.int64), np.zeros((0, *self.layout.shape), np.float32)
        for cell in self.cells():
            positions = np.concatenate([positions, cell.positions])
            inputs = np.concatenate([inputs, scaled(self.read(cell), scaling)])
            whole = len(positions) // size * size
            for start in range(0, whole, size):
                yield positions[start : start + size], inputs[start : start + size]
            positions, inputs = positions[whole:], inputs[whole:]
        if len(positions):
            yield positions, inputs

    def inputs(self, scaling: Scaling) -> NDArray[np.float32]:
        """Return the scaled inputs (N, bands, steps) of all samples, in their order, in memory."""
        inputs = np.empty((len(self), *self.layout.shape), dtype=np.float32)
        for cell in self.cells():
            inputs[cell.positions] = scaled(self.read(cell), scaling)
        return inputs

    def measure_scaling(self) -> Scaling:
        """Measure mean and deviation of these samples (the training set), cell by cell."""
        measure = ScalingMeasure(self.layout)
        for cell in self.cells():
            measure.add(self.read(cell))
        return measure.result()

    def observed(self) -> NDArray[np.bool_]:
        """Return which samples have been observed; see `model_input.observed`."""
        return self.source.observed(self.layout, self.index)
