"""Pieces of a file or of an object, as the reader of shards wants them."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cropcube.errors import ReadError
from cropcube.location import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cropcube.location import Location


@dataclass(frozen=True)
class OpenedFile:
    """A file of this machine: each piece is read by the thread that wants it."""

    path: Path
    descriptor: int

    def whole(self) -> Callable[[], bytes]:
        """Return what reads all of it."""
        return partial(os.pread, self.descriptor, os.fstat(self.descriptor).st_size, 0)

    def tail(self, count: int) -> bytes:
        """Return the last bytes, fewer if it has fewer."""
        size = os.fstat(self.descriptor).st_size
        return os.pread(self.descriptor, count, max(size - count, 0))

    def parts(self, spans: Sequence[tuple[int, int]]) -> list[Callable[[], bytes]]:
        """Return what reads each piece, given where it begins and its length."""
        return [partial(os.pread, self.descriptor, length, start) for start, length in spans]


@dataclass(frozen=True)
class OpenedObject:
    """An object of an object store: its pieces are asked for at once, since each answer is waited for."""

    path: ObjectPath

    def whole(self) -> Callable[[], bytes]:
        """Return what gives all of it."""
        return partial(bytes, self.path.read_bytes())

    def tail(self, count: int) -> bytes:
        """Return the last bytes, fewer if it has fewer."""
        return self.path.read_tail(count)

    def parts(self, spans: Sequence[tuple[int, int]]) -> list[Callable[[], bytes]]:
        """Return what gives each piece, given where it begins and its length."""
        if not spans:
            return []
        pieces = self.path.read_parts([start for start, _ in spans], [length for _, length in spans])
        return [partial(bytes, piece) for piece in pieces]


@contextlib.contextmanager
def opened(path: Location) -> Iterator[OpenedFile | OpenedObject]:
    """Open a file or object to read pieces of it.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ReadError
        If it cannot be read.
    """
    try:
        if isinstance(path, ObjectPath):
            yield OpenedObject(path)
        else:
            with open(path, "rb", buffering=0) as file:
                yield OpenedFile(path, file.fileno())
    except (FileNotFoundError, ReadError):
        raise
    except OSError as error:
        raise ReadError(
            f"{path} cannot be read: {error.strerror}", "Mend the folder and run the same again."
        ) from error
