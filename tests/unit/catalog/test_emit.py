"""Granules of EMIT L2A: found by the names of their files, in CMR-STAC, item collections and folders."""

from __future__ import annotations

import json
import pickle
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from stac_geoparquet.arrow import stac_table_to_items

from cropcube.catalog import fetching
from cropcube.catalog.emit import check_granule, parse_item
from cropcube.catalog.emit_files import read_facts
from cropcube.catalog.emit_names import FileName
from cropcube.catalog.frozen import FrozenCatalog
from cropcube.catalog.search import SearchRequest, freeze, search_folder
from cropcube.domain.emit import EMIT, FILES, WAVELENGTHS_NM
from cropcube.domain.grid import plan_grid
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import CatalogError, InvalidInputError, MissingError
from tests.support.emit_granules import DATA_HOST, cmr_item, file_name, granule_name, write_granule
from tests.support.searches import FLANDERS, SPRING
from tests.support.stac_items import plain_item, real_items
from tests.support.stac_server import Fault, serve

HERE = (3.8, 50.5, 4.6, 51.2)
AWAY = (10.0, 50.5, 11.0, 51.2)
NIGHTS = [granule_name(f"2023{month:02d}{day:02d}T103751") for month in (3, 4, 5) for day in (2, 12, 22)]
REAL = Path(__file__).parents[2] / "data" / "emit" / "EMIT_L2A_RFL_001_20241006T165148_2428011_003_crop.nc"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "BACKOFF_S", 0.01)


def ask_emit(
    catalog: str, folder: Path, season: Season = SPRING, said: list[str] | None = None, **options: Any
) -> FrozenCatalog:
    """Freeze the granules that a catalogue answers with."""
    request = SearchRequest(catalog, FLANDERS, season, EMIT, **options)
    say = (lambda line: None) if said is None else said.append
    return freeze(request, plan_grid(FLANDERS, 768), folder / "scenes-emit.parquet", say)


def granules(frozen: FrozenCatalog) -> list[str]:
    """Return the ids of all scenes without what they have in common."""
    return [scene.id.removeprefix("EMIT_L2A_RFL_") for scene in frozen.scenes(range(SPRING.days), SPRING)]


def test_the_sensor_is_a_table_of_285_bands_in_three_files() -> None:
    assert len(EMIT.bands) == len({band.name for band in EMIT.bands}) == 285
    assert list(WAVELENGTHS_NM) == sorted(WAVELENGTHS_NM)
    assert EMIT.resolutions == (60,)
    some = EMIT.select(("r0664", "r0865"))
    assert (some.file_labels, len(some.bands)) == (FILES, 2)
    assert SENTINEL2.file_labels[-2:] == ("B12", "SCL")
    assert SENTINEL2.file_resolution_m("B02") == 10


@pytest.mark.parametrize("name", ["EMIT_L1B_RAD_001_20230401T103751_2309114_001.nc", "x.nc", "",
                                  "EMIT_L2A_RFL_001_20230401T103751_2309114_001.nc.dmrpp",
                                  "EMIT_L2A_RFL_001_20231301T103751_2309114_001.nc"])  # fmt: skip
def test_other_names_are_not_understood(name: str) -> None:
    assert FileName.parse(name) is None


def test_an_item_of_cmr_becomes_a_scene_of_three_https_files() -> None:
    scene = parse_item(cmr_item(NIGHTS[0], HERE))
    assert scene.id == f"EMIT_L2A_RFL_{NIGHTS[0]}"
    assert scene.when == datetime(2023, 3, 2, 10, 37, 51, tzinfo=UTC)
    assert (scene.cloud_cover, scene.epsg, scene.collection) == (12.0, None, "EMITL2ARFL_001")
    assert (scene.radiometry.scale, scene.radiometry.offset_dn) == (1.0, 0)
    assert {label: asset.href for label, asset in scene.assets.items()} == {
        label: f"{DATA_HOST}/{scene.id}/{file_name(label, NIGHTS[0])}" for label in FILES
    }
    check_granule(scene)


def test_of_the_real_items_of_cmr_the_one_of_l2a_is_understood() -> None:
    radiance, reflectance = real_items("cmr_stac_EMIT_L1BRAD_and_L2ARFL_2items.json")
    with pytest.raises(InvalidInputError, match=r"item G2855236155-LPCLOUD has no file of EMIT L2A .*EMIT_L1B_RAD_001"):
        parse_item(radiance)
    scene = parse_item(reflectance)
    check_granule(scene)
    assert scene.id == "EMIT_L2A_RFL_001_20240201T174151_2403212_032"
    assert scene.cloud_cover == 31.0
    assert scene.solar_day == date(2024, 2, 1)
    assert 0.4 < scene.geometry.area / scene.geometry.envelope.area < 0.7  # a slanted swath
    for label, asset in scene.assets.items():
        assert asset.href == f"{DATA_HOST}/{scene.id}/{file_name(label, scene.id.removeprefix('EMIT_L2A_RFL_'))}"


def test_asset_keys_do_not_matter_and_s3_links_of_lp_daac_become_https() -> None:
    item = cmr_item(NIGHTS[0], HERE)
    only_s3 = {f"key {n}": asset for n, asset in enumerate(item["assets"].values()) if "s3://" in asset["href"]}
    scene = parse_item({**item, "assets": only_s3})
    assert scene.assets == parse_item(item).assets


def test_files_only_in_another_bucket_are_refused_by_name() -> None:
    item = cmr_item(NIGHTS[0], HERE, base="s3://somewhere")
    del item["assets"]["s3_data2"]
    with pytest.raises(InvalidInputError, match=r"its MASK file is only at s3://somewhere/"):
        check_granule(parse_item(item))


def test_a_signed_link_is_kept_without_its_token() -> None:
    item = cmr_item(NIGHTS[0], HERE)
    item["assets"]["data"]["href"] += "?token=SECRET"
    assert "SECRET" not in repr(parse_item(item))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "has no id"),
        ({"assets": {"x": {"href": "https://h/B04.tif"}}}, r"no file of EMIT L2A reflectance; its assets: B04.tif"),
        ({"assets": None}, "its assets: none"),
        ({"geometry": None}, "has no geometry"),
        ({"properties": {"datetime": "yesterday"}}, "cannot be understood"),
    ],
)
def test_items_that_cannot_be_understood_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        parse_item({**cmr_item(NIGHTS[0], HERE), **change})


def test_files_of_two_granules_are_not_mixed() -> None:
    item, other = cmr_item(NIGHTS[0], HERE), cmr_item(NIGHTS[1], HERE, ("MASK",))
    item["assets"]["s3_data2"] = item["assets"]["data2"] = other["assets"]["data"]
    with pytest.raises(InvalidInputError, match="files of several granules"):
        parse_item(item)


def test_a_search_finds_the_granules_of_region_and_season_whatever_the_server_ignores(tmp_path: Path) -> None:
    items = [cmr_item(night, HERE) for night in NIGHTS]
    items += [cmr_item(granule_name("20230402T103751", 7), AWAY), cmr_item(granule_name("20220402T103751"), HERE)]
    said: list[str] = []
    with serve(items, page=4, ignored=("bbox", "datetime")) as server:
        frozen = ask_emit(server.url, tmp_path, said=said)
        assert server.bodies[0]["collections"] == ["EMITL2ARFL_001"]
    assert granules(frozen) == NIGHTS
    assert "outside the region" in said[-1]
    assert frozen.request["sensor"] == "emit-l2a"
    assert frozen.request["bands"] == []
    assert frozen.labels == FILES


def test_the_frozen_answer_is_stac_geoparquet_and_comes_out_as_it_went_in(tmp_path: Path) -> None:
    items = [cmr_item(night, HERE) for night in NIGHTS]
    with serve(items) as server:
        frozen = ask_emit(server.url, tmp_path)
    scenes = frozen.scenes(range(SPRING.days), SPRING)
    assert scenes == [parse_item(item) for item in items]
    summary = pickle.loads(pickle.dumps(FrozenCatalog.open(frozen.path))).summary()
    assert (summary.scenes, summary.days, summary.first) == (9, 9, date(2023, 3, 2))
    assert (summary.missing, summary.files_without_size) == ({}, 27)
    import pyarrow.parquet as pq

    item = next(iter(stac_table_to_items(pq.read_table(frozen.path))))
    assert {key: asset["gsd"] for key, asset in item["assets"].items()} == dict.fromkeys(FILES, 60)


def test_a_missing_companion_is_named_recorded_and_the_rest_goes_on(tmp_path: Path) -> None:
    items = [cmr_item(night, HERE) for night in NIGHTS]
    items[0] = cmr_item(NIGHTS[0], HERE, ("RFL", "MASK"))
    items[1] = {**items[1], "assets": {}}
    said: list[str] = []
    with serve(items) as server:
        frozen = ask_emit(server.url, tmp_path, said=said)
    assert granules(FrozenCatalog.open(frozen.path)) == NIGHTS[2:]
    assert frozen.request["refused"] == 2
    (first, next_step), (second, _) = frozen.refusals
    assert first == f"granule EMIT_L2A_RFL_{NIGHTS[0]} has no RFLUNCERT file beside RFL and MASK"
    assert "Download" in next_step
    assert f"EMIT_L2A_RFL_{NIGHTS[1]}" in second
    assert f"left out: {first}" in said


def test_a_broken_search_goes_on_where_it_was_and_remembers_what_it_left_out(tmp_path: Path) -> None:
    items = [cmr_item(night, HERE) for night in NIGHTS]
    items[0] = cmr_item(NIGHTS[0], HERE, ("RFL",))
    with serve(items, faults=[Fault(searches=tuple(range(3, 20)))]) as server, pytest.raises(CatalogError):
        ask_emit(server.url, tmp_path)
    port = int(server.url.rpartition(":")[2])
    assert search_folder(tmp_path / "scenes-emit.parquet") == tmp_path / "search-emit"
    assert len(list((tmp_path / "search-emit").iterdir())) == 2
    with serve(items, port=port) as again:
        frozen = ask_emit(again.url, tmp_path)
        assert len({body["datetime"] for body in again.bodies}) == 3  # April (its part was not whole), May, June
    assert granules(frozen) == NIGHTS[1:]
    assert len(frozen.refusals) == 1
    assert not (tmp_path / "search-emit").exists()


def test_if_nothing_is_left_the_first_reason_is_told(tmp_path: Path) -> None:
    with (
        serve([cmr_item(NIGHTS[0], HERE, ("RFL",))]) as server,
        pytest.raises(MissingError, match=r"no scene over flanders .*1 not understood\); granule .* has no RFLUNCERT"),
    ):
        ask_emit(server.url, tmp_path)
    assert not (tmp_path / "scenes-emit.parquet").exists()


def test_catalogues_of_another_sensor_are_refused_before_they_are_asked() -> None:
    with pytest.raises(InvalidInputError, match=r"earth-search has Sentinel-2 L2A, not EMIT L2A") as caught:
        SearchRequest("earth-search", FLANDERS, SPRING, EMIT)
    assert caught.value.next_step == "Give --catalog one of: cmr."
    with pytest.raises(InvalidInputError, match=r"cmr has EMIT L2A reflectance, not Sentinel-2 L2A"):
        SearchRequest("https://cmr.earthdata.nasa.gov/stac/LPCLOUD/", FLANDERS, SPRING, SENTINEL2)


def test_an_api_without_emit_says_what_it_has(tmp_path: Path) -> None:
    with (
        serve([plain_item("S2A", "2023-04-01T10:46:31Z"), {**plain_item("b", "2023-04-01T10:00:00Z"),
                                                          "collection": "other"}]) as server,
        pytest.raises(MissingError, match="known to be EMIT L2A reflectance"),
    ):  # fmt: skip
        ask_emit(server.url, tmp_path)


def test_two_sensors_are_frozen_side_by_side(tmp_path: Path) -> None:
    items = [*(cmr_item(night, HERE) for night in NIGHTS), plain_item("S2A", "2023-04-01T10:46:31Z")]
    with serve(items) as server:
        optical = SearchRequest(server.url, FLANDERS, SPRING, SENTINEL2)
        freeze(optical, plan_grid(FLANDERS, 768), tmp_path / "scenes.parquet")
        before = (tmp_path / "scenes.parquet").read_bytes()
        assert len(ask_emit(server.url, tmp_path)) == 9
    assert (tmp_path / "scenes.parquet").read_bytes() == before
    assert len(FrozenCatalog.open(tmp_path / "scenes.parquet")) == 1


def test_an_item_collection_finds_files_beside_it_and_asks_them_where_they_lie(tmp_path: Path) -> None:
    write_granule(tmp_path / "data", NIGHTS[0], HERE)
    item = cmr_item(NIGHTS[0], HERE, base="data")
    for asset in item["assets"].values():
        asset["href"] = asset["href"].replace(f"/EMIT_L2A_RFL_{NIGHTS[0]}/", "/")
    item["geometry"] = None
    item["properties"] = {}
    collection = {"type": "FeatureCollection", "features": [item, cmr_item(NIGHTS[1], HERE)]}
    (tmp_path / "items.json").write_text(json.dumps(collection), encoding="utf-8")
    scenes = ask_emit(str(tmp_path / "items.json"), tmp_path).scenes(range(SPRING.days), SPRING)
    local, remote = scenes
    assert local.assets["MASK"].href == str(tmp_path / "data" / file_name("MASK", NIGHTS[0]))
    assert local.geometry.equals(shapely.box(*HERE))
    assert remote.assets["MASK"].href.startswith(DATA_HOST)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which much went wrong."""
    found = tmp_path / "granules"
    write_granule(found / "deep", NIGHTS[0], HERE)
    write_granule(found, NIGHTS[1], HERE, ("RFL", "MASK"))
    write_granule(found, NIGHTS[2], AWAY, ("RFL",))
    write_granule(found, granule_name("20220402T103751"), HERE)
    for place, damaged in ((3, "RFL"), (4, "RFLUNCERT")):
        path = write_granule(found, NIGHTS[place], HERE)[damaged]
        path.write_bytes(path.read_bytes()[:-1000])
    write_granule(found, NIGHTS[5], HERE)["MASK"].write_bytes(b"<!DOCTYPE html>")
    shutil.copy(
        found / "deep" / file_name("MASK", NIGHTS[0]), write_granule(found, NIGHTS[6], HERE)["RFL"]
    )  # not what its name says
    (found / "EMIT_L1B_RAD_001_20230401T103751_2309114_001.nc").write_bytes(b"")
    (found / "README.txt").write_text("mine", encoding="utf-8")
    return found


def test_of_a_folder_all_that_is_wrong_is_named_and_the_rest_goes_on(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    frozen = ask_emit(str(folder), tmp_path, said=said)
    assert granules(frozen) == [NIGHTS[0]]
    assert "1 outside the season, 1 outside the region, 6 not understood" in said[-1]
    wrong = [what for what, _ in frozen.refusals]
    assert len(wrong) == frozen.request["refused"] == 6
    for night, words in (
        (NIGHTS[1], "has no RFLUNCERT file"),
        (NIGHTS[3], "is cut short"),
        (NIGHTS[4], "is cut short"),
        (NIGHTS[5], "is no HDF5 file"),
        (NIGHTS[6], "no file of EMIT L2A: it has no variable reflectance"),
        ("EMIT_L1B_RAD", "no file of EMIT L2A reflectance"),
    ):
        assert [what for what in wrong if night in what and words in what], (night, words, wrong)
    assert all(next_step for _, next_step in frozen.refusals)


def test_a_granule_that_lies_in_two_folders_counts_once(tmp_path: Path) -> None:
    for copy in ("b", "a"):
        write_granule(tmp_path / "granules" / copy, NIGHTS[0], HERE)
    write_granule(tmp_path / "granules" / "c", NIGHTS[0], HERE, ("MASK",))
    frozen = ask_emit(str(tmp_path / "granules"), tmp_path)
    (scene,) = frozen.scenes(range(SPRING.days), SPRING)
    assert {Path(asset.href).parent.name for asset in scene.assets.values()} == {"a"}
    assert [what for what, _ in frozen.refusals] == [f"granule {scene.id} has no RFL and no RFLUNCERT file beside MASK"]


def test_a_folder_within_the_project_can_be_moved_with_it(tmp_path: Path) -> None:
    write_granule(tmp_path / "here" / "granules", NIGHTS[0], HERE)
    ask_emit(str(tmp_path / "here" / "granules"), tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    (scene,) = FrozenCatalog.open(tmp_path / "there" / "scenes-emit.parquet").scenes(range(SPRING.days), SPRING)
    assert Path(scene.assets["RFL"].href).is_file()
    assert scene.when == datetime(2023, 3, 2, 10, 37, 51, tzinfo=UTC)


def test_a_folder_without_netcdf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"neither a catalog\.json nor an EMIT file"):
        ask_emit(str(tmp_path), tmp_path)


def test_bounds_may_cross_the_antimeridian(tmp_path: Path) -> None:
    path = write_granule(tmp_path, NIGHTS[0], (179.5, -17.0, -179.8, -16.0))["RFL"]
    assert read_facts(str(path), "RFL").bounds == pytest.approx((179.5, -17.0, 180.2, -16.0))


def test_the_head_of_a_real_file_is_understood() -> None:
    facts = read_facts(str(REAL), "RFL")
    assert facts.bounds == pytest.approx((-116.5597, 31.8444, -115.3223, 32.8655), abs=1e-4)
    assert facts.start == datetime(2024, 10, 6, 16, 51, 48, tzinfo=UTC)
