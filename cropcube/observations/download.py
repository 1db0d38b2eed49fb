"""Fetching a remote file whole, for the one case that needs it: checking its checksum before its pixels."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from cropcube.errors import ReadError
from cropcube.observations.checksums import PIECE_BYTES, check_file
from cropcube.observations.failures import without_tokens

if TYPE_CHECKING:
    from cropcube.domain.scene import Asset

RASTER_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\0\0\0\x0cjP  ")
"""TIFF and BigTIFF of both byte orders, JPEG 2000."""
TIMEOUT = urllib3.Timeout(connect=20.0, read=60.0)


@contextlib.contextmanager
def fetched(label: str, asset: Asset, signed: str) -> Iterator[str]:
    """Yield the path of a temporary copy whose size and checksum are those its item states.

    Parameters
    ----------
    label
        Scene and band, for messages.
    asset
        The file and what is stated about it.
    signed
        Its URL with the token, if it needs one.

    Raises
    ------
    ReadError
        If the copy differs from what the item states, or the protocol is not HTTP.
    OSError
        If the server refuses or the connection breaks; the message holds the status, not the token.
    """
    if not signed.startswith(("http://", "https://")):
        raise ReadError(
            f"{label}: only files behind http(s) can be verified, not {asset.href}", "Build without --verify."
        )
    with tempfile.TemporaryDirectory(prefix="cropcube-") as folder:
        path = Path(folder) / "asset.tif"
        _download(asset.href, signed, path)
        check_file(label, str(path), asset)
        yield str(path)


def first_bytes(signed: str) -> str:
    """Return, in words, what a server sends for the first bytes of a file: an HTTP status, or whether it is a raster.

    GDAL says of a refused header no more than that the file is not recognised.
    """
    with urllib3.PoolManager(retries=False, timeout=TIMEOUT) as pool:
        try:
            answer = pool.request("GET", signed, headers={"Range": "bytes=0-15"}, preload_content=False)
            with contextlib.closing(answer):
                start = answer.read(16)
        except urllib3.exceptions.HTTPError as error:
            return f"connection failed ({type(error).__name__})"
    if answer.status not in (200, 206):
        return f"HTTP response code: {answer.status}"
    if start.startswith(RASTER_STARTS):
        return "the server is temporarily unavailable: it sent no header before and sends one now"
    return f"the file starts with {start!r}"


def _download(href: str, signed: str, path: Path) -> None:
    with urllib3.PoolManager(retries=False, timeout=TIMEOUT) as pool:
        try:
            answer = pool.request("GET", signed, preload_content=False, redirect=True)
            with contextlib.closing(answer), path.open("wb") as file:
                if answer.status != 200:
                    raise OSError(f"HTTP response code: {answer.status}")
                for piece in answer.stream(PIECE_BYTES):
                    file.write(piece)
        except urllib3.exceptions.HTTPError as error:
            raise OSError(f"connection failed for {href}: {without_tokens(str(error))}") from None
