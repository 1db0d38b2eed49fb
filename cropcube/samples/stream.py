"""Training batches, streamed from where samples come from: whole chunks, read in a shuffled order; never a copy."""

from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import distributed
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from cropcube.features.cells import CELLS_AT_ONCE
from cropcube.kernels import take_scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from cropcube.domain.model_card import Scaling
    from cropcube.samples.read import Cell, Samples

BUFFER_BYTES = 192 * 2**20
"""Samples held: those that are shuffled and those read ahead."""
WINDOWS_HELD = 3
"""One in use and two being read, so that no thread waits for the last cell of one."""

FAIR = 1.25
"""Of its fair share of the samples, what one group may give a part before it is cut."""


class Batch(NamedTuple):
    """What a training step takes."""

    inputs: torch.Tensor
    "(n, 1, bands, steps) float32, scaled."
    classes: torch.Tensor
    "(n,) int64, from 0."
    held: int
    "How many (sample, step) lay outside the data, where its end was held."


@dataclass(frozen=True)
class Entries:
    """Copies of samples that are to become inputs."""

    rows_MBT: NDArray[Any]
    "Samples as they are read, unscaled and in their own type, those of other entries among them."
    row: NDArray[np.int64]
    "(n,) Which of them each is a copy of."
    copy: NDArray[np.int64]
    "(n,) The copy's number; 0 is the sample itself."
    classes: NDArray[np.int64]
    "(n,) From 0."

    def __len__(self) -> int:
        return len(self.row)

    @property
    def series_NBT(self) -> NDArray[Any]:
        """Each entry's own row."""
        return self.rows_MBT[self.row]

    def part(self, start: int, stop: int) -> Entries:
        """Return some of them."""
        return Entries(self.rows_MBT, self.row[start:stop], self.copy[start:stop], self.classes[start:stop])

    def before(self, others: Entries) -> Entries:
        """Return these and then others, with rows of their own."""
        series, copy, classes = (
            np.concatenate([getattr(self, name), getattr(others, name)]) for name in ("series_NBT", "copy", "classes")
        )
        return Entries(series, np.arange(len(copy)), copy, classes)


class Preparation(Protocol):
    """Makes a classifier's inputs of what is read; goes to the workers, so it must be picklable."""

    @property
    def copies(self) -> tuple[int, ...]:
        """Numbers of the copies that a pass has of each sample."""

    def __call__(self, entries: Entries, seed: Sequence[int]) -> tuple[NDArray[np.float32], int]:
        """Return scaled inputs (n, bands, steps) of copies of samples, and how many (copy, step) were held."""


@dataclass(frozen=True)
class AsTheyAre:
    """Samples as they are read, scaled."""

    scaling: Scaling
    copies = (0,)

    def __call__(self, entries: Entries, seed: Sequence[int]) -> tuple[NDArray[np.float32], int]:
        """Return scaled inputs; see `Preparation`."""
        del seed
        return take_scaled(entries.rows_MBT, entries.row, *self._arrays), 0

    @cached_property
    def _arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.array(self.scaling.mean, np.float32), np.array(self.scaling.deviation, np.float32)


@dataclass(frozen=True)
class StreamOptions:
    """How samples are streamed."""

    batch: int = 64
    "Samples in a batch; the last of a worker may be smaller."
    seed: int = 0
    "Of all orders and changes drawn."
    buffer_bytes: int = BUFFER_BYTES
    "Bound on the samples held (a window has one cell at least)."
    threads: int = 1
    "Cells that are read at once, ahead of their use."
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
        self.dtype = samples.source.dtype(samples.layout)
        self.buffer = max(1, self.options.buffer_bytes // (WINDOWS_HELD * self.dtype.itemsize * bands * steps))
        "Samples in a window, which are mixed."
        self.rank, self.ranks = self.options.rank or _rank()  # asked here: workers have not joined the group
        self.epoch, self.start = 0, 0

    def loader(self, epoch: int, workers: int = 0, start: int = 0) -> Iterable[Batch]:
        """Return one epoch's batches, without the first `start` of them: this stream, or a DataLoader with workers.

        Workers are spawned, since forked ones hang in threads that they do not have.
        """
        self.epoch, self.start = epoch, start
        if not workers:
            return self
        return DataLoader(self, batch_size=None, num_workers=workers, multiprocessing_context="spawn")

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        workers = worker.num_workers if worker else 1
        dealt = self._dealt(workers)
        counts = [-(-_entries(cells, self.prepare) // self.options.batch) for cells in dealt]
        mine, done = _after(counts, self.start)[worker.id if worker else 0]
        yield from self._batches(dealt[mine], mine, done)

    def _dealt(self, workers: int) -> list[list[Cell]]:
        """Return the cells of each worker of this rank, in the epoch's order; all get about as many samples."""
        drawn = np.random.default_rng([self.options.seed, self.epoch])
        parts: list[list[list[Cell]]] = [[] for _ in range(self.ranks * workers)]
        size = [0] * len(parts)
        units = _units(self.samples.cells(), len(parts))
        units = [units[place] for place in drawn.permutation(len(units))]
        for unit in units if len(parts) == 1 else sorted(units, key=_samples, reverse=True):
            least = size.index(min(size))
            parts[least].append(unit)
            size[least] += _samples(unit)
        return [_shuffled(part, drawn) for part in parts][self.rank * workers :][:workers]

    def _batches(self, cells: list[Cell], worker: int, done: int) -> Iterator[Batch]:
        """Yield a worker's batches but the first `done`: pieces of equal size of the samples that windows mix."""
        size, number = self.options.batch, done
        rest: Entries | None = None
        for entries in self._mixed(cells, worker, done * size):
            at = 0
            if rest:
                at = min(size - len(rest), len(entries))
                rest = rest.before(entries.part(0, at))
                if len(rest) < size:
                    continue
                yield self._prepared(rest, worker, number)
                number += 1
            for start in range(at, len(entries) - size + 1, size):
                yield self._prepared(entries.part(start, start + size), worker, number)
                number += 1
            left = entries.part(len(entries) - (len(entries) - at) % size, len(entries))
            rest = Entries(left.series_NBT, np.arange(len(left)), left.copy, left.classes)
        if rest:
            yield self._prepared(rest, worker, number)

    def _mixed(self, cells: list[Cell], worker: int, skip: int) -> Iterator[Entries]:
        """Yield the entries of window after window, mixed, but the first `skip`; rows are written over by the next."""
        copies, classes = np.array(self.prepare.copies), self.samples.classes
        windows = list(_windows(cells, self.buffer))
        ends = np.cumsum([_entries(window, self.prepare) for window in windows])
        first = int(np.searchsorted(ends, skip, side="right"))
        skip -= int(ends[first - 1]) if first else 0
        for place, (window, rows) in enumerate(self._read(windows[first:]), first):
            drawn = np.random.default_rng([self.options.seed, self.epoch, self.rank, worker, 0, place])
            mixed = drawn.permutation(_entries(window, self.prepare))[skip:]
            skip = 0
            row, positions = mixed // len(copies), np.concatenate([cell.positions for cell in window])
            yield Entries(rows, row, copies[mixed % len(copies)], classes[positions[row]])

    def _read(self, windows: list[list[Cell]]) -> Iterator[tuple[list[Cell], NDArray[Any]]]:
        """Yield windows with what is read of them, one being read while the one before is used."""
        most = max((_samples(window) for window in windows), default=0)
        held = [np.empty((most, *self.samples.layout.shape), self.dtype) for _ in windows[:WINDOWS_HELD]]
        turns = _Turns(cell for window in windows for cell in window) if self.samples.source.in_turns else None
        with ThreadPoolExecutor(self.options.threads) as pool:

            def read(rows: NDArray[Any], cell: Cell) -> None:
                if turns:
                    turns.read(cell, lambda: self.samples.read_into(rows, cell))
                else:
                    self.samples.read_into(rows, cell)

            def begin(place: int) -> list[Future[None]]:
                """Have a window read by the pool."""
                cells, rows = windows[place], held[place % WINDOWS_HELD]
                ends = np.cumsum([len(cell.positions) for cell in cells])
                return [
                    pool.submit(read, rows[end - len(cell.positions) : end], cell)
                    for cell, end in zip(cells, ends, strict=True)
                ]

            ahead = deque(begin(place) for place in range(min(WINDOWS_HELD - 1, len(windows))))
            for place, window in enumerate(windows):
                for reading in ahead.popleft():
                    reading.result()
                if place + WINDOWS_HELD - 1 < len(windows):
                    ahead.append(begin(place + WINDOWS_HELD - 1))
                yield window, held[place % WINDOWS_HELD][: _samples(window)]

    def _prepared(self, entries: Entries, worker: int, number: int) -> Batch:
        seed = (self.options.seed, self.epoch, self.rank, worker, 1, number)
        inputs, held = self.prepare(entries, seed)
        return Batch(torch.from_numpy(inputs[:, None]), torch.from_numpy(entries.classes), held)


def _rank() -> tuple[int, int]:
    """Return which process of how many this is in torch's group; alone where there is none."""
    joined = distributed.is_available() and distributed.is_initialized()
    return (distributed.get_rank(), distributed.get_world_size()) if joined else (0, 1)


def _units(cells: list[Cell], parts: int) -> list[list[Cell]]:
    """Return what is dealt as a whole: groups, halved where they have far more samples than a part's fair share.

    What a group is made of is read by each part that has some of it, so no more than must be are cut.
    """
    units = _by_group(cells)
    if parts == 1:
        return units
    share = _samples(cells) / parts
    whole: list[list[Cell]] = []
    while units:
        unit = units.pop()
        if len(unit) > 1 and _samples(unit) > FAIR * share:
            units += [unit[: len(unit) // 2], unit[len(unit) // 2 :]]
        else:
            whole.append(unit)
    return whole


def _shuffled(units: list[list[Cell]], drawn: np.random.Generator) -> list[Cell]:
    """Return the cells of some units, those of a few groups shuffled together: they have one turn."""
    groups = _by_group([cell for unit in units for cell in unit])
    order: list[Cell] = []
    for turn, first in enumerate(range(0, len(groups), CELLS_AT_ONCE)):
        held = [cell for group in groups[first : first + CELLS_AT_ONCE] for cell in group]
        order += [replace(held[place], turn=turn) for place in drawn.permutation(len(held))]
    return order


class _Turns:
    """Lets cells be read turn by turn: features that are made on the fly are kept for the groups of one turn."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._left = Counter(cell.turn for cell in cells)
        self._order = sorted(self._left)
        self._changed = threading.Condition()

    def read(self, cell: Cell, work: Callable[[], None]) -> None:
        """Do the work of a cell once that of earlier turns is done; cells must come in the order of their turns."""
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._order[0] == cell.turn)
            work()
        finally:
            with self._changed:
                self._left[cell.turn] -= 1
                while self._order and not self._left[self._order[0]]:
                    self._order.pop(0)
                self._changed.notify_all()


def _by_group(cells: list[Cell]) -> list[list[Cell]]:
    """Return the cells of each group, groups in the order in which they come first."""
    groups: dict[int, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    return list(groups.values())


def _samples(cells: list[Cell]) -> int:
    return sum(len(cell.positions) for cell in cells)


def _entries(cells: list[Cell], prepare: Preparation) -> int:
    return _samples(cells) * len(prepare.copies)


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
