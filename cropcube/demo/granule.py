"""Write one granule as GeoTIFFs on their own grids, with the STAC item that describes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine

from cropcube.domain.sensor import REFLECTANCE_SCALE, SENTINEL2

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

EXTENSIONS = (
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
    "https://stac-extensions.github.io/projection/v1.2.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
)
CLOUD_CLASSES = (8, 9, 10)
"""SCL: cloud of medium and high probability, thin cirrus."""
MULTIHASH_SHA256 = "1220"
"""Multihash prefix: sha2-256, 32 bytes."""


@dataclass(frozen=True)
class Granule:
    """Pixels of one acquisition."""

    id: str
    collection: str
    when: datetime
    epsg: int
    left_m: int
    top_m: int
    bands: Mapping[str, NDArray[Any]]
    "(Y, X) by label at native resolution; uint16, SCL uint8; 0 = no data."
    properties: Mapping[str, Any] = field(default_factory=dict)
    "More properties of the item."

    def transform(self, band: str) -> Affine:
        """Return the affine transform of one band's grid."""
        step = SENTINEL2.band(band).resolution_m
        return Affine(step, 0, self.left_m, 0, -step, self.top_m)

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Left, bottom, right, top in metres."""
        name, pixels = next(iter(self.bands.items()))
        height, width = (side * SENTINEL2.band(name).resolution_m for side in pixels.shape)
        return self.left_m, self.top_m - height, self.left_m + width, self.top_m


def lonlat_polygon(bounds: tuple[int, int, int, int], epsg: int) -> dict[str, Any]:
    """Return the GeoJSON polygon of a rectangle in a projected CRS, its four corners in lon/lat."""
    from pyproj import Transformer

    left, bottom, right, top = bounds
    to_lonlat = Transformer.from_crs(epsg, 4326, always_xy=True)
    x, y = to_lonlat.transform([left, right, right, left, left], [bottom, bottom, top, top, bottom])
    corners = [[round(lon, 9), round(lat, 9)] for lon, lat in zip(x, y, strict=True)]
    return {"type": "Polygon", "coordinates": [corners]}


def write_raster(path: Path, pixels_YX: NDArray[Any], epsg: int, transform: Affine, block_px: int = 512) -> None:
    """Write a tiled DEFLATE GeoTIFF with nodata 0.

    Parameters
    ----------
    path
        The file; its folder exists.
    pixels_YX
        uint8 or uint16.
    epsg, transform
        Where the pixels lie.
    block_px
        Side of the blocks, a multiple of 16; smaller where the raster is.

    Raises
    ------
    OSError
        If the file cannot be written whole.
    """
    from rasterio.io import MemoryFile

    height, width = pixels_YX.shape
    block = min(block_px, -(-max(height, width) // 16) * 16)
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": pixels_YX.dtype.name,
        "crs": f"EPSG:{epsg}",
        "transform": transform,
        "nodata": 0,
        "tiled": True,
        "blockxsize": block,
        "blockysize": block,
        "compress": "DEFLATE",
        "zlevel": 1,
        "predictor": 2,
    }
    with MemoryFile() as memory:  # GDAL itself cuts a file on a full disk without a word
        with memory.open(**profile) as raster:
            raster.write(pixels_YX, 1)
        path.write_bytes(memory.getbuffer())


def cloud_cover(scl_YX: NDArray[np.uint8]) -> float:
    """Return the percentage of the acquired pixels that SCL calls cloud; 0 where nothing was acquired."""
    acquired = int(np.count_nonzero(scl_YX))
    cloudy = int(np.isin(scl_YX, CLOUD_CLASSES).sum())
    return round(100.0 * cloudy / acquired, 2) if acquired else 0.0


def _asset(path: Path, href: str, granule: Granule, band: str) -> dict[str, Any]:
    pixels = granule.bands[band]
    content = path.read_bytes()
    quality = band == SENTINEL2.quality.name
    described: dict[str, Any] = {"data_type": pixels.dtype.name, "nodata": 0}
    if not quality:
        described |= {"scale": REFLECTANCE_SCALE, "offset": 0}
    return {
        "href": href,
        "type": "image/tiff; application=geotiff",
        "roles": ["data"],
        "proj:shape": list(pixels.shape),
        "proj:transform": [float(value) for value in granule.transform(band)[:6]],
        "raster:bands": [described],
        "file:checksum": MULTIHASH_SHA256 + hashlib.sha256(content).hexdigest(),
        "file:size": len(content),
    }


def write_granule(granule: Granule, folder: Path, block_px: int = 512) -> dict[str, Any]:
    """Write the granule's files into `folder/<id>` and return its STAC item, hrefs relative to `folder`."""
    target = folder / granule.id
    target.mkdir(parents=True, exist_ok=True)
    assets = {}
    for band, pixels_YX in granule.bands.items():
        path = target / f"{band}.tif"
        write_raster(path, pixels_YX, granule.epsg, granule.transform(band), block_px)
        assets[band] = _asset(path, f"./{granule.id}/{band}.tif", granule, band)
    return _item(granule, assets)


def _item(granule: Granule, assets: dict[str, Any]) -> dict[str, Any]:
    geometry = lonlat_polygon(granule.bounds, granule.epsg)
    corners = np.array(geometry["coordinates"][0])
    properties: dict[str, Any] = {
        "datetime": granule.when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "proj:epsg": granule.epsg,
        "proj:code": f"EPSG:{granule.epsg}",
    }
    if SENTINEL2.quality.name in granule.bands:
        properties["eo:cloud_cover"] = cloud_cover(granule.bands[SENTINEL2.quality.name])
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": list(EXTENSIONS),
        "id": granule.id,
        "collection": granule.collection,
        "geometry": geometry,
        "bbox": [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()],
        "properties": properties | dict(granule.properties),
        "links": [],
        "assets": assets,
    }
