"""Labels given as points or polygons."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from pyproj import Transformer

from cropcube.errors import InvalidInputError
from cropcube.samples.labels import NO_CLASS, NO_GEOMETRY, OUTSIDE, READ, UNLISTED, BoxLabels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import geopandas as gpd
    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.legend import Legend
    from cropcube.domain.region import Region


class VectorLabels:
    """Points and polygons with a class each; a pixel takes the class of the polygon that its centre lies in.

    Use `read`.
    """

    def __init__(
        self, path: Path, label_field: str, frame: gpd.GeoDataFrame, legend: Legend, counts: Mapping[str, int]
    ) -> None:
        values = frame[label_field].to_numpy()
        self.path, self.label_field = path, label_field
        self._values = np.array([str(value) for value in values]) if values.dtype == object else values
        self._shapes, self._rows = frame.geometry.to_numpy(), legend.rows_of(self._values)
        self._counts = counts
        self._tree = shapely.STRtree(self._shapes)

    @classmethod
    def read(cls, path: Path, frame: gpd.GeoDataFrame, legend: Legend, label_field: str | None) -> VectorLabels:
        """Return the labels of a table of features in lon/lat.

        Raises
        ------
        InvalidInputError
            If the field is not there or says nothing, or a feature is neither point nor polygon.
        """
        chosen = _field(path, frame, label_field)
        classed = frame[frame[chosen].notna() & (frame[chosen].astype(str).str.strip() != "")]
        if not len(classed):
            raise InvalidInputError(f"the field {chosen!r} of {path} is empty", "Give another --label-field.")
        kinds = sorted(set(classed.geometry.geom_type) - {"Point", "MultiPoint", "Polygon", "MultiPolygon"})
        if kinds:
            raise InvalidInputError(f"{path} holds {', '.join(kinds)}", "Labels are points or polygons.")
        bare = frame.attrs["without_geometry"]
        counts = {READ: len(frame) + bare, NO_GEOMETRY: bare, NO_CLASS: len(frame) - len(classed)}
        return cls(path, chosen, classed, legend, counts)

    def counted(self, region: Region) -> dict[str, int]:
        """Return how many features the file holds, and how many of them are no labels of a region, by reason."""
        shapely.prepare(region.geometry)
        outside = int((~shapely.intersects(region.geometry, self._shapes)).sum())
        return {**self._counts, OUTSIDE: outside}

    def touches(self, box: PixelBox) -> bool:
        """Return whether a label's bounds meet the box's."""
        return len(self._near(box)) > 0

    def on(self, box: PixelBox) -> BoxLabels:
        """Return the labels of a box; pixels that labels of different classes cover are dropped."""
        chosen = self._near(box)
        transform = _from_lonlat(box.lattice.epsg).transform
        shapes = shapely.transform(self._shapes[chosen], lambda xy: np.column_stack(transform(xy[:, 0], xy[:, 1])))
        numbers = self._distinct(chosen)
        order = np.argsort(numbers, kind="stable")
        low, high = _burn(box, shapes[order[::-1]], numbers[order[::-1]]), _burn(box, shapes[order], numbers[order])
        numbers_YX = np.where(low == high, low, 0)
        missing = {
            int(n): _text(self._values[chosen][numbers == n][0]) for n in np.unique(numbers[numbers >= UNLISTED])
        }
        return BoxLabels(numbers_YX, low != high, missing)

    def _near(self, box: PixelBox) -> NDArray[np.int64]:
        bounds = _from_lonlat(box.lattice.epsg).transform_bounds(*box.bounds, direction="INVERSE")
        west, south, east, north = bounds
        if west > east:  # across the antimeridian
            frames = [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
            return np.unique(np.concatenate([self._tree.query(frame) for frame in frames]))
        return np.sort(self._tree.query(shapely.box(west, south, east, north)))

    def _distinct(self, chosen: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the legend row of each label, and for unlisted classes a number of their own from 255."""
        rows = self._rows[chosen].astype(np.int32)
        missing = rows == 0
        rows[missing] = UNLISTED + np.unique(self._values[chosen][missing], return_inverse=True)[1]
        return rows


@lru_cache(maxsize=128)
def _from_lonlat(epsg: int) -> Transformer:
    return Transformer.from_crs(4326, epsg, always_xy=True)


def _burn(box: PixelBox, shapes: NDArray[Any], numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return (y, x) with the number of the last shape that holds the pixel's centre, or whose point the pixel holds."""
    from rasterio.features import rasterize

    if not len(shapes):
        return np.zeros(box.shape, np.int32)
    pairs = zip(shapes.tolist(), numbers.tolist(), strict=True)
    burnt: NDArray[np.int32] = rasterize(pairs, out_shape=box.shape, transform=box.transform, fill=0, dtype="int32")
    return burnt


def _field(path: Path, frame: gpd.GeoDataFrame, label_field: str | None) -> str:
    names = [str(name) for name in frame.columns if name != frame.geometry.name]
    places = {"lon", "lat", "longitude", "latitude"}
    candidates = [name for name in names if name.lower() not in places]
    if label_field is None and len(candidates) == 1:
        return candidates[0]
    if label_field in names:
        return str(label_field)
    problem = (
        f"has no field {label_field!r}" if label_field else f"has {len(candidates)} fields that could hold classes"
    )
    raise InvalidInputError(f"{path} {problem}", f"Give --label-field; the fields are: {', '.join(names) or 'none'}.")


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
