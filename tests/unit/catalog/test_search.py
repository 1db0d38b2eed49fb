"""Searches through a loopback STAC API: paging, filters that servers ignore, days, zones, bands, kinds of items."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import shapely

from cropcube.catalog import fetching, parts, search
from cropcube.catalog.rules import SENTINEL2_RULES
from cropcube.catalog.search import SearchRequest, freeze
from cropcube.catalog.sentinel2 import parse_item
from cropcube.domain.grid import plan_grid
from cropcube.domain.region import Region
from cropcube.domain.scene import Scene
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError, MissingError
from tests.support.searches import FLANDERS, SPRING, ask, days, ids
from tests.support.stac_items import plain_item, real_items
from tests.support.stac_server import serve


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "BACKOFF_S", 0.01)


def test_every_page_of_every_month_arrives_once(tmp_path: Path) -> None:
    items = days()
    with serve(items, page=3) as server:
        frozen = ask(server.url, tmp_path)
    assert ids(frozen) == sorted(item["id"] for item in items)
    assert len(frozen) == len(items)
    assert frozen.request["collection"] == "sentinel-2-l2a"
    assert not (tmp_path / "search").exists()


def test_what_is_asked_is_simple(tmp_path: Path) -> None:
    with serve(days()) as server:
        ask(server.url, tmp_path)
        bodies = [body for body in server.bodies if "token" not in body]
    # A day before the season and one after it, cut at the months; one zone.
    assert [body["datetime"] for body in bodies] == [
        "2023-02-28T00:00:00Z/2023-03-01T00:00:00Z",
        "2023-03-01T00:00:00Z/2023-04-01T00:00:00Z",
        "2023-04-01T00:00:00Z/2023-05-01T00:00:00Z",
        "2023-05-01T00:00:00Z/2023-06-01T00:00:00Z",
        "2023-06-01T00:00:00Z/2023-06-02T00:00:00Z",
    ]
    assert all(set(body) == {"collections", "bbox", "datetime", "limit"} for body in bodies)
    west, south, east, north = bodies[0]["bbox"]
    assert west <= 4.0 < 4.3 <= east
    assert south <= 50.8 < 51.0 <= north


def test_pages_that_overlap_give_no_duplicates(tmp_path: Path) -> None:
    items = days()
    with serve(items, page=4, paging="overlap") as server:
        frozen = ask(server.url, tmp_path)
    assert ids(frozen) == sorted(item["id"] for item in items)


def test_a_scene_on_the_border_of_two_months_counts_once(tmp_path: Path) -> None:
    with serve([plain_item("border", "2023-04-01T00:00:00Z")]) as server:
        assert ids(ask(server.url, tmp_path)) == ["border"]


def test_a_scene_in_two_zones_counts_once(tmp_path: Path) -> None:
    region = Region.of("both", shapely.box(5.9, 50.9, 6.1, 51.0))
    with serve([plain_item("both", "2023-04-03T10:46:31Z", box=(5.5, 50.5, 6.9, 51.5))]) as server:
        frozen = ask(server.url, tmp_path, region)
        boxes = {tuple(body["bbox"]) for body in server.bodies}
    assert ids(frozen) == ["both"]
    assert len(boxes) == 2


def test_two_baselines_of_one_acquisition_are_both_kept(tmp_path: Path) -> None:
    items = [
        plain_item(f"S2A_N{b}", "2023-04-03T10:46:31Z", properties={"s2:processing_baseline": f"0{b[0]}.{b[1:]}"})
        for b in ("400", "510")
    ]
    with serve(items) as server:
        frozen = ask(server.url, tmp_path)
    assert [scene.baseline for scene in frozen.scenes(range(SPRING.days), SPRING)] == ["04.00", "05.10"]


def test_filters_that_the_server_ignores_are_applied_here(tmp_path: Path) -> None:
    wanted = plain_item("wanted", "2023-04-03T10:46:31Z")
    others = [
        plain_item("winter", "2022-12-03T10:46:31Z"),
        plain_item("elsewhere", "2023-04-03T10:46:31Z", box=(9.0, 50.0, 10.0, 51.0)),
        plain_item("beside", "2023-04-03T10:46:31Z", box=(4.301, 50.8, 4.309, 51.0)),
        plain_item("cloudy", "2023-04-03T10:46:31Z", properties={"eo:cloud_cover": 40.1}),
        {**plain_item("foreign", "2023-04-03T10:46:31Z"), "collection": "sentinel-2-c2-l2a"},
    ]
    unknown = plain_item("unknown-cloud", "2023-04-03T10:46:31Z", properties={"eo:cloud_cover": None})
    lines: list[str] = []
    with serve([wanted, unknown, *others], ignored=("bbox", "datetime", "collections")) as server:
        request = SearchRequest(server.url, FLANDERS, Season.parse("2023-04-01/2023-04-30"), SENTINEL2, 40.0)
        request = replace(request, collection="sentinel-2-l2a")
        frozen = freeze(request, plan_grid(FLANDERS, 768), tmp_path / "scenes.parquet", lines.append)
    assert ids(frozen, request.season) == ["unknown-cloud", "wanted"]
    # Two questions are asked, and both answers hold all seven items.
    assert lines[-1] == (
        "2 scenes kept of 14 items (7 outside the season, 2 outside the region, 1 too cloudy, 2 of other collections)"
    )


def test_days_are_solar_days(tmp_path: Path) -> None:
    samoa = Region.of("samoa", shapely.box(-172.0, -14.0, -171.5, -13.5))
    box = (-172.5, -14.5, -171.0, -13.0)
    items = [
        plain_item("last-day-of-february", "2023-03-01T10:00:00Z", box=box),  # 22:33 on 28 February there
        plain_item("first", "2023-03-01T22:00:00Z", box=box),
        plain_item("last", "2023-06-01T10:00:00Z", box=box),
        plain_item("june", "2023-06-01T22:00:00Z", box=box),
    ]
    with serve(items) as server:
        frozen = ask(server.url, tmp_path, samoa)
    assert ids(frozen) == ["first", "last"]
    assert [scene.id for scene in frozen.scenes(range(91, 92), SPRING)] == ["last"]
    assert frozen.scenes(range(1, 91), SPRING) == []


def test_boxes_stop_at_the_antimeridian(tmp_path: Path) -> None:
    fiji = Region.of(
        "fiji", shapely.union(shapely.box(179.0, -17.5, 180.0, -16.0), shapely.box(-180, -17.5, -179.5, -16))
    )
    ring = [[179.2, -17.0], [-179.4, -17.0], [-179.4, -16.0], [179.2, -16.0], [179.2, -17.0]]
    across = plain_item("across", "2023-04-03T22:00:00Z")
    across["geometry"] = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[179.2, -17], [180, -17], [180, -16], [179.2, -16], [179.2, -17]]],
            [[[-180, -17], [-179.4, -17], [-179.4, -16], [-180, -16], [-180, -17]]],
        ],
    }
    jumping = {**across, "id": "jumping", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    far = plain_item("far", "2023-04-03T22:00:00Z", box=(0.0, -17.0, 1.0, -16.0))
    with serve([across, jumping, far]) as server:
        frozen = ask(server.url, tmp_path, fiji)
        boxes = {tuple(body["bbox"]) for body in server.bodies}
    assert ids(frozen) == ["across", "jumping"]
    assert len(boxes) == 2
    assert all(-180 <= west < east <= 180 and east - west < 2 for west, _, east, _ in boxes)


def test_a_folder_of_the_users_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "search" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with serve(days()) as server:
        ask(server.url, tmp_path)
    assert [path.name for path in mine.parent.iterdir()] == ["notes.txt"]


def test_the_same_answer_gives_the_same_bytes(tmp_path: Path) -> None:
    items = days()
    with serve(items, page=7) as server:
        ask(server.url, tmp_path)
        first = (tmp_path / "scenes.parquet").read_bytes()
        port = int(server.url.rsplit(":", 1)[1])
    with serve(reversed(items), page=3, paging="overlap", port=port) as server:
        ask(server.url, tmp_path)
    second = (tmp_path / "scenes.parquet").read_bytes()
    assert first == second


def test_an_unknown_collection_names_those_there_are(tmp_path: Path) -> None:
    with serve(days()) as server, pytest.raises(MissingError, match=r"no collection sentinel-9.*\n.*sentinel-2-l2a"):
        ask(server.url, tmp_path, collection="sentinel-9")


def test_a_season_without_scenes_says_what_was_offered(tmp_path: Path) -> None:
    words = r"no scene over flanders in 2023-03-01/2023-06-01 \(40 too cloudy\)"
    with serve(days(properties={"eo:cloud_cover": 90.0})) as server, pytest.raises(MissingError, match=words):
        ask(server.url, tmp_path, max_cloud=50)
    assert not (tmp_path / "scenes.parquet").exists()


def test_a_band_that_no_scene_has(tmp_path: Path) -> None:
    items = days(3)
    for item in items:
        del item["assets"]["B11"]
    with serve(items) as server, pytest.raises(MissingError, match=r"has band B11 \(all 3 lack it\)"):
        ask(server.url, tmp_path)


def test_a_band_that_some_scenes_lack_is_listed(tmp_path: Path) -> None:
    items = days(3)
    del items[1]["assets"]["B11"]
    lines: list[str] = []
    with serve(items) as server:
        request = SearchRequest(server.url, FLANDERS, SPRING, SENTINEL2)
        frozen = freeze(request, plan_grid(FLANDERS, 768), tmp_path / "scenes.parquet", lines.append)
    assert frozen.summary().missing == {"B11": 1}
    assert frozen.lacking("B11") == [items[1]["id"]]
    assert any("1 scenes lack band B11" in line and items[1]["id"] in line for line in lines)


def test_items_that_cannot_be_understood_stop_the_search(tmp_path: Path) -> None:
    broken = {**plain_item("broken", "2023-04-03T10:46:31Z"), "assets": {"B02": {"href": "vrt://secret"}}}
    words = "href 'vrt://secret' is of a kind that is not read"
    with serve([*days(3), broken]) as server, pytest.raises(InvalidInputError, match=words):
        ask(server.url, tmp_path)


def test_one_item_in_a_hundred_may_be_beyond_understanding(tmp_path: Path) -> None:
    broken = {**plain_item("broken", "2023-04-03T10:46:31Z"), "assets": {}}
    many = [plain_item(f"S2A_{n}", f"2023-04-{1 + n % 28:02d}T10:46:31Z") for n in range(150)]
    with serve([*many, broken]) as server:
        frozen = ask(server.url, tmp_path)
    assert (len(frozen), frozen.request["refused"]) == (150, 1)


def test_zarr_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    region = Region.of("liguria", shapely.box(9.5, 44.5, 9.6, 44.6))
    season = Season.parse("2025-11-01/2025-12-01")
    items = real_items("eopf_zarr_sentinel-2-l2a_S2A_32TNQ_20251113.json")
    words = r"is a Zarr array .* this version cannot read"
    with serve(items) as server, pytest.raises(InvalidInputError, match=words):
        ask(server.url, tmp_path, region, season)


@pytest.fixture
def denver() -> Region:
    return Region.of("denver", shapely.box(-105.2, 39.9, -105.0, 40.2))


def test_real_items_through_the_api(tmp_path: Path, denver: Region) -> None:
    season = Season.parse("2024-04-01/2024-05-01")
    items = real_items("earthsearch_v1_sentinel-2-c1-l2a_10items_13TDE.json")
    with serve(items, page=4) as server:
        frozen = ask(server.url, tmp_path, denver, season, max_cloud=50)
    expected = [i["id"] for i in items if i["properties"]["eo:cloud_cover"] <= 50 and "20240331" not in i["id"]]
    assert ids(frozen, season) == sorted(expected)
    assert frozen.summary().bytes_known == sum(
        asset.size or 0 for scene in frozen.scenes(range(30), season) for asset in scene.assets.values()
    )


@pytest.mark.parametrize("max_cloud", [-1, 101, float("nan")])
def test_a_percentage_is_a_percentage(max_cloud: float) -> None:
    with pytest.raises(InvalidInputError, match="--max-cloud"):
        SearchRequest("earth-search", FLANDERS, SPRING, SENTINEL2, max_cloud)


def test_scenes_are_never_all_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Scene] = weakref.WeakSet()
    most = 0

    class Watched(Scene):
        __hash__ = object.__hash__

    def watching(item: dict[str, Any], base: str | None) -> Scene:
        nonlocal most
        scene = parse_item(item, base)
        watched = Watched(**vars(scene))
        alive.add(watched)
        most = max(most, len(alive))
        return watched

    monkeypatch.setitem(search.RULES, SENTINEL2_RULES.sensor.name, replace(SENTINEL2_RULES, parse=watching))
    monkeypatch.setattr(parts, "BATCH_SCENES", 20)
    many = [plain_item(f"S2A_{n:03d}", f"2023-04-{1 + n % 28:02d}T10:46:31Z") for n in range(300)]
    with serve(many, page=50) as server:
        assert len(ask(server.url, tmp_path)) == 300
    assert 20 <= most <= 22
