"""Zarr v3 shards and chunks, packed and unpacked with as many threads as the caller has.

The format is Zarr's own (sharding_indexed with its index at the end; blosc and, in shards, crc32c), and zarr-python
reads it. But pixels do not go through zarr-python, which handles every inner chunk of every absent day in an event
loop (measured by benchmarks/bench_chunks.py: four bands of a tile on 73 of 365 days are written in 1.4 s instead of 10
and read in 1.2 s instead of 2.7 day by day, 52 by a list of days). Chunks lie in C order, so
that those of one day are neighbours in the file, and the bytes depend on nothing but the values.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import google_crc32c
import numpy as np
from numcodecs import blosc

from cropcube.cube.opened import opened
from cropcube.errors import LayoutError, ReadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from cropcube.cube.layout import ArraySpec
    from cropcube.cube.opened import OpenedFile, OpenedObject
    from cropcube.location import Location

CODEC: Final = "lz4"
LEVEL = 5
S = TypeVar("S")
T = TypeVar("T")
_ABSENT = 2**64 - 1
_CRC_BYTES = 4


@dataclass(frozen=True)
class _Piece:
    """What a selection takes of one chunk (or file) along one dimension."""

    number: int
    "Which chunk."
    target: slice
    "Where in the result."
    inside: range | list[int]
    "Which indices, counted from the chunk's own start."


def read_selection(
    folder: Location, spec: ArraySpec, chosen: Sequence[range | list[int]], threads: int
) -> NDArray[Any]:
    """Read the outer product of indices.

    Parameters
    ----------
    folder
        The array's folder.
    spec
        Its layout.
    chosen
        Indices along every dimension, within the array; ascending ones unpack every chunk once.
    threads
        How many chunks are decoded at once.

    Raises
    ------
    ReadError
        If a file is damaged.
    """
    shape = tuple(len(indices) for indices in chosen)
    result = np.full(shape, spec.fill_value, spec.dtype) if spec.fill_value else np.zeros(shape, spec.dtype)
    files = itertools.product(*(_pieces(c, unit) for c, unit in zip(chosen, spec.unit, strict=True)))
    scratch = threading.local()
    with ThreadPoolExecutor(threads) as pool:
        for pieces in files:
            path = folder.joinpath("c", *(str(piece.number) for piece in pieces))
            with contextlib.suppress(FileNotFoundError), opened(path) as file:
                found = _chunks_of(file, spec, pieces)
                _spread(pool, threads, partial(_unpack, spec, path, result, scratch), found)
    return result


def leading_indices(spec: ArraySpec, chosen: tuple[slice | list[int], ...]) -> list[range | list[int]]:
    """Return the indices that are read along the leading dimensions; those that nothing is chosen of are read whole.

    Raises
    ------
    LayoutError
        If one lies outside its axis.
    """
    indices: list[range | list[int]] = []
    for number, (name, length) in enumerate(spec.leading):
        wanted = chosen[number] if number < len(chosen) else slice(None)
        if isinstance(wanted, slice):
            indices.append(range(length)[wanted])
            continue
        if any(not 0 <= index < length for index in wanted):
            raise LayoutError(f"{spec.name} has {name} 0:{length}; asked for {wanted}", "Ask within the axis.")
        indices.append(wanted)
    return indices


class Planes:
    """Values along the first dimension of an array of which most are absent.

    Parameters
    ----------
    planes
        By index: the other dimensions.
    length
        Of the first dimension.
    spec
        The array.
    """

    def __init__(self, planes: Mapping[int, NDArray[Any]], length: int, spec: ArraySpec) -> None:
        self._planes, self._length, self._spec = planes, length, spec

    def __getitem__(self, at: tuple[slice, ...]) -> NDArray[Any]:
        """Return a piece; one without any plane has length 0 along the first dimension."""
        indices = range(self._length)[at[0]]
        pieces = {index: self._planes[index][at[1:]] for index in indices if index in self._planes}
        if not pieces:
            return np.zeros((0,), self._spec.dtype)
        shape = (len(indices), *next(iter(pieces.values())).shape)
        if len(indices) == 1:
            return pieces[indices[0]].reshape(shape)
        values = np.full(shape, self._spec.fill_value, self._spec.dtype)
        for index, piece in pieces.items():
            values[index - indices[0]] = piece
        return values


def pack(spec: ArraySpec, values: NDArray[Any] | Planes, within: tuple[slice, ...], threads: int) -> list[bytes]:
    """Return the parts of the file that holds a piece of `values`; none if it is nothing but the fill value.

    Parameters
    ----------
    spec
        The layout.
    values
        In the array's own dtype.
    within
        The file's piece of `values`: one of the layout's files, or less at the array's end.
    threads
        How many chunks are encoded at once; the bytes do not depend on it.
    """
    counts = tuple(unit // chunk for unit, chunk in zip(spec.unit, spec.chunk, strict=True))
    with ThreadPoolExecutor(threads) as pool:
        every = list(itertools.product(*map(range, counts)))
        parts = _spread(pool, threads, partial(_pack_chunk, spec, values, within), every)
    if not any(parts):
        return []
    return [part for part in parts if part] + ([] if spec.shard is None else [_index(parts)])


def split(spec: ArraySpec, ranges: Sequence[range]) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Yield the files that whole-file ranges touch: indices of the file, and its slices within the ranges."""
    every = [_pieces(span, unit) for span, unit in zip(ranges, spec.unit, strict=True)]
    for pieces in itertools.product(*every):
        yield tuple(piece.number for piece in pieces), tuple(piece.target for piece in pieces)


def _pieces(chosen: range | list[int], unit: int) -> list[_Piece]:
    """Cut indices where the chunk changes."""
    found: list[_Piece] = []
    at = 0
    while at < len(chosen):
        number = chosen[at] // unit
        stop = at + 1
        if isinstance(chosen, range) and chosen.step > 0:
            stop = at + len(range(chosen[at], min((number + 1) * unit, chosen.stop), chosen.step))
        else:
            while stop < len(chosen) and chosen[stop] // unit == number:
                stop += 1
        start, part = number * unit, chosen[at:stop]
        inside: range | list[int]
        if isinstance(part, range) and part.step == 1:
            inside = range(part.start - start, part.stop - start)
        else:
            inside = [index - start for index in part]
            dense = range(inside[0], inside[0] + len(inside))
            inside = dense if inside == list(dense) else inside
        found.append(_Piece(number, slice(at, stop), inside))
        at = stop
    return found


@dataclass(frozen=True)
class _Found:
    """One stored chunk that a selection needs."""

    data: Callable[[], bytes]
    target: tuple[slice, ...]
    inside: tuple[range | list[int], ...]


def _chunks_of(file: OpenedFile | OpenedObject, spec: ArraySpec, pieces: Sequence[_Piece]) -> list[_Found]:
    if spec.shard is None:
        target, inside = tuple(piece.target for piece in pieces), tuple(piece.inside for piece in pieces)
        return [_Found(file.whole(), target, inside)]
    index = _read_index(file, spec)
    where: list[tuple[tuple[slice, ...], tuple[range | list[int], ...]]] = []
    spans: list[tuple[int, int]] = []
    inner = [_pieces(piece.inside, chunk) for piece, chunk in zip(pieces, spec.chunk, strict=True)]
    for parts in itertools.product(*inner):
        offset, length = (int(number) for number in index[tuple(part.number for part in parts)])
        if offset != _ABSENT:
            target = tuple(
                slice(piece.target.start + part.target.start, piece.target.start + part.target.stop)
                for piece, part in zip(pieces, parts, strict=True)
            )
            where.append((target, tuple(part.inside for part in parts)))
            spans.append((offset, length))
    return [_Found(data, *places) for data, places in zip(file.parts(spans), where, strict=True)]


def _read_index(file: OpenedFile | OpenedObject, spec: ArraySpec) -> NDArray[np.uint64]:
    counts = tuple(unit // chunk for unit, chunk in zip(spec.unit, spec.chunk, strict=True))
    length = 16 * math.prod(counts)
    data = file.tail(length + _CRC_BYTES)
    if len(data) < length + _CRC_BYTES or _checksum(data[:length]) != data[length:]:
        raise _damaged(file.path, "its index")
    return np.frombuffer(data[:length], "<u8").reshape(*counts, 2)


def _unpack(spec: ArraySpec, path: Location, result: NDArray[Any], scratch: threading.local, found: _Found) -> None:
    """Decode one chunk into its place: straight where it goes there whole and in one piece, and else by way of a buffer
    that the thread uses again (fresh memory costs more)."""
    values = result[found.target]
    straight = values.shape == spec.chunk and values.flags.c_contiguous and all(map(_is_range, found.inside))
    if not straight:
        if not hasattr(scratch, "values"):
            scratch.values = np.empty(spec.chunk, spec.dtype)
        values = scratch.values
    data = found.data()
    if spec.shard is not None:
        data, sum_of = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
        if _checksum(data) != sum_of:
            raise _damaged(path, "a chunk (checksum)")
    if _sizes(data) != (values.nbytes, len(data)):
        raise _damaged(path, "a chunk (size)")
    try:
        blosc.decompress(data, values)
    except (RuntimeError, ValueError) as error:
        raise _damaged(path, f"a chunk ({error})") from error
    if straight:
        return
    if all(map(_is_range, found.inside)):
        result[found.target] = values[tuple(slice(part[0], part[-1] + 1) for part in found.inside)]
    else:
        result[found.target] = values[np.ix_(*found.inside)]


def _is_range(part: range | list[int]) -> bool:
    return isinstance(part, range)


def _pack_chunk(
    spec: ArraySpec, values: NDArray[Any] | Planes, within: tuple[slice, ...], at: tuple[int, ...]
) -> bytes:
    """Return the bytes of one chunk; empty if it holds nothing."""
    part = values[
        tuple(
            slice(piece.start + n * size, max(piece.start, min(piece.start + (n + 1) * size, piece.stop)))
            for piece, n, size in zip(within, at, spec.chunk, strict=True)
        )
    ]
    if part.size == 0 or _is_empty(part, spec.fill_value):
        return b""
    if part.shape != spec.chunk:
        whole = np.full(spec.chunk, spec.fill_value, spec.dtype)
        whole[tuple(slice(length) for length in part.shape)] = part
        part = whole
    raw = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
    packed: bytes = blosc.compress(raw, CODEC.encode(), LEVEL, blosc.BITSHUFFLE, 0, part.itemsize)
    return packed if spec.shard is None else packed + _checksum(packed)


def _is_empty(part: NDArray[Any], fill: float) -> bool:
    if fill != fill:
        return bool(np.isnan(part).all())
    return not part.any() if fill == 0 else bool((part == fill).all())


def _index(parts: Sequence[bytes]) -> bytes:
    lengths = np.array([len(part) for part in parts], np.uint64)
    entries = np.full((len(parts), 2), _ABSENT, "<u8")
    entries[lengths > 0, 0] = (np.cumsum(lengths) - lengths)[lengths > 0]
    entries[lengths > 0, 1] = lengths[lengths > 0]
    data = entries.tobytes()
    return data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    """Return the CRC-32C as Zarr's codec of that name writes it."""
    return int(google_crc32c.value(data)).to_bytes(_CRC_BYTES, "little")


def _sizes(data: bytes) -> tuple[int, int]:
    """Return unpacked and packed bytes as blosc's header has them (blosc itself trusts it)."""
    header = data[4:16].ljust(12, b"\0")
    return int.from_bytes(header[:4], "little"), int.from_bytes(header[8:], "little")


def _spread(pool: ThreadPoolExecutor, threads: int, work: Callable[[S], T], items: Sequence[S]) -> list[T]:
    """Return what `work` makes of each item, in order, handing each thread several at once.

    Never on the main thread, where blosc would start threads of its own, which write the blocks of a chunk in the order
    in which they end, and so other bytes every time. A caller on another thread who has only that one does the work
    itself: a fresh thread for each file costs more than the decoding, since it has no memory that was used before.
    """
    if threads == 1 and threading.current_thread() is not threading.main_thread():
        return [work(item) for item in items]
    size = max(1, -(-len(items) // (4 * threads))) if threads > 1 else max(1, len(items))
    groups = [items[start : start + size] for start in range(0, len(items), size)]
    return [made for group in pool.map(lambda group: [work(item) for item in group], groups) for made in group]


def _damaged(path: Location, what: str) -> ReadError:
    return ReadError(
        f"{path} is damaged: {what} does not decode",
        "Remove that file and run the command that wrote it (`cropcube build`, `features`, `predict`) again: "
        "it makes what is gone, and nothing else.",
    )
