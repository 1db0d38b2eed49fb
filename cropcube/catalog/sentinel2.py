"""STAC items of Sentinel-2 L2A, as the catalogues write them, become scenes.

Known to differ: band keys (`B02`, `blue`, `B02_10m`), STAC 1.0 and 1.1 forms of CRS, scale and offset, where the
projection stands (item or asset) and what the processing baseline is called.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shapely.errors import ShapelyError

from cropcube.catalog.footprint import footprint_of
from cropcube.catalog.hrefs import resolve_href
from cropcube.catalog.items import identity_of, instant, percent, self_folder
from cropcube.catalog.radiometry import RadiometricFacts, radiometry_of
from cropcube.domain.scene import Asset, Scene
from cropcube.domain.sensor import SENTINEL2, Band
from cropcube.errors import CropcubeError, InvalidInputError

if TYPE_CHECKING:
    from cropcube.domain.scene import Radiometry

UNKNOWN_BASELINE = (99, 99)
"""Written by tools that process Level-1C themselves; says nothing about the shift."""

_BASELINE = re.compile(r"(\d{1,2})\.(\d{2})")
_BASELINE_IN_NAME = re.compile(r"_N(\d{2})\.?(\d{2})(?:_|\.|$)")
_MGRS = re.compile(r"(?:^|_T|MGRS-)(\d{1,2})([C-HJ-NP-X])[A-HJ-NP-Z]{2}(?:_|\.|$)")


def parse_item(item: Mapping[str, Any], base: str | None = None) -> Scene:
    """Return the scene that a STAC item of Sentinel-2 L2A describes.

    Parameters
    ----------
    item
        The item as parsed JSON.
    base
        Path or URL of the folder that relative hrefs are counted from; without one, the folder of the item's self
        link.

    Raises
    ------
    InvalidInputError
        If it is not an item of Sentinel-2 L2A, or something in it cannot be understood; the message names the item.
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


def _scene(identity: str, item: Mapping[str, Any], folder: str | None) -> Scene:
    properties: Mapping[str, Any] = item.get("properties") or {}
    _refuse_other_levels(identity, properties)
    found = _band_assets(identity, item.get("assets") or {})
    when = instant(identity, properties)
    baseline = _baseline(item, properties)
    return Scene(
        id=identity,
        collection=str(item.get("collection") or ""),
        when=when,
        geometry=footprint_of(identity, item.get("geometry")),
        epsg=_epsg(identity, item, properties, found),
        cloud_cover=percent(properties.get("eo:cloud_cover")),
        baseline=baseline,
        radiometry=_radiometry(identity, properties, found, (when, baseline)),
        assets={name: _asset(SENTINEL2.band(name), found[name], properties, folder) for name in found},
    )


def _refuse_other_levels(identity: str, properties: Mapping[str, Any]) -> None:
    product = str(properties.get("s2:product_type") or properties.get("product:type") or "")
    if "MSI" in product and "2A" not in product:
        raise InvalidInputError(
            f"item {identity} is of product type {product}, not Sentinel-2 L2A", "Choose an L2A collection."
        )


def _band_assets(identity: str, assets: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for band in (*SENTINEL2.bands, SENTINEL2.quality):
        asset = _asset_of(band, assets)
        if asset is not None:
            found[band.name] = asset
    if not found:
        keys = " ".join(assets) if assets else "none"
        raise InvalidInputError(
            f"item {identity} has no band of Sentinel-2 L2A; its assets: {keys[:300]}", "Choose an L2A collection."
        )
    return found


def _asset_of(band: Band, assets: Mapping[str, Any]) -> Mapping[str, Any] | None:
    native = f"{band.name}_{band.resolution_m}m"
    for key in (band.name, native, band.name.lower(), native.lower(), *band.common_names):
        asset = assets.get(key)
        if isinstance(asset, Mapping) and asset.get("href"):
            return asset
    named = [asset for asset in assets.values() if isinstance(asset, Mapping) and _describes(asset, band)]
    return named[0] if len(named) == 1 else None


def _describes(asset: Mapping[str, Any], band: Band) -> bool:
    described: Sequence[Mapping[str, Any]] = asset.get("bands") or asset.get("eo:bands") or []
    return len(described) == 1 and described[0].get("name") == band.name and bool(asset.get("href"))


def _asset(band: Band, asset: Mapping[str, Any], properties: Mapping[str, Any], folder: str | None) -> Asset:
    transform = _transform(asset.get("proj:transform"))
    shape = _shape(asset.get("proj:shape"))
    if transform is None:
        # What stands on the item holds for files of one resolution; a band of another one has its own grid.
        transform = _transform(properties.get("proj:transform"))
        if transform is not None and abs(transform[0]) != band.resolution_m:
            transform = None
        shape = shape or (_shape(properties.get("proj:shape")) if transform is not None else None)
    if shape is None and transform is not None and asset.get("proj:bbox"):
        left, bottom, right, top = (float(value) for value in asset["proj:bbox"])
        shape = round((top - bottom) / abs(transform[4])), round((right - left) / abs(transform[0]))
    checksum, size = asset.get("file:checksum"), asset.get("file:size")
    return Asset(
        href=resolve_href(str(asset["href"]), folder),
        transform=transform,
        shape=shape,
        checksum=None if checksum is None else str(checksum).lower(),
        size=None if size is None else int(size),
    )


def _transform(stated: Sequence[float] | None) -> tuple[float, ...] | None:
    if stated is None or len(stated) == 0:
        return None
    numbers = tuple(float(value) for value in stated)
    if len(numbers) not in (6, 9) or not all(map(math.isfinite, numbers)) or numbers[0] == 0 or numbers[4] == 0:
        raise ValueError(f"proj:transform {list(numbers)} is not an affine of 6 or 9 numbers")
    return numbers[:6]


def _shape(stated: Sequence[int] | None) -> tuple[int, int] | None:
    if stated is None or len(stated) == 0:
        return None
    rows, cols = (int(value) for value in stated)
    if rows <= 0 or cols <= 0:
        raise ValueError(f"proj:shape {[rows, cols]} is empty")
    return rows, cols


def _baseline(item: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    for key in ("s2:processing_baseline", "processing:version"):
        found = _BASELINE.fullmatch(str(properties.get(key) or ""))
        if found and _known(found):
            return _written(found)
    for name in (properties.get("s2:product_uri"), item["id"], properties.get("s2:granule_id")):
        found = _BASELINE_IN_NAME.search(str(name or ""))
        if found and _known(found):
            return _written(found)
    return ""


def _known(found: re.Match[str]) -> bool:
    return (int(found[1]), int(found[2])) != UNKNOWN_BASELINE


def _written(found: re.Match[str]) -> str:
    return f"{int(found[1]):02d}.{found[2]}"


def _epsg(
    identity: str, item: Mapping[str, Any], properties: Mapping[str, Any], assets: Mapping[str, Mapping[str, Any]]
) -> int | None:
    codes = {_stated_epsg(asset) for asset in assets.values()} - {None} or {_stated_epsg(properties)} - {None}
    if len(codes) > 1:
        listed = " ".join(f"EPSG:{code}" for code in sorted(filter(None, codes)))
        raise InvalidInputError(f"item {identity} has bands in several CRS: {listed}", "Check the catalogue.")
    return codes.pop() if codes else _epsg_of_tile(item, properties)


def _stated_epsg(where: Mapping[str, Any]) -> int | None:
    code, number = where.get("proj:code"), where.get("proj:epsg")
    if isinstance(code, str) and code.upper().startswith("EPSG:"):
        return int(code[5:])
    return None if number is None else int(number)


def _epsg_of_tile(item: Mapping[str, Any], properties: Mapping[str, Any]) -> int | None:
    """Return the CRS of a granule from the name of its MGRS tile, which always gives it."""
    for name in (properties.get("grid:code"), properties.get("s2:mgrs_tile"), item["id"]):
        found = _MGRS.search(str(name or ""))
        if found:
            return (32600 if found[2] >= "N" else 32700) + int(found[1])
    return None


def _radiometry(
    identity: str,
    properties: Mapping[str, Any],
    assets: Mapping[str, Mapping[str, Any]],
    when_and_baseline: tuple[datetime, str],
) -> Radiometry:
    stated = {_stated_scale(assets[band.name]) for band in SENTINEL2.bands if band.name in assets} or {(None, None)}
    if len(stated) > 1:
        listed = "; ".join(f"scale {scale}, offset {offset}" for scale, offset in sorted(stated, key=str))
        raise InvalidInputError(f"item {identity} states different scales for its bands: {listed}", "Check the item.")
    removed = properties.get("earthsearch:boa_offset_applied")
    when, baseline = when_and_baseline
    scale, offset = stated.pop()
    facts = RadiometricFacts(when, baseline, removed if isinstance(removed, bool) else None, scale, offset)
    return radiometry_of(identity, facts)


def _stated_scale(asset: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return scale and offset of an asset in either STAC form; scale 1 with offset 0 is a file that states nothing."""
    for where, prefix in ((asset, "raster:"), *((band, "raster:") for band in asset.get("bands") or ())):
        if where.get(f"{prefix}scale") is not None or where.get(f"{prefix}offset") is not None:
            return _numbers(where.get(f"{prefix}scale"), where.get(f"{prefix}offset"))
    for band in asset.get("raster:bands") or ():
        if band.get("scale") is not None or band.get("offset") is not None:
            return _numbers(band.get("scale"), band.get("offset"))
    return None, None


def _numbers(scale: Any, offset: Any) -> tuple[float | None, float | None]:
    pair = None if scale is None else float(scale), None if offset is None else float(offset)
    return (None, None) if pair in ((1.0, 0.0), (1.0, None), (None, 0.0)) else pair
