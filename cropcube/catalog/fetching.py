"""How the network is asked: bounded retries for every request, and plain GETs for what is no STAC API."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3
from urllib3 import PoolManager, ProxyManager, Retry

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


class BoundedRetry(Retry):
    """Keeps to a server's Retry-After up to the longest wait, in every version of urllib3."""

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        """Return the seconds that a server asks to wait, bounded; None if it does not say."""
        asked = super().get_retry_after(response)
        return None if asked is None else min(asked, LONGEST_WAIT_S)


def retry_policy() -> BoundedRetry:
    """Return the policy of every request; POST is retried as GET is, since a search changes nothing."""
    return BoundedRetry(
        total=ATTEMPTS - 1,
        backoff_factor=BACKOFF_S,
        backoff_max=LONGEST_WAIT_S,
        status_forcelist=RETRIED,
        allowed_methods=None,
        raise_on_status=False,
    )


def fetch(url: str) -> Answer:
    """Return the answer to a GET.

    Raises
    ------
    urllib3.exceptions.HTTPError
        If there is none after all tries.
    """
    with connections(url, retry_policy(), TIMEOUT_S) as pool:
        found = pool.request("GET", url)
        return Answer(found.status, found.data)


def post(url: str, headers: Mapping[str, str]) -> Answer:
    """Return the answer to a POST without a body; a redirect is not followed, since the headers may be secret.

    Raises
    ------
    urllib3.exceptions.HTTPError
        If there is none after all tries.
    """
    with connections(url, retry_policy(), TIMEOUT_S) as pool:
        found = pool.request("POST", url, headers=headers, redirect=False)
        return Answer(found.status, found.data)


def connections(url: str, retries: Retry | bool, timeout: urllib3.Timeout | float) -> PoolManager:
    """Return connections that go through the system's proxy, if it has one for this host."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        return ProxyManager(proxy, retries=retries, timeout=timeout)
    return PoolManager(retries=retries, timeout=timeout)
