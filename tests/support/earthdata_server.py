"""NASA's three hosts on the loopback: Earthdata Login, the data host that wants its token, and where it redirects to.

Each has its own port, so that what is sent to which is told apart; the last one serves files by ranges to whoever has a
signed address, and breaks off, fails or forgets on request.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SIGNATURE = "S1GNATURE"


@dataclass
class Earthdata:
    """What the hosts do and have seen; may be changed while they run."""

    folder: Path
    valid: set[str] = field(default_factory=set)
    "Tokens that the data host takes."
    account: tuple[str, str] = ("someone", "pa55word")
    makes: list[str] = field(default_factory=list)
    "Tokens that the login hands out, one after the other; the last for ever."
    login_status: int = 200
    login_page: bool = False
    "Whether the data host redirects to a login page where it could say 401."
    breaks: list[int] = field(default_factory=list)
    "After how many bytes the next answers break off; 0 sends all."
    every_tenth: int | None = None
    "Status of every tenth request to data host and storage."
    ranges: bool = True
    etags: list[str] = field(default_factory=list)
    "Of the next answers; then one for ever."
    redirect_to: str | None = None
    "Where the data host redirects instead of to the storage."
    requests: list[tuple[str, str, str | None, str | None, int]] = field(default_factory=list)
    "Host (`login`, `data`, `storage`), path, Authorization, Range and status of every request."
    urls: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def seen(self, host: str) -> list[tuple[str, str | None, str | None, int]]:
        """Return the requests that one host had."""
        return [rest for name, *rest in self.requests if name == host]  # type: ignore[misc]

    def next_of(self, planned: list, default: object) -> object:  # type: ignore[type-arg]
        """Return the next planned thing."""
        with self.lock:
            return planned.pop(0) if planned else default

    def planned_status(self) -> int | None:
        """Return the status that this request ends with, if it is a tenth one."""
        with self.lock:
            count = sum(host != "login" for host, *_ in self.requests)
        return self.every_tenth if self.every_tenth is not None and count % 10 == 9 else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Earthdata
    host: str

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.state.requests.append(
            (self.host, self.path, self.headers.get("Authorization"), self.headers.get("Range"), status)
        )
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)


class _Login(_Handler):
    def do_POST(self) -> None:
        basic = "Basic " + base64.b64encode(":".join(self.state.account).encode()).decode()
        if self.path != "/api/users/find_or_create_token":
            self.say(404)
        elif self.state.login_status != 200:
            self.say(self.state.login_status)
        elif self.headers.get("Authorization") != basic:
            self.say(401, b'{"error": "invalid_credentials"}')
        else:
            token = self.state.makes.pop(0) if len(self.state.makes) > 1 else self.state.makes[0]
            said = {"access_token": token, "token_type": "Bearer", "expiration_date": "12/31/2099"}
            self.say(200, json.dumps(said).encode())

    def do_GET(self) -> None:
        self.say(200, b"<!DOCTYPE html><title>Earthdata Login</title>")


class _Data(_Handler):
    def do_GET(self) -> None:
        planned = self.state.planned_status()
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if planned is not None:
            self.say(planned)
        elif token not in self.state.valid:
            if self.state.login_page:
                self.say(302, Location=f"{self.state.urls['login']}/oauth/authorize?client_id=x")
            else:
                self.say(401, b'{"message": "token is invalid"}')
        else:
            place = self.state.redirect_to or f"{self.state.urls['storage']}{self.path}?Signature={SIGNATURE}"
            self.say(303, Location=place)


class _Storage(_Handler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        planned = self.state.planned_status()
        path = self.state.folder / Path(parts.path).name
        if planned is not None:
            self.say(planned)
        elif self.headers.get("Authorization") or parse_qs(parts.query).get("Signature") != [SIGNATURE]:
            self.say(400)  # as S3 does when it is told who asks in two ways
        elif not path.is_file():
            self.say(404)
        else:
            self.send_file(path.read_bytes())

    def send_file(self, content: bytes) -> None:
        etag = str(self.state.next_of(self.state.etags, '"one"'))
        limit = int(str(self.state.next_of(self.state.breaks, 0)))
        status, headers = 200, {"ETag": etag}
        if self.state.ranges:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{stop}/{len(content)}"
            status, content = 206, content[start : stop + 1]
        if limit and limit < len(content):
            self.say(status, content[:limit], **{**headers, "Content-Length": str(len(content))})
            self.close_connection = True
        else:
            self.say(status, content, **headers)


@contextlib.contextmanager
def serve_earthdata(folder: Path) -> Iterator[Earthdata]:
    """Serve the files of a folder behind a login until the block ends."""
    state = Earthdata(folder)
    running = []
    for host, kind in (("login", _Login), ("data", _Data), ("storage", _Storage)):
        handler = type(host, (kind,), {"state": state, "host": host})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        state.urls[host] = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        running.append((server, thread))
    try:
        yield state
    finally:
        for server, thread in running:
            server.shutdown()
            server.server_close()
            thread.join()
