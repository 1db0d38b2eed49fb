"""The landscape is what the acceptance run believes it is."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.support.landscape import (
    CUT_SHORT,
    TWICE,
    Landscape,
    bbox_of,
    frames_of,
    pixels,
    sample_number,
    write_landscape,
)


@pytest.fixture(scope="module")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> Landscape:
    days = ("2019-04-26", CUT_SHORT)
    return write_landscape(tmp_path_factory.mktemp("landscape"), side_px=256, days=days)


def test_frames_overlap_in_their_zone_and_across_the_border():
    north_w, south_w, north_e, south_e = frames_of(bbox_of(2048))
    for north, south in ((north_w, south_w), (north_e, south_e)):
        assert north.top_m - north.height * 10 < south.top_m
        assert north.height + south.height - 100 >= 2048
    assert north_w.width + north_e.width >= 2048 + 2 * 140
    assert all(frame.left_m % 20 == frame.top_m % 20 == 0 for frame in (north_w, south_w, north_e, south_e))


def test_overlapping_granules_agree(landscape):
    north, south = landscape.frames[:2]
    number = sample_number("2019-04-26")
    rows = (north.top_m - south.top_m) // 10
    upper, lower = pixels(north, "B08", number), pixels(south, "B08", number)
    np.testing.assert_array_equal(upper[rows:], lower[: north.height - rows])


def test_items_and_files_agree(landscape):
    assert len(landscape.items) == 2 * 4 + 1
    for item in landscape.absolute_items():
        for asset in item["assets"].values():
            with rasterio.open(asset["href"]) as raster:
                assert list(raster.shape) == asset["proj:shape"]
            assert Path(asset["href"]).is_absolute()


def test_a_day_has_two_products_and_a_pass_ends_early(landscape):
    first = landscape.frames[0]
    twice = [item for item in landscape.items if item["id"].startswith(f"landscape_{first.name}_20190426")]
    assert [item["properties"]["s2:processing_baseline"] for item in twice] == ["02.12", "02.09"]
    (short,) = [item for item in landscape.items if item["id"].startswith(f"landscape_{first.name}_20190516")]
    with rasterio.open(landscape.folder / short["assets"]["SCL"]["href"]) as raster:
        scl = raster.read(1)
    assert not scl[:, : scl.shape[1] // 3].any()
    assert scl[:, scl.shape[1] // 3 :].all()
    assert set(TWICE) == {"2019-04-26", "2019-06-10"}


def test_no_two_places_are_alike(landscape):
    band = pixels(landscape.frames[0], "B08", sample_number("2019-04-21"))
    assert not np.array_equal(band[:64, :64], band[128:192, :64])
    assert not np.array_equal(band[:64, :64], band[:64, 128:192])
    assert json.loads(landscape.catalog.read_text())["features"][0]["assets"]["B02"]["href"].startswith("./")
