"""Where a project lies: a folder of this machine, or a prefix of an object store. Both are walked and read alike.

`ObjectPath` has those methods of `pathlib.Path` that the toolkit uses, over obstore, which asks again by itself where
a store answers 429, 5xx or nothing at all. Credentials and endpoints are those of the store's own tools (`AWS_...`,
`AZURE_...`, `GOOGLE_...`) and are read in each process: none of them travels with a task or stands in a file.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SCHEMES: Final = ("s3", "az", "gs")
RETRIES = 8
RETRY_S = 120.0
"""How often, and for how long, a request is repeated that met 429, 5xx, a broken connection or silence."""
TIMEOUT = "60s"
"""For one answer."""
READ_AHEAD = 1 << 20
"""Bytes that a file reads at once."""
_URL = re.compile(r"(?P<bucket>[a-z0-9]+://[^/?#\s]+)(?:/(?P<key>[^?#]*))?")
_CODES = (r"<Code>(\w+)</Code>", r"status code: (\d+ [\w ]+)", r"(timed out)", r"(error sending request)")
"""What is said of an answer, the most telling first."""


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object, or the prefix of some, in an object store.

    What fails is raised as `OSError` with the path as its file name: `FileNotFoundError` where there is no such object,
    `PermissionError` where the store refuses.
    """

    bucket: str
    "Scheme and bucket (or container): `s3://fields`."
    key: str = ""
    "Path in it, without slashes at its ends."

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    def __truediv__(self, name: str) -> ObjectPath:
        return self.joinpath(name)

    def joinpath(self, *names: str) -> ObjectPath:
        """Return a path below this one."""
        return ObjectPath(self.bucket, "/".join(part for name in (self.key, *names) if (part := name.strip("/"))))

    @property
    def name(self) -> str:
        """The last part."""
        return PurePosixPath(self.key).name

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return PurePosixPath(self.key).stem

    @property
    def parent(self) -> ObjectPath:
        """The path without its last part."""
        return ObjectPath(self.bucket, self.key.rpartition("/")[0])

    @property
    def parents(self) -> tuple[ObjectPath, ...]:
        """All prefixes, the nearest first."""
        found, at = [], self
        while at.key:
            at = at.parent
            found.append(at)
        return tuple(found)

    def resolve(self) -> ObjectPath:
        """Return the path itself: it is absolute."""
        return self

    def relative_to(self, other: ObjectPath) -> PurePosixPath:
        """Return the path as seen from one above it."""
        if self.bucket != other.bucket:
            raise ValueError(f"{self} is not below {other}")
        return PurePosixPath(self.key).relative_to(PurePosixPath(other.key))

    def exists(self) -> bool:
        """Return whether there is an object of this name, or one below it."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Return whether there is an object of this name."""
        return self.size() is not None

    def is_dir(self) -> bool:
        """Return whether there is any object below this prefix."""
        with _as_os_error(self):
            return any(len(page) for page in _obstore().list(_store(self.bucket), self._prefix(), chunk_size=1))

    def size(self) -> int | None:
        """Return the bytes of the object; None if there is none."""
        try:
            with _as_os_error(self):
                return int(_obstore().head(_store(self.bucket), self.key)["size"]) if self.key else None
        except FileNotFoundError:
            return None

    def iterdir(self) -> Iterator[ObjectPath]:
        """Yield what lies directly below, objects and prefixes, by name."""
        with _as_os_error(self):
            found = _obstore().list_with_delimiter(_store(self.bucket), self._prefix())
        names = [*found["common_prefixes"], *(entry["path"] for entry in found["objects"])]
        yield from (ObjectPath(self.bucket, str(name)) for name in sorted(names))

    def below(self) -> Iterator[tuple[str, int]]:
        """Yield every object below, by its path from here, and its bytes, in the order of the whole names."""
        start = len(self.key) + 1 if self.key else 0
        with _as_os_error(self):
            for page in _obstore().list(_store(self.bucket), self._prefix(), chunk_size=1000):
                yield from ((str(entry["path"])[start:], int(entry["size"])) for entry in page)

    def read_bytes(self) -> bytes:
        """Return the whole object."""
        with _as_os_error(self):
            return bytes(_obstore().get(_store(self.bucket), self.key).bytes())

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the whole object as text."""
        return self.read_bytes().decode(encoding)

    def read_tail(self, count: int) -> bytes:
        """Return the last bytes of the object, fewer if it has fewer."""
        with _as_os_error(self):
            options = {"range": {"suffix": count}}
            return bytes(_obstore().get(_store(self.bucket), self.key, options=options).bytes())

    def read_parts(self, starts: Sequence[int], lengths: Sequence[int]) -> list[Any]:
        """Return pieces of the object as buffers; neighbours are asked for together."""
        with _as_os_error(self):
            return list(
                _obstore().get_ranges(_store(self.bucket), self.key, starts=list(starts), lengths=list(lengths))
            )

    def open_reader(self) -> io.BufferedReader:
        """Return a file to read and seek in; raises `FileNotFoundError` if there is none."""
        size = self.size()
        if size is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return io.BufferedReader(_Pieces(self, size), READ_AHEAD)

    def write(self, parts: Iterable[bytes], replace: bool = True) -> None:
        """Put an object in place, whole or not at all.

        Parameters
        ----------
        parts
            Its bytes, in order.
        replace
            Whether one that stands is replaced; if not, and one stands, `FileExistsError`.
        """
        data = b"".join(parts)
        # One request where a condition must hold for all of it, or where the object is small.
        options: dict[str, Any] = {} if replace else {"mode": "create"}
        with _as_os_error(self):
            _obstore().put(_store(self.bucket), self.key, data, use_multipart=None if replace else False, **options)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        if not missing_ok and not self.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        with _as_os_error(self), contextlib.suppress(FileNotFoundError):
            _obstore().delete(_store(self.bucket), self.key)

    def copy_to(self, target: ObjectPath) -> None:
        """Copy the object within its bucket, in the store itself."""
        with _as_os_error(self):
            _obstore().copy(_store(self.bucket), self.key, target.key)

    def _prefix(self) -> str | None:
        return f"{self.key}/" if self.key else None


class _Pieces(io.RawIOBase):
    """An object as a file: read where it is asked for."""

    def __init__(self, path: ObjectPath, size: int) -> None:
        self._path, self._size, self._at = path, size, 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read anywhere."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in it."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read what comes next."""
        count = max(0, min(len(buffer), self._size - self._at))
        if count:
            buffer[:count] = bytes(self._path.read_parts([self._at], [count])[0])
            self._at += count
        return count


Location: TypeAlias = Path | ObjectPath


def location(text: str | os.PathLike[str] | ObjectPath) -> Location:
    """Return the place that a user names: a folder, or `s3://bucket/prefix`, `az://container/prefix`, `gs://...`.

    Raises
    ------
    InvalidInputError
        If it is a URL of another kind, or holds credentials, a query or `..`.
    """
    if isinstance(text, ObjectPath):
        return text
    named = os.fspath(text)
    if "://" not in named:
        return Path(named)
    parts = _URL.fullmatch(named)
    if parts is None or named.partition("://")[0] not in SCHEMES:
        shown = re.sub(r"//[^/@]*@|\?.*", "//...", named)
        raise InvalidInputError(
            f"{shown} is no place for a project",
            f"Name a folder, or {'://BUCKET/PREFIX, '.join(SCHEMES)}://BUCKET/PREFIX.",
        )
    names = [name for name in (parts["key"] or "").split("/") if name]
    if "@" in parts["bucket"] or any(name in (".", "..") for name in names):
        raise InvalidInputError(
            f"{named.rpartition('@')[2]}: credentials and .. have no place in the name of a project",
            "Give credentials as the store's own tools take them (AWS_ACCESS_KEY_ID and so on, in the environment).",
        )
    return ObjectPath(parts["bucket"], "/".join(names))


@lru_cache(maxsize=8)
def _store(bucket: str) -> Any:
    """Return the connection of this process to a bucket; it holds credentials, and so never travels."""
    from obstore.store import from_url

    # An endpoint without TLS is one that the user names so.
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    seconds = timedelta(seconds=RETRY_S)
    client: Any = {"timeout": TIMEOUT, "connect_timeout": "10s", "allow_http": plain}
    try:
        return from_url(bucket, client_options=client, retry_config={"max_retries": RETRIES, "retry_timeout": seconds})
    except Exception as error:  # obstore's own, of many kinds: a name that is none, settings that are lacking
        raise InvalidInputError(
            f"{bucket} cannot be reached as an object store ({type(error).__name__})",
            "Check its name and the settings of its kind in the environment (AWS_..., AZURE_..., GOOGLE_...).",
        ) from None


def _obstore() -> Any:
    import obstore

    return obstore


@contextlib.contextmanager
def _as_os_error(path: ObjectPath) -> Iterator[None]:
    """Say what a store answers as the file system would; never in its own words, which may hold a key."""
    from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise OSError(errno.ENODEV, "there is no such bucket", str(path)) from None
        raise FileNotFoundError(errno.ENOENT, "no such object", str(path)) from None
    except AlreadyExistsError:
        raise FileExistsError(errno.EEXIST, "there is such an object", str(path)) from None
    except (BaseError, OSError) as error:
        refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
        if refused or re.search(r"status code: 40[13]", str(error)):  # a listing is refused in general terms
            raise PermissionError(errno.EACCES, f"the store refuses it ({_code(error)})", str(path)) from None
        raise OSError(errno.EIO, f"the store cannot be used ({_code(error)})", str(path)) from None


def _code(error: Exception) -> str:
    found = (re.search(code, str(error)) for code in _CODES)
    return next((match[1] for match in found if match), type(error).__name__)
