"""The mosaic of a day: who is taken where, and what becomes of scenes that cannot be read."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from cropcube.domain.sensor import READ_FAILED
from cropcube.observations.day import observe_day
from cropcube.observations.extent import extent_on
from cropcube.observations.mosaic import choose_NYX, in_order
from tests.support.fake_reader import BOX, SENSOR, FakeReader, pixels_of, scene


def halves(left: int, right: int) -> NDArray[Any]:
    values = np.full((8, 8), right, np.uint16)
    values[:, :4] = left
    return values


def test_order_is_baseline_then_id() -> None:
    scenes = [scene("b", "05.09"), scene("a", "05.09"), scene("z", "05.10"), scene("c", ""), scene("d", "N0400")]
    assert [one.id for one in in_order(scenes)] == ["z", "a", "b", "d", "c"]


def test_clear_goes_before_baseline() -> None:
    cloudy, clear = halves(9, 4), halves(5, 9)
    assert choose_NYX([cloudy, clear])[0].tolist() == [1] * 4 + [0] * 4


def test_whole_pixel_comes_from_one_scene() -> None:
    """All bands and the class are those of the chosen scene; the later baseline wins where both are clear."""
    reader = FakeReader(pixels_of("old", halves(4, 4), 1000) | pixels_of("new", halves(4, 9), 2000))
    day = observe_day([scene("old", "02.14"), scene("new", "05.10")], SENSOR, BOX, reader)
    assert day.quality[0].tolist() == [4] * 8
    np.testing.assert_array_equal(day.reflectance[10][0], np.repeat(halves(2000, 1000), 2, 0).repeat(2, 1))
    np.testing.assert_array_equal(day.reflectance[20][0], halves(2002, 1002))
    assert day.failed == ()


def test_nothing_is_acquired_where_no_scene_is() -> None:
    reader = FakeReader(pixels_of("one", halves(0, 8), 500))
    day = observe_day([scene("one")], SENSOR, BOX, reader)
    np.testing.assert_array_equal(day.quality, halves(0, 8))
    assert not day.reflectance[10][:, :, :8].any()
    assert (day.reflectance[10][:, :, 8:] > 0).all()


def test_a_warped_scene_leaves_no_hole_where_its_edge_cuts_through_a_pixel() -> None:
    """Where it has only a part of a pixel's finer ones, the next scene has all of them."""
    edge = np.full((16, 16), 4)
    edge[:, 8::16] = 0  # the 20 m centre is seen; half of the 10 m pixels are not
    edged = pixels_of("a", halves(4, 4), 1000) | {("a", "SCL@10"): edge}
    edged["a", "B02"] = np.where(edge > 0, 1000, 0).astype(np.uint16)
    reader = FakeReader(edged | pixels_of("b", halves(5, 5), 2000))
    warped = replace(scene("a"), epsg=32632)
    day = observe_day([warped, scene("b")], SENSOR, BOX, reader)
    assert day.quality[0].tolist() == [4] * 4 + [5] + [4] * 3
    assert day.reflectance[10][0, 0].tolist() == [1000] * 8 + [2000] * 2 + [1000] * 6
    alone = observe_day([warped], SENSOR, BOX, reader)
    assert alone.quality[0].tolist() == [4] * 4 + [0] + [4] * 3


def test_radiometry_is_of_each_scene() -> None:
    reader = FakeReader(pixels_of("old", halves(4, 0), 1500) | pixels_of("new", halves(0, 5), 1500))
    scenes = [scene("old", "03.00"), scene("new", "04.00", offset=-0.1)]
    day = observe_day(scenes, SENSOR, BOX, reader)
    np.testing.assert_array_equal(day.reflectance[20][0], halves(1502, 502))


def test_bands_of_a_scene_without_pixels_are_not_read() -> None:
    reader = FakeReader(pixels_of("first", halves(4, 4), 1000) | pixels_of("second", halves(4, 4), 2000))
    observe_day([scene("first"), scene("second")], SENSOR, BOX, reader)
    assert {name for name, band in reader.asked if band != "SCL"} == {"first"}
    assert len(reader.asked) == len(set(reader.asked))


@pytest.mark.parametrize("band", ["B02", "B11"])
def test_pixels_of_a_broken_scene_go_to_the_next(band: str) -> None:
    pixels = pixels_of("first", halves(4, 4), 1000) | pixels_of("second", halves(9, 0), 2000)
    reader = FakeReader(pixels, broken={("first", band)})
    day = observe_day([scene("first"), scene("second")], SENSOR, BOX, reader, threads=3)
    np.testing.assert_array_equal(day.quality, halves(9, READ_FAILED))
    np.testing.assert_array_equal(day.reflectance[20][0], halves(2002, 0))
    assert not day.reflectance[10][:, :, 8:].any()
    assert [(failure.scene, failure.band) for failure in day.failed] == [("first", band)]


def test_every_broken_band_is_named() -> None:
    reader = FakeReader(pixels_of("one", halves(4, 4), 1000), broken={("one", "B02"), ("one", "B11")})
    day = observe_day([scene("one")], SENSOR, BOX, reader)
    assert {failure.band for failure in day.failed} == {"B02", "B11"}
    assert (day.quality == READ_FAILED).all()


def test_broken_quality_marks_the_footprint() -> None:
    reader = FakeReader(pixels_of("one", halves(4, 4), 1000), broken={("one", "SCL")})
    corner = shapely.transform(
        shapely.box(600_040, 5_699_900, 600_100, 5_699_960),
        lambda xy: np.stack(Transformer.from_crs(32631, 4326, always_xy=True).transform(xy[:, 0], xy[:, 1]), axis=1),
    )
    day = observe_day([replace(scene("one"), geometry=corner)], SENSOR, BOX, reader)
    rows, cols = np.nonzero(day.quality == READ_FAILED)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (2, 5, 2, 5) or (
        rows.min() <= 2 and rows.max() >= 4 and cols.min() <= 2 and cols.max() >= 4
    )
    assert set(np.unique(day.quality)) == {0, READ_FAILED}
    assert not day.reflectance[10].any()


def test_broken_quality_under_a_good_scene_leaves_no_hole() -> None:
    pixels = pixels_of("good", halves(8, 0), 1000) | pixels_of("bad", halves(4, 4), 2000)
    day = observe_day([scene("good"), scene("bad")], SENSOR, BOX, FakeReader(pixels, broken={("bad", "SCL")}))
    np.testing.assert_array_equal(day.quality, halves(8, READ_FAILED))


def test_class_above_the_highest_is_a_corrupt_file() -> None:
    quality = halves(4, 4)
    quality[0, 0] = 12
    day = observe_day([scene("one")], SENSOR, BOX, FakeReader(pixels_of("one", quality, 1000)))
    assert "class 12" in day.failed[0].error
    assert "one/SCL.tif" in day.failed[0].error
    assert (day.quality == READ_FAILED).all()


def test_zero_in_one_band_stays_zero() -> None:
    pixels = pixels_of("one", halves(4, 4), 1000)
    pixels["one", "B04"][3, 3] = 0
    day = observe_day([scene("one", offset=-0.1)], SENSOR, BOX, FakeReader(pixels))
    assert day.reflectance[10][1, 3, 3] == 0
    assert day.reflectance[10][0, 3, 3] == 1
    assert day.quality[1, 1] == 4


def test_footprint_that_cannot_be_projected_is_everywhere() -> None:
    pole = replace(scene("pole"), geometry=shapely.box(-180, -91, 180, -90.5))
    assert extent_on(pole, BOX).all()
