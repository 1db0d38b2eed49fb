"""The build verb: its numbers, what it does again and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Transformer

from cropcube.config import read_project
from cropcube.cube.ledger import Ledger
from cropcube.cube.store import Store
from cropcube.errors import CatalogError, ConflictError, InvalidInputError, MissingError, ResourceError
from cropcube.pipeline import build as build_module
from cropcube.pipeline.build import build
from cropcube.pipeline.build_options import BuildOptions
from cropcube.pipeline.build_summary import BuildSummary
from cropcube.pipeline.dry_run import DryRun
from cropcube.run.options import RunOptions
from tests.support.granules import LEFT_M, TOP_M, random_granule, tree_bytes, write_catalog
from tests.support.small_build import BANDS, REGION, SEASON, SERIAL, build_small, built, cube_of, granules, oracle


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BuildSummary]:
    """One build that the reading tests share."""
    return built(tmp_path_factory.mktemp("small"))


def test_cube_is_the_oracles(small: tuple[Path, BuildSummary]) -> None:
    project, summary = small
    assert summary.is_good
    found, wanted = cube_of(project), oracle(project, granules())
    assert set(found) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert {name: bool(values.any()) for name, values in found.items()} == dict.fromkeys(found, True)


def test_days_present_are_those_with_data(small: tuple[Path, BuildSummary]) -> None:
    project, _ = small
    store = Store.open(project / "cube.zarr")
    (zone,) = read_project(project).spec.grid.zones
    days = {tile: store.days_present(tile).tolist() for tile in zone.tiles()}
    for tile, seen in days.items():
        quality = store.read("utm31n", "quality", tile.box(20))
        assert seen == np.flatnonzero(quality.any(axis=(1, 2))).tolist()
    assert {day for seen in days.values() for day in seen} == {2, 7, 39, 74}
    assert store.present("utm31n").sum() == sum(map(len, days.values()))


def test_closing_figures(small: tuple[Path, BuildSummary]) -> None:
    project, summary = small
    figures = summary.as_dict()
    assert figures["scenes"] == 6
    assert figures["tasks"] == figures["done"] == 6  # two squares, three slabs
    assert (figures["reused"], figures["incomplete"], figures["failed"], figures["failed_reads"]) == (0, 0, 0, 0)
    pixels = ("reflectance/c/", "quality/c/", "present/c/")
    stored = sum(len(c) for name, c in tree_bytes(project / "cube.zarr").items() if any(p in name for p in pixels))
    assert figures["bytes_written"] == stored
    assert figures["bytes_read"] > 0
    assert figures["decode_amplification"] > 1
    assert figures["observations"] == int(Store.open(project / "cube.zarr").present("utm31n").sum())
    assert figures["peak_memory_bytes"] > 0


def test_second_run_does_no_work(tmp_path: Path) -> None:
    project, _ = built(tmp_path)
    before = tree_bytes(project)
    for path in (tmp_path / "scenes").rglob("*"):
        if path.is_file():
            path.unlink()
    summary = build(project, run=SERIAL)
    assert isinstance(summary, BuildSummary)
    assert summary.as_dict()["reused"] == 6
    assert summary.as_dict()["done"] == 0
    assert tree_bytes(project) == before


def test_frozen_catalogue_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, _ = built(tmp_path)
    asked: list[Any] = []
    real = build_module.freeze
    monkeypatch.setattr(build_module, "freeze", lambda request, *rest: asked.append(request) or real(request, *rest))
    catalog = tmp_path / "scenes" / "scenes.json"
    build(project, run=SERIAL)
    build_small(project, catalog)
    assert asked == []
    build(project, BuildOptions(search=True), SERIAL)
    build_small(project, catalog, max_cloud=99.0)
    assert [request.max_cloud for request in asked] == [100.0, 99.0]
    build(project, run=SERIAL)  # what was asked last is gone on with
    assert len(asked) == 2


def test_changed_option_rebuilds_only_what_it_changes(tmp_path: Path) -> None:
    """One scene is cloudier than the others; leaving it out concerns its slab alone, and nothing of it remains."""
    made = granules()
    made[4] = random_granule("e2", "2020-07-10", corner_m=(made[4].left_m, TOP_M), bands=BANDS, classes=(8, 9))
    catalog = write_catalog(made, tmp_path / "scenes")
    project = tmp_path / "project"
    build_small(project, catalog)
    assert cube_of(project)["quality"][39].any()
    summary = build_small(project, catalog, max_cloud=90.0)
    assert (summary.as_dict()["reused"], summary.as_dict()["done"]) == (4, 2)
    assert not cube_of(project)["quality"][39].any()
    clean = tmp_path / "clean"
    build_small(clean, catalog, max_cloud=90.0)
    assert tree_bytes(project / "cube.zarr") == tree_bytes(clean / "cube.zarr")


def test_new_scene_concerns_its_slab_alone(tmp_path: Path) -> None:
    catalog = write_catalog(granules()[:-1], tmp_path / "scenes")
    project = tmp_path / "project"
    assert build_small(project, catalog).as_dict()["done"] == 4
    write_catalog(granules(), tmp_path / "scenes")
    summary = build_small(project, catalog, search=True)
    assert (summary.as_dict()["reused"], summary.as_dict()["done"]) == (4, 2)
    for name, values in oracle(project, granules()).items():
        np.testing.assert_array_equal(cube_of(project)[name], values, err_msg=name)


def test_passes_write_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, _ = built(tmp_path)
    monkeypatch.setattr("cropcube.pipeline.build_memory.PASS_BYTES", 1)
    again = tmp_path / "passes"
    build_small(again, tmp_path / "scenes" / "scenes.json")
    assert tree_bytes(again / "cube.zarr") == tree_bytes(project / "cube.zarr")


def test_one_crs_for_all(tmp_path: Path) -> None:
    """Through stackstac: the group is the CRS's own, and a pixel is the nearest one of some granule of that day."""
    project, summary = built(tmp_path, crs="EPSG:3035", season="2020-06-08/2020-06-09")
    assert summary.is_good
    store = Store.open(project / "cube.zarr")
    assert list(store.zones) == ["epsg3035"]
    found = store.read("epsg3035", "reflectance", store.zone("epsg3035").box(20))[0, 0]
    assert found.any()
    wanted = {max(int(dn) - 1000, 1) for dn in granules()[3].bands["B11"].ravel()}
    assert set(np.unique(found).tolist()) <= wanted | {0}


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    catalog = write_catalog(granules(), tmp_path / "scenes")
    before = tree_bytes(tmp_path)
    summary = build(
        tmp_path / "project",
        BuildOptions(REGION, SEASON, str(catalog), bands=BANDS, tile_px=96, dry_run=True),
        SERIAL,
    )
    assert isinstance(summary, DryRun)
    figures = summary.as_dict()
    assert tree_bytes(tmp_path) == before
    assert not (tmp_path / "project").exists()
    assert (figures["scenes"], figures["tasks"], figures["reused"], figures["fits"]) == (6, 6, 0, True)
    files = sum(len(content) for name, content in before.items() if name.endswith(".tif"))
    assert 0.3 * files < figures["bytes_to_read"] <= files
    assert figures["bytes_to_store"] > 0
    assert figures["task_memory_bytes"] > 0


def test_dry_run_of_a_project_counts_what_is_done(tmp_path: Path) -> None:
    project, _ = built(tmp_path)
    before = tree_bytes(project)
    figures = build(project, BuildOptions(dry_run=True), SERIAL).as_dict()
    assert (figures["tasks"], figures["reused"], figures["bytes_to_read"]) == (0, 6, 0)
    assert tree_bytes(project) == before


def test_dry_run_without_a_catalogue_estimates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "freeze", lambda *_: pytest.fail("asked the network"))
    figures = build(tmp_path, BuildOptions("belgium", "2023", dry_run=True), SERIAL).as_dict()
    assert "no catalogue was asked" in figures["source"]
    assert 1500 < figures["scenes"] < 12000
    assert figures["tasks"] > 12 * 20
    assert 0.1e12 < figures["bytes_to_store"] < 1e12
    assert list(tmp_path.iterdir()) == []


def test_dry_run_with_search_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(request: Any, *_: Any) -> None:
        asked.append(request.catalog)
        raise MissingError("no scene")

    monkeypatch.setattr(build_module, "freeze", answer)
    with pytest.raises(MissingError):
        build(tmp_path, BuildOptions("belgium", "2023", dry_run=True, search=True), SERIAL)
    assert asked == ["earth-search"]
    assert list(tmp_path.iterdir()) == []


def test_another_specification_is_refused(tmp_path: Path) -> None:
    project, _ = built(tmp_path)
    before = tree_bytes(project)
    catalog = tmp_path / "scenes" / "scenes.json"
    for changed in ({"season": "2020"}, {"bands": ("B03",)}, {"tile_px": 192}, {"crs": "EPSG:3035"}):
        with pytest.raises(ConflictError, match="another project"):
            build_small(project, catalog, **changed)
    assert tree_bytes(project) == before


def test_a_search_that_finds_nothing_leaves_the_folder_free(tmp_path: Path) -> None:
    catalog = write_catalog(granules(), tmp_path / "scenes")
    for asked, season in ((catalog, "2022"), (tmp_path / "nowhere.json", SEASON)):
        with pytest.raises((MissingError, CatalogError)):
            build_small(tmp_path / "project", asked, season=season)
        assert not (tmp_path / "project").exists()
    assert build_small(tmp_path / "project", catalog).stage.failed == ()


def test_a_project_that_stands_outlives_a_search_that_fails(tmp_path: Path) -> None:
    project, _ = built(tmp_path)
    before = tree_bytes(project)
    with pytest.raises((MissingError, CatalogError)):
        build_small(project, tmp_path / "nowhere.json", search=True)
    assert tree_bytes(project) == before


def test_too_big_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("cropcube.pipeline.dry_run.shutil.disk_usage", lambda path: usage)
    with pytest.raises(ResourceError, match=r"projected to store .* GB in 6 tasks; 0\.00 GB are free"):
        built(tmp_path)
    assert not (tmp_path / "project" / "cube.zarr").exists()


def test_too_big_for_the_memory(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="projected to need"):
        built(tmp_path, run=RunOptions("serial", memory_limit=10_000_000))
    assert list(Ledger(tmp_path / "project" / "ledger").records()) == []


def test_region_is_needed_once(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="--region"):
        build(tmp_path, BuildOptions(season=SEASON), SERIAL)


def test_default_season_is_said_aloud(tmp_path: Path) -> None:
    said: list[str] = []
    build(tmp_path, BuildOptions("belgium", dry_run=True), SERIAL, said.append)
    assert "last complete calendar year" in said[0]


def test_scenes_of_another_zone_only(tmp_path: Path) -> None:
    """They cover the place, but lie on the neighbour's grid."""
    x, y = Transformer.from_crs(32631, 32632, always_xy=True).transform(LEFT_M, TOP_M)
    corner = (round(x / 20) * 20 - 1000, round(y / 20) * 20 + 1000)
    made = random_granule("far", "2020-06-03", corner_m=corner, epsg=32632, size_px=576, bands=BANDS)
    catalog = write_catalog([made], tmp_path / "scenes")
    with pytest.raises(MissingError, match=r"grid of utm31n \(EPSG:32631\): 1 in EPSG:32632"):
        build_small(tmp_path / "project", catalog)


@pytest.mark.parametrize(
    "wrong",
    [{"bands": ("B99",)}, {"crs": "moon"}, {"crs": "EPSG:4326"}, {"season": "summer"}, {"tile_px": 100}],
)
def test_options_that_cannot_be_understood(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        built(tmp_path, **wrong)
    assert not (tmp_path / "project").exists()
