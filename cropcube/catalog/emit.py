"""STAC items of EMIT L2A, as CMR-STAC writes them, become scenes of three files.

The keys of the assets differ between versions of CMR-STAC (`data`, `data1`, names, `s3_` and names), and so do roles
and titles: the three files are known by their names alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from shapely.errors import ShapelyError

from cropcube.catalog.emit_files import check_file, read_facts
from cropcube.catalog.emit_names import FileName
from cropcube.catalog.footprint import footprint_of
from cropcube.catalog.hrefs import is_remote, redact, resolve_href
from cropcube.catalog.items import identity_of, instant, percent, self_folder
from cropcube.domain.emit import FILES
from cropcube.domain.scene import Asset, Radiometry, Scene
from cropcube.errors import CropcubeError, InvalidInputError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

COLLECTIONS = ("EMITL2ARFL_001", "EMITL2ARFL.v001", "EMITL2ARFL")
"""Names of the collection: of CMR-STAC today and before, and the product's short name."""
FRACTION = Radiometry(1.0, 0.0, "EMIT L2A states reflectance as a fraction")
BUCKETS = {"lp-prod-protected": "https://data.lpdaac.earthdatacloud.nasa.gov/lp-prod-protected"}
"""Buckets of LP DAAC that are served over HTTPS under the same keys; S3 itself is open only from within us-west-2."""


def parse_item(item: Mapping[str, Any], base: str | None = None) -> Scene:
    """Return the scene that a STAC item of EMIT L2A describes, with those of its files that the item names.

    Parameters
    ----------
    item
        The item as parsed JSON. Without a geometry or datetime, those of a local file are taken.
    base
        Path or URL of the folder that relative hrefs are counted from; without one, the folder of the item's self
        link.

    Raises
    ------
    InvalidInputError
        If it is not an item of EMIT L2A, or something in it cannot be understood; the message names the item.
    """
    identity = identity_of(item)
    try:
        return _scene(identity, item, base or self_folder(item))
    except CropcubeError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, ShapelyError) as error:
        raise InvalidInputError(
            f"item {identity} cannot be understood ({type(error).__name__}: {error})", "Check the catalogue."
        ) from error


def check_granule(scene: Scene) -> None:
    """Refuse a granule that cannot be read: a file is missing, not reachable, or (of local ones) not what it should be.

    Raises
    ------
    InvalidInputError
        Naming the granule and the file.
    """
    missing = [label for label in FILES if label not in scene.assets]
    if missing:
        raise InvalidInputError(
            f"granule {scene.id} has no {' and no '.join(missing)} file beside {' and '.join(scene.assets)}",
            "Download the missing file to the same folder and ask again with --search, or leave the granule out.",
        )
    for label in FILES:
        href = scene.assets[label].href
        if not is_remote(href):
            check_file(href, label)
        elif urlsplit(href).scheme not in ("http", "https"):
            raise InvalidInputError(
                f"granule {scene.id}: its {label} file is only at {redact(href)}", "Give a catalogue of https links."
            )


def _scene(identity: str, item: Mapping[str, Any], folder: str | None) -> Scene:
    properties: Mapping[str, Any] = item.get("properties") or {}
    assets = item.get("assets") or {}
    found = _files(assets, folder)
    granules = sorted({name.granule for name, _ in found.values()})
    if not granules:
        raise InvalidInputError(
            f"item {identity} has no file of EMIT L2A reflectance; its assets: {_listed(assets)}",
            f"Choose the collection {COLLECTIONS[0]}; file names are like EMIT_L2A_RFL_001_<time>_<orbit>_<scene>.nc.",
        )
    if len(granules) > 1:
        raise InvalidInputError(f"item {identity} has files of several granules: {' '.join(granules)}", "Correct it.")
    name = next(name for name, _ in found.values())
    files = {label: found[label][1] for label in FILES if label in found}
    footprint, start = _place_and_time(identity, item, files)
    return Scene(
        id=name.granule,
        collection=str(item.get("collection") or ""),
        when=start or name.when,
        geometry=footprint,
        epsg=None,
        cloud_cover=percent(properties.get("eo:cloud_cover")),
        baseline="",
        radiometry=FRACTION,
        assets=files,
    )


def _files(assets: Mapping[str, Any], folder: str | None) -> dict[str, tuple[FileName, Asset]]:
    """Return the files of a granule by label, of several places of one file the one that is best reached."""
    ranked: dict[str, tuple[tuple[int, str], FileName, Mapping[str, Any]]] = {}
    for asset in assets.values():
        href = asset.get("href") if isinstance(asset, Mapping) else None
        name = FileName.parse(_base_name(href)) if isinstance(href, str) else None
        if name is None:
            continue
        place = (_rank(str(href)), str(href))
        if name.label not in ranked or place < ranked[name.label][0]:
            ranked[name.label] = place, name, asset
    return {label: (name, _asset(asset, folder)) for label, (_, name, asset) in ranked.items()}


def _base_name(href: str) -> str:
    path = urlsplit(href).path if is_remote(href) or href.startswith("file:") else href
    return unquote(path).rpartition("/")[2]


def _rank(href: str) -> int:
    """Return how well a place is reached: this machine, HTTPS, others; OPeNDAP answers with another kind of file."""
    if not is_remote(href):
        return 0
    parts = urlsplit(href)
    if (parts.hostname or "").startswith("opendap."):
        return 9
    return {"https": 1, "http": 2}.get(parts.scheme, 3)


def _asset(asset: Mapping[str, Any], folder: str | None) -> Asset:
    href = resolve_href(str(asset["href"]), folder)
    parts = urlsplit(href)
    if parts.scheme == "s3" and parts.netloc in BUCKETS:
        href = f"{BUCKETS[parts.netloc]}{parts.path}"
    checksum, size = asset.get("file:checksum"), asset.get("file:size")
    return Asset(
        href=href,
        checksum=None if checksum is None else str(checksum).lower(),
        size=None if size is None else int(size),
    )


def _place_and_time(
    identity: str, item: Mapping[str, Any], files: Mapping[str, Asset]
) -> tuple[BaseGeometry, datetime | None]:
    """Return footprint and start as the item states them, or else as a local file does."""
    properties: Mapping[str, Any] = item.get("properties") or {}
    stated = properties.get("datetime") or properties.get("start_datetime")
    start = instant(identity, properties) if stated is not None else None
    if item.get("geometry"):
        return footprint_of(identity, item["geometry"]), start
    here = [(label, asset.href) for label, asset in files.items() if not is_remote(asset.href)]
    if not here:
        return footprint_of(identity, None), start
    label, path = here[0]
    facts = read_facts(path, label)
    return footprint_of(identity, facts.geometry), start or facts.start


def _listed(assets: Mapping[str, Any]) -> str:
    hrefs: Iterable[Any] = (asset.get("href", "") for asset in assets.values() if isinstance(asset, Mapping))
    return " ".join(os.path.basename(redact(str(href))) for href in hrefs)[:300] or "none"
