"""Vector files: regions, labels and places to extract, read into lon/lat in one way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from cropcube.domain.region import cut_and_repaired
from cropcube.errors import InvalidInputError, MissingError

if TYPE_CHECKING:
    import geopandas as gpd

GDAL_SUFFIXES = (".gpkg", ".geojson", ".json", ".geojsonl", ".shp", ".kml", ".fgb", ".zip")
PARQUET_SUFFIXES = (".parquet", ".geoparquet")
TABLE_SUFFIXES = (".csv", ".tsv")
VECTOR_SUFFIXES = (*GDAL_SUFFIXES, *PARQUET_SUFFIXES, *TABLE_SUFFIXES)

LON_NAMES, LAT_NAMES = ("lon", "longitude", "long", "lng"), ("lat", "latitude")
EDGE_STEP_M = 5000.0
"""Longer edges of projected polygons are cut to this before they become lon/lat, where they are curves."""


def read_vectors(path: Path | str, layer: str | None = None) -> gpd.GeoDataFrame:
    """Read a vector file into EPSG:4326.

    Parameters
    ----------
    path
        GeoPackage, GeoJSON, GeoParquet, shapefile, KML, FlatGeobuf, or CSV with columns `lon` and `lat`.
    layer
        Which layer, for files with more than one.

    Returns
    -------
    frame
        The features in file order, index 0 to n - 1, polygons repaired where their rings cross themselves and cut at
        the antimeridian. Features without a geometry, and polygons without area, are left out and counted in
        `frame.attrs["without_geometry"]`.

    Raises
    ------
    MissingError
        If there is no such file.
    InvalidInputError
        If it cannot be read, holds no features, states no CRS, or leaves the lon/lat range.
    """
    path = Path(path)
    if not path.exists():
        raise MissingError(f"there is no file {path}", "Check the path.")
    suffix = path.suffix.lower()
    if suffix not in VECTOR_SUFFIXES or path.is_dir():
        raise InvalidInputError(
            f"{path} is not a vector file that can be read", f"Give one of: {' '.join(VECTOR_SUFFIXES)}"
        )
    if suffix in TABLE_SUFFIXES:
        frame = _read_table(path)
    else:
        frame = _read_parquet(path) if suffix in PARQUET_SUFFIXES else _read_gdal(path, layer)
    return _checked(_to_lonlat(_with_geometry(frame, path), path), path)


def _read_gdal(path: Path, layer: str | None) -> gpd.GeoDataFrame:
    """Read what GDAL reads; the layer must be said where there is a choice."""
    import geopandas as gpd
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError

    try:
        found = pyogrio.list_layers(path)
        names = [str(name) for name, kind in found if kind is not None] or [str(name) for name, _ in found]
        if layer is None and len(names) > 1:
            raise InvalidInputError(
                f"{path} has {len(names)} layers: {', '.join(names)}", "Give a file with one layer."
            )
        frame: Any = gpd.read_file(path, layer=layer or (names[0] if names else None))
    except (DataSourceError, DataLayerError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}", "Check that the file is whole.") from error
    if not isinstance(frame, gpd.GeoDataFrame):
        raise InvalidInputError(f"{path} holds a table without geometry", "Give a file with points or polygons.")
    return frame


def _read_parquet(path: Path) -> gpd.GeoDataFrame:
    """Read GeoParquet."""
    import geopandas as gpd
    from pyarrow import ArrowException

    try:
        return gpd.read_parquet(path)
    except (ArrowException, ValueError, OSError) as error:
        raise InvalidInputError(
            f"{path} cannot be read as GeoParquet: {error}", "Give a GeoParquet file (one with geo metadata)."
        ) from error


def _read_table(path: Path) -> gpd.GeoDataFrame:
    """Read a table with columns lon and lat."""
    import geopandas as gpd
    import pandas as pd

    try:
        table = pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",", float_precision="round_trip")
    except (ValueError, pd.errors.ParserError) as error:  # also undecodable bytes and an empty file
        raise InvalidInputError(f"{path} cannot be read as a table: {error}", "Give a CSV with a header.") from error
    lower = {str(column).strip().lower(): column for column in table.columns}
    lon = next((lower[name] for name in LON_NAMES if name in lower), None)
    lat = next((lower[name] for name in LAT_NAMES if name in lower), None)
    if lon is None or lat is None:
        raise InvalidInputError(
            f"{path} has no columns lon and lat; it has: {', '.join(map(str, table.columns))}",
            "Name the columns lon and lat, in degrees (EPSG:4326).",
        )
    x, y = (pd.to_numeric(table[column], errors="coerce") for column in (lon, lat))
    unreadable = x.isna() | y.isna()
    if unreadable.any():
        raise InvalidInputError(
            f"{path}: {int(unreadable.sum())} rows have no number in {lon} or {lat}, the first in line "
            f"{int(np.flatnonzero(unreadable)[0]) + 2}",
            "Fill them in or take them out.",
        )
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(x, y), crs=4326)


def _with_geometry(frame: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    """Return the features that have a geometry, refusing none at all."""
    empty = frame.geometry.isna() | frame.geometry.is_empty
    if empty.all():
        raise InvalidInputError(
            f"{path} is empty: {len(frame)} features, none with a geometry", "Give a file with points or polygons."
        )
    kept = frame.loc[~empty].reset_index(drop=True)
    kept.attrs["without_geometry"] = int(empty.sum())
    return kept


def _to_lonlat(frame: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    """Return the features in EPSG:4326; a file that states no CRS is refused."""
    if frame.crs is None:
        raise InvalidInputError(
            f"{path} states no CRS", "Set it where the file was made (a .prj beside a shapefile), or save as GeoJSON."
        )
    if frame.crs.is_projected:
        step = EDGE_STEP_M / frame.crs.axis_info[0].unit_conversion_factor
        frame = frame.set_geometry(shapely.segmentize(frame.geometry.to_numpy(), step), crs=frame.crs)
    return frame.to_crs(4326)


def _checked(frame: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    """Return the features with repaired polygons, refusing coordinates that are no longitudes and latitudes."""
    west, south, east, north = frame.geometry.bounds.to_numpy().T
    wrong = ~((west >= -180) & (east <= 180) & (south >= -90) & (north <= 90))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        place = ",".join(f"{edge[first]:g}" for edge in (west, south, east, north))
        raise InvalidInputError(
            f"{path}: {int(wrong.sum())} of {len(frame)} features leave the lon/lat range, the first is number "
            f"{first + 1} at {place}",
            "Longitudes run from -180 to 180, latitudes from -90 to 90; is the CRS another one, or are they swapped?",
        )
    geometry = frame.geometry.to_numpy().copy()
    doubtful = (~shapely.is_valid(geometry) | (east - west > 180)) & (shapely.get_dimensions(geometry) == 2)
    geometry[doubtful] = [cut_and_repaired(shape) for shape in geometry[doubtful]]
    gone = shapely.is_empty(geometry)
    if gone.all():
        raise InvalidInputError(f"{path} has no polygon with an area", "Give polygons that enclose something.")
    repaired = frame.set_geometry(geometry, crs=4326).loc[~gone].reset_index(drop=True)
    repaired.attrs["without_geometry"] = frame.attrs["without_geometry"] + int(gone.sum())
    return repaired
