"""Small EMIT L2A granules as files, and STAC items as CMR-STAC writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import shapely

from cropcube.catalog.emit_files import VARIABLES
from cropcube.domain.emit import FILES

DATA_HOST = "https://data.lpdaac.earthdatacloud.nasa.gov/lp-prod-protected/EMITL2ARFL.001"
Box = tuple[float, float, float, float]


def granule_name(stamp: str, scene: int = 1) -> str:
    """Return what comes after `EMIT_L2A_RFL_` in the name of a granule acquired at `20230401T103751`."""
    return f"001_{stamp}_2309114_{scene:03d}"


def file_name(label: str, granule: str) -> str:
    """Return the name of one of a granule's files."""
    return f"EMIT_L2A_{label}_{granule}.nc"


def write_granule(folder: Path, granule: str, box: Box, labels: Iterable[str] = FILES) -> dict[str, Path]:
    """Write the heads of a granule's files: a small variable and the global attributes; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = granule.split("_")[1]
    written = {}
    for label in labels:
        written[label] = folder / file_name(label, granule)
        with h5py.File(written[label], "w") as file:
            noise = np.random.default_rng(len(label)).random((16, 12, 8), dtype=np.float32)
            file.create_dataset(VARIABLES[label], data=noise)
            names = (
                "westernmost_longitude", "southernmost_latitude", "easternmost_longitude", "northernmost_latitude",
            )  # fmt: skip
            for name, value in zip(names, box, strict=True):
                file.attrs[name] = np.array([value])
            date, clock = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}", f"{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}"
            file.attrs["time_coverage_start"] = np.bytes_(f"{date}T{clock}+0000")
    return written


def cmr_item(granule: str, box: Box, labels: Iterable[str] = FILES, base: str = DATA_HOST) -> dict[str, Any]:
    """Return an item with the assets of a granule: https and s3 links, a picture, metadata and OPeNDAP."""
    name, stamp = f"EMIT_L2A_RFL_{granule}", granule.split("_")[1]
    assets: dict[str, Mapping[str, Any]] = {
        "browse": {"href": f"{base}/{name}/{name}.png", "type": "image/png", "roles": ["browse"]},
        "opendap": {"href": f"https://opendap.earthdata.nasa.gov/collections/C2408750690-LPCLOUD/granules/{name}.nc"},
        "metadata": {"href": "https://cmr.earthdata.nasa.gov/search/concepts/G1-LPCLOUD.xml"},
    }
    for number, label in enumerate(labels):
        bucket = "s3://lp-prod-protected/EMITL2ARFL.001"
        assets[f"s3_data{number}"] = {"href": f"{bucket}/{name}/{file_name(label, granule)}"}
        assets[f"data{number or ''}"] = {"href": f"{base}/{name}/{file_name(label, granule)}", "roles": ["data"]}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "EMITL2ARFL_001",
        "geometry": shapely.geometry.mapping(shapely.box(*box)),
        "bbox": list(box),
        "links": [],
        "properties": {
            "datetime": f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}.000Z",
            "eo:cloud_cover": 12,
        },
        "assets": assets,
    }
