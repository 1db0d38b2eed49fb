"""Files of EMIT granules on this machine: local ones as they lie, remote ones fetched whole, once, to a scratch folder.

Fetched whole and not read in ranges through HDF5: reflectance is stored uncompressed, line by line with all bands of a
pixel together (1.8 GB), so a box that lies slanted in the swath touches most of the file, in every band; and a file
that is whole on disk can be checked before its pixels are believed, read by any number of threads and tasks, and
fails in one place, where it can be retried by what went wrong.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cropcube.catalog.earthdata import EarthdataLogin, shared_login
from cropcube.catalog.emit_files import check_file as check_head
from cropcube.catalog.emit_names import FileName
from cropcube.catalog.hrefs import is_remote, redact
from cropcube.errors import InvalidInputError, MissingError, ReadError
from cropcube.observations.checksums import REPLACE, check_file
from cropcube.observations.files import local_path
from cropcube.observations.ranges import AGAIN, RemoteFile
from cropcube.observations.reader import ReadCounts
from cropcube.observations.retry import Retry

if TYPE_CHECKING:
    from cropcube.domain.scene import Asset, Scene


@dataclass
class GranuleFiles:
    """Gives the path of each file of a granule, fetched if need be."""

    folder: Path
    "Scratch of one task alone; what is fetched stays until it is dropped or the folder goes."
    login: EarthdataLogin = field(default_factory=shared_login)
    retry: Retry = field(default_factory=Retry)
    "Of each piece of a file, so that a file that takes hours may break off more often."
    counts: ReadCounts = field(default_factory=ReadCounts)
    shared: Path | None = None
    """Folder on the same disk in which tasks leave each other what they fetched, as further names of the same files:
    what one of them deletes there is not gone for the others."""

    def path(self, scene: Scene, label: str) -> Path:
        """Return where a file lies on this machine; its size, checksum and head are those it should have.

        Parameters
        ----------
        scene
            A granule of EMIT.
        label
            `RFL`, `RFLUNCERT` or `MASK`.

        Raises
        ------
        ReadError
            If the file is missing, refused, unreachable, cut short or not what it should be; transient failures have
            been retried before.
        OSError
            If the scratch folder cannot hold it.
        """
        asset = _asset(scene, label)
        name = f"{scene.id} {label}"
        if asset.href.startswith(("http://", "https://")):
            return self._fetched(name, label, asset)
        if is_remote(asset.href):
            raise ReadError(f"{name}: only https is fetched, not {redact(asset.href)}", "Search a catalogue of https.")
        path = Path(local_path(asset.href))
        _check(name, label, path, asset)
        return path

    def drop(self, scene: Scene) -> None:
        """Delete what was fetched of a granule; nothing else is touched."""
        for asset in scene.assets.values():
            if is_remote(asset.href):
                self._place(asset).unlink(missing_ok=True)

    def trim(self, most_bytes: int) -> None:
        """Delete from what tasks share the oldest files, until no more than so many bytes are left."""
        found = []
        for path in self.shared.glob("*.nc") if self.shared is not None else ():
            with contextlib.suppress(FileNotFoundError):
                facts = path.stat()
                found.append((facts.st_mtime, facts.st_size, path))
        kept = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if kept <= most_bytes:
                return
            path.unlink(missing_ok=True)
            kept -= size

    @contextlib.contextmanager
    def held(self, scene: Scene, *labels: str) -> Iterator[dict[str, Path]]:
        """Give the paths of some files by label, and delete the fetched ones when the block ends."""
        try:
            yield {label: self.path(scene, label) for label in labels}
        finally:
            self.drop(scene)

    def _fetched(self, name: str, label: str, asset: Asset) -> Path:
        place = self._place(asset)
        if place.is_file() or self._is_left_by_another(name, label, asset):
            return place
        self.folder.mkdir(parents=True, exist_ok=True)
        # Of this thread: two that fetch one file do it twice and both end whole.
        partial = place.with_name(f".{place.name}.{os.getpid()}-{threading.get_ident()}.partial")
        remote = RemoteFile(name, asset.href, self.login)
        try:
            with partial.open("wb") as file:
                while not remote.is_whole:
                    self.retry.call(lambda: remote.append_piece(file, self._refuse_without_room), self._count_retry)
            _check(name, label, partial, asset)
            os.replace(partial, place)
        finally:
            partial.unlink(missing_ok=True)
        self.counts.add(files=1, bytes_read=place.stat().st_size)
        if self.shared is not None:
            with contextlib.suppress(OSError):  # there already, or going: the next task fetches it
                self.shared.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.link(place, self.shared / place.name)
        return place

    def _is_left_by_another(self, name: str, label: str, asset: Asset) -> bool:
        """Take what another task has fetched, if it is there, of this user, and the file that the item states."""
        if self.shared is None:
            return False
        place = self._place(asset)
        try:
            if self.shared.stat().st_uid != os.getuid():
                return False
            self.folder.mkdir(parents=True, exist_ok=True)
            os.link(self.shared / place.name, place)
            _check(name, label, place, asset)
        except ReadError:  # of an item that has changed since
            place.unlink(missing_ok=True)
            (self.shared / place.name).unlink(missing_ok=True)
            return False
        except OSError:
            return False
        return True

    def _place(self, asset: Asset) -> Path:
        """Return where a remote file is kept; only names of EMIT files come here, so none leaves the folder."""
        base = redact(asset.href).rpartition("/")[2]
        if FileName.parse(base) is None:
            raise ReadError(f"{redact(asset.href)} is not named as a file of EMIT L2A", "Check the catalogue.")
        return self.folder / base

    def _refuse_without_room(self, name: str, total: int) -> None:
        if total > shutil.disk_usage(self.folder).free:
            self.trim(0)
        free = shutil.disk_usage(self.folder).free
        if total > free:
            raise ReadError(
                f"{name} has {total / 1e6:,.0f} MB; {free / 1e6:,.0f} MB are free at {self.folder}",
                "Make room there, or let TMPDIR name a larger disk; the next build retries what failed.",
            )

    def _count_retry(self, error: ReadError) -> None:
        self.counts.add(retries=1)


def _asset(scene: Scene, label: str) -> Asset:
    try:
        return scene.asset(label)
    except MissingError as error:
        raise ReadError(error.what, error.next_step) from error


def _check(name: str, label: str, path: Path, asset: Asset) -> None:
    """Refuse a file that is not the one its item states, or is not what its name says.

    Raises
    ------
    ReadError
        Naming the granule.
    """
    check_file(name, str(path), asset)
    try:
        check_head(str(path), label)
    except InvalidInputError as error:
        said = error.what.replace(str(path), redact(asset.href))
        raise ReadError(f"{name}: {said}", AGAIN if is_remote(asset.href) else REPLACE) from None
