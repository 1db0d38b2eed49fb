"""Regions by name, file and corners."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from cropcube.catalog.outlines import find_outline, find_region, outlines, search_outlines
from cropcube.errors import InvalidInputError, MissingError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("india", "India"),
        ("INDIA ", "India"),
        ("IND", "India"),
        ("in", "India"),
        ("usa", "United States of America"),
        ("u.s.a.", "United States of America"),
        ("United States", "United States of America"),
        ("uk", "United Kingdom"),
        ("ivory coast", "Ivory Coast"),
        ("Côte d’Ivoire", "Ivory Coast"),
        ("cote d'ivoire", "Ivory Coast"),
        ("COTE-DIVOIRE", "Ivory Coast"),
        ("burma", "Myanmar"),
        ("holland", "Netherlands"),
        ("The Gambia", "Gambia"),
        ("bahamas", "The Bahamas"),
        ("St. Lucia", "Saint Lucia"),
        ("bosnia & herzegovina", "Bosnia and Herzegovina"),
        ("tanzania", "United Republic of Tanzania"),
        ("SSD", "South Sudan"),
        ("SDS", "South Sudan"),
        ("sao paulo", "São Paulo"),
        ("US-IA", "Iowa"),
        ("Calif.", "California"),
        ("georgia, usa", "Georgia"),
        ("Georgia (country)", "Georgia"),
        ("new caledonia", "New Caledonia"),
        ("ga", "Gabon"),
    ],
)
def test_names_are_found_whatever_their_spelling(text: str, name: str) -> None:
    region = find_region(text)
    assert region.name == name
    assert region.geometry.is_valid


def test_the_two_georgias_are_told_apart() -> None:
    assert find_outline("US-GA").country == "United States of America"
    assert find_region("GEO").bounds[0] > 39  # the Caucasus, not 85 W
    assert find_region("georgia us").bounds[2] < -80


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Georgia", ("GEO", "US-GA")),
        ("korea", ("PRK", "KOR")),
        ("Congo", ("COD", "COG")),
        ("acadia", ("CA-NB", "CA-NS")),
    ],
)
def test_ambiguous_names_say_which_were_meant(text: str, codes: tuple[str, str]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        find_region(text)
    assert all(code in caught.value.what and code in caught.value.next_step for code in codes)


@pytest.mark.parametrize(("text", "name"), [("indai", "India"), ("Phillipines", "Philippines"), ("ukrane", "Ukraine")])
def test_misspelt_names_are_guessed(text: str, name: str) -> None:
    with pytest.raises(MissingError, match=f"Did you mean .*{name}"):
        find_region(text)


def test_unknown_names_say_what_can_be_given() -> None:
    with pytest.raises(MissingError, match="cropcube regions"):
        find_region("xyzzyq")


def test_every_outline_answers_to_its_code() -> None:
    for outline in outlines():
        assert find_outline(outline.code) == outline


@pytest.mark.parametrize(
    ("code", "published_km2", "tolerance"),  # land and inland water, UN Demographic Yearbook; the outlines are 1:50m
    [
        ("IND", 3_287_263, 0.06),
        ("KEN", 591_958, 0.02),
        ("FRA", 640_000, 0.02),
        ("NLD", 37_000, 0.1),
        ("US-IA", 145_746, 0.01),
    ],
)
def test_areas_are_about_right(code: str, published_km2: float, tolerance: float) -> None:
    assert find_outline(code).area_km2 == pytest.approx(published_km2, rel=tolerance)


def test_search_lists_countries_first() -> None:
    found = search_outlines("guinea")
    assert [outline.code for outline in found] == ["GNQ", "GIN", "GNB", "PNG"]
    assert len(search_outlines()) == 341
    assert [outline.code for outline in search_outlines("georgia")] == ["GEO", "SGS", "US-GA"]
    assert search_outlines("no such place") == []


def test_corners() -> None:
    region = find_region(" -10.5, 5 ,-9,6.25")
    assert region.bounds == (-10.5, 5, -9, 6.25)


def test_corners_across_the_antimeridian_are_said() -> None:
    said: list[str] = []
    region = find_region("179,-18,-178.5,-16", said.append)
    assert said == ["region 179,-18,-178.5,-16 crosses the antimeridian, 2.5 degrees wide"]
    assert region.geometry.equals(
        shapely.union_all([shapely.box(179, -18, 180, -16), shapely.box(-180, -18, -178.5, -16)])
    )
    assert find_region("179,-18,-180,-16").bounds == (179, -18, 180, -16)
    assert find_region("180,-18,-179,-16").bounds == (-180, -18, -179, -16)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3", "not four numbers"),
        ("1,2,3,4,5", "not four numbers"),
        ("1,2,,4", "not four numbers"),
        ("190,0,200,5", "leaves the lon/lat range"),
        ("1,-91,2,5", "leaves the lon/lat range"),
        ("500000,5600000,501000,5601000", "leaves the lon/lat range"),
        ("1,5,2,4", "no area"),
        ("1,5,1,6", "no area"),
        ("nan,5,6,7", "not four numbers"),
        ("inf,5,6,7", "not four numbers"),
        ("4,50,x,51", "not four numbers"),
        ("5,5,4,6", "antimeridian and is 359 degrees wide"),
    ],
)
def test_bad_corners_say_why(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        find_region(text)


def test_corners_that_seem_swapped_are_shown_the_other_way_round() -> None:
    with pytest.raises(InvalidInputError) as caught:
        find_region("5,5,4,6")
    assert "Are west and east swapped? 4,5,5,6 is 1 degrees wide" in caught.value.next_step
    assert find_region("10,5,-170,6").bounds == (-180, 5, 180, 6)  # half the globe is not refused


def test_a_name_with_a_comma_is_no_corners() -> None:
    with pytest.raises(MissingError, match="no country or state is called 'Nan, Thailand'"):
        find_region("Nan, Thailand")
    assert find_region("Georgia, United States").name == "Georgia"


def test_a_vector_file_in_any_crs(tmp_path: Path) -> None:
    square = shapely.box(600_000, 5_600_000, 610_000, 5_610_000)
    gpd.GeoDataFrame(geometry=[square, square.buffer(10)], crs=32631).to_file(tmp_path / "fields.gpkg")
    region = find_region(str(tmp_path / "fields.gpkg"))
    assert region.name == "fields.gpkg"
    back = gpd.GeoSeries([region.geometry], crs=4326).to_crs(32631).iloc[0]
    assert back.symmetric_difference(square.buffer(10)).area < 100


def test_a_projected_file_across_the_antimeridian_is_cut_there(tmp_path: Path) -> None:
    square = shapely.box(800_000, 8_100_000, 840_000, 8_140_000)  # 179.8 E to 179.8 W in UTM 60S
    gpd.GeoDataFrame(geometry=[square], crs=32760).to_parquet(tmp_path / "taveuni.parquet")
    region = find_region(str(tmp_path / "taveuni.parquet"))
    parts = shapely.get_parts(region.geometry)
    assert len(parts) == 2
    assert all(part.bounds[2] - part.bounds[0] < 0.3 for part in parts)


@pytest.mark.parametrize(
    ("shape", "message"),
    [(shapely.Point(1, 1), "no polygon"), (shapely.LineString([(0, 0), (1, 1)]), "no polygon")],
)
def test_files_without_polygons_are_refused(tmp_path: Path, shape: shapely.Geometry, message: str) -> None:
    gpd.GeoDataFrame(geometry=[shape], crs=4326).to_file(tmp_path / "f.geojson")
    with pytest.raises(InvalidInputError, match=message):
        find_region(str(tmp_path / "f.geojson"))


def test_a_missing_file_is_no_country(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no file"):
        find_region(str(tmp_path / "fields.gpkg"))
    with pytest.raises(MissingError, match="no file"):
        find_region(str(tmp_path / "fields"))
