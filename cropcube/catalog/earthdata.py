"""Earthdata Login: the bearer token that NASA's data hosts want, asked for when a file is read.

It is taken from EARTHDATA_TOKEN, or made by Earthdata Login for the account that ~/.netrc has. It stays in the memory
of the process, goes to no host but NASA's over https, and is in no message.
"""

from __future__ import annotations

import base64
import json
import netrc
import os
import re
import threading
from collections import Counter
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from cropcube.catalog.fetching import post
from cropcube.errors import ReadError

LOGIN_URL = "https://urs.earthdata.nasa.gov"
"""Earthdata Login; the only place that is told the password of ~/.netrc."""
TOKEN_PATH = "/api/users/find_or_create_token"
DATA_DOMAINS = ("earthdata.nasa.gov", "earthdatacloud.nasa.gov")
"""Hosts below these are sent the token, over https only."""
VARIABLE = "EARTHDATA_TOKEN"
REFUSALS_ALLOWED = 2
"""A token that was refused this often is not sent again: one refusal may be a server's mistake."""
HOW = (
    f"Put a token of {LOGIN_URL} (Generate Token; it lasts 60 days) into {VARIABLE}, or a line "
    "'machine urs.earthdata.nasa.gov login NAME password PASSWORD' into ~/.netrc."
)

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


class EarthdataLogin:
    """Tokens of this process.

    Parameters
    ----------
    login_url
        Where tokens are made.
    origins
        Further places that are sent the token, as `http://127.0.0.1:8080`; for tests.
    """

    def __init__(self, login_url: str = LOGIN_URL, origins: frozenset[str] = frozenset()) -> None:
        self._login_url, self._origins = login_url, origins
        self._made: str | None = None
        self._refused: Counter[str] = Counter()
        self._lock = threading.Lock()

    def authorization(self, url: str) -> str | None:
        """Return the header that a URL's host is sent; None for foreign hosts, and where there is no login.

        Raises
        ------
        ReadError
            If a login is there and no good: transient only where a later try may turn that.
        """
        if not self.is_data_host(url):
            return None
        with self._lock:
            token = self._token()
        return None if token is None else f"Bearer {token}"

    def is_data_host(self, url: str) -> bool:
        """Return whether a URL may be sent the token."""
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" in self._origins:
            return True
        host = (parts.hostname or "").lower()
        return parts.scheme == "https" and any(host == name or host.endswith(f".{name}") for name in DATA_DOMAINS)

    def is_login_page(self, url: str) -> bool:
        """Return whether a redirect leads to where a person would log in."""
        return urlsplit(url).netloc == urlsplit(self._login_url).netloc

    def refuse(self, authorization: str) -> None:
        """Tell that a host refused a header; a token that ~/.netrc's account got is made anew."""
        token = authorization.removeprefix("Bearer ")
        with self._lock:
            self._refused[token] += 1
            if token == self._made:
                self._made = None

    def _token(self) -> str | None:
        given = os.environ.get(VARIABLE, "").strip()
        if given and not _TOKEN.fullmatch(given):
            raise ReadError(f"{VARIABLE} holds something that is no token ({len(given)} characters)", HOW)
        if given and self._usable(given):
            return given
        account = _account(urlsplit(LOGIN_URL).hostname or "")
        if account is None:
            if given:
                raise ReadError(f"the token of {VARIABLE} is refused; it may have expired", HOW)
            return None
        if self._made is None:
            self._made = self._make(account)
        if not self._usable(self._made):
            raise ReadError("the token of the account in ~/.netrc is refused, a new one as well", HOW)
        return self._made

    def _usable(self, token: str) -> bool:
        return self._refused[token] < REFUSALS_ALLOWED

    def _make(self, account: tuple[str, str]) -> str:
        """Have a token made, or the one that stands handed out."""
        import urllib3

        secret = base64.b64encode(":".join(account).encode()).decode("ascii")
        try:
            answer = post(f"{self._login_url}{TOKEN_PATH}", {"Authorization": f"Basic {secret}"})
        except urllib3.exceptions.HTTPError as error:
            raise _no_token(type(error).__name__) from None
        if answer.status in (401, 403):
            raise ReadError(f"Earthdata Login refuses the account of ~/.netrc (HTTP {answer.status})", HOW)
        if answer.status != 200:
            raise _no_token(f"HTTP {answer.status}")
        try:
            token = str(json.loads(answer.data)["access_token"])
        except (ValueError, KeyError, TypeError):
            raise _no_token("the answer is no token") from None
        if not _TOKEN.fullmatch(token):
            raise _no_token("the answer is no token")
        return token


@lru_cache(maxsize=1)
def shared_login() -> EarthdataLogin:
    """Return the login of this process: a token is a property of its connection, not of any result."""
    return EarthdataLogin()


def _account(host: str) -> tuple[str, str] | None:
    """Return name and password that ~/.netrc (or the file that NETRC names) has for a host."""
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    line: int | None = None
    try:
        # Not its `default`, which is for strangers.
        found = netrc.netrc(str(path)).hosts.get(host)
        return None if found is None or not found[2] else (found[0], found[2])
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        raise ReadError(f"{path} cannot be read ({type(error).__name__})", HOW) from None
    except netrc.NetrcParseError as error:
        line = error.lineno
    # Out of the block: that error quotes the file, a password perhaps.
    raise ReadError(f"{path} is not of netrc's form (line {line})", HOW)


def _no_token(why: str) -> ReadError:
    return ReadError(f"Earthdata Login hands out no token ({why})", "Run the same build again later.", transient=True)
