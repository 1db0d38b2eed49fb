"""What STAC items of every sensor have in common."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cropcube.catalog.hrefs import folder_of, is_remote, resolve_href
from cropcube.errors import InvalidInputError


def identity_of(item: Mapping[str, Any]) -> str:
    """Return the id of an item.

    Raises
    ------
    InvalidInputError
        If it has none.
    """
    identity = item.get("id")
    if not isinstance(identity, str) or not identity:
        raise InvalidInputError(f"an item has no id (it has: {' '.join(map(str, item))[:200]})", "Check the catalogue.")
    return identity


def self_folder(item: Mapping[str, Any]) -> str | None:
    """Return the folder of an item's self link, which its relative hrefs are counted from; None if it has none."""
    for link in item.get("links") or ():
        if isinstance(link, Mapping) and link.get("rel") == "self" and isinstance(link.get("href"), str):
            href: str = link["href"]
            if href.startswith("file:"):
                href = resolve_href(href, None)
            return folder_of(href) if is_remote(href) or os.path.isabs(href) else None
    return None


def instant(identity: str, properties: Mapping[str, Any]) -> datetime:
    """Return the acquisition in UTC.

    Raises
    ------
    InvalidInputError
        If none is stated.
    """
    stated = properties.get("datetime") or properties.get("start_datetime")
    if stated is None:
        raise InvalidInputError(f"item {identity} has no datetime", "Check the catalogue.")
    when = stated if isinstance(stated, datetime) else datetime.fromisoformat(str(stated))
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)


def percent(stated: Any) -> float | None:
    """Return a stated number; None for none and for not a number."""
    return None if stated is None or math.isnan(float(stated)) else float(stated)
