"""Searches that something befalls: faults, silence, nonsense, full disks; broken ones go on where they were."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3

from cropcube.catalog import api, fetching, parts, search
from cropcube.catalog.search import SearchRequest, freeze
from cropcube.domain.grid import plan_grid
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import CatalogError, ConflictError, InvalidInputError, MissingError, ResourceError
from tests.support.searches import FLANDERS, SPRING, ask, days, ids
from tests.support.stac_items import plain_item
from tests.support.stac_server import Fault, serve


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "BACKOFF_S", 0.01)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, retry_after="0", searches=(2, 3)),
        Fault(status=500, searches=(1, 4)),
        Fault(status=503, searches=(1, 2, 3)),
        Fault(drop=True, searches=(2,)),
    ],
)
def test_passing_faults_are_ridden_out(tmp_path: Path, fault: Fault) -> None:
    items = days()
    with serve(items, page=10, faults=[fault]) as server:
        assert len(ask(server.url, tmp_path)) == len(items)


def test_a_server_that_is_silent_for_a_while_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "TIMEOUT_S", 0.3)
    items = days()
    with serve(items, faults=[Fault(status=200, delay_s=1.0, searches=(2,))]) as server:
        assert len(ask(server.url, tmp_path)) == len(items)


def test_tries_are_bounded_and_a_broken_search_goes_on_where_it_was(tmp_path: Path) -> None:
    items = days()
    forever = tuple(range(3, 100))
    with serve(items, faults=[Fault(searches=forever)]) as server:
        with pytest.raises(CatalogError, match=r"sentinel-2-l2a, 2023-04, utm31n: HTTP 503 after 6 tries"):
            ask(server.url, tmp_path)
        assert server.searches == 2 + fetching.ATTEMPTS
    assert not (tmp_path / "scenes.parquet").exists()
    parts = sorted((tmp_path / "search").iterdir())
    assert len(parts) == 2

    port = int(server.url.rsplit(":", 1)[1])
    with serve(items, port=port) as second:
        frozen = ask(second.url, tmp_path)
        assert server.url == second.url
        assert [body["datetime"][:7] for body in second.bodies] == ["2023-04", "2023-05", "2023-06"]
    assert ids(frozen) == sorted(item["id"] for item in items)
    assert not (tmp_path / "search").exists()


def test_old_answers_are_not_built_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(days(), faults=[Fault(searches=tuple(range(3, 100)))]) as server, pytest.raises(CatalogError):
        ask(server.url, tmp_path)
    old = time.time() - search.PARTS_KEPT_S - 10
    for part in (tmp_path / "search").iterdir():
        os.utime(part, (old, old))
    with serve(days(), port=int(server.url.rsplit(":", 1)[1])) as second:
        ask(second.url, tmp_path)
        assert second.searches == 5


def test_a_damaged_answer_is_asked_again(tmp_path: Path) -> None:
    with serve(days(), faults=[Fault(searches=tuple(range(3, 100)))]) as server, pytest.raises(CatalogError):
        ask(server.url, tmp_path)
    sorted((tmp_path / "search").iterdir())[0].write_bytes(b"PAR1 no more")
    with serve(days(), port=int(server.url.rsplit(":", 1)[1])) as second:
        assert len(ask(second.url, tmp_path)) == 40
        assert second.searches == 4


def test_paging_that_never_ends_is_noticed(tmp_path: Path) -> None:
    with serve(days(), page=3, paging="loop") as server:
        with pytest.raises(CatalogError, match="same page again"):
            ask(server.url, tmp_path)
        assert server.searches < 5


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(status=200, body=b"<html>welcome</html>", kind="text/html"), "does not answer as a STAC API"),
        (Fault(status=200, body=b"[1, 2]"), "does not answer as a STAC API"),
        (Fault(status=200, body=b'{"features": [{"type": "Feature"}]}'), "does not answer as a STAC API"),
        (Fault(status=400, body=b"bad TOKEN=SECRET"), "HTTP 400"),
        (Fault(status=403), "HTTP 403"),
    ],
)
def test_nonsense_is_an_error_that_names_the_catalogue(tmp_path: Path, fault: Fault, words: str) -> None:
    with serve(days(), faults=[fault]) as server:
        with pytest.raises(CatalogError, match=f"{server.url}.*{words}") as caught:
            ask(server.url, tmp_path)
        assert server.searches == 1
    assert "SECRET" not in str(caught.value)
    assert not (tmp_path / "scenes.parquet").exists()


def test_an_unreachable_catalogue(tmp_path: Path) -> None:
    with serve(days()) as server:
        gone = server.url
    with pytest.raises(CatalogError, match="connection was refused") as caught:
        ask(f"{gone}/?token=SECRET", tmp_path)
    assert "SECRET" not in str(caught.value)
    assert "cropcube catalogs" in caught.value.next_step


def test_a_page_that_is_no_catalogue(tmp_path: Path) -> None:
    with serve(days()) as server, pytest.raises(CatalogError, match="landing page: HTTP 404"):
        ask(f"{server.url}/nowhere", tmp_path)


def test_a_failed_search_leaves_the_old_answer(tmp_path: Path) -> None:
    with serve(days(3)) as server:
        ask(server.url, tmp_path)
    before = (tmp_path / "scenes.parquet").read_bytes()
    with serve([plain_item("winter", "2022-12-03T10:46:31Z")]) as server, pytest.raises(MissingError):
        ask(server.url, tmp_path)
    assert (tmp_path / "scenes.parquet").read_bytes() == before


def test_a_search_whose_answers_were_swept_by_another_says_so(tmp_path: Path) -> None:
    request = SearchRequest("", FLANDERS, SPRING, SENTINEL2)

    def sweep(line: str) -> None:
        for part in (tmp_path / "search").iterdir():
            part.unlink()

    with serve(days()) as server, pytest.raises(ConflictError, match="went away during the search"):
        freeze(replace(request, catalog=server.url), plan_grid(FLANDERS, 768), tmp_path / "scenes.parquet", sweep)


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with serve(days()) as server:
        ask(server.url, tmp_path)
        before = (tmp_path / "scenes.parquet").read_bytes()
        monkeypatch.setattr(parts, "table_of", full)
        with pytest.raises(ResourceError, match="the disk is full"):
            ask(server.url, tmp_path)
    assert (tmp_path / "scenes.parquet").read_bytes() == before
    assert [path.name for path in tmp_path.rglob("*.partial")] == []


def test_an_answer_that_is_shorter_than_it_says_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    with serve(days(), page=3, paging="none") as server:
        request = SearchRequest(server.url, FLANDERS, SPRING, SENTINEL2)
        freeze(request, plan_grid(FLANDERS, 768), tmp_path / "scenes.parquet", lines.append)
    assert "2023-03 utm31n: the catalogue speaks of 16 items and hands out 3" in lines


def test_retry_after_is_kept_to_within_bounds() -> None:
    policy = fetching.retry_policy()
    for asked, kept in (("3", 3), ("86400", fetching.LONGEST_WAIT_S)):
        answer = urllib3.HTTPResponse(headers={"Retry-After": asked}, status=429)
        assert policy.get_retry_after(answer) == kept
        assert policy.new().get_retry_after(answer) == kept


def test_an_address_that_is_none() -> None:
    with pytest.raises(InvalidInputError, match=r"http://\[nowhere"):
        SearchRequest("http://[nowhere", FLANDERS, SPRING, SENTINEL2)
