"""Labels as people have them: dates, files, fields, erosion, radius, least area; held against UTM geometry."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer
from shapely.geometry import Point, Polygon, box

from cropcube.domain.grid import plan_grid
from cropcube.domain.lattice import Lattice
from cropcube.domain.legend import Legend
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.errors import InvalidInputError
from cropcube.samples.label_rules import BACKWARDS, NOTHING_LEFT, OUT_OF_SEASON, TOO_SMALL, LabelRules
from cropcube.samples.label_shapes import areas_m2, discs, eroded
from cropcube.samples.labels import OVERLAP, READ, files_digest, lay, open_labels

LEGEND = Legend.parse("1200,Maize\n1110,Winter wheat\n9120,Grass")
LATTICE = Lattice.utm(31, True)
WEST, NORTH = 574_680, 5_622_440
TO_LONLAT = Transformer.from_crs(32631, 4326, always_xy=True)
SEASON = Season.parse("2019-03-01/2019-11-01")


def lonlat(shape):
    return shapely.transform(shape, lambda xy: np.column_stack(TO_LONLAT.transform(xy[:, 0], xy[:, 1])))


REGION = Region.of("patch", lonlat(box(WEST, NORTH - 640, WEST + 640, NORTH)))
GRID = plan_grid(REGION, 96)
FIELD, OTHER = (
    box(WEST + 20, NORTH - 220, WEST + 220, NORTH - 20),
    box(WEST + 300, NORTH - 500, WEST + 600, NORTH - 200),
)


def write(path, shapes, crs=32631, **columns):
    gpd.GeoDataFrame(columns, geometry=shapes, crs=crs).to_file(path)
    return path


def laid_on(*paths, season=SEASON, **rules):
    files = [open_labels(path, LEGEND, LabelRules(**rules), season) for path in paths]
    laid = lay(files, LEGEND, GRID, REGION)
    rows, cols, classes, features = laid.zones["utm31n"]
    image, owner = np.zeros((64, 64), np.uint8), np.full((64, 64), -1)
    at = rows - (LATTICE.top_m - NORTH) // 10, cols - WEST // 10
    image[at], owner[at] = classes, features
    return image, owner, laid


def distance_inside(shape):
    """Return how far each pixel centre lies within a shape of the zone, negative outside."""
    centres = np.array([[Point(WEST + 10 * c + 5, NORTH - 10 * r - 5) for c in range(64)] for r in range(64)])
    to_edge = shapely.distance(shapely.boundary(shape), centres)
    return np.where(shapely.contains(shape, centres), to_edge, -to_edge)


@pytest.mark.parametrize(
    ("start", "stop", "kept"),
    [
        ("2019-01-01", "2019-12-31", True),
        ("2018-01-01", "2019-02-28", False),
        ("2018-01-01", "2019-03-01", False),  # a day of the season is not enough
        ("2019-10-31", "2020-05-01", False),
        ("2019-02-19", "2019-03-10", True),  # ten of its own twenty days
        ("2019-02-18", "2019-03-10", False),
        ("2017-01-01", "2019-07-01", True),  # 123 of the season's 245 days
        ("2017-01-01", "2019-06-30", False),
        ("2019-10-31", "2019-11-01", True),  # a season's stop is not in it
        ("2019-10-31", "2019-11-02", False),
        ("2019-08-15", "2019-08-15", True),
        (None, "2019-02-28", False),
        (None, "2019-03-01", False),
        (None, "2019-08-01", True),
        (None, None, True),
        ("2019-05-01T10:00:00Z", None, True),
        ("2019-10-01T10:00:00Z", None, False),
        ("2019", "2019", True),
        ("2018", "2018", False),
    ],
)
def test_labels_hold_on_the_days_that_they_say(tmp_path, start, stop, kept):
    path = write(
        tmp_path / "f.gpkg", [FIELD, OTHER], crop=[1200, 9120],
        start_date=[start, "2019-05-01"], end_date=[stop, "2019-06-01"],
    )  # fmt: skip
    image, _, laid = laid_on(path)
    assert (image == 1).any() == kept
    assert (image == 3).any()
    assert laid.features.get(OUT_OF_SEASON, 0) == (0 if kept else 1)


def test_date_fields_of_other_names_and_types_are_named(tmp_path):
    days = np.array(["2018-05-01", "2019-09-01"], dtype="datetime64[ms]")
    path = write(tmp_path / "f.gpkg", [FIELD, OTHER], crop=[1200, 9120], sown=days, year=[2018, 2019])
    assert set(np.unique(laid_on(path, fields=("crop",))[0])) == {0, 1, 3}
    assert set(np.unique(laid_on(path, fields=("crop",), end_field="sown")[0])) == {0, 3}
    assert set(np.unique(laid_on(path, fields=("crop",), end_field="YEAR")[0])) == {0, 3}
    with pytest.raises(InvalidInputError, match="no field 'harvest'") as caught:
        laid_on(path, fields=("crop",), end_field="harvest")
    assert "sown" in caught.value.next_step


def test_labels_of_other_years_alone_are_refused_with_the_season(tmp_path):
    path = write(tmp_path / "f.gpkg", [FIELD], crop=[1200], start_date=["2017-01-01"], end_date=["2017-12-31"])
    with pytest.raises(InvalidInputError, match="valid in the season 2019-03-01/2019-11-01"):
        laid_on(path)
    assert laid_on(path, season=None)[0].any()


def test_labels_that_end_before_they_begin_are_counted_by_themselves(tmp_path):
    path = write(
        tmp_path / "f.gpkg", [FIELD, FIELD, OTHER], crop=[1200, 1200, 9120],
        start_date=["2019-06-01", "2018-01-01", "2019-05-01"], end_date=["2019-05-01", "2018-02-01", "2019-06-01"],
    )  # fmt: skip
    image, _, laid = laid_on(path)
    assert set(np.unique(image)) == {0, 3}
    assert (laid.features[BACKWARDS], laid.features[OUT_OF_SEASON]) == (1, 1)
    path = write(tmp_path / "g.gpkg", [FIELD], crop=[1200], start_date=["2019-06-01"], end_date=["2019-05-31"])
    with pytest.raises(InvalidInputError, match=r"every label .* start date after the end date") as caught:
        laid_on(path)
    assert "--start-field" in caught.value.next_step


def test_what_is_no_date_is_shown(tmp_path):
    path = write(tmp_path / "f.gpkg", [FIELD, OTHER], crop=[1200, 9120], start_date=["2019-01-01", "May"])
    with pytest.raises(InvalidInputError, match="number 2 with 'May'") as caught:
        laid_on(path)
    assert "--start-field" in caught.value.next_step


def test_several_files_are_one_set_of_labels(tmp_path):
    one = write(tmp_path / "one.gpkg", [FIELD, OTHER], crop=[1200, 9120])
    corner = box(WEST + 100, NORTH - 120, WEST + 300, NORTH)
    wheat = box(WEST + 400, NORTH - 600, WEST + 500, NORTH - 300)
    two = write(tmp_path / "two.gpkg", [corner, wheat], crop=["maize", "1110"])
    image, owner, laid = laid_on(one, two)
    assert set(np.unique(image)) == {0, 1, 2, 3}
    inside = [distance_inside(shape) > 0 for shape in (FIELD, OTHER, corner)]
    clash = inside[1] & (distance_inside(wheat) > 0)
    assert laid.dropped == {OVERLAP: clash.sum()}
    assert not image[clash].any()
    assert (image[inside[0] | inside[2]] == 1).all()
    # one field of maize in two files: the features are tied
    assert laid.ties.tolist() == [[0, 2]]
    assert set(owner[inside[0] & ~inside[2]].tolist()) == {0}
    assert set(owner[inside[2]].tolist()) == {2}
    assert laid.features[READ] == 4
    assert files_digest([one]) != files_digest([one, two]) != files_digest([two, one])


def test_unlisted_classes_of_several_files_keep_their_names(tmp_path):
    one = write(tmp_path / "one.gpkg", [FIELD], crop=["hops"])
    two = write(tmp_path / "two.gpkg", [OTHER, box(WEST, NORTH - 640, WEST + 40, NORTH - 600)], crop=["rye", "hops"])
    with pytest.raises(InvalidInputError) as caught:
        laid_on(one, two)
    counts = {name: int((distance_inside(shape) > 0).sum()) for name, shape in (("hops", FIELD), ("rye", OTHER))}
    assert f"hops ({counts['hops'] + 16} pixels)" in caught.value.what
    assert f"rye ({counts['rye']} pixels)" in caught.value.what


def test_of_several_fields_the_first_with_a_known_class_counts(tmp_path):
    third = box(WEST, NORTH - 640, WEST + 100, NORTH - 560)
    path = write(
        tmp_path / "f.gpkg", [FIELD, OTHER, third], hcat=["3301010101", None, "9120"], crop=["maize", "grass", "maize"]
    )
    image, _, _ = laid_on(path, fields=("hcat", "crop", "absent"))
    for shape, row in ((FIELD, 1), (OTHER, 3), (third, 3)):
        assert set(image[distance_inside(shape) > 0].tolist()) == {row}
    with pytest.raises(InvalidInputError, match="no field 'a' or 'b'"):
        laid_on(path, fields=("a", "b"))


@pytest.mark.parametrize("metres", [10, 23.5])
def test_fields_lose_their_edge(tmp_path, metres):
    tilted = shapely.affinity.rotate(OTHER, 17)
    image, _, _ = laid_on(write(tmp_path / "f.gpkg", [tilted], crop=[1200]), erode_m=metres)
    depth = distance_inside(tilted)
    assert (image[depth > metres + 0.1] == 1).all()
    assert (image[depth < metres - 0.1] == 0).all()


def test_fields_of_which_nothing_is_left_are_counted(tmp_path):
    path = write(tmp_path / "f.gpkg", [FIELD, box(WEST + 400, NORTH - 100, WEST + 430, NORTH - 70)], crop=[1200, 9120])
    _, _, laid = laid_on(path, erode_m=20)
    assert laid.features[NOTHING_LEFT] == 1
    with pytest.raises(InvalidInputError, match="large enough"):
        laid_on(path, erode_m=500)


def test_points_carry_their_radius(tmp_path):
    points = [Point(WEST + 111, NORTH - 222), Point(WEST + 433, NORTH - 401)]
    path = write(tmp_path / "p.gpkg", points, crop=[1200, 9120])
    image, owner, _ = laid_on(path, radius_m=35)
    for place, row in ((0, 1), (1, 3)):
        far = -distance_inside(points[place].buffer(0.01))
        assert (image[far < 34.5] == row).all()
        assert (owner[far < 34.5] == place).all()
        assert (image[(far > 35.2) & (far < 100)] == 0).all()
    assert (laid_on(path)[0] > 0).sum() == 2


def test_polygons_below_the_least_area_are_left_out_and_points_stay(tmp_path):
    small = box(WEST + 400, NORTH - 100, WEST + 450, NORTH - 61)  # 0.195 ha
    shapes = [FIELD, small, Point(WEST + 605, NORTH - 605)]
    image, _, laid = laid_on(write(tmp_path / "f.gpkg", shapes, crop=[1200, 9120, 1110]), min_area_ha=0.2)
    assert set(np.unique(image)) == {0, 1, 2}
    assert laid.features[TOO_SMALL] == 1


@pytest.mark.parametrize("rules", [{"erode_m": -1}, {"radius_m": float("nan")}, {"min_area_ha": float("inf")}])
def test_sizes_that_cannot_be_are_refused(rules):
    with pytest.raises(InvalidInputError, match="cannot be used"):
        LabelRules(**rules)


@settings(deadline=None, max_examples=40)
@given(st.floats(-179, 179), st.floats(-70, 70), st.floats(20, 800), st.floats(0, 90))
def test_areas_are_those_of_the_ellipsoid(lon, lat, side_m, angle):
    degrees = side_m / 111_000
    field = shapely.affinity.rotate(box(lon, lat, lon + degrees / np.cos(np.radians(lat)), lat + 0.7 * degrees), angle)
    wanted = abs(Geod(ellps="WGS84").geometry_area_perimeter(field)[0])
    np.testing.assert_allclose(areas_m2(np.array([field]))[0], wanted, rtol=2e-4)


@settings(deadline=None, max_examples=30)
@given(st.floats(-179, 179), st.floats(-70, 70), st.floats(5, 500))
def test_discs_and_erosion_are_in_metres_of_the_ground(lon, lat, metres):
    geod = Geod(ellps="WGS84")
    disc = discs(np.array([Point(lon, lat)]), metres)[0]
    edge = shapely.get_coordinates(disc)
    far = geod.inv(np.full(len(edge), lon), np.full(len(edge), lat), edge[:, 0], edge[:, 1])[2]
    np.testing.assert_allclose(far, metres, rtol=1e-3)
    back = eroded(np.array([disc]), metres / 2)[0]
    edge = shapely.get_coordinates(back)
    far = geod.inv(np.full(len(edge), lon), np.full(len(edge), lat), edge[:, 0], edge[:, 1])[2]
    np.testing.assert_allclose(far, metres / 2, rtol=1e-2)
    assert eroded(np.array([disc, Polygon()]), metres * 1.1)[0].is_empty
