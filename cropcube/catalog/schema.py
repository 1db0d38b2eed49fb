"""One schema for every frozen catalogue: scenes as rows of stac-geoparquet, whatever the catalogue wrote.

Follows stac-geoparquet 1.0 (properties as columns, assets as one struct, geometry as WKB with GeoParquet metadata).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import shapely

from cropcube.catalog.hrefs import is_remote
from cropcube.domain.scene import Asset, Radiometry, Scene
from cropcube.domain.sensor import SENTINEL2, Sensor
from cropcube.location import Location

ASSET_TYPE = pa.struct(
    [
        ("href", pa.string()),
        ("roles", pa.list_(pa.string())),
        ("gsd", pa.int64()),
        ("proj:transform", pa.list_(pa.float64())),
        ("proj:shape", pa.list_(pa.int64())),
        ("file:checksum", pa.string()),
        ("file:size", pa.int64()),
    ]
)
EXTENSIONS = [
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
]


@lru_cache(maxsize=8)
def schema_of(labels: tuple[str, ...]) -> pa.Schema:
    """Return the schema of scenes that are made of files with these labels."""
    return pa.schema(
        [
            ("type", pa.string()),
            ("stac_version", pa.string()),
            ("stac_extensions", pa.list_(pa.string())),
            ("id", pa.string()),
            ("geometry", pa.binary()),
            ("bbox", pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])),
            ("links", pa.list_(pa.struct([("rel", pa.string()), ("href", pa.string())]))),
            ("assets", pa.struct([(label, ASSET_TYPE) for label in labels])),
            ("collection", pa.string()),
            ("datetime", pa.timestamp("us", tz="UTC")),
            ("eo:cloud_cover", pa.float64()),
            ("proj:code", pa.string()),
            ("s2:processing_baseline", pa.string()),
            ("cropcube:solar_day", pa.string()),
            ("cropcube:scale", pa.float64()),
            ("cropcube:offset", pa.float64()),
            ("cropcube:radiometry_reason", pa.string()),
        ]
    )


def file_schema(request: Mapping[str, Any], sensor: Sensor = SENTINEL2) -> pa.Schema:
    """Return the schema with the metadata of GeoParquet, stac-geoparquet and the search that was asked."""
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": ["MultiPolygon", "Polygon"],
                "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
            }
        },
    }
    kept = {"geo": geo, "stac-geoparquet": {"version": "1.0.0"}, "cropcube": dict(request)}
    return schema_of(sensor.file_labels).with_metadata(
        {key: json.dumps(value, sort_keys=True) for key, value in kept.items()}
    )


def table_of(scenes: Iterable[Scene], folder: Path, sensor: Sensor = SENTINEL2) -> pa.Table:
    """Return scenes as rows; local files within `folder` are written relative to it, so that it can be moved."""
    return pa.Table.from_pylist([_row(scene, folder, sensor) for scene in scenes], schema=schema_of(sensor.file_labels))


def scenes_of(table: pa.Table, folder: Location) -> list[Scene]:
    """Return the scenes of rows that `table_of` made; relative hrefs are counted from `folder`."""
    footprints = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    rows = table.drop_columns(["geometry", "bbox", "links", "stac_extensions"]).to_pylist()
    return [_scene(row, footprint, folder) for row, footprint in zip(rows, footprints, strict=True)]


def _row(scene: Scene, folder: Path, sensor: Sensor) -> dict[str, Any]:
    west, south, east, north = scene.geometry.bounds
    if east - west > 180:
        parts = shapely.get_parts(scene.geometry)
        west = min(part.bounds[0] for part in parts if part.bounds[0] >= 0)
        east = max(part.bounds[2] for part in parts if part.bounds[0] < 0)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": EXTENSIONS,
        "id": scene.id,
        "geometry": shapely.to_wkb(scene.geometry, byte_order=1),
        "bbox": {"xmin": west, "ymin": south, "xmax": east, "ymax": north},
        "links": [],
        "assets": {
            label: _asset_row(asset, folder, sensor.file_resolution_m(label)) for label, asset in scene.assets.items()
        },
        "collection": scene.collection,
        "datetime": scene.when,
        "eo:cloud_cover": scene.cloud_cover,
        "proj:code": None if scene.epsg is None else f"EPSG:{scene.epsg}",
        "s2:processing_baseline": scene.baseline,
        "cropcube:solar_day": scene.solar_day.isoformat(),
        "cropcube:scale": scene.radiometry.scale,
        "cropcube:offset": scene.radiometry.offset,
        "cropcube:radiometry_reason": scene.radiometry.reason,
    }


def _asset_row(asset: Asset, folder: Path, resolution_m: int) -> dict[str, Any]:
    return {
        "href": _written_href(asset.href, folder),
        "roles": ["data"],
        "gsd": resolution_m,
        "proj:transform": asset.transform,
        "proj:shape": asset.shape,
        "file:checksum": asset.checksum,
        "file:size": asset.size,
    }


def _scene(row: Mapping[str, Any], footprint: Any, folder: Location) -> Scene:
    code = row["proj:code"]
    return Scene(
        id=row["id"],
        collection=row["collection"],
        when=row["datetime"].astimezone(UTC),
        geometry=footprint,
        epsg=None if code is None else int(code.removeprefix("EPSG:")),
        cloud_cover=row["eo:cloud_cover"],
        baseline=row["s2:processing_baseline"],
        radiometry=Radiometry(row["cropcube:scale"], row["cropcube:offset"], row["cropcube:radiometry_reason"]),
        assets={label: _asset(asset, folder) for label, asset in row["assets"].items() if asset is not None},
    )


def _asset(row: Mapping[str, Any], folder: Location) -> Asset:
    transform, shape = row["proj:transform"], row["proj:shape"]
    return Asset(
        href=_read_href(row["href"], folder),
        transform=None if transform is None else tuple(transform),
        shape=None if shape is None else (shape[0], shape[1]),
        checksum=row["file:checksum"],
        size=row["file:size"],
    )


def _written_href(href: str, folder: Path) -> str:
    if is_remote(href):
        return href
    relative = os.path.relpath(href, folder)
    return href if relative.startswith("..") else Path(relative).as_posix()


def _read_href(href: str, folder: Location) -> str:
    return href if is_remote(href) or os.path.isabs(href) else str(folder / href)
