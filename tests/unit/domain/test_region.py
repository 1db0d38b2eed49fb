"""Regions are valid polygons in lon/lat, cut at the antimeridian."""

from __future__ import annotations

import copy
import json

import pytest
import shapely
from shapely.geometry import mapping, shape

from cropcube.domain.region import Region, polygons_of
from cropcube.errors import InvalidInputError

SQUARE = shapely.box(4, 50, 5, 51)


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (shapely.Polygon(), "is empty"),
        (shapely.Point(1, 1), "no polygon"),
        (shapely.LineString([(0, 0), (1, 1)]), "no polygon"),
        (shapely.box(170, 0, 190, 1), "leaves the lon/lat range"),
        (shapely.box(500_000, 5_000_000, 501_000, 5_001_000), "leaves the lon/lat range"),
        (shapely.box(0, 80, 1, 91), "leaves the lon/lat range"),
        (shapely.Polygon([(0, 0), (1, 1), (2, 2)]), "no area"),
    ],
)
def test_what_is_no_region_is_refused(geometry: shapely.Geometry, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Region.of("drawn", geometry)


def test_bow_ties_overlaps_and_collections_become_valid_polygons() -> None:
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    region = Region.of("drawn", shapely.GeometryCollection([bow, SQUARE, SQUARE, shapely.Point(9, 9)]))
    assert region.geometry.is_valid
    assert region.geometry.area == pytest.approx(0.5 + 1)
    assert region.geometry.geom_type == "MultiPolygon"


def test_heights_are_dropped() -> None:
    assert not Region.of("drawn", shapely.force_3d(SQUARE, 7.0)).geometry.has_z


def test_a_polygon_that_jumps_over_the_antimeridian_is_cut() -> None:
    jump = shapely.Polygon([(179, -17), (-179, -17), (-179, -16), (179, -16)])
    expected = shapely.union_all([shapely.box(179, -17, 180, -16), shapely.box(-180, -17, -179, -16)])
    assert Region.of("drawn", jump).geometry.equals(expected)


def test_a_hole_survives_the_cut() -> None:
    jump = shapely.Polygon(
        [(179, -17), (-179, -17), (-179, -16), (179, -16)],
        [[(179.5, -16.7), (-179.5, -16.7), (-179.5, -16.3), (179.5, -16.3)]],
    )
    assert Region.of("drawn", jump).geometry.area == pytest.approx(2 - 0.4)


@pytest.mark.parametrize("wide", [shapely.box(-180, -60, 180, 70), shapely.box(-100, 0, 110, 1)])
def test_wide_polygons_are_not_mistaken_for_jumps(wide: shapely.Geometry) -> None:
    assert Region.of("drawn", wide).geometry.equals(wide)


def test_the_digest_is_of_the_place_and_survives_a_file() -> None:
    region = Region.of("a", shapely.box(4.123456789012345, 50, 5, 51))
    turned = Region.of("b", shapely.Polygon([(5, 50), (5, 51), (4.123456789012345, 51), (4.123456789012345, 50)]))
    assert region.digest == turned.digest
    assert region.digest != Region.of("a", SQUARE).digest
    reread = Region("c", shape(json.loads(json.dumps(mapping(region.geometry)))))
    assert reread.digest == region.digest
    assert copy.deepcopy(region) == region


def test_lines_left_by_a_cut_are_dropped() -> None:
    both = shapely.GeometryCollection([SQUARE, shapely.GeometryCollection([shapely.LineString([(0, 0), (1, 1)])])])
    assert polygons_of(both).equals(SQUARE)
    assert polygons_of(shapely.LineString([(0, 0), (1, 1)])).is_empty
