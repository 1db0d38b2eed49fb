"""One remote file fetched in pieces by HTTP ranges; a piece that breaks off is gone on with where it broke."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import urllib3

from cropcube.catalog.earthdata import HOW, EarthdataLogin
from cropcube.catalog.fetching import connections
from cropcube.catalog.hrefs import redact
from cropcube.errors import ReadError
from cropcube.observations.checksums import PIECE_BYTES
from cropcube.observations.download import TIMEOUT
from cropcube.observations.failures import read_error

RANGE_BYTES = 64 << 20
"""Asked for at once. NASA's hosts redirect each request to an address that is good for an hour."""
REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 8
AGAIN = "Run the same build again later; it retries what failed."

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass
class RemoteFile:
    """A file on its way, and how far it is."""

    name: str
    "Granule and file, for messages."
    href: str
    login: EarthdataLogin
    have: int = 0
    "Bytes written so far."
    total: int | None = None
    "Bytes of the whole; None before the first answer."
    tag: str | None = None
    "ETag of the first answer, so that pieces of two versions are not joined."

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are there."""
        return self.total is not None and self.have >= self.total

    def append_piece(self, file: BinaryIO, measured: Callable[[str, int], None]) -> None:
        """Fetch the next piece; what arrives before a failure is kept.

        Parameters
        ----------
        file
            Written at `have`.
        measured
            Told name and total size as soon as it is known; may refuse.

        Raises
        ------
        ReadError
            Classified; holds neither tokens nor signed addresses.
        OSError
            If the file cannot be written.
        """
        failure, expected, got = "", None, 0
        try:
            with self._answer() as answer:
                expected = self._expected(answer)
                if self.total is not None and not self.have:
                    measured(self.name, self.total)
                file.seek(self.have)
                file.truncate()
                for piece in answer.stream(PIECE_BYTES, decode_content=False):
                    file.write(piece)
                    got += len(piece)
                    self.have += len(piece)
        except urllib3.exceptions.HTTPError as error:
            failure = type(error).__name__
        if failure:
            # Only the kind, and out of the block: the error's own text may hold a signed address.
            raise self._failed(f"the connection failed after {self.have} bytes ({failure})", transient=True)
        if expected is None:
            self.total = self.have  # a server without ranges that does not say how much there is
        elif got != expected:
            raise self._failed(f"{got} of {expected} bytes came", transient=True)

    def _expected(self, answer: urllib3.BaseHTTPResponse) -> int | None:
        """Return how many bytes an answer holds, None if it does not say; start again if the file is another one."""
        tag = answer.headers.get("ETag")
        stated = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status == 206 and stated is None:
            raise self._failed("the server does not say which bytes it sends", transient=False)
        if stated is None:
            # The server knows no ranges: it sends all, from the start.
            length = answer.headers.get("Content-Length")
            self.have, self.tag = 0, tag
            self.total = None if length is None else int(length)
            return self.total
        first, last, total = map(int, stated.groups())
        if self.have and (tag, total) != (self.tag, self.total):
            self.have, self.total, self.tag = 0, None, None
            raise self._failed("it changed while it was fetched; it is fetched anew", transient=True)
        if first != self.have or not first <= last < total:
            raise self._failed(f"the server sends other bytes than were asked for (from {first})", transient=True)
        self.total, self.tag = total, tag
        return last - first + 1

    @contextlib.contextmanager
    def _answer(self) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the answer to the request for the next piece, redirects followed by our own rules."""
        headers = {
            "Range": f"bytes={self.have}-{self.have + RANGE_BYTES - 1}",
            "Accept-Encoding": "identity",  # a range of a compressed answer would be of other bytes
        }
        url = self.href
        for _ in range(MOST_REDIRECTS):
            authorization = self.login.authorization(url)  # of this very host; a foreign one gets none
            extra = {} if authorization is None else {"Authorization": authorization}
            with connections(url, False, TIMEOUT) as pool:
                answer = pool.request(
                    "GET", url, headers={**headers, **extra}, preload_content=False, redirect=False
                )  # fmt: skip
                with contextlib.closing(answer):
                    target = answer.headers.get("Location") if answer.status in REDIRECTS else None
                    if target is None:
                        self._refuse_status(answer.status, url, authorization)
                        yield answer
                        return
            url = self._followed(url, urljoin(url, target), authorization)
        raise self._failed(f"more than {MOST_REDIRECTS} redirects", transient=True)

    def _followed(self, url: str, target: str, authorization: str | None) -> str:
        """Return where a redirect leads, unless it is to a login page or out of https."""
        if self.login.is_login_page(target):
            self._refuse_login(401, authorization)
        kept = ("https",) if urlsplit(url).scheme == "https" else ("http", "https")
        if urlsplit(target).scheme not in kept:
            raise self._failed(f"the server redirects to {urlsplit(target).scheme}", transient=False)
        return target

    def _refuse_status(self, status: int, url: str, authorization: str | None) -> None:
        if status in (200, 206):
            return
        if status == 401 and (authorization is not None or self.login.is_data_host(url)):
            self._refuse_login(status, authorization)
        if status == 403 and authorization is not None:
            raise ReadError(
                f"{self.name}: refused to this Earthdata login (HTTP 403): {redact(self.href)}",
                "Approve the application of LP DAAC and its agreements in the profile at urs.earthdata.nasa.gov.",
            )
        # A foreign host is where a signed address led: it may have expired on the way.
        signed = url != self.href
        raise read_error(self.name, redact(self.href), OSError(f"HTTP response code: {status}"), signed)

    def _refuse_login(self, status: int, authorization: str | None) -> None:
        if authorization is None:
            raise ReadError(f"{self.name}: needs an Earthdata login: {redact(self.href)}", HOW)
        self.login.refuse(authorization)
        raise self._failed(f"the Earthdata token is refused (HTTP {status}), perhaps expired", transient=True)

    def _failed(self, why: str, transient: bool) -> ReadError:
        return ReadError(
            f"{self.name}: {why}: {redact(self.href)}",
            AGAIN if transient else "Check the catalogue and its server.",
            transient,
        )
