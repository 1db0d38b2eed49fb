"""Catalogues that are files: static catalogues, ItemCollections and stac-geoparquet."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cropcube.catalog.hrefs import folder_of, is_remote, redact, resolve_href
from cropcube.catalog.known import KNOWN_CATALOGS
from cropcube.errors import CatalogError, InvalidInputError, MissingError

PARQUET_SUFFIXES = (".parquet", ".geoparquet", ".stac-geoparquet")
JSON_SUFFIXES = (".json", ".geojson")
LARGEST_JSON = 512 * 2**20
"""Bytes of one JSON file that is still read whole; stac-geoparquet has no such limit."""
PARQUET_ROWS = 256
"""Rows of stac-geoparquet that are items at one time."""

Located = tuple[Mapping[str, Any], str]
"""An item and the path or URL of the folder that its relative hrefs are counted from."""


def is_file_catalog(catalog: str) -> bool:
    """Return whether a `--catalog` names a file or folder (also one behind a URL), not an API."""
    if not is_remote(catalog):
        return True
    return urlsplit(catalog).path.lower().endswith((*JSON_SUFFIXES, *PARQUET_SUFFIXES))


def file_items(catalog: str) -> Iterator[Located]:
    """Yield the items of a file catalogue, one file or a few rows at a time.

    Raises
    ------
    MissingError
        If there is no such file.
    InvalidInputError
        If it is neither STAC JSON nor stac-geoparquet.
    CatalogError
        If a file behind a URL cannot be fetched.
    """
    location = catalog if is_remote(catalog) else str(_local(catalog))
    if urlsplit(location).path.lower().endswith(PARQUET_SUFFIXES):
        yield from _parquet_items(location)
    else:
        yield from _walk(location)


def _local(catalog: str) -> Path:
    path = Path(resolve_href(catalog, ".") if catalog.startswith("file:") else catalog).expanduser()
    if path.is_dir():
        path = path / "catalog.json"
    if not path.is_file():
        near = difflib.get_close_matches(Path(catalog).name.lower(), KNOWN_CATALOGS, n=1)
        guess = f"Did you mean {near[0]}? " if near else ""
        forms = "a STAC API's URL, .json, .geojson and .parquet files work as well"
        raise MissingError(
            f"there is no catalogue {catalog!r}", f"{guess}`cropcube catalogs` lists those with a name; {forms}."
        )
    return path


def _walk(start: str) -> Iterator[Located]:
    """Yield the items below a catalogue, depth first in the order of the links; each file is read once."""
    waiting, visited = [start], {start}
    while waiting:
        location = waiting.pop()
        content = _read_json(location)
        folder = folder_of(location)
        kind = content.get("type")
        if kind == "FeatureCollection":
            yield from ((item, folder) for item in _features(location, content))
        elif kind == "Feature":
            yield content, folder
        elif kind in ("Catalog", "Collection"):
            for link in reversed(_children(location, content, is_remote(start))):
                if link not in visited:
                    visited.add(link)
                    waiting.append(link)
        else:
            raise InvalidInputError(
                f"{redact(location)} is no STAC catalogue, collection, item or item collection (type {kind!r})",
                "Give a catalog.json, an ItemCollection or stac-geoparquet.",
            )


def _features(location: str, content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    features = content.get("features")
    if not isinstance(features, list) or not all(isinstance(item, Mapping) for item in features):
        raise InvalidInputError(f"{redact(location)} has no list of features", "Give an ItemCollection.")
    return features


def _children(location: str, content: Mapping[str, Any], remote: bool) -> list[str]:
    found = []
    for link in content.get("links") or ():
        if isinstance(link, Mapping) and link.get("rel") in ("child", "item") and isinstance(link.get("href"), str):
            child = resolve_href(link["href"], folder_of(location))
            if remote and not is_remote(child):
                raise InvalidInputError(
                    f"catalogue {redact(location)} points to a file of this machine", "Check the catalogue."
                )
            found.append(child)
    return found


def _read_json(location: str) -> Mapping[str, Any]:
    try:
        content = json.loads(_fetch(location) if is_remote(location) else _slurp(location))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{redact(location)} is not JSON ({error})", "Check the catalogue.") from None
    if not isinstance(content, dict):
        raise InvalidInputError(f"{redact(location)} is no STAC object", "Check the catalogue.")
    return content


def _slurp(location: str) -> bytes:
    path = Path(location)
    try:
        _refuse_large(location, path.stat().st_size)
        return path.read_bytes()
    except FileNotFoundError:
        raise MissingError(f"the catalogue points to {location}, which is not there", "Check its links.") from None
    except OSError as error:
        raise InvalidInputError(f"{location} cannot be read ({error.strerror})", "Check its permissions.") from error


def _fetch(location: str) -> bytes:
    import urllib3

    from cropcube.catalog.fetching import fetch

    try:
        found = fetch(location)
    except urllib3.exceptions.HTTPError as error:
        raise CatalogError(
            f"{redact(location)} cannot be fetched ({type(error).__name__})", "Check the address and the network."
        ) from None
    if found.status != 200:
        raise CatalogError(f"{redact(location)} answers HTTP {found.status}", "Check the address.")
    _refuse_large(location, len(found.data))
    return found.data


def _refuse_large(location: str, size: int) -> None:
    if size > LARGEST_JSON:
        raise InvalidInputError(
            f"{redact(location)} has {size / 2**20:.0f} MiB of JSON; up to {LARGEST_JSON // 2**20} MiB are read",
            "Write it as stac-geoparquet (.parquet), which is read piece by piece.",
        )


def _parquet_items(location: str) -> Iterator[Located]:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from stac_geoparquet.arrow import stac_table_to_items

    if is_remote(location):
        raise InvalidInputError(
            f"{redact(location)}: stac-geoparquet behind a URL is not read", "Download it and give the path."
        )
    folder = folder_of(location)
    try:
        with pq.ParquetFile(location) as file:
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                yield from ((item, folder) for item in stac_table_to_items(pa.Table.from_batches([batch])))
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(
            f"{location} is no readable stac-geoparquet ({type(error).__name__}: {error})", "Check the file."
        ) from error
