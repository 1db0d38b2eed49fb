from __future__ import annotations

import math
from datetime import date

import pytest

from cropcube.cube.layout import cube_spec, feature_array, largest_divisor, map_array, owned_ranges
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import LayoutError


def test_cube_shard_is_32_days_of_all_bands_of_a_tile() -> None:
    spec = cube_spec(Season.of_year(2023), SENTINEL2, 768)
    arrays = {(array.name, array.resolution_m): array for array in spec.arrays}
    assert set(arrays) == {("reflectance", 10), ("reflectance", 20), ("quality", 20)}
    assert arrays["reflectance", 10].shard == (32, 4, 768, 768)
    assert arrays["reflectance", 20].shard == (32, 6, 384, 384)
    assert arrays["quality", 20].shard == (32, 384, 384)
    assert all(array.chunk[0] == 1 for array in spec.arrays)
    assert arrays["reflectance", 10].dtype == "uint16"
    assert arrays["quality", 20].dtype == "uint8"


def test_cube_has_every_calendar_day_and_each_resolution_its_bands() -> None:
    spec = cube_spec(Season.parse("2024-02-28/2024-03-02"), SENTINEL2, 768)
    assert spec.labels("time", 10) == (date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1))
    assert spec.labels("band", 10) == ("B02", "B03", "B04", "B08")
    assert spec.labels("band", 20) == ("B05", "B06", "B07", "B8A", "B11", "B12")
    assert spec.labels("window", 10) is None


def test_cube_of_coarse_bands_only_has_no_fine_group() -> None:
    spec = cube_spec(Season.of_year(2023), SENTINEL2.select(("B05", "B11")), 768)
    assert {array.resolution_m for array in spec.arrays} == {20}


@pytest.mark.parametrize("tile_px", [96, 192, 480, 768, 960, 3840])
def test_inner_chunks_divide_shards(tile_px: int) -> None:
    arrays = [
        *cube_spec(Season.of_year(2023), SENTINEL2, tile_px).arrays,
        feature_array("median", 20, (("window", 73), ("band", 6)), "uint16", tile_px),
        map_array("crop", "uint8", tile_px, {}),
    ]
    for array in arrays:
        assert all(unit % chunk == 0 for unit, chunk in zip(array.unit, array.chunk, strict=True))


def test_cube_attributes_leave_integers_integers() -> None:
    for array in cube_spec(Season.of_year(2023), SENTINEL2, 768).arrays:
        assert not {"scale_factor", "add_offset", "_FillValue", "missing_value"} & set(array.attrs)
    reflectance = cube_spec(Season.of_year(2023), SENTINEL2, 768).arrays[0]
    assert reflectance.attrs["reflectance_scale"] == 1e-4


def test_map_is_unsharded_for_gdal() -> None:
    array = map_array("crop", "uint8", 768, {"flag_values": [1, 2]})
    assert (array.shard, array.chunk, array.dimensions) == (None, (768, 768), ("y", "x"))


def test_features_may_be_nan() -> None:
    array = feature_array("coefficient", 10, (("term", 5), ("band", 4)), "float32", 768)
    assert math.isnan(array.fill_value)
    assert array.shard == (5, 4, 768, 768)


def test_largest_divisor() -> None:
    assert [largest_divisor(side, 192) for side in (768, 384, 96, 960, 255, 257)] == [192, 192, 96, 192, 85, 1]


LAYOUT = cube_spec(Season.of_year(2023), SENTINEL2, 96).arrays[0]
SHAPE = (365, 4, 192, 288)


@pytest.mark.parametrize(
    ("time", "rows", "cols", "files"),
    [
        (range(32), range(96), range(96, 192), [(0, 1), (0, 1), (0, 1), (1, 2)]),
        (range(352, 365), range(96, 192), range(288), [(11, 12), (0, 1), (1, 2), (0, 3)]),
        (range(365), range(192), range(192, 288), [(0, 12), (0, 1), (0, 2), (2, 3)]),
    ],
)
def test_whole_shards_are_owned(time: range, rows: range, cols: range, files: list[tuple[int, int]]) -> None:
    found = owned_ranges(LAYOUT, SHAPE, (time, range(4), rows, cols))
    assert [(span.start, span.stop) for span in found] == files


@pytest.mark.parametrize(
    ("time", "bands", "rows", "cols", "word"),
    [
        (range(31), range(4), range(96), range(96), "time 0:31 cuts"),
        (range(1, 33), range(4), range(96), range(96), "time 1:33 cuts"),
        (range(352, 364), range(4), range(96), range(96), "time 352:364 cuts"),
        (range(32), range(3), range(96), range(96), "band 0:3 cuts"),
        (range(32), range(4), range(95), range(96), "y 0:95 cuts"),
        (range(32), range(4), range(96), range(48, 96), "x 48:96 cuts"),
        (range(32), range(4), range(96), range(288, 384), "x 288:384 lies outside"),
        (range(-32, 0), range(4), range(96), range(96), "time -32:0 lies outside"),
        (range(352, 384), range(4), range(96), range(96), "time 352:384 lies outside"),
        (range(0), range(4), range(96), range(96), "time 0:0 lies outside"),
    ],
)
def test_anything_else_is_refused(time: range, bands: range, rows: range, cols: range, word: str) -> None:
    with pytest.raises(LayoutError, match=word):
        owned_ranges(LAYOUT, SHAPE, (time, bands, rows, cols))
