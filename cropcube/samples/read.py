"""Reading the inputs of samples out of a feature store, chunk by chunk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.lattice import FINEST_M, PixelBox
from cropcube.errors import ModelMismatchError
from cropcube.features.model_input import ScalingMeasure, observed, pixel_features, scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cropcube.cube.store import Store
    from cropcube.domain.legend import Legend
    from cropcube.domain.model_card import Scaling
    from cropcube.features.model_input import InputLayout
    from cropcube.samples.index import SampleIndex


@dataclass(frozen=True)
class Cell:
    """The samples of one square of ground that is read at once: whole chunks at every resolution."""

    box: PixelBox
    "At 10 m."
    positions: NDArray[np.int64]
    "Of its samples in the index."


def check_store(store: Store, layout: InputLayout) -> None:
    """Refuse a feature store that lacks what a layout needs.

    Raises
    ------
    ModelMismatchError
        Naming the array, bands or steps that do not fit.
    """
    for resolution_m in sorted(set(layout.resolutions_m)):
        known = tuple(map(str, store.labels("band", resolution_m)))
        lacking = [band for band in layout.bands_at(resolution_m) if band not in known]
        if (layout.array, resolution_m) not in store.arrays or lacking:
            raise ModelMismatchError(
                f"{store.path} has no {layout.array} of {' '.join(lacking or layout.bands_at(resolution_m))} "
                f"at {resolution_m} m",
                f"The model takes {layout.feature} with the bands {' '.join(layout.bands)}.",
            )
        steps = store.array(layout.array, resolution_m).leading[0][1]
        if steps != len(layout.steps):
            raise ModelMismatchError(
                f"{store.path} has {steps} steps, the model takes {len(layout.steps)}",
                "A model needs a season of the same length in windows of the same length.",
            )


def read_features(store: Store, layout: InputLayout, box: PixelBox) -> dict[int, NDArray[Any]]:
    """Read the layout's features of a box at 10 m whose sides are whole pixels at every resolution.

    Returns
    -------
    features
        By resolution: (steps, bands of that resolution in the layout's order, y, x).
    """
    found = {}
    for resolution_m in sorted(set(layout.resolutions_m)):
        known = list(map(str, store.labels("band", resolution_m)))
        wanted = [known.index(band) for band in layout.bands_at(resolution_m)]
        bands = slice(None) if wanted == list(range(len(known))) else sorted(wanted)
        values = store.read(box.lattice.name, layout.array, box.at(resolution_m), (slice(None), bands))
        found[resolution_m] = values[:, np.argsort(np.argsort(wanted))]
    return found


def cell_px(store: Store, layout: InputLayout) -> int:
    """Return the side at 10 m of the smallest square made of whole chunks at every resolution."""
    sides = [store.array(layout.array, r).chunk[-1] * r // FINEST_M for r in set(layout.resolutions_m)]
    return math.lcm(*sides)


def cells(store: Store, layout: InputLayout, index: SampleIndex) -> list[Cell]:
    """Return the squares to read for an index, in the order zone, row, column; each sample is in exactly one."""
    side = cell_px(store, layout)
    key = np.stack([index.zone, index.row // side, index.col // side]).astype(np.int64)
    distinct, cell_of = np.unique(key, axis=1, return_inverse=True)
    order = np.argsort(cell_of, kind="stable")
    ends = np.cumsum(np.bincount(cell_of, minlength=distinct.shape[1]))
    found = []
    for (zone, row, col), positions in zip(distinct.T.tolist(), np.split(order, ends[:-1]), strict=True):
        lattice = store.zone(index.zones[zone]).lattice
        found.append(Cell(PixelBox(lattice, FINEST_M, row * side, col * side, side, side), positions))
    return found


def read_cell(store: Store, layout: InputLayout, index: SampleIndex, cell: Cell) -> NDArray[np.float32]:
    """Return the unscaled inputs (N, bands, steps) of a cell's samples, in the order of its positions."""
    rows, cols = index.row[cell.positions] - cell.box.row, index.col[cell.positions] - cell.box.col
    return pixel_features(layout, read_features(store, layout, cell.box), rows, cols)


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled pixels with the store that holds their features: what classifiers are fitted to and scored on."""

    store: Store
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
        return Samples(self.store, self.layout, self.index.select(which), self.legend)

    def of_set(self, name: str) -> Samples:
        """Return the samples of `train`, `validation` or `test`."""
        return Samples(self.store, self.layout, self.index.of_set(name), self.legend)

    def cells(self) -> list[Cell]:
        """Return the squares of ground to read, in order."""
        return cells(self.store, self.layout, self.index)

    def read(self, cell: Cell) -> NDArray[np.float32]:
        """Return the unscaled inputs (N, bands, steps) of a cell's samples."""
        return read_cell(self.store, self.layout, self.index, cell)

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
        mask, index = np.zeros(len(self), dtype=bool), self.index
        for cell in self.cells():
            seen = observed(self.layout, read_features(self.store, self.layout, cell.box))
            at = index.row[cell.positions] - cell.box.row, index.col[cell.positions] - cell.box.col
            mask[cell.positions] = seen[at]
        return mask
