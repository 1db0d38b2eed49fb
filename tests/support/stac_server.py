"""A STAC API on the loopback address, with faults on request.

Real HTTP by the standard library, so that clients are tested with their own sockets, retries and time-outs::

    with serve(items, page=2, faults=[Fault(status=503)]) as server:
        ask(server.url)
        assert server.searches == 4
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import shapely

CONFORMANCE = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
]


@dataclass(frozen=True)
class Fault:
    """What happens to one or more requests instead of an answer."""

    status: int = 503
    "HTTP status that is sent."
    body: bytes = b'{"code": "planned"}'
    "What is sent with it."
    kind: str = "application/json"
    "Content type."
    retry_after: str | None = None
    "Value of a Retry-After header."
    delay_s: float = 0.0
    "Seconds of silence before anything is sent."
    searches: tuple[int, ...] = (1,)
    "Which search requests it befalls, counted from 1."
    drop: bool = False
    "Close the connection without a word."


@dataclass
class StacServer:
    """A running server."""

    url: str
    "Landing page."
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    "Method, path, body of every request so far."

    @property
    def searches(self) -> int:
        """Number of search requests so far, failed ones included."""
        return sum(path == "/search" for _, path, _ in self.requests)

    @property
    def bodies(self) -> list[Any]:
        """What every search asked."""
        return [body for _, path, body in self.requests if path == "/search"]


@dataclass(frozen=True)
class Behaviour:
    """How the server behaves apart from planned faults."""

    items: Sequence[Mapping[str, Any]]
    page: int
    faults: Sequence[Fault]
    ignored: frozenset[str]
    "Filters that are taken and not applied: `bbox`, `datetime`, `collections`."
    paging: str
    "`good`; `overlap` repeats the last item of a page on the next; `loop` always points to the first; `none` to none."


@contextmanager
def serve(
    items: Iterable[Mapping[str, Any]],
    *,
    page: int = 100,
    faults: Sequence[Fault] = (),
    ignored: Iterable[str] = (),
    paging: str = "good",
    port: int = 0,
) -> Iterator[StacServer]:
    """Serve items until the block ends; pages hold at most `page` items whatever the client asks."""
    behaviour = Behaviour(list(items), page, list(faults), frozenset(ignored), paging)
    http = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    http.daemon_threads = True
    server = StacServer(f"http://127.0.0.1:{http.server_address[1]}")
    http.behaviour, http.stac = behaviour, server  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if "bbox" in asked:
            asked["bbox"] = [float(value) for value in asked["bbox"].split(",")]
        if "collections" in asked:
            asked["collections"] = asked["collections"].split(",")
        self._answer("GET", parts.path.rstrip("/") or "/", asked)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer("POST", urlsplit(self.path).path, json.loads(body))

    def _answer(self, method: str, path: str, asked: dict[str, Any]) -> None:
        stac, behaviour = self.server.stac, self.server.behaviour  # type: ignore[attr-defined]
        stac.requests.append((method, path, asked))
        collections = sorted({item["collection"] for item in behaviour.items})
        if path == "/search":
            fault = next((fault for fault in behaviour.faults if stac.searches in fault.searches), None)
            if fault is not None:
                self._fail(fault)
            else:
                self._send(200, json.dumps(_search(behaviour, stac.url, method, asked)).encode())
        elif path == "/":
            self._send(200, json.dumps(_landing(stac.url)).encode())
        elif path == "/collections":
            self._send(
                200, json.dumps({"collections": [_collection(stac.url, c) for c in collections], "links": []}).encode()
            )
        elif path.removeprefix("/collections/") in collections:
            self._send(200, json.dumps(_collection(stac.url, path.removeprefix("/collections/"))).encode())
        else:
            self._send(404, b'{"code": "NotFound"}')

    def _fail(self, fault: Fault) -> None:
        time.sleep(fault.delay_s)
        if fault.drop:
            self.close_connection = True
            return
        extra = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
        self._send(fault.status, fault.body, fault.kind, extra)

    def _send(
        self, status: int, body: bytes, kind: str = "application/json", extra: Mapping[str, str] | None = None
    ) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(extra or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # a client that timed out has gone


def _landing(url: str) -> dict[str, Any]:
    search = {"rel": "search", "href": f"{url}/search", "type": "application/geo+json"}
    return {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "loopback",
        "description": "items of a test",
        "conformsTo": CONFORMANCE,
        "links": [
            {"rel": "self", "href": url, "type": "application/json"},
            {"rel": "root", "href": url, "type": "application/json"},
            {"rel": "data", "href": f"{url}/collections", "type": "application/json"},
            {**search, "method": "GET"},
            {**search, "method": "POST"},
        ],
    }


def _collection(url: str, name: str) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": name,
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [{"rel": "self", "href": f"{url}/collections/{name}", "type": "application/json"}],
    }


def _search(behaviour: Behaviour, url: str, method: str, asked: dict[str, Any]) -> dict[str, Any]:
    matched = [item for item in behaviour.items if _matches(item, asked, behaviour.ignored)]
    start = int(asked.get("token", 0))
    size = min(int(asked.get("limit", 10)), behaviour.page)
    features = matched[start : start + size]
    links: list[dict[str, Any]] = [{"rel": "self", "href": f"{url}/search"}]
    following = start + size
    if following < len(matched) and behaviour.paging != "none":
        token = {"good": following, "overlap": max(following - 1, start + 1), "loop": 0}[behaviour.paging]
        if method == "POST":
            links.append(
                {"rel": "next", "method": "POST", "href": f"{url}/search", "body": {**asked, "token": str(token)}}
            )
        else:
            links.append({"rel": "next", "href": f"{url}/search?{_query({**asked, 'token': token})}"})
    return {
        "type": "FeatureCollection",
        "features": features,
        "links": links,
        "numberMatched": len(matched),
        "numberReturned": len(features),
    }


def _query(asked: Mapping[str, Any]) -> str:
    return "&".join(f"{k}={','.join(map(str, v)) if isinstance(v, list) else v}" for k, v in asked.items())


def _matches(item: Mapping[str, Any], asked: Mapping[str, Any], ignored: frozenset[str]) -> bool:
    if "collections" in asked and "collections" not in ignored and item["collection"] not in asked["collections"]:
        return False
    if "datetime" in asked and "datetime" not in ignored:
        start, _, stop = str(asked["datetime"]).partition("/")
        when = _instant(item["properties"]["datetime"])
        if not _instant(start) <= when <= _instant(stop or start):
            return False
    if "bbox" in asked and "bbox" not in ignored:
        return bool(shapely.intersects(shapely.box(*asked["bbox"]), shapely.geometry.shape(dict(item["geometry"]))))
    return True


def _instant(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
