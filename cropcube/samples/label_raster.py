"""Labels given as a raster of codes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from pyproj import Transformer

from cropcube.errors import InvalidInputError
from cropcube.samples.labels import UNLISTED, BoxLabels

if TYPE_CHECKING:
    from pathlib import Path

    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.legend import Legend

TOLERANCE_PX = 1e-6
"""Of the warp: as good as exact. With 0, GDAL 3.10 makes no warped raster at all."""


class RasterLabels:
    """The first band of a raster in any CRS: each pixel takes the code of the nearest; 0 and nodata are no label.

    Use `open`.
    """

    label_field = ""

    def __init__(self, path: Path, legend: Legend, crs: str, bounds: tuple[float, float, float, float]) -> None:
        self.path, self._legend = path, legend
        self._crs, self._bounds = crs, bounds

    @classmethod
    def open(cls, path: Path, legend: Legend) -> RasterLabels:
        """Look at a raster without reading its pixels.

        Raises
        ------
        InvalidInputError
            If it cannot be read, has no CRS, or does not hold whole numbers.
        """
        import rasterio
        from rasterio.errors import RasterioError

        try:
            with rasterio.open(path) as raster:
                crs, bounds, kinds, count = raster.crs, raster.bounds, raster.dtypes, raster.count
        except (RasterioError, OSError) as error:
            raise InvalidInputError(
                f"{path} cannot be read as a raster ({error})", "Give a GeoTIFF of codes."
            ) from error
        if crs is None or not count:
            raise InvalidInputError(f"{path} states no CRS or has no band", "Give a georeferenced GeoTIFF of codes.")
        if not np.issubdtype(np.dtype(kinds[0]), np.integer):
            raise InvalidInputError(f"{path} holds {kinds[0]}", "A raster of labels holds whole numbers, the codes.")
        return cls(path, legend, crs.to_wkt(), tuple(bounds))

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
            raise InvalidInputError(f"{self.path} cannot be read ({error})", "Check that the file is whole.") from error
        blank = (codes == 0) if nodata is None else (codes == 0) | (codes == nodata)
        numbers = np.where(blank, 0, self._legend.rows_of(codes)).astype(np.int32)
        missing = (numbers == 0) & ~blank
        values, which = np.unique(codes[missing], return_inverse=True)
        numbers[missing] = UNLISTED + which
        names = {UNLISTED + i: str(value) for i, value in enumerate(values.tolist())}
        return BoxLabels(numbers, np.zeros(box.shape, dtype=bool), names)


@lru_cache(maxsize=128)
def _between(epsg: int, crs: str) -> Transformer:
    return Transformer.from_crs(epsg, crs, always_xy=True)
