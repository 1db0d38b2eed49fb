"""A real HTTP server on the loopback for the files of a folder: ranges, planned faults, tokens, a request log."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit


@dataclass
class FileServer:
    """What the server does and has done; may be changed while it runs."""

    folder: Path
    url: str = ""
    answers: dict[str, list[int]] = field(default_factory=dict)
    "By file name: status codes of the next requests for it; 0 serves the file."
    token: str | None = None
    "If set, requests without `?sig=<token>` are refused."
    delay_s: float = 0.0
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    "Method, path and status, in order."
    lock: threading.Lock = field(default_factory=threading.Lock)

    def status_for(self, path: str, query: str) -> int:
        """Return the status of the next request for a path."""
        with self.lock:
            planned = self.answers.get(Path(path).name) or [0]
            code = planned.pop(0)
        if code:
            return code
        if self.token is not None and parse_qs(query).get("sig") != [self.token]:
            return 403
        return 200 if (self.folder / path.lstrip("/")).is_file() else 404


@contextlib.contextmanager
def serve_files(folder: Path, host: str = "127.0.0.1") -> Iterator[FileServer]:
    """Serve a folder at an address of this machine until the block ends."""
    state = FileServer(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            parts = urlsplit(self.path)
            time.sleep(state.delay_s)
            status = state.status_for(parts.path, parts.query)
            content = (folder / parts.path.lstrip("/")).read_bytes() if status == 200 else b""
            wanted = self.headers.get("Range", "")
            total = len(content)
            extra = ""
            if status == 200 and wanted.startswith("bytes="):
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                start, stop = int(first), min(int(last or total - 1), total - 1)
                extra, content, status = f"bytes {start}-{stop}/{total}", content[start : stop + 1], 206
            state.requests.append((self.command, parts.path, status))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Accept-Ranges", "bytes")
            if extra:
                self.send_header("Content-Range", extra)
            self.end_headers()
            if body:
                with contextlib.suppress(ConnectionError):  # a client that has enough may hang up
                    self.wfile.write(content)

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    state.url = f"http://{host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
