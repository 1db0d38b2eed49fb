"""Why a file could not be read, and whether it is worth asking again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cropcube.catalog.hrefs import is_remote
from cropcube.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator

TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504, 509}
DENIED_STATUS = {401, 403}
TRANSIENT_WORDS = re.compile(
    r"time[d-]? ?-?out|timeout|connection (was )?(reset|refused|aborted|closed)|failed to connect|couldn't connect"
    r"|could not connect|could ?n[o']t resolve|temporarily unavailable|temporary failure|recv failure|send failure"
    r"|empty reply|slow ?down|too many requests|throttl|transfer closed|partial file|handshake|SSL.{0,20}(reset|error)",
    re.IGNORECASE,
)
EXPIRED_WORDS = re.compile(r"expired|ExpiredToken|RequestTimeTooSkewed", re.IGNORECASE)
STATUS = re.compile(
    r"(?:HTTP response code on \S+|HTTP[^0-9]{0,40}|response[_ ]code[^0-9]{0,12}|status[^0-9]{0,12})[: ]*([1-5]\d\d)\b"
)
SHORT_READ = re.compile(
    r"Read error|Cannot read offset/size|bytes, expected|Short read|IReadBlock failed", re.IGNORECASE
)
QUERY = re.compile(r"(https?://[^\s'\"?]+)\?[^\s'\"]+")


def read_error(label: str, href: str, error: BaseException, signed: bool = False) -> ReadError:
    """Return the classified error for a failed open or read.

    Parameters
    ----------
    label
        Scene and band, for the message.
    href
        Where the file lies, unsigned.
    error
        What rasterio or stackstac raised; its causes are looked at too.
    signed
        Whether the request carried a token, so that a refusal may mean that it has expired.
    """
    said = "; ".join(dict.fromkeys(str(link) for link in _chain(error) if str(link)))
    transient, meaning, next_step = _judge(said, is_remote(href), signed)
    return ReadError(f"{label}: {meaning}: {href} ({without_tokens(said)[:300]})", next_step, transient)


def without_tokens(text: str) -> str:
    """Return a message with the query strings of its URLs removed: they may hold tokens."""
    return QUERY.sub(r"\1", text)


def _judge(said: str, remote: bool, signed: bool) -> tuple[bool, str, str]:
    """Return whether the failure may pass, what it means and what to do next."""
    again = "Run the same build again later; it retries what failed."
    found = STATUS.search(said)
    status = int(found.group(1)) if found and remote else 0
    if status in DENIED_STATUS:
        if signed or EXPIRED_WORDS.search(said):
            return True, f"refused (HTTP {status}), perhaps an expired token", again
        return False, f"refused (HTTP {status})", "Check the credentials for this catalogue."
    if status in TRANSIENT_STATUS:
        return True, f"the server answered HTTP {status}", again
    if status in (404, 410):
        return False, f"not there (HTTP {status})", "The catalogue names a file that does not exist; ask with --search."
    if status >= 400:
        return False, f"the server answered HTTP {status}", "The file cannot be had as the catalogue names it."
    if remote and (TRANSIENT_WORDS.search(said) or SHORT_READ.search(said)):
        return True, "the connection failed", again
    if not remote and re.search(r"No such file", said):
        return False, "no such file", "Restore the file and build again: only what failed is retried."
    return False, "cannot be read", "The file is damaged; replace it and build again: only what failed is retried."


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__
