"""Labels given as a raster of codes."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pyproj import Transformer

from cropcube.errors import InvalidInputError
from cropcube.samples.labels import UNLISTED, BoxLabels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.legend import Legend
    from cropcube.domain.region import Region

TOLERANCE_PX = 1e-6
"""Of the warp: as good as exact. With 0, GDAL 3.10 makes no warped raster at all."""


class RasterLabels:
    """A raster of one band in any CRS: each pixel takes the code of the nearest; 0 and nodata are no label.

    Use `open`.
    """

    label_field = ""
    geometry: frozenset[str] = frozenset()
    features = 0

    def __init__(self, path: Path, legend: Legend, crs: str, bounds: tuple[float, float, float, float]) -> None:
        self.path, self._legend = path, legend
        self._crs, self._bounds = crs, bounds

    @classmethod
    def open(cls, path: Path, legend: Legend) -> RasterLabels:
        """Look at a raster without reading more than its last pixel, which a file cut short does not have.

        Raises
        ------
        InvalidInputError
            If it cannot be read, is not georeferenced, has several bands, or does not hold whole numbers.
        """
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
        from rasterio.windows import Window

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # said below, in our words
                with rasterio.open(path) as raster:
                    raster.read(1, window=Window(raster.width - 1, raster.height - 1, 1, 1))
                    crs, placed, bounds = raster.crs, not raster.transform.is_identity, raster.bounds
                    kind, bands = np.dtype(raster.dtypes[0]), raster.count
        except (RasterioError, OSError, IndexError) as error:
            raise InvalidInputError(
                f"{path} cannot be read as a raster ({error.__cause__ or error})",
                "It may be damaged or cut short: copy or make it again. Labels are a GeoTIFF of codes.",
            ) from error
        if crs is None or not placed:
            raise InvalidInputError(
                f"{path} states no {'CRS' if crs is None else 'geotransform'}",
                "Give a georeferenced GeoTIFF of codes; `gdal_edit.py -a_srs` and `-a_ullr` set what is missing.",
            )
        if bands > 1:
            raise InvalidInputError(
                f"{path} has {bands} bands", "Labels are one band of codes; `gdal_translate -b 1 IN OUT` takes one out."
            )
        if not np.issubdtype(kind, np.integer):
            raise InvalidInputError(
                f"{path} holds {kind}",
                "Labels are codes, whole numbers; `gdal_translate -ot UInt16 IN OUT` makes them so.",
            )
        return cls(path, legend, crs.to_wkt(), tuple(bounds))

    def counted(self, region: Region) -> dict[str, int]:
        """Return nothing: a raster has no features to count."""
        return {}

    def column(self, name: str) -> NDArray[Any]:
        """Refuse: a raster has no fields."""
        raise InvalidInputError(
            f"{self.path} is a raster, which has no column {name!r}",
            "Split by blocks, by field or by region, or give points or polygons.",
        )

    def touches(self, box: PixelBox) -> bool:
        """Return whether the raster's bounds meet the box's."""
        left, bottom, right, top = _between(box.lattice.epsg, self._crs).transform_bounds(*box.bounds)
        if not np.isfinite([left, bottom, right, top]).all() or left > right:
            return True
        west, south, east, north = self._bounds
        return left < east and right > west and bottom < max(south, north) and top > min(south, north)

    def on(self, box: PixelBox) -> BoxLabels:
        """Return the labels of a box."""
        import rasterio
        from rasterio.enums import Resampling
        from rasterio.errors import RasterioError
        from rasterio.vrt import WarpedVRT

        target = {"crs": box.lattice.crs, "transform": box.transform, "width": box.width, "height": box.height}
        try:
            with (
                rasterio.open(self.path) as raster,
                WarpedVRT(
                    raster, resampling=Resampling.nearest, tolerance=TOLERANCE_PX, nodata=raster.nodata or 0, **target
                ) as warped,
            ):
                codes = warped.read(1)
                nodata = raster.nodata
        except (RasterioError, OSError) as error:
            raise InvalidInputError(
                f"{self.path} cannot be read ({error.__cause__ or error})", "It may be damaged: copy or make it again."
            ) from error
        blank = (codes == 0) if nodata is None else (codes == 0) | (codes == nodata)
        numbers = np.where(blank, 0, self._legend.rows_of(codes)).astype(np.int32)
        missing = (numbers == 0) & ~blank
        values, which = np.unique(codes[missing], return_inverse=True)
        numbers[missing] = UNLISTED + which
        names = {UNLISTED + i: str(value) for i, value in enumerate(values.tolist())}
        return BoxLabels(numbers, np.zeros(box.shape, dtype=bool), names, np.full(box.shape, -1), np.zeros((0, 2), int))


@lru_cache(maxsize=128)
def _between(epsg: int, crs: str) -> Transformer:
    return Transformer.from_crs(epsg, crs, always_xy=True)
