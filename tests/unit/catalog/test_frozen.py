"""The frozen catalogue: what comes out is what went in, others can read it, and damage is noticed."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rustac
import shapely
from stac_geoparquet.arrow import stac_table_to_items

from cropcube.catalog import frozen as frozen_module
from cropcube.catalog.frozen import FrozenCatalog
from cropcube.catalog.parts import PartWriter, Tally, merge_parts, read_tally
from cropcube.catalog.sentinel2 import parse_item
from cropcube.domain.scene import Scene
from cropcube.domain.season import Season
from cropcube.errors import InvalidInputError, MissingError
from tests.support.stac_items import BANDS, plain_item, real_items

SEASON = Season.parse("2023-03-01/2024-03-01")


def write(scenes: list[Scene], path: Path) -> FrozenCatalog:
    """Freeze scenes as a search does."""
    months: dict[str, list[Scene]] = {}
    for scene in scenes:
        months.setdefault(f"{scene.when:%Y-%m}", []).append(scene)
    parts = []
    for month, found in sorted(months.items()):
        with PartWriter(path.parent / f"part-{month}.parquet", path.parent) as writer:
            for scene in found:
                writer.add(scene)
            writer.finish(Tally())
        parts.append([path.parent / f"part-{month}.parquet"])
    merge_parts(parts, path, {"catalog": "test"})
    return FrozenCatalog.open(path)


def year() -> list[Scene]:
    """Return a scene of every fifth day."""
    names = [SEASON.date_of(day).isoformat() for day in range(0, SEASON.days, 5)]
    return [parse_item(plain_item(f"S2A_{name}", f"{name}T10:46:31.024Z")) for name in names]


def real_scenes() -> list[Scene]:
    """Return scenes of every catalogue that is read."""
    files = (
        "earthsearch_v1_sentinel-2-l2a_3items.json",
        "earthsearch_v1_sentinel-2-c1-l2a_10items_13TDE.json",
        "planetarycomputer_sentinel-2-l2a_2items.json",
        "cdse_stac_sentinel-2-l2a_1item.json",
    )
    return [parse_item(item) for file in files for item in real_items(file)]


def test_scenes_come_back_as_they_were(tmp_path: Path) -> None:
    scenes = real_scenes()
    season = Season.parse("2023-01-01/2026-12-01")
    found = write(scenes, tmp_path / "scenes.parquet").scenes(range(season.days), season)
    assert found == sorted(scenes, key=lambda scene: scene.id)
    assert all(scene.when.tzinfo is UTC for scene in found)


def test_what_items_leave_out_stays_out(tmp_path: Path) -> None:
    bare = plain_item("bare", "2020-05-01T10:00:00Z")
    bare["properties"] = {"datetime": "2020-05-01T10:00:00Z"}
    bare["assets"] = {"B02": {"href": "https://example.org/B02.tif"}}
    scene = parse_item(bare)
    season = Season.parse("2020")
    assert write([scene], tmp_path / "scenes.parquet").scenes(range(366), season) == [scene]


def test_only_the_months_around_the_days_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = write(year(), tmp_path / "scenes.parquet")
    assert len(frozen.spans) == 12
    read: list[int] = []

    class Counting(pq.ParquetFile):  # type: ignore[misc]
        def read_row_group(self, i: int, *args: object, **kwargs: object) -> pa.Table:
            read.append(i)
            return super().read_row_group(i, *args, **kwargs)

    monkeypatch.setattr(frozen_module.pq, "ParquetFile", Counting)
    days = range(100, 132)  # 9 June to 10 July
    found = frozen.scenes(days, SEASON)
    assert read == [3, 4]
    assert [scene.solar_day for scene in found] == [SEASON.date_of(day) for day in range(100, 132, 5)]


def test_slabs_together_are_the_season(tmp_path: Path) -> None:
    frozen = write(year(), tmp_path / "scenes.parquet")
    by_slab = [frozen.scenes(SEASON.slab_days(slab), SEASON) for slab in range(SEASON.slabs)]
    assert [scene.id for slab in by_slab for scene in slab] == [scene.id for scene in year()]
    assert frozen.scenes(range(0), SEASON) == []


def test_the_summary_counts(tmp_path: Path) -> None:
    scenes = real_scenes()
    found = write(scenes, tmp_path / "scenes.parquet").summary()
    assert found.scenes == len(scenes) == 16
    assert (found.first, found.last) == (date(2023, 6, 23), date(2026, 5, 27))
    assert found.crs == {"EPSG:32613": 12, "EPSG:32639": 3, "EPSG:32655": 1}
    assert found.baselines == {"05.09": 3, "05.10": 10, "05.11": 2, "05.12": 1}
    assert found.bytes_known == sum(asset.size or 0 for scene in scenes for asset in scene.assets.values())
    assert found.files_without_size == 5 * 11
    assert sum(found.radiometry.values()) == 16
    assert found.missing == {}
    assert found.as_dict()["first"] == "2023-06-23"


def test_others_read_it_as_items(tmp_path: Path) -> None:
    scenes = real_scenes()
    write(scenes, tmp_path / "scenes.parquet")
    for items in (
        list(stac_table_to_items(pq.read_table(tmp_path / "scenes.parquet"))),
        rustac.read_sync(str(tmp_path / "scenes.parquet"))["features"],
    ):
        by_id = {item["id"]: item for item in items}
        for scene in scenes:
            item = by_id[scene.id]
            assert item["type"] == "Feature"
            assert set(item["assets"]) == set(BANDS)
            assert item["assets"]["B05"]["href"] == scene.asset("B05").href
            assert tuple(item["assets"]["B05"]["proj:transform"]) == scene.asset("B05").transform
            assert item["properties"]["proj:code"] == f"EPSG:{scene.epsg}"
            assert item["properties"]["cropcube:radiometry_reason"] == scene.radiometry.reason
            assert shapely.geometry.shape(item["geometry"]).equals(scene.geometry)
            # ... and what others hand back is understood again.
            again = parse_item(item)
            assert (again.epsg, again.baseline, again.when) == (scene.epsg, scene.baseline, scene.when)


def test_a_project_can_be_moved(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    inside = parse_item(plain_item("one", "2023-05-01T10:00:00Z", href=str(old / "tifs/{band}.tif")))
    outside = parse_item(plain_item("two", "2023-05-01T10:00:00Z", href=str(tmp_path / "tifs/{band}.tif")))
    frozen = write([inside, outside], old / "scenes.parquet")
    assert frozen.scenes(range(366), SEASON) == [inside, outside]
    old.rename(new)
    moved = FrozenCatalog.open(new / "scenes.parquet").scenes(range(366), SEASON)
    assert moved[0].asset("B02").href == str(new / "tifs/B02.tif")
    assert moved[1] == outside


def test_it_is_small_enough_to_send_to_workers(tmp_path: Path) -> None:
    frozen = write(year(), tmp_path / "scenes.parquet")
    sent = pickle.loads(pickle.dumps(frozen))
    assert sent == frozen
    assert len(sent) == len(year())
    assert len(pickle.dumps(frozen)) < 5000


def test_a_footprint_across_the_antimeridian_has_a_bbox_that_says_so(tmp_path: Path) -> None:
    item = plain_item("fiji", "2023-05-01T22:20:00Z", box=(179.2, -17.0, 180.6, -16.0))
    write([parse_item(item)], tmp_path / "scenes.parquet")
    bbox = pq.read_table(tmp_path / "scenes.parquet")["bbox"][0].as_py()
    assert bbox == pytest.approx({"xmin": 179.2, "ymin": -17.0, "xmax": -179.4, "ymax": -16.0})


def test_a_missing_file_says_which_command_makes_it(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="cropcube build"):
        FrozenCatalog.open(tmp_path / "scenes.parquet")


@pytest.mark.parametrize("content", [b"", b"not parquet", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scenes.parquet"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"scenes.parquet is damaged.*\n.*Delete it"):
        FrozenCatalog.open(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scenes.parquet"
    write(year(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidInputError, match="damaged"):
        FrozenCatalog.open(path)


def test_bytes_that_rotted_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "scenes.parquet"
    frozen = write(year(), path)
    content = bytearray(path.read_bytes())
    for place in range(2000, 20000, 50):
        content[place] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(InvalidInputError, match="damaged"):
        frozen.scenes(range(SEASON.days), SEASON)


def test_other_stac_geoparquet_is_no_frozen_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "scenes.parquet"
    pq.write_table(pa.table({"id": ["a"], "datetime": [datetime(2023, 1, 1, tzinfo=UTC)]}), path)
    with pytest.raises(InvalidInputError, match="no frozen catalogue"):
        FrozenCatalog.open(path)


def test_a_part_that_was_not_finished_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "part-a.parquet"
    with PartWriter(path, tmp_path) as writer:
        writer.add(year()[0])
    assert list(tmp_path.iterdir()) == []
    assert read_tally(path) is None


def test_the_same_id_with_other_files_is_kept_once_whatever_the_order(tmp_path: Path) -> None:
    scene = year()[0]
    other = replace(scene, assets={"B02": replace(scene.asset("B02"), href="https://example.org/other.tif")})
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = write([scene, other], tmp_path / "a" / "scenes.parquet").scenes(range(366), SEASON)
    second = write([other, scene], tmp_path / "b" / "scenes.parquet").scenes(range(366), SEASON)
    assert first == second
    assert len(first) == 1
