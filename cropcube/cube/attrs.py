"""Attributes by which xarray, rioxarray, GDAL and GeoZarr readers find the grid."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pyproj import CRS

if TYPE_CHECKING:
    from cropcube.cube.layout import JSON
    from cropcube.domain.lattice import Lattice, PixelBox

GRID_MAPPING = "spatial_ref"


def group_attrs(box: PixelBox) -> dict[str, JSON]:
    """Return the attributes of a group: GeoZarr `proj:` and `spatial:`, and which variable is a coordinate (CF)."""
    return {
        "coordinates": GRID_MAPPING,
        "proj:code": box.lattice.crs,
        "spatial:dimensions": ["y", "x"],
        "spatial:shape": list(box.shape),
        "spatial:bbox": [float(edge) for edge in box.bounds],
        "spatial:transform": [float(number) for number in box.transform[:6]],
        "spatial:registration": "pixel",
    }


def array_attrs(lattice: Lattice) -> dict[str, JSON]:
    """Return the attributes that tie an array to its grid: CF `grid_mapping` and GDAL's `_CRS`."""
    return {"grid_mapping": GRID_MAPPING, "_CRS": {"wkt": _wkt(lattice.epsg), "url": _url(lattice.epsg)}}


def spatial_ref_attrs(box: PixelBox) -> dict[str, JSON]:
    """Return the attributes of the scalar `spatial_ref`: CF parameters, WKT and GDAL's geotransform."""
    t = box.transform
    numbers = (t.c, t.a, t.b, t.f, t.d, t.e)
    return {**_cf(box.lattice.epsg), "GeoTransform": " ".join(f"{number:.12g}" for number in numbers)}


def axis_attrs(axis: str) -> dict[str, JSON]:
    """Return the CF attributes of the coordinate `x` or `y`."""
    return {
        "axis": axis.upper(),
        "long_name": f"{axis} coordinate of projection, pixel centre",
        "standard_name": f"projection_{axis}_coordinate",
        "units": "metre",
    }


def _url(epsg: int) -> str:
    return f"http://www.opengis.net/def/crs/EPSG/0/{epsg}"


@cache
def _wkt(epsg: int) -> str:
    return CRS.from_epsg(epsg).to_wkt()


@cache
def _cf(epsg: int) -> dict[str, JSON]:
    crs = CRS.from_epsg(epsg)
    cf = {name: value for name, value in crs.to_cf().items() if value is not None}
    return {**cf, "spatial_ref": crs.to_wkt()}
