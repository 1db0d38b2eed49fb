"""Training batches, streamed from where samples come from: whole chunks, read in a shuffled order; never a copy."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import distributed
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from cropcube.features.model_input import scaled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cropcube.domain.model_card import Scaling
    from cropcube.samples.read import Cell, Samples

BUFFER_BYTES = 128 * 2**20
"""Samples held to be shuffled."""


class Batch(NamedTuple):
    """What a training step takes."""

    inputs: torch.Tensor
    "(n, 1, bands, steps) float32, scaled."
    classes: torch.Tensor
    "(n,) int64, from 0."
    held: int
    "How many (sample, step) lay outside the data, where its end was held."


class Preparation(Protocol):
    """Makes a classifier's inputs of what is read; goes to the workers, so it must be picklable."""

    @property
    def copies(self) -> tuple[int, ...]:
        """Numbers of the copies that a pass has of each sample."""

    def __call__(
        self, series_NBT: NDArray[np.float32], copy: NDArray[np.int64], random: np.random.Generator
    ) -> tuple[NDArray[np.float32], int]:
        """Return scaled inputs (n, bands, steps), one for each sample and its copy's number, and how many were held."""


@dataclass(frozen=True)
class AsTheyAre:
    """Samples as they are read, scaled."""

    scaling: Scaling
    copies = (0,)

    def __call__(
        self, series_NBT: NDArray[np.float32], copy: NDArray[np.int64], random: np.random.Generator
    ) -> tuple[NDArray[np.float32], int]:
        """Return scaled inputs; see `Preparation`."""
        del copy, random
        return scaled(series_NBT, self.scaling), 0


@dataclass(frozen=True)
class StreamOptions:
    """How samples are streamed."""

    batch: int = 64
    "Samples in a batch; the last of a worker may be smaller."
    seed: int = 0
    "Of all orders and changes drawn."
    buffer_bytes: int = BUFFER_BYTES
    "Bound on the samples held to be shuffled (one cell at least is held)."
    threads: int = 1
    "Cells that are read at once."
    rank: tuple[int, int] | None = None
    "Which process of how many this is, each with its own part; None asks torch.distributed."


class SampleStream(IterableDataset[Batch]):
    """Batches in which every sample (every copy of it, as prepared) comes once an epoch.

    The cells of the samples are dealt to the ranks and to the workers of their DataLoaders, visited in an order drawn
    from the seed and the epoch, each read once, and the samples of as many as the buffer holds are mixed. The same
    seed, epoch, number of ranks and of workers give the same batches, from wherever in the epoch they are begun.

    Parameters
    ----------
    samples
        What to stream; its layout says what is read, the whole series or the classifier's window.
    prepare
        What becomes of it.
    options
        See there.
    """

    def __init__(self, samples: Samples, prepare: Preparation, options: StreamOptions | None = None) -> None:
        super().__init__()
        self.samples, self.prepare, self.options = samples, prepare, options or StreamOptions()
        bands, steps = samples.layout.shape
        self.buffer = max(1, self.options.buffer_bytes // (4 * bands * steps))
        self.rank, self.ranks = self.options.rank or _rank()  # asked here: workers have not joined the group
        self.epoch, self.start = 0, 0

    def loader(self, epoch: int, workers: int = 0, start: int = 0) -> DataLoader[Any]:
        """Return a DataLoader of one epoch's batches, without the first `start` of them.

        Workers are spawned, since forked ones hang in threads that they do not have.
        """
        self.epoch, self.start = epoch, start
        context = "spawn" if workers else None
        return DataLoader(self, batch_size=None, num_workers=workers, multiprocessing_context=context)

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        workers = worker.num_workers if worker else 1
        dealt = self._dealt(workers)
        counts = [-(-_entries(cells, self.prepare) // self.options.batch) for cells in dealt]
        mine, done = _after(counts, self.start)[worker.id if worker else 0]
        yield from self._batches(dealt[mine], mine, done)

    def _dealt(self, workers: int) -> list[list[Cell]]:
        """Return the cells of each worker of this rank, in the epoch's order; all get about as many samples."""
        cells = self.samples.cells()
        order = np.random.default_rng([self.options.seed, self.epoch]).permutation(len(cells))
        parts: list[list[Cell]] = [[] for _ in range(self.ranks * workers)]
        size = [0] * len(parts)
        for place in order:
            least = size.index(min(size))
            parts[least].append(cells[place])
            size[least] += len(cells[place].positions)
        return parts[self.rank * workers :][:workers]

    def _batches(self, cells: list[Cell], worker: int, done: int) -> Iterator[Batch]:
        """Yield a worker's batches but the first `done`: pieces of equal size of the samples that windows mix."""
        size, classes = self.options.batch, self.samples.classes
        skip, number = done * size, done
        rest: tuple[NDArray[Any], ...] = ()
        for place, window in enumerate(_windows(cells, self.buffer)):
            count = _entries(window, self.prepare)
            if skip >= count:
                skip -= count
                continue
            drawn = np.random.default_rng([self.options.seed, self.epoch, self.rank, worker, 0, place])
            mixed = drawn.permutation(count)[skip:]
            skip = 0
            copies = np.array(self.prepare.copies)
            row, copy = mixed // len(copies), copies[mixed % len(copies)]
            read, positions = self._read(window), np.concatenate([cell.positions for cell in window])
            at = 0
            while at < len(mixed):
                took = row[at : at + size - (len(rest[0]) if rest else 0)]
                piece = read[took], classes[positions[took]], copy[at : at + len(took)]
                at += len(took)
                rest = tuple(map(np.concatenate, zip(rest, piece, strict=True))) if rest else piece
                if len(rest[0]) == size:
                    yield self._prepared(rest, worker, number)
                    rest, number = (), number + 1
            del read  # before the next is read: one at a time is what the buffer allows
        if rest:
            yield self._prepared(rest, worker, number)

    def _read(self, cells: list[Cell]) -> NDArray[np.float32]:
        ends = np.cumsum([len(cell.positions) for cell in cells])
        read = np.empty((ends[-1], *self.samples.layout.shape), np.float32)

        def one(cell: Cell, end: int) -> None:
            read[end - len(cell.positions) : end] = self.samples.read(cell)

        with ThreadPoolExecutor(self.options.threads) as pool:
            list(pool.map(one, cells, ends))
        return read

    def _prepared(self, piece: Sequence[NDArray[Any]], worker: int, number: int) -> Batch:
        series, classes, copy = piece
        drawn = np.random.default_rng([self.options.seed, self.epoch, self.rank, worker, 1, number])
        inputs, held = self.prepare(series, copy, drawn)
        return Batch(torch.from_numpy(inputs[:, None]), torch.from_numpy(classes), held)


def _rank() -> tuple[int, int]:
    """Return which process of how many this is in torch's group; alone where there is none."""
    joined = distributed.is_available() and distributed.is_initialized()
    return (distributed.get_rank(), distributed.get_world_size()) if joined else (0, 1)


def _entries(cells: list[Cell], prepare: Preparation) -> int:
    return sum(len(cell.positions) for cell in cells) * len(prepare.copies)


def _windows(cells: list[Cell], buffer: int) -> Iterator[list[Cell]]:
    """Yield runs of cells of at most `buffer` samples, or of one cell."""
    window: list[Cell] = []
    held = 0
    for cell in cells:
        if window and held + len(cell.positions) > buffer:
            yield window
            window, held = [], 0
        window.append(cell)
        held += len(cell.positions)
    if window:
        yield window


def _after(counts: list[int], start: int) -> list[tuple[int, int]]:
    """Return workers, with how many batches they have given, in the order in which a DataLoader goes on asking them.

    It takes one batch from each in turn, leaving out those that have no more.
    """
    done = [0] * len(counts)
    turn, ended = deque(range(len(counts))), []
    while turn and sum(done) < start:
        worker = turn.popleft()
        if done[worker] < counts[worker]:
            done[worker] += 1
            turn.append(worker)
        else:
            ended.append(worker)
    return [(worker, done[worker]) for worker in (*turn, *ended)]
