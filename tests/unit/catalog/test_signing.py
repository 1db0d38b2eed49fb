"""Tokens: only where they belong, fetched once, renewed before they expire, never said."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cropcube.catalog import fetching, signing
from cropcube.catalog.sentinel2 import parse_item
from cropcube.catalog.signing import TokenCache, gdal_options, sign
from cropcube.errors import ReadError
from tests.support.stac_items import real_items


@contextmanager
def token_server(answers: list[tuple[int, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Answer requests for tokens one by one, the last answer for ever."""
    asked: list[str] = []

    class Tokens(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            asked.append(self.path)
            status, said = answers[min(len(asked), len(answers)) - 1]
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def token(name: str, minutes: int = 45) -> dict[str, str]:
    """Return what the Planetary Computer answers."""
    expiry = datetime.now(UTC) + timedelta(minutes=minutes)
    return {"msft:expiry": expiry.isoformat().replace("+00:00", "Z"), "token": f"sv=1&sig={name}"}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "BACKOFF_S", 0.0)


def test_files_of_the_planetary_computer_are_signed_once_per_container(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = parse_item(real_items("planetarycomputer_sentinel-2-l2a_2items.json")[0])
    with token_server([(200, token("ONE")), (200, token("TWO"))]) as (url, asked):
        monkeypatch.setattr(signing, "_TOKENS", TokenCache(url))
        signed = [sign(asset.href) for asset in scene.assets.values()]
    assert asked == ["/sentinel2l2a01/sentinel2-l2"]
    assert signed == [f"{asset.href}?sv=1&sig=ONE" for asset in scene.assets.values()]


def test_other_hosts_never_get_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with token_server([(200, token("ONE"))]) as (url, asked):
        monkeypatch.setattr(signing, "_TOKENS", TokenCache(url))
        for href in (
            "/local/B02.tif",
            "https://example.org/B02.tif",
            "https://sentinel2l2a01.blob.core.windows.net.example.org/a/B02.tif",
            "https://mine.blob.core.windows.net/a/B02.tif",
            "s3://eodata/a/B02.jp2",
        ):
            assert sign(href) == href
    assert asked == []


def test_a_token_is_renewed_before_it_expires() -> None:
    with token_server([(200, token("OLD", minutes=4)), (200, token("NEW"))]) as (url, asked):
        tokens = TokenCache(url)
        assert tokens.token("a", "b").endswith("OLD")
        assert tokens.token("a", "b").endswith("NEW")
        assert tokens.token("a", "b").endswith("NEW")
    assert len(asked) == 2


def test_a_busy_token_server_is_asked_again() -> None:
    with token_server([(429, {}), (503, {}), (200, token("ONE"))]) as (url, asked):
        assert TokenCache(url).token("a", "b").endswith("ONE")
    assert len(asked) == 3


@pytest.mark.parametrize("answer", [(503, {}), (403, {}), (200, {"no": "token"}), (200, [])])
def test_without_a_token_reading_fails_for_now(answer: tuple[int, Any]) -> None:
    with token_server([answer]) as (url, asked):
        with pytest.raises(ReadError, match="no token for a/b") as caught:
            TokenCache(url).token("a", "b")
        assert len(asked) == (fetching.ATTEMPTS if answer[0] == 503 else 1)
    assert caught.value.transient


def test_an_unreachable_token_server() -> None:
    with token_server([(200, token("ONE"))]) as (url, _):
        pass
    with pytest.raises(ReadError, match="no token for a/b"):
        TokenCache(url).token("a", "b")


def test_cdse_files_are_read_from_its_own_s3() -> None:
    scene = parse_item(real_items("cdse_stac_sentinel-2-l2a_1item.json")[0])
    options = gdal_options(scene.asset("B02").href)
    assert options["AWS_S3_ENDPOINT"] == "eodata.dataspace.copernicus.eu"
    assert not any("SECRET" in key or "ACCESS" in key for key in options)
    assert gdal_options("s3://bucket/B02.tif") == {}
    assert gdal_options("/local/B02.tif") == {}


def test_a_refused_token_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    href = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/a/B02.tif"
    with token_server([(200, token("ONE")), (200, token("TWO"))]) as (url, asked):
        monkeypatch.setattr(signing, "_TOKENS", TokenCache(url))
        assert sign(href).endswith("ONE")
        signing.forget("https://example.org/sentinel2-l2/a/B02.tif")
        assert sign(href).endswith("ONE")
        signing.forget(href)
        assert sign(href).endswith("TWO")
    assert len(asked) == 2
