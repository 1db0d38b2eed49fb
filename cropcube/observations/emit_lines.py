"""Lines of a swath on the way through memory: mapped where a file holds them in one piece, else a window that moves.

A granule of full size is 1.8 GB a variable. Lines come in ascending order, once; those that no unfinished tile needs
any more are let go.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cropcube.errors import ReadError
from cropcube.observations.emit_granule import AGAIN

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK_BYTES = 32 << 20
"""What a moving window reads at a time, if no row of chunks is taller."""
MOST_BLOCK_BYTES = 256 << 20
"""Rows of chunks above this are read in parts, their chunks decoded anew for each."""
AHEAD_BYTES = 64 << 20
"""What the operating system is asked to read ahead of use."""


@dataclass(frozen=True)
class Need:
    """What a tile needs, in the order in which tiles are finished."""

    stop: int
    "Lines before this."
    keep: int
    "Lines from this on are needed by this tile or by one that comes later."


@dataclass(frozen=True)
class Span:
    """What is needed of a swath at all."""

    needs: tuple[Need, ...]
    samples: slice

    @property
    def first(self) -> int:
        """The first line of all."""
        return self.needs[0].keep

    @property
    def stop(self) -> int:
        """The line after the last."""
        return self.needs[-1].stop


class Lines(Protocol):
    """Spectra of the lines at hand."""

    @property
    def spectra_PB(self) -> NDArray[np.float32]:
        """Spectra, of which `pixels` says which is which."""
        ...

    def pixels(self, line_N: NDArray[np.int32], sample_N: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return where in the spectra pixels are; -1 where the line is."""
        ...

    def step(self, need: Need) -> None:
        """Have the lines that are needed, and let go of those that are not."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


def open_lines(path: Path, dataset: Any, span: Span, mapped: bool) -> Lines:
    """Return the lines of a variable (lines, samples, bands).

    Parameters
    ----------
    path, dataset
        The file and the variable in it, open as long as the lines are used.
    span
        What will be needed.
    mapped
        Whether to map files that hold the variable in one piece. That is twice as fast, but a file system that fails
        to deliver then ends the process (SIGBUS) where reading would raise an error.

    Raises
    ------
    ReadError
        If the file is shorter than the variable.
    """
    if mapped and _lies_in_one_piece(dataset):
        return _MappedLines(path, dataset, span)
    return _WindowLines(dataset, span)


def _lies_in_one_piece(dataset: Any) -> bool:
    plain = dataset.chunks is None and not dataset.external and not dataset.is_virtual
    return bool(
        plain and dataset.dtype == np.dtype("<f4") and dataset.id.get_offset() and not dataset.file.userblock_size
    )


class _MappedLines:
    def __init__(self, path: Path, dataset: Any, span: Span) -> None:
        _, self._samples, bands = dataset.shape
        self._offset, self._line_bytes = dataset.id.get_offset(), self._samples * bands * 4
        self._end = self._offset + dataset.size * 4
        if path.stat().st_size < self._end:
            raise ReadError(f"{path} is cut short: {path.stat().st_size} bytes of {self._end}", AGAIN)
        self._path = path
        self._file = path.open("rb")
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        values = np.frombuffer(self._map, "<f4", dataset.size, self._offset)
        self.spectra_PB: NDArray[np.float32] = values.reshape(-1, bands)
        self._asked = self._gone = self._offset + span.first * self._line_bytes

    def pixels(self, line_N: NDArray[np.int32], sample_N: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.where(line_N < 0, np.int32(-1), line_N * np.int32(self._samples) + sample_N)

    def step(self, need: Need) -> None:
        self._ask(self._offset + need.stop * self._line_bytes)
        gone = (self._offset + need.keep * self._line_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
        begin = -(-self._gone // mmap.PAGESIZE) * mmap.PAGESIZE
        if gone > begin and hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED, begin, gone - begin)  # else they count as this process's memory
            self._gone = gone

    def _ask(self, stop: int) -> None:
        """Have the operating system read up to a byte and some more in one go; refuse a file that was cut meanwhile."""
        if os.fstat(self._file.fileno()).st_size < self._end:
            raise ReadError(f"{self._path} was cut short while it was read", AGAIN)
        stop = min(self._end, stop + AHEAD_BYTES)
        if hasattr(os, "posix_fadvise") and stop > self._asked:
            os.posix_fadvise(self._file.fileno(), self._asked, stop - self._asked, os.POSIX_FADV_WILLNEED)
        self._asked = max(stop, self._asked)

    def close(self) -> None:
        self.spectra_PB = np.empty((0, 0), np.float32)
        with contextlib.suppress(BufferError):  # somebody still holds a view: it goes with that
            self._map.close()
        self._file.close()


class _WindowLines:
    """A window of lines that moves: line n lies at n modulo its height."""

    def __init__(self, dataset: Any, span: Span) -> None:
        lines, _, bands = dataset.shape
        self._dataset, self._columns = dataset, span.samples
        self._width = span.samples.stop - span.samples.start
        self._block = block_lines(dataset, self._width)
        self._end = min(lines, self._rounded(span.stop))
        self._height = max(min(self._end, self._rounded(need.stop)) - self._begin(need.keep) for need in span.needs)
        self._room = np.empty((self._height, self._width, bands), np.float32)
        self.spectra_PB: NDArray[np.float32] = self._room.reshape(-1, bands)
        self._next = self._begin(span.first)

    def _rounded(self, line: int) -> int:
        return -(-line // self._block) * self._block

    def _begin(self, line: int) -> int:
        return line // self._block * self._block

    def pixels(self, line_N: NDArray[np.int32], sample_N: NDArray[np.int32]) -> NDArray[np.int32]:
        place = (line_N % np.int32(self._height)) * np.int32(self._width) + sample_N - np.int32(self._columns.start)
        return np.where(line_N < 0, np.int32(-1), place)

    def step(self, need: Need) -> None:
        self._next = max(self._next, self._begin(need.keep))  # lines that nobody needs are passed over
        while self._next < need.stop:
            stop = min(self._end, self._next + self._block)
            while self._next < stop:
                at = self._next % self._height
                count = min(stop - self._next, self._height - at)
                source = np.s_[self._next : self._next + count, self._columns]
                self._dataset.read_direct(self._room, source, np.s_[at : at + count])
                self._next += count

    def close(self) -> None:
        self._room = self.spectra_PB = np.empty((0, 0), np.float32)


def block_lines(dataset: Any, width: int) -> int:
    """Return how many lines to read at a time: whole rows of chunks, unless they are too tall."""
    line_bytes = width * dataset.shape[2] * 4
    tall = dataset.chunks[0] if dataset.chunks else 1
    if tall * line_bytes > MOST_BLOCK_BYTES:
        return max(1, int(MOST_BLOCK_BYTES // line_bytes))
    return int(tall * max(1, BLOCK_BYTES // (tall * line_bytes)))
