"""Checksums and sizes of scene files.

A DEFLATE GeoTIFF with overwritten bytes can be read with wrong pixels and without an error, so what an item states
about a file (`file:checksum`, `file:size`) is checked before its pixels are believed.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO

from cropcube.errors import InvalidInputError, ReadError

if TYPE_CHECKING:
    from cropcube.domain.scene import Asset

MULTIHASH = {
    0x11: "sha1",
    0x12: "sha256",
    0x13: "sha512",
    0x14: "sha3_512",
    0x15: "sha3_384",
    0x16: "sha3_256",
    0x17: "sha3_224",
    0x20: "sha384",
    0xD5: "md5",
    0x1013: "sha224",
}
"""Function by multicodec code (multiformats.io, table `multihash`)."""
PIECE_BYTES = 1 << 20
REPLACE = "The file is damaged; replace it and build again: only what failed is retried."


def parse_multihash(text: str) -> tuple[str, bytes]:
    """Return the name of the hash function (as `hashlib` knows it) and the digest of a multihash in hex.

    Raises
    ------
    InvalidInputError
        If the text is not hex, the function is not known, or the length does not fit.
    """
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise InvalidInputError(f"checksum {text!r} is not hexadecimal") from None
    code, rest = _varint(raw)
    length, digest = _varint(rest)
    name = MULTIHASH.get(code)
    if name is None:
        raise InvalidInputError(f"checksum {text[:16]}... uses hash function 0x{code:x}, which is not known")
    if length != len(digest) or length > hashlib.new(name, usedforsecurity=False).digest_size or not digest:
        raise InvalidInputError(f"checksum {text[:16]}... states {length} bytes of {name} and holds {len(digest)}")
    return name, digest


def check_file(label: str, path: str, asset: Asset) -> None:
    """Compare a local file with the size and checksum its item states; a file already checked is not read again.

    Raises
    ------
    ReadError
        If the file is missing or is not the one the item describes.
    """
    if asset.size is None and asset.checksum is None:
        return
    try:
        status = os.stat(path)
    except OSError as error:
        raise ReadError(f"{label}: no such file: {asset.href} ({error.strerror})", REPLACE) from error
    if asset.size is not None and status.st_size != asset.size:
        raise ReadError(f"{label}: {asset.href} has {status.st_size} bytes; its item states {asset.size}", REPLACE)
    if asset.checksum is None:
        return
    try:
        name, digest = parse_multihash(asset.checksum)
    except InvalidInputError as error:
        raise ReadError(f"{label}: {asset.href}: {error.what}", "Correct the item's file:checksum.") from error
    found = _digest(path, name, status.st_size, status.st_mtime_ns)
    if found[: len(digest)] != digest:
        raise ReadError(
            f"{label}: {asset.href} has {name} {found.hex()[:16]}...; its item states {digest.hex()[:16]}...", REPLACE
        )


@lru_cache(maxsize=65536)
def _digest(path: str, name: str, size: int, mtime_ns: int) -> bytes:
    """Return the digest of a file; size and time of change are there to make a new key of a changed file."""
    with open(path, "rb") as file:
        return _hash(file, name)


def _hash(file: BinaryIO, name: str) -> bytes:
    state = hashlib.new(name, usedforsecurity=False)
    while piece := file.read(PIECE_BYTES):
        state.update(piece)
    return state.digest()


def _varint(raw: bytes) -> tuple[int, bytes]:
    value = 0
    for place, byte in enumerate(raw):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, raw[place + 1 :]
    raise InvalidInputError(f"checksum {raw.hex()[:16]}... is cut short")
