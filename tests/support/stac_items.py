"""Small STAC items of Sentinel-2 L2A, written as plain catalogues write them, and the real ones that are shipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import shapely

REAL = Path(__file__).parents[1] / "data" / "stac-items"
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "SCL")
COARSE = frozenset({"B05", "B06", "B07", "B8A", "B11", "B12", "SCL"})


def real_items(name: str) -> list[dict[str, Any]]:
    """Return the items of one shipped JSON file."""
    content = json.loads((REAL / name).read_text(encoding="utf-8"))
    return list(content["features"]) if content["type"] == "FeatureCollection" else [content]


def plain_item(
    name: str,
    when: str,
    box: tuple[float, float, float, float] = (4.0, 50.7, 5.4, 51.4),
    properties: Mapping[str, Any] | None = None,
    href: str = "https://example.org/{name}/{band}.tif",
) -> dict[str, Any]:
    """Return an item with the eleven bands under their own names on granule 31UFS's grid."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": shapely.geometry.mapping(shapely.box(*box)),
        "bbox": list(box),
        "links": [],
        "properties": {
            "datetime": when,
            "eo:cloud_cover": 12.5,
            "proj:epsg": 32631,
            "s2:processing_baseline": "05.10",
            **(properties or {}),
        },
        "assets": {band: _asset(band, href.format(name=name, band=band)) for band in BANDS},
    }


def _asset(band: str, href: str) -> dict[str, Any]:
    side = 20 if band in COARSE else 10
    return {
        "href": href,
        "type": "image/tiff; application=geotiff",
        "proj:transform": [side, 0, 600000, 0, -side, 5700000],
        "proj:shape": [109800 // side, 109800 // side],
    }
