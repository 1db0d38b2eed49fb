"""Files and objects that appear whole or not at all, and the leftovers of those that never appeared.

An object store puts an object in place whole by itself. A file is written beside the store, in `.NAME.partial`, under a
name that says which process writes it, and renamed into place. So a killed write leaves nothing in the store itself,
and its leftover is found without walking two million objects and told from the work of a second live driver.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias

from cropcube.errors import ResourceError
from cropcube.location import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import FileIO

    from cropcube.location import Location

FOREIGN_LEFTOVER_S = 24 * 3600
"""Age at which an unfinished file of another host, whose processes cannot be asked, counts as left over."""
ATTEMPTS = 100
SizeOf: TypeAlias = Callable[[str], int | None]
"""Tells the bytes of an object of a store by its path in it; None if it is not there."""
REQUESTS_AT_ONCE = 16
"""To an object store, where each waits for an answer."""
_COUNT = itertools.count()
_NAME = re.compile(r"(?P<host>.+)~(?P<pid>\d+)~(?P<born>\d+)~\d+")


def partial_folder(path: Path) -> Path:
    """Return the folder where unfinished files of the store or ledger at `path` lie (on the same file system)."""
    real = path.resolve()
    return real.with_name(f".{real.name}.partial")


def partial_path(path: Path) -> Path:
    """Return a fresh name for an unfinished file of `path`, which tells who writes it."""
    folder = partial_folder(path)
    folder.mkdir(parents=True, exist_ok=True)
    pid = os.getpid()
    return folder / f"{_host()}~{pid}~{_born(pid)}~{next(_COUNT)}"


def replace_file(owner: Location, name: str, parts: Iterable[bytes]) -> None:
    """Write a file or object whole or not at all.

    Parameters
    ----------
    owner
        The store or ledger it belongs to.
    name
        Its path therein; folders are made.
    parts
        Its bytes, in order.

    Raises
    ------
    ResourceError
        If the disk is full or cannot be written; the file that stood before stands unchanged.
    """
    unfinished = None
    try:
        if isinstance(owner, ObjectPath):
            (owner / name).write(parts)
            return
        unfinished, file = _open_unfinished(owner)
        with file:
            for part in parts:
                _write_whole(file, part)
        _move(unfinished, owner / name)
    except OSError as error:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
        raise ResourceError(
            f"{owner} cannot be written: {error.strerror or error}",
            "Nothing was marked done. Make room or mend the folder and run the same command again.",
        ) from error


def remove_file(owner: Location, name: str) -> None:
    """Remove a file or object of a store or ledger, if it is there, and the folders that thereby become empty.

    Raises
    ------
    ResourceError
        If the folder cannot be written.
    """
    path = owner / name
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_be_removed(path, error) from error
    if isinstance(path, ObjectPath):
        return  # an object store has no folders
    for folder in path.parents:
        if folder == owner:
            return
        try:
            folder.rmdir()
        except OSError:
            return


def cannot_be_removed(path: Location, error: OSError) -> ResourceError:
    """Return what to say of a file or store that the system does not let go."""
    return ResourceError(
        f"{path} cannot be removed: {error.strerror or error}", "Mend the folder and run the same command again."
    )


def object_size(path: Location) -> int | None:
    """Return the bytes of a file or object of a store; None if it is not there."""
    if isinstance(path, ObjectPath):
        return path.size()
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def sizes_of(store: Location, everything: bool = False) -> SizeOf:
    """Return what tells the bytes of an object of a store by its path in it.

    Parameters
    ----------
    store
        Its folder or prefix.
    everything
        Whether all will be asked for: of an object store they are then listed, a thousand to an answer.
    """
    if everything and isinstance(store, ObjectPath):
        return dict(store.below()).get
    return lambda name: object_size(store / name)


def place_folder(path: Location, make: Callable[[Path], None], mark: str) -> None:
    """Put a folder in place as a whole: whoever sees the file `mark` in it sees all of it.

    Parameters
    ----------
    path
        Where it appears; nothing happens to what stands there.
    make
        Writes it into a fresh folder of this machine.
    mark
        The file that comes last.

    Raises
    ------
    OSError
        If it cannot be written, or if one stands there already.
    """
    if isinstance(path, ObjectPath):
        with TemporaryDirectory(prefix="cropcube-") as made:
            make(Path(made) / "store")
            _upload(Path(made) / "store", path, mark)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = partial_path(path)
    try:
        make(unfinished)
        unfinished.rename(path)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def move_folder(path: Location, target: Location, mark: str) -> None:
    """Give a folder another name, where nothing stands; see `place_folder`. Can be begun again if it broke off.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    if isinstance(path, ObjectPath) and isinstance(target, ObjectPath):
        names = [name for name, _ in path.below() if name != mark]
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            list(pool.map(lambda name: (path / name).copy_to(target / name), names))
        (path / mark).copy_to(target / mark)
        remove_folder(path, mark)
    elif isinstance(path, Path) and isinstance(target, Path):
        path.rename(target)


def remove_folder(path: Location, mark: str) -> None:
    """Remove a folder as a whole, its mark first; nothing happens if there is none.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    if isinstance(path, ObjectPath):
        (path / mark).unlink(missing_ok=True)
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            list(pool.map(lambda found: (path / found[0]).unlink(missing_ok=True), list(path.below())))
        return
    with contextlib.suppress(FileNotFoundError):
        aside = partial_path(path)
        path.rename(aside)
        shutil.rmtree(aside)


def _upload(folder: Path, target: ObjectPath, mark: str) -> None:
    names = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]
    for chosen in ([name for name in names if name != mark], [mark]):
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            list(pool.map(lambda name: (target / name).write([(folder / name).read_bytes()]), chosen))


def discard_leftovers(path: Location) -> int:
    """Remove what killed writers of `path` left behind; return how many files and folders that were.

    A leftover is told by its name: its process is gone, or it is of another host and a day old. In an object store
    there are none.
    """
    if isinstance(path, ObjectPath):
        return 0
    folder = partial_folder(path)
    count = 0
    if not folder.is_dir():
        return 0
    for entry in os.scandir(folder):
        if not _is_left_over(entry):
            continue
        count += 1
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                (folder / entry.name).unlink()
    drop_empty(path)
    return count


def drop_empty(path: Location) -> None:
    """Remove the folder for unfinished files of `path` if it is empty."""
    if isinstance(path, Path):
        with contextlib.suppress(OSError):
            partial_folder(path).rmdir()


def _open_unfinished(owner: Path) -> tuple[Path, FileIO]:
    """Open a fresh file; another process may remove the empty folder in between."""
    attempt = 0
    while True:
        path = partial_path(owner)
        try:
            return path, open(path, "xb", buffering=0)
        except FileNotFoundError:
            attempt += 1
            if attempt >= ATTEMPTS:
                raise


def _write_whole(file: FileIO, part: bytes) -> None:
    """Write all bytes; one call of the system may take fewer (2 GiB at most, less on a disk that fills)."""
    rest = memoryview(part)
    while rest:
        rest = rest[file.write(rest) :]


def _move(source: Path, target: Path) -> None:
    """Rename into place; another process may remove the empty folder in between."""
    for attempt in itertools.count():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(source, target)
            return
        except FileNotFoundError:
            if attempt >= ATTEMPTS or not source.exists():
                raise


def _host() -> str:
    """Return where process numbers are ours: the host and, in containers, the space of process numbers."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return f"{socket.gethostname()}.{space}"


def _is_left_over(entry: os.DirEntry[str]) -> bool:
    match = _NAME.fullmatch(entry.name)
    if match is None:
        return False
    if match["host"] == _host():
        return _born(int(match["pid"])) != int(match["born"])
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > FOREIGN_LEFTOVER_S
    except FileNotFoundError:
        return False


def _born(pid: int) -> int:
    """Return when a process started, in the system's ticks (numbers of processes come again); 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as status:
            fields = status.read().rpartition(b")")[2].split()
            return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        return _alive_without_proc(pid)


def _alive_without_proc(pid: int) -> int:
    """Return 1 if the process lives, where the system has no /proc."""
    if os.path.isdir("/proc/self"):
        return 0
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return 0
    except PermissionError:
        return 1
    return 1
