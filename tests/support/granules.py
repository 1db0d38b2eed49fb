"""Granules made from known arrays, as files with items around them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from cropcube.catalog.sentinel2 import parse_item
from cropcube.demo.granule import Granule, write_granule
from cropcube.domain.scene import Scene
from cropcube.domain.sensor import SENTINEL2

LEFT_M, TOP_M, EPSG = 600_000, 5_700_000, 32631
"""Corner of granule 31UFS."""


def random_granule(
    name: str,
    day: str = "2020-06-01",
    size_px: int = 192,
    corner_m: tuple[int, int] = (LEFT_M, TOP_M),
    baseline: str = "05.09",
    **more: Any,
) -> Granule:
    """Return a granule of noise; the same name gives the same pixels.

    Parameters
    ----------
    name
        Id of the scene, and the seed.
    day
        Date; acquired at 10:50 UTC.
    size_px
        Side at 10 m.
    corner_m
        Left and top.
    baseline
        Processing baseline.
    more
        `bands` (labels wanted), `epsg`, `classes` (SCL values drawn from).
    """
    rng = np.random.default_rng(list(name.encode()))
    bands: dict[str, NDArray[Any]] = {}
    for band in SENTINEL2.bands:
        if band.name in more.get("bands", [b.name for b in SENTINEL2.bands]):
            side = size_px * 10 // band.resolution_m
            bands[band.name] = rng.integers(1, 12000, (side, side), dtype=np.uint16)
    side = size_px // 2
    bands["SCL"] = rng.choice(np.array(more.get("classes", (0, 3, 4, 5, 8, 9)), np.uint8), (side, side))
    return Granule(
        id=name,
        collection="sentinel-2-l2a",
        when=datetime.fromisoformat(f"{day}T10:50:00").replace(tzinfo=UTC),
        epsg=more.get("epsg", EPSG),
        left_m=corner_m[0],
        top_m=corner_m[1],
        bands=bands,
        properties={"s2:processing_baseline": baseline},
    )


def scene_of(granule: Granule, folder: Path, block_px: int = 64) -> Scene:
    """Write a granule and return the scene that its item is parsed to."""
    return parse_item(write_granule(granule, folder, block_px), str(folder))


def write_catalog(granules: Sequence[Granule], folder: Path, stated: bool = False) -> Path:
    """Write granules and an ItemCollection around them.

    Parameters
    ----------
    granules
        Their ids differ.
    folder
        Made if needed.
    stated
        Whether items state scale and offset; without it the processing baseline decides, as at Planetary Computer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    items = [write_granule(granule, folder, 64) for granule in granules]
    for item in items:
        for asset in item["assets"].values():
            if not stated:
                asset.pop("raster:bands")
    path = folder / "scenes.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}), encoding="utf-8")
    return path


def region_text(left: int, bottom: int, right: int, top: int, epsg: int = EPSG) -> str:
    """Return a rectangle given in metres as `--region` takes it, a little smaller so that it stays inside."""
    to_lonlat = Transformer.from_crs(epsg, 4326, always_xy=True)
    west, south, east, north = to_lonlat.transform_bounds(left + 30, bottom + 30, right - 30, top - 30)
    return f"{west:.6f},{south:.6f},{east:.6f},{north:.6f}"


def tree_bytes(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its relative path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
