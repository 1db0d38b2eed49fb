"""Areas, erosion and discs of shapes in lon/lat, in metres of the ground.

Each shape is laid flat around its own centre with the radii of curvature of WGS 84 there, which is right to a few
centimetres over a field. Whole files are done at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

AXIS_M, ECCENTRICITY_2 = 6_378_137.0, 0.006694379990141317
"""WGS 84: half the major axis, square of the eccentricity."""


def areas_m2(shapes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the area of each shape."""
    areas: NDArray[np.float64] = shapely.area(_Flat.of(shapes).shapes)
    return areas


def eroded(shapes: NDArray[Any], metres: float) -> NDArray[Any]:
    """Return polygons without what lies within so many metres of their edge; empty where nothing is left."""
    flat = _Flat.of(shapes)
    return flat.back(shapely.buffer(flat.shapes, -metres))


def discs(points: NDArray[Any], metres: float) -> NDArray[Any]:
    """Return the ground within so many metres of each point."""
    flat = _Flat.of(points)
    return flat.back(shapely.buffer(flat.shapes, metres, quad_segs=16))


@dataclass(frozen=True, eq=False)
class _Flat:
    """Shapes in metres east and north of their own centres."""

    shapes: NDArray[Any]
    centres: NDArray[np.float64]
    "(N, 2) lon, lat of each shape."
    metres_per_degree: NDArray[np.float64]
    "(N, 2) east, north."

    @classmethod
    def of(cls, shapes: NDArray[Any]) -> _Flat:
        """Lay a plane through the middle of each shape."""
        west, south, east, north = shapely.bounds(shapes).T
        centres = np.column_stack([(west + east) / 2, (south + north) / 2])
        latitude = np.radians(centres[:, 1])
        curved = 1 - ECCENTRICITY_2 * np.sin(latitude) ** 2
        across = AXIS_M / np.sqrt(curved) * np.cos(latitude)
        along = AXIS_M * (1 - ECCENTRICITY_2) / curved**1.5
        scale = np.radians(np.column_stack([across, along]))
        xy, which = shapely.get_coordinates(shapes, return_index=True)
        flat = shapely.set_coordinates(shapes.copy(), (xy - centres[which]) * scale[which])
        return cls(flat, centres, scale)

    def back(self, shapes: NDArray[Any]) -> NDArray[Any]:
        xy, which = shapely.get_coordinates(shapes, return_index=True)
        lonlat: NDArray[Any] = shapely.set_coordinates(shapes, xy / self.metres_per_degree[which] + self.centres[which])
        return lonlat
