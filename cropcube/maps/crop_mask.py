"""A crop mask: a raster or a vector file that says where crops may be; everything else is not mapped."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from pyproj import CRS, Transformer
from shapely.affinity import translate

from cropcube.catalog.vectors import VECTOR_SUFFIXES, read_vectors
from cropcube.errors import InvalidInputError, MissingError
from cropcube.observations.extent import touched

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.region import Region

OUTLINE_STEP_DEG = 0.5
"""Longest piece of a region's outline that is taken for straight in another projection."""
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

    def check_over(self, region: Region) -> None:
        """Refuse a mask that lies beside a region, so that all of it would be ruled out, or cannot be read there.

        What a raster holds of the region is decoded once, since a map that stands is taken away before workers read it.

        Raises
        ------
        InvalidInputError
            If they do not meet, or the file is damaged.
        """
        if self.path.suffix.lower() in VECTOR_SUFFIXES:
            crs, bounds = "EPSG:4326", shapely.total_bounds(_polygons(self.path)[1]).tolist()
        else:
            crs, bounds = _raster_frame(self.path)
        # The region's outline goes into the mask's CRS, not the mask's corners into degrees: those of a world map in an
        # equal-area projection lie off the globe.
        lon, lat = shapely.get_coordinates(shapely.segmentize(region.geometry, OUTLINE_STEP_DEG)).T
        x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
        known = np.isfinite(x) & np.isfinite(y)
        if not known.any():
            return
        outline = shapely.box(x[known].min(), y[known].min(), x[known].max(), y[known].max())
        turns = (0, 360, -360) if CRS(crs).is_geographic else (0,)  # longitudes may count from 0 to 360
        shared = [translate(outline, turn).intersection(shapely.box(*bounds)) for turn in turns]
        if all(part.is_empty for part in shared):
            raise InvalidInputError(
                f"the crop mask {self.path} spans {_listed(bounds)} in {crs} and does not meet the region "
                f"{region.name}, {_listed(outline.bounds)} there",
                "Give a mask of the region; is its CRS right, are longitude and latitude swapped?",
            )
        if self.path.suffix.lower() not in VECTOR_SUFFIXES:
            for part in shared:
                _decode(self.path, part)

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


def _listed(bounds: Sequence[float]) -> str:
    return ",".join(f"{edge:.6g}" for edge in bounds)


def _raster_frame(path: Path) -> tuple[str, tuple[float, float, float, float]]:
    """Return the CRS of a raster, and its bounds there."""
    import rasterio

    with rasterio.open(path) as raster:
        left, bottom, right, top = raster.bounds
        return raster.crs.to_string(), (min(left, right), min(bottom, top), max(left, right), max(bottom, top))


def _decode(path: Path, part: BaseGeometry) -> None:
    """Read the blocks of a raster that lie in a rectangle of its CRS; refused if one cannot be read."""
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.windows import from_bounds, intersect

    if part.is_empty:
        return
    try:
        with rasterio.open(path) as raster:
            asked = from_bounds(*part.bounds, raster.transform)
            for _, block in raster.block_windows(1):
                if intersect(block, asked):
                    raster.read(1, window=block)
    except (RasterioError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InvalidInputError:
    return InvalidInputError(
        f"{path} cannot be read ({error.__cause__ or error})", "It may be damaged: copy or make it again."
    )


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
        raise _unreadable(path, error) from error
    crop: NDArray[np.bool_] = (values != 0) & ~np.isnan(values)
    if nodata is not None:
        crop &= values != nodata
    return crop
