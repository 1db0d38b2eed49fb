"""Footprints in lon/lat, split at the antimeridian as regions are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from cropcube.errors import InvalidInputError

_WORLD = shapely.box(-180, -90, 180, 90)
_EAST = shapely.box(180, -90, 540, 90)


def footprint_of(identity: str, geometry: Mapping[str, Any] | None) -> BaseGeometry:
    """Return the polygon or multipolygon of a GeoJSON geometry.

    Parameters
    ----------
    identity
        The item's id, for the message.
    geometry
        GeoJSON; one that crosses the antimeridian may be written with longitudes over 180 or jumping from 180 to -180.

    Raises
    ------
    InvalidInputError
        If there is none, or it is no polygon.
    """
    if not geometry:
        raise InvalidInputError(f"item {identity} has no geometry", "Check the catalogue.")
    return split_at_antimeridian(identity, shapely.force_2d(shapely.geometry.shape(dict(geometry))))


def split_at_antimeridian(identity: str, shape: BaseGeometry) -> BaseGeometry:
    """Return a footprint with all longitudes in -180 to 180.

    Raises
    ------
    InvalidInputError
        If it is empty, no polygon, or not in degrees.
    """
    if shape.is_empty or shape.geom_type not in ("Polygon", "MultiPolygon"):
        raise InvalidInputError(f"the geometry of item {identity} is no polygon ({shape.geom_type})", "Check the item.")
    west, south, east, north = shape.bounds
    if not (-540 <= west <= east <= 540 and -90 <= south <= north <= 90):
        raise InvalidInputError(f"the geometry of item {identity} is not in lon/lat: {shape.bounds}", "Check the item.")
    if west >= -180 and east <= 180 and east - west <= 180:
        return shape if shape.is_valid else _polygons(shapely.make_valid(shape))
    shifted = _polygons(shapely.make_valid(shapely.transform(shape, _eastwards)))
    beyond = shapely.transform(shapely.intersection(shifted, _EAST), lambda lonlat: lonlat - (360.0, 0.0))
    return _polygons(shapely.union(shapely.intersection(shifted, _WORLD), beyond))


def _eastwards(lonlat: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.column_stack([np.where(lonlat[:, 0] < 0, lonlat[:, 0] + 360.0, lonlat[:, 0]), lonlat[:, 1]])


def _polygons(shape: BaseGeometry) -> BaseGeometry:
    """Return the areas of a geometry without the lines and points that cutting leaves."""
    areas = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    return areas[0] if len(areas) == 1 else shapely.union_all(areas)
