"""Where a scene lies on a rectangle of pixels, by its footprint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import Transformer
from rasterio.features import geometry_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from cropcube.domain.lattice import Lattice, PixelBox
    from cropcube.domain.scene import Scene

STEP_DEGREES = 0.05
"""Edges are split to this length before they are projected: a straight line in lon/lat is none in a CRS in metres."""


def footprints_in(geometries: Sequence[BaseGeometry], lattice: Lattice) -> NDArray[np.object_]:
    """Return lon/lat geometries in the CRS of a lattice; None where that CRS has no place for one.

    Vertex by vertex, so that footprints cut at the antimeridian meet again in the CRS of a zone.
    """
    transformer = Transformer.from_crs(4326, lattice.epsg, always_xy=True)

    def project(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(transformer.transform(lonlat[:, 0], lonlat[:, 1]), axis=1)

    dense = shapely.segmentize(np.array(geometries, dtype=object), STEP_DEGREES)
    projected: NDArray[np.object_] = np.atleast_1d(shapely.transform(dense, project))
    for number, geometry in enumerate(projected):
        if geometry.is_empty or not np.isfinite(shapely.get_coordinates(geometry)).all():
            projected[number] = None
    return projected


def extent_on(scene: Scene, box: PixelBox) -> NDArray[np.bool_]:
    """Return which pixels of a box a scene's footprint touches; all of them where it cannot be projected."""
    return touched([scene.geometry], box)


def touched(geometries: Sequence[BaseGeometry], box: PixelBox, centres: bool = False) -> NDArray[np.bool_]:
    """Return which pixels of a box any lon/lat geometry touches; all of them where one cannot be projected.

    Parameters
    ----------
    geometries
        At least one.
    box
        The pixels.
    centres
        Whether a pixel counts only if its centre is covered.
    """
    shapes = footprints_in(geometries, box.lattice)
    if any(shape is None for shape in shapes):
        return np.ones(box.shape, dtype=bool)
    found = geometry_mask(list(shapes), box.shape, box.transform, all_touched=not centres, invert=True)
    return np.asarray(found, dtype=bool)
