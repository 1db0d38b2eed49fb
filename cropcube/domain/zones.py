"""Which UTM zone owns a point: the grid zones of MGRS, with their Norwegian and Svalbard exceptions.

Source: NGA.STND.0037 (universal grids and the transverse Mercator map projections), table of grid zone designations.
Zones are 6 degrees wide. In band V (56 to 64 N) 32 starts at 3 E; in band X (72 to 84 N) 31, 33, 35 and 37 share
0 to 42 E with cuts at 9, 21 and 33 E, and 32, 34 and 36 do not exist. West and south edges belong to a zone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import shapely

from cropcube.domain.lattice import Lattice

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from shapely.geometry.base import BaseGeometry

SOUTH_END, NORTH_END = -80.0, 84.0
"""Latitudes within which UTM zones are defined."""

_V, _X = (56.0, 64.0), (72.0, 84.0)
_EDGES = np.arange(-180.0, 180.0, 6.0)
_X_CUTS = np.array([9.0, 21.0, 33.0])
_X_ZONES = np.array([31, 33, 35, 37])


def owner(lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the UTM zone and hemisphere that own each point.

    Parameters
    ----------
    lon, lat
        Degrees, of one shape; longitudes may run beyond 180 by up to a turn.

    Returns
    -------
    zone, north
        1 to 60, or 0 where no zone is (south of 80 S, from 84 N on, NaN); whether it is the northern one.
    """
    lat = np.asarray(lat, dtype=np.float64)
    lon = np.asarray(lon, dtype=np.float64)
    lon = np.where(lon >= 180, lon - 360, np.where(lon < -180, lon + 360, lon))
    zone = np.searchsorted(_EDGES, lon, side="right")
    in_v = (lat >= _V[0]) & (lat < _V[1])
    zone = np.where(in_v & (lon >= 3) & (lon < 6), 32, zone)
    in_x = (lat >= _X[0]) & (lat < _X[1]) & (lon >= 0) & (lon < 42)
    zone = np.where(in_x, _X_ZONES[np.searchsorted(_X_CUTS, lon, side="right")], zone)
    defined = (lat >= SOUTH_END) & (lat < NORTH_END) & np.isfinite(lon)
    return np.where(defined, zone, 0), lat >= 0


@lru_cache(maxsize=120)
def domain_of(zone: int, north: bool) -> BaseGeometry:
    """Return the lon/lat outline of what one zone and hemisphere own."""
    west = -180.0 + 6 * (zone - 1)
    if not north:
        return shapely.box(west, SOUTH_END, west + 6, 0.0)
    rows = {(0.0, _V[0]): (west, west + 6), _V: (west, west + 6), (_V[1], _X[0]): (west, west + 6)}
    rows[_X] = (west, west + 6)
    if zone in (31, 32):
        rows[_V] = (0.0, 3.0) if zone == 31 else (3.0, 12.0)
    if 31 <= zone <= 37:
        cuts = {31: (0.0, 9.0), 33: (9.0, 21.0), 35: (21.0, 33.0), 37: (33.0, 42.0)}
        rows[_X] = cuts.get(zone, (0.0, 0.0))
    boxes = [shapely.box(left, south, right, top) for (south, top), (left, right) in rows.items() if right > left]
    return shapely.union_all(boxes)


@lru_cache(maxsize=1)
def all_zones() -> tuple[tuple[Lattice, ...], NDArray[np.object_]]:
    """Return the lattices of every zone and hemisphere, by name, and their lon/lat outlines."""
    every = sorted((Lattice.utm(zone, north), north) for zone in range(1, 61) for north in (True, False))
    lattices = tuple(lattice for lattice, _ in every)
    return lattices, np.array([domain_of(lattice.epsg % 100, north) for lattice, north in every])
