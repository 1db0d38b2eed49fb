"""A region: the polygon of the Earth's surface that a project covers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from cropcube.errors import InvalidInputError

WRAP_BEYOND_DEG = 120.0
"""A polygon with an edge of more than half a turn crosses the antimeridian if all of it lies beyond this longitude."""


@dataclass(frozen=True)
class Region:
    """A named polygon in lon/lat (EPSG:4326, WGS 84); make one from outside input with `Region.of`."""

    name: str
    "What the user called it: `india`, `fields.gpkg`, `4.05,50.74,4.06,50.75`."
    geometry: BaseGeometry
    "Valid polygon or multipolygon within -180..180, -90..90, cut at the antimeridian."

    @classmethod
    def of(cls, name: str, geometry: BaseGeometry) -> Region:
        """Make a region of any lon/lat geometry: repaired, polygons only, cut at the antimeridian.

        Parameters
        ----------
        name
            What the user called it; used in messages.
        geometry
            Longitudes and latitudes in degrees.

        Raises
        ------
        InvalidInputError
            If the geometry is empty, has no area, or leaves -180..180, -90..90.
        """
        if geometry.is_empty:
            raise InvalidInputError(f"region {name!r} is empty", "Give an outline with at least one polygon.")
        if shapely.get_dimensions(geometry) < 2:
            raise InvalidInputError(
                f"region {name!r} has no polygon, only {geometry.geom_type}",
                "A region needs an area: give polygons, or west,south,east,north.",
            )
        west, south, east, north = geometry.bounds
        if not (west >= -180 and east <= 180 and south >= -90 and north <= 90):  # also refuses NaN
            raise InvalidInputError(
                f"region {name!r} leaves the lon/lat range: {west:g},{south:g},{east:g},{north:g}",
                "Longitudes run from -180 to 180 and latitudes from -90 to 90 degrees.",
            )
        cleaned = cut_and_repaired(geometry)
        if cleaned.area == 0:
            raise InvalidInputError(f"region {name!r} has no area", "Give polygons that enclose something.")
        return cls(name, cleaned)

    @cached_property
    def digest(self) -> str:
        """sha256 of the normalised geometry; the name does not count."""
        return hashlib.sha256(shapely.to_wkb(shapely.normalize(self.geometry), byte_order=1)).hexdigest()

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees; spans -180..180 if the region crosses the antimeridian."""
        west, south, east, north = self.geometry.bounds
        return west, south, east, north


def polygons_of(geometry: BaseGeometry) -> BaseGeometry:
    """Return the polygonal part of a geometry (possibly empty): lines and points left by a cut are dropped."""
    if geometry.geom_type in ("Polygon", "MultiPolygon"):
        return geometry
    parts = shapely.get_parts(geometry)
    nested = [polygons_of(part) if part.geom_type == "GeometryCollection" else part for part in parts]
    areal = [part for part in nested if shapely.get_dimensions(part) == 2 and not part.is_empty]
    return shapely.union_all(areal) if areal else shapely.Polygon()


def cut_and_repaired(geometry: BaseGeometry) -> BaseGeometry:
    """Return the valid, flat polygonal part of a lon/lat geometry with some area, cut at the antimeridian."""
    parts = [part for part in shapely.get_parts(shapely.force_2d(geometry)) if shapely.get_dimensions(part) == 2]
    flat = [polygon for part in parts for polygon in shapely.get_parts(polygons_of(part))]
    cleaned: BaseGeometry = shapely.multipolygons(flat) if len(flat) > 1 else flat[0]
    if not cleaned.is_valid or any(_wraps(polygon) for polygon in flat):
        cleaned = shapely.union_all([_cut(polygon) if _wraps(polygon) else _valid(polygon) for polygon in flat])
    return cleaned


def _valid(geometry: BaseGeometry) -> BaseGeometry:
    """Return the geometry, repaired if its rings cross themselves."""
    return geometry if geometry.is_valid else polygons_of(shapely.make_valid(geometry, method="structure"))


def _wraps(polygon: BaseGeometry) -> bool:
    """Return whether a polygon's outline jumps from one side of the antimeridian to the other."""
    lon = shapely.get_coordinates(shapely.get_exterior_ring(polygon))[:, 0]
    jump = np.abs(np.diff(lon))
    return bool(((jump > 180) & (jump < 360)).any() and (np.abs(lon) >= WRAP_BEYOND_DEG).all())


def _cut(polygon: BaseGeometry) -> BaseGeometry:
    """Return a polygon that jumps over the antimeridian as two, one on each side."""
    whole = _valid(shapely.transform(polygon, lambda lonlat: np.column_stack([lonlat[:, 0] % 360, lonlat[:, 1]])))
    west = shapely.intersection(whole, shapely.box(0, -90, 180, 90))
    east = shapely.intersection(whole, shapely.box(180, -90, 360, 90))
    return polygons_of(shapely.union_all([west, shapely.transform(east, lambda lonlat: lonlat - [360, 0])]))
