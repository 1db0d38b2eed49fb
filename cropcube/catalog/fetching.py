"""How the network is asked: bounded retries for every request, and plain GETs for what is no STAC API."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from urllib3 import PoolManager, Retry

ATTEMPTS = 6
"""Tries per request."""
BACKOFF_S = 0.5
TIMEOUT_S = 60.0
LONGEST_WAIT_S = 60
"""Longest pause between two tries, whatever the server's Retry-After says."""
RETRIED = (429, 500, 502, 503, 504)
"""HTTP statuses that a later try may turn."""


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    "HTTP status."
    data: bytes
    "Body."


def retry_policy() -> Retry:
    """POST is retried as GET is (a search changes nothing); Retry-After is kept to, within bounds."""
    from urllib3 import Retry

    return Retry(
        total=ATTEMPTS - 1,
        backoff_factor=BACKOFF_S,
        backoff_max=LONGEST_WAIT_S,
        status_forcelist=RETRIED,
        allowed_methods=None,
        raise_on_status=False,
        retry_after_max=LONGEST_WAIT_S,
    )


def fetch(url: str) -> Answer:
    """Return the answer to a GET.

    Raises
    ------
    urllib3.exceptions.HTTPError
        If there is none after all tries.
    """
    with _pool(url) as pool:
        found = pool.request("GET", url)
        return Answer(found.status, found.data)


def _pool(url: str) -> PoolManager:
    """Return connections that go through the system's proxy, if it has one for this host."""
    import urllib3

    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, retries=retry_policy(), timeout=TIMEOUT_S)
    return urllib3.PoolManager(retries=retry_policy(), timeout=TIMEOUT_S)
