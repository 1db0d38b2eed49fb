"""Every real item of every catalogue becomes the scene it describes, with the right radiometric rule."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime

import pyarrow.parquet as pq
import pytest
import shapely
from stac_geoparquet.arrow import stac_table_to_items

from cropcube.catalog.hrefs import is_zarr
from cropcube.catalog.sentinel2 import parse_item
from cropcube.errors import InvalidInputError, MissingError
from tests.support.stac_items import BANDS, COARSE, REAL, plain_item, real_items

EARTH_SEARCH = "earthsearch_v1_sentinel-2-l2a_3items.json"
EARTH_SEARCH_OLD = "earthsearch_v1_sentinel-2-l2a_baseline0214_S2A_28QCH_20200714.json"
EARTH_SEARCH_C1 = "earthsearch_v1_sentinel-2-c1-l2a_10items_13TDE.json"
PLANETARY = "planetarycomputer_sentinel-2-l2a_2items.json"
CDSE = "cdse_stac_sentinel-2-l2a_1item.json"
EOPF = "eopf_zarr_sentinel-2-l2a_S2A_32TNQ_20251113.json"
EMIT = "cmr_stac_EMIT_L1BRAD_and_L2ARFL_2items.json"

# file, items, EPSG, baseline, offset in DN, words of the reason: written down from the items by hand.
CATALOGUES = [
    (EARTH_SEARCH, 3, 32639, "05.09", 0, "boa_offset_applied is true"),
    (EARTH_SEARCH_OLD, 1, 32628, "02.14", 0, "boa_offset_applied is false"),
    (EARTH_SEARCH_C1, 10, 32613, "05.10", -1000, "the item states scale 0.0001 and offset -0.1"),
    (PLANETARY, 2, 32613, "05.11", -1000, "baseline 05.11 is 04.00 or later"),
    (CDSE, 1, 32655, "05.12", -1000, "the item states scale 0.0001 and offset -0.1"),
    (EOPF, 1, 32632, "05.11", -1000, "the item states scale 0.0001 and offset -0.1"),
]


@pytest.mark.parametrize(("file", "count", "epsg", "baseline", "offset_dn", "reason"), CATALOGUES)
def test_every_real_item_is_understood(
    file: str, count: int, epsg: int, baseline: str, offset_dn: int, reason: str
) -> None:
    items = real_items(file)
    assert len(items) == count
    for item in items:
        scene = parse_item(item)
        assert set(scene.assets) == set(BANDS)
        assert scene.epsg == epsg
        assert scene.baseline == baseline
        assert scene.radiometry.scale == 1e-4
        assert scene.radiometry.offset_dn == offset_dn
        assert reason in scene.radiometry.reason
        assert scene.id == item["id"]
        assert scene.when.tzinfo == UTC
        assert scene.cloud_cover == item["properties"]["eo:cloud_cover"]
        assert scene.geometry.is_valid


@pytest.mark.parametrize("file", [EARTH_SEARCH, EARTH_SEARCH_OLD, EARTH_SEARCH_C1, PLANETARY, CDSE])
def test_assets_are_the_files_of_the_native_resolution(file: str) -> None:
    for item in real_items(file):
        for band, asset in parse_item(item).assets.items():
            side = 20 if band in COARSE else 10
            assert asset.transform is not None
            assert (asset.transform[0], asset.transform[4]) == (side, -side)
            assert asset.shape == (109800 // side, 109800 // side)
            assert band in asset.href
            assert "jp2" not in asset.href or file == CDSE


def test_a_whole_season_of_stac_geoparquet() -> None:
    table = pq.read_table(REAL / "planetarycomputer_sentinel-2-l2a_100items_13TDE_2024.stac-geoparquet")
    scenes = [parse_item(item) for item in stac_table_to_items(table)]
    assert len({scene.id for scene in scenes}) == 100
    assert [scene.baseline for scene in scenes].count("05.10") == 49
    assert [scene.baseline for scene in scenes].count("05.11") == 51
    assert {scene.radiometry.offset_dn for scene in scenes} == {-1000}
    assert {scene.epsg for scene in scenes} == {32613}
    assert all(set(scene.assets) == set(BANDS) for scene in scenes)


def test_checksums_and_sizes_are_kept_where_items_state_them() -> None:
    c1 = parse_item(real_items(EARTH_SEARCH_C1)[0]).asset("B02")
    assert (c1.checksum, c1.size) == ("1220e56ab03d18bcea34810acf54f386b28e81fee0612ac430f45b8d9587aee4bf56", 50877103)
    cdse = parse_item(real_items(CDSE)[0]).asset("B02")
    assert (cdse.checksum, cdse.size) == (
        "16204ac2245edc8ad07b97be5f34e3705018946cab2533c09fc6b60f5c3717f4df66",
        133423574,
    )


def test_eopf_items_point_into_zarr() -> None:
    scene = parse_item(real_items(EOPF)[0])
    assert all(is_zarr(asset.href) for asset in scene.assets.values())


def test_items_of_another_instrument_are_refused_by_name() -> None:
    for item in real_items(EMIT):
        with pytest.raises(InvalidInputError, match=f"{item['id']} has no band of Sentinel-2 L2A.*data"):
            parse_item(item)


def test_a_same_day_pair_of_neighbouring_granules_has_one_solar_day() -> None:
    days = [parse_item(item).solar_day for item in real_items(EARTH_SEARCH)]
    assert sorted(days) == [date(2023, 6, 23), date(2023, 6, 28), date(2023, 6, 28)]


def test_level_1c_is_refused() -> None:
    item = plain_item("S2A_L1C", "2023-05-01T10:00:00Z", properties={"s2:product_type": "S2MSI1C"})
    with pytest.raises(InvalidInputError, match="S2MSI1C"):
        parse_item(item)


def test_a_band_that_is_missing_is_named_with_its_scene() -> None:
    item = plain_item("one", "2023-05-01T10:00:00Z")
    del item["assets"]["B11"]
    scene = parse_item(item)
    with pytest.raises(MissingError, match="scene one has no band B11"):
        scene.asset("B11")


def test_a_band_under_a_key_of_its_own_is_found_by_its_name() -> None:
    item = plain_item("one", "2023-05-01T10:00:00Z")
    item["assets"]["infrarouge"] = {**item["assets"].pop("B08"), "eo:bands": [{"name": "B08"}]}
    assert "B08" in parse_item(item).assets


def test_baseline_comes_from_the_product_name_where_no_property_says_it() -> None:
    item = plain_item("S2A_MSIL2A_20220601T104631_N0400_R051_T31UFS_20220601T140000", "2022-06-01T10:46:31Z")
    del item["properties"]["s2:processing_baseline"]
    scene = parse_item(item)
    assert scene.baseline == "04.00"
    assert scene.radiometry.offset_dn == -1000


def test_a_product_that_someone_made_himself_has_no_baseline() -> None:
    item = plain_item("S2A_MSIL2A_20200601T104631_N9999_R051_T31UFS_20200601T140000", "2020-06-01T10:46:31Z")
    del item["properties"]["s2:processing_baseline"]
    assert parse_item(item).baseline == ""


@pytest.mark.parametrize("numbers", [6, 9])
def test_transforms_of_six_and_nine_numbers_are_one(numbers: int) -> None:
    item = plain_item("one", "2023-05-01T10:00:00Z")
    item["assets"]["B02"]["proj:transform"] = [10, 0, 600000, 0, -10, 5700000, 0, 0, 1][:numbers]
    assert parse_item(item).asset("B02").transform == (10, 0, 600000, 0, -10, 5700000)


def test_a_transform_on_the_item_holds_for_the_bands_of_its_resolution() -> None:
    item = plain_item("one", "2023-05-01T10:00:00Z")
    for asset in item["assets"].values():
        del asset["proj:transform"], asset["proj:shape"]
    item["properties"] |= {"proj:transform": [10, 0, 600000, 0, -10, 5700000], "proj:shape": [10980, 10980]}
    scene = parse_item(item)
    assert scene.asset("B08").transform == (10, 0, 600000, 0, -10, 5700000)
    assert scene.asset("B08").shape == (10980, 10980)
    assert scene.asset("SCL").transform is None
    assert scene.asset("SCL").shape is None


@pytest.mark.parametrize(
    ("properties", "epsg"),
    [
        ({"proj:epsg": None, "proj:code": "EPSG:32733"}, 32733),
        ({"proj:epsg": 32733}, 32733),
        ({"proj:epsg": None, "grid:code": "MGRS-33KXP"}, 32733),
        ({"proj:epsg": None, "s2:mgrs_tile": "33UXP"}, 32633),
        ({"proj:epsg": None, "proj:code": None}, None),
    ],
)
def test_the_crs_is_found_in_every_form(properties: dict[str, object], epsg: int | None) -> None:
    assert parse_item(plain_item("one", "2023-05-01T10:00:00Z", properties=properties)).epsg == epsg


def test_bands_in_several_crs_are_refused() -> None:
    item = plain_item("one", "2023-05-01T10:00:00Z")
    item["assets"]["B02"]["proj:code"] = "EPSG:32631"
    item["assets"]["B03"]["proj:code"] = "EPSG:32632"
    with pytest.raises(InvalidInputError, match=r"item one has bands in several CRS: EPSG:32631 EPSG:32632"):
        parse_item(item)


def test_longitudes_that_jump_at_the_antimeridian_are_split_and_keep_their_day() -> None:
    ring = [[179.2, -17.0], [-179.4, -17.0], [-179.4, -16.0], [179.2, -16.0], [179.2, -17.0]]
    item = plain_item("fiji", "2023-05-01T22:20:00Z")
    item["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    scene = parse_item(item)
    assert scene.geometry.geom_type == "MultiPolygon"
    assert scene.geometry.area == pytest.approx(1.4)
    assert scene.geometry.bounds[::2] == (-180, 180)
    assert not shapely.intersects(scene.geometry, shapely.box(-100, -17, 100, -16))
    assert scene.solar_day == date(2023, 5, 2)  # centre at 179.9 E: twelve hours ahead of UTC


def test_longitudes_over_180_are_the_same_footprint() -> None:
    beyond = plain_item("fiji", "2023-05-01T22:20:00Z", box=(179.2, -17.0, 180.6, -16.0))
    jumping = copy.deepcopy(beyond)
    ring = [[179.2, -17.0], [-179.4, -17.0], [-179.4, -16.0], [179.2, -16.0], [179.2, -17.0]]
    jumping["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    assert parse_item(beyond).geometry.symmetric_difference(parse_item(jumping).geometry).area < 1e-9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"geometry": None}, "has no geometry"),
        ({"geometry": {"type": "Point", "coordinates": [4, 50]}}, "no polygon"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[600000, 1], [2, 1], [2, 2], [600000, 1]]]}}, "lon/lat"),
        ({"geometry": {"type": "Polygon", "coordinates": 5}}, "cannot be understood"),
        ({"assets": None}, "has no band"),
        ({"assets": {"B02": "x"}}, "has no band"),
        ({"properties": {"datetime": None}}, "has no datetime"),
        ({"properties": {"datetime": "yesterday"}}, "cannot be understood"),
        ({"properties": None}, "has no datetime"),
    ],
)
def test_broken_items_are_refused_by_name(change: dict[str, object], words: str) -> None:
    item = {**plain_item("broken", "2023-05-01T10:00:00Z"), **change}
    with pytest.raises(InvalidInputError, match=f"broken.*{words}"):
        parse_item(item)


@pytest.mark.parametrize("identity", [None, "", 7])
def test_an_item_without_an_id_is_refused(identity: object) -> None:
    with pytest.raises(InvalidInputError, match="no id"):
        parse_item({**plain_item("x", "2023-05-01T10:00:00Z"), "id": identity})


def test_datetimes_without_a_zone_are_utc_and_a_span_counts_from_its_start() -> None:
    item = plain_item("one", "2023-05-01T10:00:00")
    assert parse_item(item).when == datetime(2023, 5, 1, 10, tzinfo=UTC)
    item["properties"] |= {"datetime": None, "start_datetime": "2023-05-01T12:00:00+02:00"}
    assert parse_item(item).when == datetime(2023, 5, 1, 10, tzinfo=UTC)
