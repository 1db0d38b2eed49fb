"""A crop mask: a raster or a vector file that says where crops may be; everything else is not mapped."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from cropcube.catalog.vectors import VECTOR_SUFFIXES, read_vectors
from cropcube.errors import InvalidInputError, MissingError
from cropcube.observations.extent import touched

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.region import Region

TOLERANCE_PX = 1e-6
"""Of the warp: as good as exact. With 0, GDAL 3.10 makes no warped raster at all."""


@dataclass(frozen=True)
class CropMask:
    """A file, and the digest of its content; use `open`.

    In a raster every value but 0 and nodata is crop, and the nearest pixel counts; in a vector file what polygons
    cover, decided at pixel centres. What the file does not reach is no crop.
    """

    path: Path
    digest: str

    @classmethod
    def open(cls, path: Path) -> CropMask:
        """Look at a file.

        Raises
        ------
        MissingError
            If there is none.
        InvalidInputError
            If it is neither a georeferenced raster nor a vector file with polygons.
        """
        if not path.is_file():
            raise MissingError(f"there is no crop mask {path}", "Check the path given to --crop-mask.")
        if path.suffix.lower() in VECTOR_SUFFIXES:
            _polygons(path)
        else:
            _check_raster(path)
        with path.open("rb") as file:
            return cls(path.resolve(), hashlib.file_digest(file, "sha256").hexdigest())

    def check_meets(self, region: Region) -> None:
        """Refuse a mask whose extent lies beside a region: all of it would be ruled out.

        Raises
        ------
        InvalidInputError
            If they do not meet.
        """
        west, south, east, north = self._bounds()
        # across the antimeridian, where the west lies east of the east
        spans = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
        if not any(region.geometry.intersects(shapely.box(low, south, high, north)) for low, high in spans):
            raise InvalidInputError(
                f"the crop mask {self.path} spans {west:.4f},{south:.4f},{east:.4f},{north:.4f} and does not meet the "
                f"region {region.name}, {','.join(f'{edge:.4f}' for edge in region.bounds)}",
                "Give a mask of the region; is its CRS right, are longitude and latitude swapped?",
            )

    def _bounds(self) -> tuple[float, float, float, float]:
        """Return west, south, east and north in degrees."""
        if self.path.suffix.lower() not in VECTOR_SUFFIXES:
            return _raster_bounds(self.path)
        west, south, east, north = shapely.total_bounds(_polygons(self.path)[1]).tolist()
        return west, south, east, north

    def on(self, box: PixelBox) -> NDArray[np.bool_]:
        """Return where crops may be, (y, x).

        Raises
        ------
        InvalidInputError
            If the file cannot be read any more.
        """
        if self.path.suffix.lower() not in VECTOR_SUFFIXES:
            return _raster_on(self.path, box)
        tree, polygons = _polygons(self.path)
        near = polygons[tree.query(_frame(box))]
        return touched(list(near), box, centres=True) if len(near) else np.zeros(box.shape, dtype=bool)


@lru_cache(maxsize=1)
def _polygons(path: Path) -> tuple[shapely.STRtree, NDArray[Any]]:
    frame = read_vectors(path)
    polygons = np.array([shape for shape in frame.geometry if shapely.get_dimensions(shape) == 2], dtype=object)
    if not len(polygons):
        raise InvalidInputError(f"{path} holds no polygon", "A crop mask is polygons of crops, or a raster.")
    return shapely.STRtree(polygons), polygons


def _frame(box: PixelBox) -> Any:
    """Return the rectangle in lon/lat around a box."""
    from cropcube.domain.grid import lonlat_centres

    lon, lat = lonlat_centres(box.at(box.resolution_m * max(1, min(box.shape) // 16)))
    if lon.max() - lon.min() > 180:  # across the antimeridian: both ends of the world
        return shapely.box(-180, lat.min() - 0.05, 180, lat.max() + 0.05)
    return shapely.box(lon.min() - 0.05, lat.min() - 0.05, lon.max() + 0.05, lat.max() + 0.05)


def _check_raster(path: Path) -> None:
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path) as raster:
            if raster.count != 1 or raster.crs is None or raster.transform.is_identity:
                raise InvalidInputError(
                    f"{path} is no crop mask: {raster.count} bands, CRS {raster.crs}",
                    "Give a georeferenced raster of one band (0 = no crop), or polygons of crops.",
                )
    except (RasterioError, OSError) as error:
        raise InvalidInputError(
            f"{path} cannot be read as a crop mask ({error.__cause__ or error})",
            f"Give a raster such as GeoTIFF (0 = no crop), or a vector file: {' '.join(VECTOR_SUFFIXES)}",
        ) from error


def _raster_bounds(path: Path) -> tuple[float, float, float, float]:
    import rasterio
    from rasterio.warp import transform_bounds

    with rasterio.open(path) as raster:
        west, south, east, north = transform_bounds(raster.crs, 4326, *raster.bounds)
        return west, south, east, north


def _raster_on(path: Path, box: PixelBox) -> NDArray[np.bool_]:
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError
    from rasterio.vrt import WarpedVRT

    target = {"crs": box.lattice.crs, "transform": box.transform, "width": box.width, "height": box.height}
    try:
        with (
            rasterio.open(path) as raster,
            WarpedVRT(
                raster, resampling=Resampling.nearest, tolerance=TOLERANCE_PX, nodata=raster.nodata or 0, **target
            ) as warped,
        ):
            values, nodata = warped.read(1), raster.nodata
    except (RasterioError, OSError) as error:
        raise InvalidInputError(
            f"{path} cannot be read ({error.__cause__ or error})", "It may be damaged: copy or make it again."
        ) from error
    crop: NDArray[np.bool_] = (values != 0) & ~np.isnan(values)
    if nodata is not None:
        crop &= values != nodata
    return crop
