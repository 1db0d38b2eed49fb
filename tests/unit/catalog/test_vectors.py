"""Vector files of every kind come out in lon/lat; what cannot be used is refused with its reason."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from cropcube.catalog.vectors import read_vectors
from cropcube.errors import InvalidInputError, MissingError

FIELDS = gpd.GeoDataFrame(
    {"crop": ["maize", "wheat"]},
    geometry=[shapely.box(500_000, 5_600_000, 500_200, 5_600_100), shapely.box(501_000, 5_600_000, 501_100, 5_600_100)],
    crs=32631,
)


@pytest.mark.parametrize("name", ["f.gpkg", "f.shp", "f.fgb", "f.parquet", "f.geojson", "f.kml"])
def test_every_format_gives_the_same_fields_in_lonlat(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".parquet":
        FIELDS.to_parquet(path)
    elif path.suffix in (".geojson", ".kml"):
        FIELDS.to_crs(4326).to_file(path, engine="pyogrio", **({"driver": "KML"} if path.suffix == ".kml" else {}))
    else:
        FIELDS.to_file(path)
    frame = read_vectors(path)
    assert frame.crs.to_epsg() == 4326
    assert len(frame) == 2
    names = frame["crop" if "crop" in frame else "Name"].tolist()  # FlatGeobuf keeps its own order
    maize = frame.geometry.iloc[names.index("maize") if "maize" in names else 0]
    assert maize.bounds == pytest.approx((3.0, 50.55193, 3.00282, 50.55283), abs=2e-5)


@pytest.mark.parametrize("header", ["lon,lat,crop", "Longitude,LATITUDE,crop"])
def test_a_table_with_lon_and_lat(tmp_path: Path, header: str) -> None:
    path = tmp_path / "points.csv"
    path.write_text(f"{header}\n36.5,-1.25,maize\n36.6,-1.5,bean\n")
    frame = read_vectors(path)
    np.testing.assert_array_equal(shapely.get_coordinates(frame.geometry.to_numpy()), [[36.5, -1.25], [36.6, -1.5]])
    assert list(frame["crop"]) == ["maize", "bean"]


def test_long_edges_of_projected_polygons_keep_their_course(tmp_path: Path) -> None:
    wide = shapely.box(200_000, 6_600_000, 800_000, 6_700_000)  # 600 km: its chord in lon/lat would be 10 km off
    gpd.GeoDataFrame(geometry=[wide], crs=32631).to_file(tmp_path / "wide.gpkg")
    back = read_vectors(tmp_path / "wide.gpkg").to_crs(32631).geometry.iloc[0]
    assert back.symmetric_difference(wide).area < 1e-5 * wide.area


def test_features_without_geometry_are_counted_and_bow_ties_repaired(tmp_path: Path) -> None:
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    gpd.GeoDataFrame(geometry=[None, bow], crs=4326).to_file(tmp_path / "f.gpkg")
    frame = read_vectors(tmp_path / "f.gpkg")
    assert frame.attrs["without_geometry"] == 1
    assert frame.geometry.is_valid.all()
    assert shapely.area(frame.geometry.to_numpy()).sum() == pytest.approx(0.5)


def test_polygons_without_area_are_counted(tmp_path: Path) -> None:
    flat = shapely.Polygon([(0, 0), (1, 1), (2, 2)])
    gpd.GeoDataFrame({"n": [1, 2]}, geometry=[flat, shapely.box(0, 0, 1, 1)], crs=4326).to_parquet(
        tmp_path / "f.parquet"
    )
    frame = read_vectors(tmp_path / "f.parquet")
    assert frame.attrs["without_geometry"] == 1
    assert list(frame["n"]) == [2]
    assert list(frame.index) == [0]
    gpd.GeoDataFrame(geometry=[flat], crs=4326).to_parquet(tmp_path / "f.parquet")
    with pytest.raises(InvalidInputError, match="no polygon with an area"):
        read_vectors(tmp_path / "f.parquet")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no file .*nothing\.gpkg"):
        read_vectors(tmp_path / "nothing.gpkg")


def _write_bad(path: Path, kind: str) -> None:
    if kind == "empty":
        gpd.GeoDataFrame({"a": [1]}, geometry=[None], crs=4326).to_file(path)
    elif kind == "no crs":
        gpd.GeoDataFrame(geometry=[shapely.Point(1, 1)]).to_parquet(path)
    elif kind == "two layers":
        FIELDS.to_file(path, layer="a")
        FIELDS.to_file(path, layer="b")
    elif kind == "table":
        FIELDS.drop(columns="geometry").to_parquet(path)
    else:
        path.write_text(kind)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("f.gpkg", "empty", "is empty: 1 features"),
        ("f.parquet", "no crs", "states no CRS"),
        ("f.gpkg", "two layers", "2 layers: a, b"),
        ("f.gpkg", "garbage", "cannot be read"),
        ("f.parquet", "garbage", "cannot be read as GeoParquet"),
        ("f.parquet", "table", "geo metadata"),
        ("f.csv", "x,y\n1,2\n", "no columns lon and lat; it has: x, y"),
        ("f.csv", "lon,lat\n1,2\n3,north\n", "1 rows have no number in lon or lat, the first in line 3"),
        ("f.csv", "lon,lat\n1,2\n500000,56\n", r"1 of 2 features leave the lon/lat range, the first is number 2"),
        ("f.csv", "lon,lat\n1,2\n10,95\n", "leave the lon/lat range"),
        ("f.csv", "lon,lat\n", "is empty: 0 features"),
        ("f.csv", "", "cannot be read as a table"),
        ("f.tif", "garbage", "not a vector file"),
    ],
)
def test_bad_files_say_why(tmp_path: Path, name: str, kind: str, message: str) -> None:
    path = tmp_path / name
    _write_bad(path, kind)
    with pytest.raises(InvalidInputError, match=message):
        read_vectors(path)
