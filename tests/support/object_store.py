"""An S3 endpoint on the loopback interface (moto's server), and what such stores do on bad days."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from cropcube.location import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pytest

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI-never-to-be-printed"
CUT = ("", "")
"""No answer: the connection is cut."""
_BUCKETS = itertools.count()
"""Connections are kept by bucket: every store of a test run has names of its own."""


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""

    def run_wsgi(self) -> None:
        """Answer, or cut the connection."""
        with contextlib.suppress(ConnectionError):
            super().run_wsgi()


@dataclass
class ObjectStore:
    """A running endpoint."""

    url: str
    fails: Callable[[int], tuple[str, str] | None] | None = None
    "Given the number of a request, the status and code that it is answered with instead; None for the true answer."
    refused_key: str | None = None
    "The id of an access key that is answered with 403."
    asked: Counter[str] = field(default_factory=Counter)
    "Requests by method."

    def bucket(self) -> ObjectPath:
        """Make a fresh bucket."""
        name = f"fields-{next(_BUCKETS)}"
        client = boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )
        client.create_bucket(Bucket=name)
        client.close()
        return ObjectPath(f"s3://{name}")


@contextlib.contextmanager
def object_store(environment: pytest.MonkeyPatch, host: str = "127.0.0.1") -> Iterator[ObjectStore]:
    """Serve at an address of this machine, and let this process and its children find it as any S3 endpoint."""
    true_answer = DomainDispatcherApplication(create_backend_app)
    lock, number = threading.Lock(), itertools.count()

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with lock:
            store.asked[environ["REQUEST_METHOD"]] += 1
            said = store.fails(next(number)) if store.fails else None
            if store.refused_key and store.refused_key in environ.get("HTTP_AUTHORIZATION", ""):
                said = "403 Forbidden", "InvalidAccessKeyId"
        if said is None:
            return true_answer(environ, start)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if said == CUT:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionError
        status, code = said
        start(status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><AWSAccessKeyId>{KEY}</AWSAccessKeyId></Error>".encode()]

    server = make_server(host, 0, answer, threaded=True, request_handler=_Quiet)
    store = ObjectStore(f"http://{host}:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", store.url),
    ):  # fmt: skip
        environment.setenv(name, value)
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
