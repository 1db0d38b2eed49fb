"""Where a scene lies on a rectangle of pixels, by its footprint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import Transformer
from rasterio.features import geometry_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from cropcube.domain.lattice import Lattice, PixelBox
    from cropcube.domain.scene import Scene

STEP_DEGREES = 0.05
"""Edges are split to this length before they are projected: a straight line in lon/lat is none in a CRS in metres."""


def footprint_in(geometry: BaseGeometry, lattice: Lattice) -> BaseGeometry | None:
    """Return a lon/lat geometry in the CRS of a lattice, or None where that CRS has no place for it."""
    transformer = Transformer.from_crs(4326, lattice.epsg, always_xy=True)

    def project(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(transformer.transform(lonlat[:, 0], lonlat[:, 1]), axis=1)

    projected = shapely.transform(shapely.segmentize(geometry, STEP_DEGREES), project)
    return projected if bool(np.isfinite(shapely.get_coordinates(projected)).all()) else None


def extent_on(scene: Scene, box: PixelBox) -> NDArray[np.bool_]:
    """Return which pixels of a box a scene's footprint touches; all of them where it cannot be projected."""
    footprint = footprint_in(scene.geometry, box.lattice)
    if footprint is None or footprint.is_empty:
        return np.ones(box.shape, dtype=bool)
    touched = geometry_mask([footprint], box.shape, box.transform, all_touched=True, invert=True)
    return np.asarray(touched, dtype=bool)
