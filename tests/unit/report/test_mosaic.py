"""Decimated reads: the right pixels, the right place, one tile at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyproj import Transformer

from cropcube.cube.store import Store
from cropcube.domain.grid import inside, owned
from cropcube.maps.extent import covered_box
from cropcube.report import mosaic
from cropcube.report.mosaic import decimated, overview
from tests.support.small_map import TWO_ZONES, known_classes, small_project, write_known_map

if TYPE_CHECKING:
    pass


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = small_project(tmp_path_factory.mktemp("mosaic") / "project")
    write_known_map(project)
    return project


@pytest.fixture(scope="module")
def two_zones(tmp_path_factory):
    project = small_project(tmp_path_factory.mktemp("mosaic") / "two", TWO_ZONES)
    write_known_map(project)
    return project


def truth(project, box):
    return np.where(inside(project.spec.region, box) & owned(box), known_classes(box), 0)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 1000])
def test_every_nth_pixel_is_picked(project, step):
    zone = project.spec.grid.zones[0]
    box = covered_box(project.spec.region, zone)
    found = decimated(Store.open(project.map_path), "crop", zone, box, step)
    whole = np.zeros((-(-box.height // step) * step, -(-box.width // step) * step), np.uint8)
    whole[: box.height, : box.width] = truth(project, box)
    np.testing.assert_array_equal(found.values, whole[step // 2 :: step, step // 2 :: step])
    assert (found.left_m, found.top_m) == (box.bounds[0], box.bounds[3])
    assert found.pixel_m == 10 * step


def test_one_zone_is_drawn_on_its_own_grid(project):
    found = overview(Store.open(project.map_path), "crop", project.spec.grid, project.spec.region)
    box = covered_box(project.spec.region, project.spec.grid.zones[0])
    assert found.crs == "EPSG:32631"
    np.testing.assert_array_equal(found.values, truth(project, box))


def test_large_maps_are_read_tile_by_tile_and_stay_small(project, monkeypatch):
    monkeypatch.setattr(mosaic, "MAX_SIDE_PX", 30)
    sizes = []
    read = Store.read
    monkeypatch.setattr(
        Store, "read", lambda self, *args: (sizes.append(args[2].height * args[2].width), read(self, *args))[1]
    )
    found = overview(Store.open(project.map_path), "crop", project.spec.grid, project.spec.region)
    assert max(found.values.shape) <= 30
    assert max(sizes) <= 96 * 96
    assert len(sizes) <= len(project.spec.grid)


def test_two_zones_meet_without_a_gap(two_zones):
    found = overview(Store.open(two_zones.map_path), "crop", two_zones.spec.grid, two_zones.spec.region)
    y, x = np.mgrid[: found.values.shape[0], : found.values.shape[1]]
    east, north = found.left_m + (x + 0.5) * found.pixel_m, found.top_m - (y + 0.5) * found.pixel_m
    lon, lat = Transformer.from_crs(found.crs, 4326, always_xy=True).transform(east, north)
    west, south, right, top = TWO_ZONES
    within = (lon > west + 2e-4) & (lon < right - 2e-4) & (lat > south + 2e-4) & (lat < top - 2e-4)
    assert within.sum() > 1000
    assert (found.values[within] > 0).mean() > 0.99
    assert (found.values[(lon < west - 5e-4) | (lon > right + 5e-4)] == 0).all()


def test_two_zones_keep_their_classes_in_place(two_zones):
    found = overview(Store.open(two_zones.map_path), "crop", two_zones.spec.grid, two_zones.spec.region)
    zone = two_zones.spec.grid.zone("utm32n")
    box = covered_box(two_zones.spec.region, zone)
    to_picture = Transformer.from_crs(box.lattice.crs, found.crs, always_xy=True)
    x, y = np.meshgrid(box.x_centres(), box.y_centres())
    east, north = to_picture.transform(x, y)
    cols = np.floor((east - found.left_m) / found.pixel_m).astype(int)
    rows = np.floor((found.top_m - north) / found.pixel_m).astype(int)
    expected = truth(two_zones, box)
    seen = expected > 0
    # Nearest neighbour at the same pixel size: a pixel or its neighbour; classes are 5 by 7 pixels large.
    assert (found.values[rows[seen], cols[seen]] == expected[seen]).mean() > 0.7
