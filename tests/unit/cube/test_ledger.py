from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest

from cropcube.cube.ledger import Ledger, Record, canonical, digest
from cropcube.errors import InvalidInputError, ResourceError
from tests.support.small_store import tree

if TYPE_CHECKING:
    from pathlib import Path

KEY = "build/utm31n/s003/r0114c0014"


def test_records_are_read_as_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    assert ledger.read(KEY) is None
    record = Record(KEY, digest("a"), "done", {"scenes": 3, "days": {"r0001c0002": [1, 2]}, "failed": []})
    ledger.write(record)
    assert ledger.read(KEY) == record
    ledger.write(Record(KEY, digest("b"), "incomplete", {}))
    found = ledger.read(KEY)
    assert found is not None
    assert (found.digest, found.state) == (digest("b"), "incomplete")
    ledger.withdraw(KEY)
    ledger.withdraw(KEY)
    assert ledger.read(KEY) is None


def test_the_same_record_is_the_same_bytes(tmp_path: Path) -> None:
    for name, details in (("one", {"a": 1, "b": [2.5, "ü"]}), ("other", {"b": [2.5, "ü"], "a": 1})):
        Ledger(tmp_path / name).write(Record(KEY, "d", "done", details))
    assert tree(tmp_path / "one") == tree(tmp_path / "other")


def test_records_come_in_order_and_by_folder(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    keys = ["build/a/s001", "build/a/s000", "build/b", "build-2/x", "features/median-5d/t", "features/median-5d+x/t"]
    for key in keys:
        ledger.write(Record(key, "d", "done", {}))
    assert sorted(record.key for record in ledger.records()) == sorted(keys)
    assert [record.key for record in ledger.records("build")] == ["build/a/s000", "build/a/s001", "build/b"]
    assert [record.key for record in ledger.records("build/")] == ["build/a/s000", "build/a/s001", "build/b"]
    assert [record.key for record in ledger.records("features/median-5d")] == ["features/median-5d/t"]
    assert list(ledger.records("nothing")) == []
    assert list(Ledger(tmp_path / "absent").records()) == []


def test_withdraw_all(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for key in ("predict/a/x", "predict/a/y", "features/m/x"):
        ledger.write(Record(key, "d", "done", {}))
    (tmp_path / "predict" / "a" / "torn.json").write_text("{")
    assert ledger.withdraw_all("predict") == 3
    assert [record.key for record in ledger.records()] == ["features/m/x"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"key": "x"}',
        b'{"key":"other","digest":"d","state":"done","details":{}}',
        b'{"key":"build/utm31n/s003/r0114c0014","digest":3,"state":"done","details":{}}',
        b'{"key":"build/utm31n/s003/r0114c0014","digest":"d","state":null,"details":{}}',
        b'{"key":"build/utm31n/s003/r0114c0014","digest":"d","state":"done","details":[]}',
    ],
)
def test_a_torn_or_foreign_record_is_none(tmp_path: Path, content: bytes) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(Record(KEY, "d", "done", {}))
    (tmp_path / f"{KEY}.json").write_bytes(content)
    assert ledger.read(KEY) is None
    assert list(ledger.records()) == []
    ledger.write(Record(KEY, "d", "done", {}))
    assert ledger.read(KEY) is not None


def test_a_folder_in_place_of_a_record_is_none(tmp_path: Path) -> None:
    (tmp_path / f"{KEY}.json").mkdir(parents=True)
    assert Ledger(tmp_path).read(KEY) is None
    with pytest.raises(ResourceError, match="cannot be written"):
        Ledger(tmp_path).write(Record(KEY, "d", "done", {}))


@pytest.mark.parametrize(
    "key", ["", "/etc/x", "../x", "a/../b", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a b", "ä", "a\n", "x" * 500]
)
def test_keys_do_not_leave_the_ledger(tmp_path: Path, key: str) -> None:
    ledger = Ledger(tmp_path / "ledger")
    for act in (ledger.read, ledger.withdraw, lambda key: ledger.write(Record(key, "d", "done", {}))):
        with pytest.raises(InvalidInputError, match="plain names"):
            act(key)
    assert tree(tmp_path) == {}


def test_details_must_be_json(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for value in (float("nan"), {1, 2}, b"x"):
        with pytest.raises(InvalidInputError, match="JSON"):
            ledger.write(Record(KEY, "d", "done", {"value": value}))  # type: ignore[dict-item]
    assert ledger.read(KEY) is None


def test_digests_tell_values_and_places_apart() -> None:
    digests = [digest(*parts) for parts in (("a", "b"), ("ab",), ("a", ["b"]), (["a", "b"],), ({"a": "b"},), (), ("",))]
    assert len(set(digests)) == len(digests)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest("x") == hashlib.sha256(b'["x"]').hexdigest()


def test_content_digest_follows_what_failed() -> None:
    whole = Record(KEY, "d", "done", {"failed": [], "bytes_read": 1})
    again = Record(KEY, "d", "done", {"failed": [], "bytes_read": 2})
    partly = Record(KEY, "d", "incomplete", {"failed": [{"scene": "s", "band": "B02", "error": "x"}]})
    assert whole.content_digest == again.content_digest
    assert len({whole.content_digest, partly.content_digest, Record(KEY, "e", "done", {}).content_digest}) == 3


def test_sweeping_leaves_records_and_the_living(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    ledger.write(Record(KEY, "d", "done", {}))
    before = tree(tmp_path / "ledger")
    assert ledger.sweep() == 0
    assert tree(tmp_path / "ledger") == before


def test_listing_opens_each_record_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path)
    for number in range(300):
        ledger.write(Record(f"build/utm43n/s{number % 12:03d}/r{number:04d}c0001", "d", "done", {}))
    folders: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: folders.append(str(path)) or scandir(path))
    assert sum(1 for _ in ledger.records("build")) == 300
    assert len(folders) == 1 + 1 + 12


def test_canonical_json_is_stable() -> None:
    assert canonical({"b": [1, 2.5, None, True], "a": "ü"}) == '{"a":"ü","b":[1,2.5,null,true]}'.encode()
    assert json.loads(canonical({"x": 1e-4})) == {"x": 1e-4}
