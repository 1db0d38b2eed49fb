"""Multihashes and sizes, and that a changed file is never believed."""

import hashlib
import os
from pathlib import Path

import pytest

from cropcube.domain.scene import Asset
from cropcube.errors import InvalidInputError, ReadError
from cropcube.observations.checksums import check_file, parse_multihash

CONTENT = b"pixels" * 1000
PREFIX = {
    "sha1": "1114",
    "sha256": "1220",
    "sha512": "1340",
    "sha3_512": "1440",
    "sha3_384": "1530",
    "sha3_256": "1620",
    "sha3_224": "171c",
    "sha384": "2030",
    "md5": "d50110",
    "sha224": "93201c",
}


@pytest.mark.parametrize("name", PREFIX)
def test_every_known_function(tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    digest = hashlib.new(name, CONTENT).hexdigest()
    assert parse_multihash(PREFIX[name] + digest) == (name, bytes.fromhex(digest))
    check_file("scene B04", str(path), Asset(str(path), checksum=PREFIX[name] + digest, size=len(CONTENT)))
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(ReadError, match=f"has {name} .* its item states"):
        check_file("scene B04", str(path), Asset(str(path), checksum=PREFIX[name] + digest, size=len(CONTENT)))


def test_real_item_of_the_multihash_registry() -> None:
    """The example of the STAC file extension: SHA-256 of an empty file."""
    name, digest = parse_multihash("1220e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    assert (name, digest) == ("sha256", hashlib.sha256(b"").digest())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("xyz", "not hexadecimal"),
        ("", "cut short"),
        ("12", "cut short"),
        ("1220", "holds 0"),
        ("1220aabb", "holds 2"),
        ("00020000", "0x0"),
        ("1221" + "00" * 33, "33 bytes of sha256"),
    ],
)
def test_malformed_multihashes(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        parse_multihash(text)


def test_malformed_checksum_is_a_failed_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    with pytest.raises(ReadError, match="not hexadecimal"):
        check_file("scene B04", str(path), Asset(str(path), checksum="nonsense"))


def test_size_is_checked_first(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    with pytest.raises(ReadError, match=rf"has {len(CONTENT)} bytes; its item states 5"):
        check_file("scene B04", str(path), Asset(str(path), size=5))


def test_nothing_stated_nothing_checked(tmp_path: Path) -> None:
    check_file("scene B04", str(tmp_path / "absent"), Asset("absent"))
    with pytest.raises(ReadError, match="no such file"):
        check_file("scene B04", str(tmp_path / "absent"), Asset("absent", size=1))


def test_hash_is_kept_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cropcube.observations import checksums

    hashed: list[str] = []
    real = checksums._hash
    monkeypatch.setattr(checksums, "_hash", lambda file, name: hashed.append(name) or real(file, name))
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    asset = Asset(str(path), checksum="1220" + hashlib.sha256(CONTENT).hexdigest())
    check_file("scene B04", str(path), asset)
    check_file("scene B04", str(path), asset)
    assert hashed == ["sha256"]
    path.write_bytes(b"?" * len(CONTENT))
    os.utime(path, ns=(1, 1))
    with pytest.raises(ReadError):
        check_file("scene B04", str(path), asset)
    assert len(hashed) == 2
