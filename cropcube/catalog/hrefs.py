"""Hrefs as catalogues write them: resolved, checked, free of signatures, and fit for a message.

An href comes from outside. Only plain files and the object stores below are let through: GDAL would otherwise follow
its own prefixes (`/vsizip/`, `/vsicurl/`), connection strings (`NETCDF:...`, `vrt://`) and inline XML.
"""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit, urlunsplit

from cropcube.errors import InvalidInputError

REMOTE_SCHEMES = ("http", "https", "s3", "gs", "az", "abfs", "abfss")
"""Schemes of hrefs that are not local files."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SIGNATURE_KEYS = frozenset(
    {"sig", "signature", "token", "access_token", "x-amz-signature", "x-amz-security-token", "x-goog-signature"}
)


def is_remote(href: str) -> bool:
    """Return whether an href names a URL or an object store, not a local file."""
    scheme, colon, _ = href.partition(":")
    return bool(colon) and scheme.lower() in REMOTE_SCHEMES


def resolve_href(href: str, folder: str | None) -> str:
    """Return an href as an absolute path or URL without any signature.

    Parameters
    ----------
    href
        As the catalogue writes it.
    folder
        Path or URL of the folder that relative hrefs are counted from; None where there is none.

    Raises
    ------
    InvalidInputError
        If the href is of a kind that is not let through, or relative without a folder.
    """
    _refuse_tricks(href)
    scheme = urlsplit(href).scheme.lower()
    if scheme in REMOTE_SCHEMES:
        return without_signature(href)
    if scheme == "file":
        return _local(unquote(urlsplit(href).path))
    if os.path.isabs(href):
        return _local(href)
    if folder is None:
        raise InvalidInputError(
            f"href {redact(href)!r} is relative and its item has no self link",
            "Open the item through its catalogue file, or write absolute hrefs.",
        )
    if is_remote(folder):
        # urljoin knows relative paths of http only.
        scheme, _, rest = redact(folder).rstrip("/").partition(":")
        return without_signature(f"{scheme}:{urljoin(f'http:{rest}/', href).removeprefix('http:')}")
    return _local(os.path.abspath(os.path.join(folder, href)))


def folder_of(location: str) -> str:
    """Return the folder of a file's path or URL."""
    if is_remote(location):
        return redact(location).rsplit("/", 1)[0]
    return os.path.dirname(os.path.abspath(location))


def without_signature(href: str) -> str:
    """Return a URL without its query if the query carries a signature or token; other queries are kept."""
    parts = urlsplit(href)
    keys = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    return urlunsplit(parts._replace(query="", fragment="")) if keys & _SIGNATURE_KEYS else href


def redact(href: str) -> str:
    """Return an href fit for messages and logs: no query, no fragment, no user or password."""
    if not is_remote(href):
        return href
    try:
        parts = urlsplit(href)
    except ValueError:  # brackets that are no IPv6 address
        return href.partition("?")[0].partition("@")[0]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def is_zarr(href: str) -> bool:
    """Return whether an href names something inside a Zarr store."""
    return ".zarr/" in redact(href) or redact(href).endswith(".zarr")


def _local(path: str) -> str:
    """Return a local path without dots; refused if GDAL would take it for one of its own file systems."""
    plain = "/" + os.path.normpath(path).lstrip("/")
    if plain.startswith("/vsi") or "\0" in plain:
        raise _refused(path)
    return plain


def _refuse_tricks(href: str) -> None:
    try:
        urlsplit(href)
    except ValueError:
        raise _refused(href) from None
    found = _SCHEME.match(href)
    known = found is None or found.group()[:-1].lower() in (*REMOTE_SCHEMES, "file")
    if not known or not href or _CONTROL.search(href) or href.startswith("<") or href.lower().endswith(".vrt"):
        raise _refused(href)


def _refused(href: str) -> InvalidInputError:
    return InvalidInputError(
        f"href {redact(href)[:200]!r} is of a kind that is not read",
        f"Hrefs may be local files or URLs of the kinds: {' '.join(REMOTE_SCHEMES)}.",
    )
