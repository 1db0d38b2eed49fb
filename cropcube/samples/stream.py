"""Training batches, streamed from the feature store: whole chunks are read in a shuffled order, never a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from cropcube.features.model_input import scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cropcube.domain.model_card import Scaling
    from cropcube.samples.read import Cell, Samples

BUFFER_BYTES = 128 * 2**20
"""Samples held back for shuffling."""


class SampleStream(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """Batches of (inputs (n, 1, bands, steps) float32, classes (n,) int64 from 0), every sample once an epoch.

    The squares of ground that hold samples are visited in an order drawn from the seed and the epoch, and their samples
    mixed in a buffer of bounded size. Each worker process of a DataLoader takes its own squares, and the same seed,
    epoch and number of workers give the same batches.

    Parameters
    ----------
    samples
        What to stream.
    scaling
        Of the inputs.
    batch
        Samples in a batch; the last of a worker may be smaller.
    seed
        Of all orders drawn.
    buffer_bytes
        Bound on the samples held back for shuffling.
    """

    def __init__(
        self, samples: Samples, scaling: Scaling, batch: int, seed: int, buffer_bytes: int = BUFFER_BYTES
    ) -> None:
        super().__init__()
        self.samples, self.scaling, self.batch, self.seed = samples, scaling, batch, seed
        bands, steps = samples.layout.shape
        self.buffer = max(2 * batch, buffer_bytes // (4 * bands * steps))
        self.epoch = 0

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        worker = get_worker_info()
        part, parts = (worker.id, worker.num_workers) if worker else (0, 1)
        order = self.samples.cells()
        np.random.default_rng([self.seed, self.epoch]).shuffle(order)
        draw = np.random.default_rng([self.seed, self.epoch, 1 + part])
        classes = self.samples.classes
        for positions, inputs in self._mixed(order[part::parts], draw):
            yield torch.from_numpy(inputs[:, None]), torch.from_numpy(classes[positions])

    def loader(self, epoch: int, workers: int = 0) -> DataLoader[Any]:
        """Return a DataLoader of one epoch's batches; workers are spawned, since forked ones hang in Zarr's threads."""
        self.epoch = epoch
        context = "spawn" if workers else None
        return DataLoader(self, batch_size=None, num_workers=workers, multiprocessing_context=context)

    def _mixed(
        self, order: list[Cell], draw: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        positions, inputs = np.zeros(0, np.int64), np.zeros((0, *self.samples.layout.shape), np.float32)
        for place, cell in enumerate(order, 1):
            positions = np.concatenate([positions, cell.positions])
            inputs = np.concatenate([inputs, scaled(self.samples.read(cell), self.scaling)])
            last = place == len(order)
            if len(positions) < self.buffer and not last:
                continue
            mix = draw.permutation(len(positions))
            positions, inputs = positions[mix], inputs[mix]
            kept = 0 if last else self.buffer // 2  # half stays back, to meet the samples of the next squares
            sent = len(positions) if last else (len(positions) - kept) // self.batch * self.batch
            for start in range(0, sent, self.batch):
                stop = min(start + self.batch, sent)
                yield positions[start:stop], inputs[start:stop]
            positions, inputs = positions[sent:], inputs[sent:]
