"""What reading a file needs beyond its href; made when it is read, never stored and never logged."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from cropcube.catalog.fetching import fetch
from cropcube.errors import ReadError

TOKEN_URL = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
"""Hands out tokens by storage account and container."""
SIGNED_HOSTS = frozenset({"sentinel2l2a01.blob.core.windows.net"})
"""Hosts whose files need a token of the Planetary Computer; no other host is ever sent one."""
SPARE = timedelta(minutes=5)
"""A token is replaced this long before it expires."""

_CDSE_S3 = {
    "AWS_S3_ENDPOINT": "eodata.dataspace.copernicus.eu",
    "AWS_VIRTUAL_HOSTING": "FALSE",
    "AWS_HTTPS": "YES",
}


def sign(href: str) -> str:
    """Return an href with the token that its host asks for; others are returned as they are.

    Parameters
    ----------
    href
        Unsigned, as scenes carry it.

    Raises
    ------
    ReadError
        If no token can be had; transient, since a later try may succeed.
    """
    parts = urlsplit(href)
    if parts.scheme not in ("http", "https") or parts.hostname not in SIGNED_HOSTS or parts.query:
        return href
    account, container = parts.hostname.split(".")[0], parts.path.lstrip("/").split("/")[0]
    return f"{href}?{_TOKENS.token(account, container)}"


def forget(href: str) -> None:
    """Drop the token that a host has refused, so that the next `sign` fetches a new one."""
    parts = urlsplit(href)
    if parts.hostname in SIGNED_HOSTS:
        _TOKENS.forget(parts.hostname.split(".")[0], parts.path.lstrip("/").split("/")[0])


def gdal_options(href: str) -> dict[str, str]:
    """Return the GDAL options that a file needs; credentials themselves are left to GDAL and its usual variables."""
    parts = urlsplit(href)
    return dict(_CDSE_S3) if parts.scheme == "s3" and parts.netloc == "eodata" else {}


class TokenCache:
    """Tokens of this process, each fetched once and again before it expires.

    Parameters
    ----------
    endpoint
        URL that answers `/{account}/{container}` with a token and its expiry.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._tokens: dict[tuple[str, str], tuple[datetime, str]] = {}
        self._lock = threading.Lock()

    def token(self, account: str, container: str) -> str:
        """Return a valid token.

        Raises
        ------
        ReadError
            If none can be had.
        """
        with self._lock:
            found = self._tokens.get((account, container))
            if found is None or found[0] - SPARE <= datetime.now(UTC):
                found = self._tokens[account, container] = self._fetch(account, container)
            return found[1]

    def forget(self, account: str, container: str) -> None:
        """Drop a token; nothing happens if there is none."""
        with self._lock:
            self._tokens.pop((account, container), None)

    def _fetch(self, account: str, container: str) -> tuple[datetime, str]:
        import urllib3

        try:
            answer = fetch(f"{self._endpoint}/{account}/{container}")
        except urllib3.exceptions.HTTPError as error:
            raise _no_token(account, container, type(error).__name__) from None
        if answer.status != 200:
            raise _no_token(account, container, f"HTTP {answer.status}")
        try:
            said = json.loads(answer.data)
            return datetime.fromisoformat(said["msft:expiry"]).astimezone(UTC), str(said["token"])
        except (ValueError, KeyError, TypeError, OverflowError):
            raise _no_token(account, container, "the answer is no token") from None


def _no_token(account: str, container: str, why: str) -> ReadError:
    return ReadError(
        f"no token for {account}/{container} of the Planetary Computer ({why})",
        "Build again later, or use another --catalog.",
        transient=True,
    )


_TOKENS = TokenCache(TOKEN_URL)
"""One cache for the process: a token is a property of the process's connection, not of any result."""
