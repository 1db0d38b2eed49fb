"""The ledger: one small record per task, written after the data.

Nothing is inferred from a file's existence. A record holds the digest of what made the data; the same digest means the
work is done. Records hold no clock time, so that two runs of the same work leave the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cropcube.cube.objects import REQUESTS_AT_ONCE, discard_leftovers, remove_file, replace_file
from cropcube.errors import InvalidInputError
from cropcube.location import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cropcube.cube.layout import JSON
    from cropcube.cube.objects import SizeOf
    from cropcube.location import Location

_KEY = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*(/[A-Za-z0-9_+-][A-Za-z0-9._+-]*)*")
_SUFFIX = ".json"


def canonical(value: JSON) -> bytes:
    """Return JSON with sorted keys and no spaces: the same value gives the same bytes.

    Raises
    ------
    InvalidInputError
        If the value is not JSON (NaN and infinities are not).
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"not plain JSON: {error}", "Records hold strings, numbers, lists and maps.") from None


def digest(*parts: JSON) -> str:
    """Return the SHA-256 of the canonical JSON of all parts, in hex."""
    return hashlib.sha256(canonical(list(parts))).hexdigest()


@dataclass(frozen=True)
class Record:
    """What became of one task."""

    key: str
    "`build/utm31n/s003/r0114c0014`; becomes a path within the ledger."
    digest: str
    "Of everything that determines the task's data: its scenes, its options, the algorithm's revision."
    state: str
    "`done`, or `incomplete` where some reads failed; `erasing` and `begun` on the way there."
    details: Mapping[str, JSON] = field(default_factory=dict)
    "JSON; what failed stands under `failed`."
    objects: Mapping[str, int] = field(default_factory=dict)
    "Bytes of every object that the task left, by path within its store."

    @property
    def content_digest(self) -> str:
        """Digest of the data as they are, failures included: what tasks downstream depend on."""
        return digest(self.digest, self.state, self.details.get("failed"))

    def damaged(self, size_of: SizeOf) -> tuple[str, ...]:
        """Return the objects that are gone from the store or cut short since the task was done.

        Parameters
        ----------
        size_of
            Tells the bytes of an object by its path within the store: `sizes_of`.
        """
        return tuple(name for name, size in self.objects.items() if size_of(name) != size)

    def encode(self) -> bytes:
        """Return the record's bytes."""
        parts: dict[str, JSON] = {"digest": self.digest, "state": self.state, "details": dict(self.details)}
        return canonical({"key": self.key, **parts, "objects": dict(self.objects)}) + b"\n"


class Ledger:
    """The records of a project, one file (or object) each.

    Parameters
    ----------
    path
        Folder (or prefix) of the ledger; made by the first record.
    """

    def __init__(self, path: Location) -> None:
        self.path = path

    def read(self, key: str) -> Record | None:
        """Return the record of a task, or None if there is none (a torn or foreign file counts as none)."""
        return _load(self.path / _file(key), key)

    def write(self, record: Record) -> None:
        """Put a record in place, whole or not at all.

        Raises
        ------
        ResourceError
            If the disk is full or cannot be written.
        """
        replace_file(self.path, _file(record.key), [record.encode()])

    def withdraw(self, key: str) -> None:
        """Remove a record; nothing happens if there is none."""
        remove_file(self.path, _file(key))

    def withdraw_all(self, prefix: str) -> int:
        """Remove all records whose key starts with the folder `prefix`; return how many there were."""
        count = 0
        for _, key in self._files(prefix):
            self.withdraw(key)
            count += 1
        return count

    def records(self, prefix: str = "") -> Iterator[Record]:
        """Yield the records below the folder `prefix` (all by default), ordered by key."""
        files = self._files(prefix)
        if isinstance(self.path, ObjectPath):  # each answer is waited for
            with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
                yield from filter(None, pool.map(lambda file: _load(*file), list(files)))
            return
        yield from filter(None, (_load(*file) for file in files))

    def sweep(self) -> int:
        """Remove what killed writes have left; never what a living process is writing. Return how many."""
        return discard_leftovers(self.path)

    def _files(self, prefix: str) -> Iterator[tuple[Location, str]]:
        folder = self.path
        if prefix:
            _file(prefix.rstrip("/"))  # refuses what is no key
            folder = self.path / prefix.rstrip("/")
        yield from _walk(folder, f"{prefix.rstrip('/')}/" if prefix else "")


def _file(key: str) -> str:
    """Return the path of a record in the ledger."""
    if not _KEY.fullmatch(key) or len(key) > 400:
        raise InvalidInputError(
            f"ledger key {key!r} is not made of plain names",
            "Keys are folders: letters, digits, '_', '-', '+' and '.', parted by '/', none starting with '.'.",
        )
    return key + _SUFFIX


def _walk(folder: Location, stem: str) -> Iterator[tuple[Location, str]]:
    if isinstance(folder, ObjectPath):
        # Sorted as folders are walked: all of `a/` before `a-b/`.
        names = sorted((name for name, _ in folder.below() if name.endswith(_SUFFIX)), key=lambda name: name.split("/"))
        yield from ((folder / name, stem + name[: -len(_SUFFIX)]) for name in names)
        return
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(folder / entry.name, f"{stem}{entry.name}/")
            elif entry.name.endswith(_SUFFIX):
                yield folder / entry.name, stem + entry.name[: -len(_SUFFIX)]


def _load(path: Location, key: str) -> Record | None:
    try:
        fields = json.loads(path.read_bytes())
        record = Record(fields["key"], fields["digest"], fields["state"], fields["details"], fields["objects"])
        whole = (
            record.key == key
            and isinstance(record.digest, str)
            and isinstance(record.state, str)
            and isinstance(record.details, dict)
            and isinstance(record.objects, dict)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if whole else None
