"""Estimates before anything is asked or read."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import shapely

from cropcube.catalog.outlines import find_region
from cropcube.config import ProjectSpec
from cropcube.domain.scene import Asset, Radiometry, Scene
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.pipeline.build_estimate import estimate_from_orbits
from cropcube.pipeline.scene_sizes import bytes_per_pixel, file_bytes, looks_per_day


@pytest.mark.parametrize(
    ("latitude", "days"),
    [(0.0, 4.8), (-15.0, 4.7), (30.0, 4.2), (51.0, 3.0), (60.0, 2.4)],
)
def test_mean_revisit_of_two_satellites(latitude: float, days: float) -> None:
    """Five days at the equator, two to three at 51 degrees (the real series of Flanders has one look in 2.5 days)."""
    assert 1 / looks_per_day(latitude) == pytest.approx(days, rel=0.05)


def test_poles_are_bounded() -> None:
    assert looks_per_day(89.0) <= 2.0
    assert looks_per_day(-89.0) == looks_per_day(89.0)


def test_size_of_a_file() -> None:
    assets = {"B02": Asset("a", size=1234), "B11": Asset("b", shape=(100, 200)), "SCL": Asset("c")}
    scene = Scene("s", "c", datetime(2020, 1, 1, tzinfo=UTC), shapely.box(0, 0, 1, 1), None, None, "", RAW, assets)
    assert file_bytes(scene, SENTINEL2, "B02") == 1234
    assert file_bytes(scene, SENTINEL2, "B11") == pytest.approx(100 * 200 * 1.7)
    assert file_bytes(scene, SENTINEL2, "SCL") == pytest.approx(5490 * 5490 * 0.1)
    assert file_bytes(scene, SENTINEL2, "B03") == 0


RAW = Radiometry(1e-4, 0.0, "test")


def test_bytes_of_a_pixel() -> None:
    assert bytes_per_pixel(SENTINEL2) == 4 * 2 + 6 * 2 / 4 + 1 / 4
    assert bytes_per_pixel(SENTINEL2.select(("B04",))) == 2.25


def test_scenes_do_not_depend_on_the_grid_they_end_on() -> None:
    region = find_region("5.9,50.5,6.1,50.7")  # over the border of zones 31 and 32
    spec = ProjectSpec(region, Season.of_year(2024), SENTINEL2, 768)
    assert estimate_from_orbits(replace(spec, epsg=3035)).scenes == estimate_from_orbits(spec).scenes > 0
