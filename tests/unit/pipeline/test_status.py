"""What `status` says of a project in every state."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cropcube.config import create_project, read_project
from cropcube.cube.ledger import Ledger, Record
from cropcube.errors import MissingError
from cropcube.pipeline.build import build
from cropcube.pipeline.build_options import BuildOptions, wanted_spec
from cropcube.pipeline.features import features
from cropcube.pipeline.status import status
from tests.support import console
from tests.support.granules import tree_bytes, write_catalog
from tests.support.small_build import BANDS, REGION, SEASON, SERIAL, build_small, built, cube_of, granules


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no cropcube\.toml"):
        status(tmp_path)


def test_project_before_the_first_search(tmp_path: Path) -> None:
    options = BuildOptions(REGION, SEASON, bands=BANDS, tile_px=96)
    create_project(tmp_path, wanted_spec(options, None, print))
    found = status(tmp_path).as_dict()
    assert found["catalog"] is None
    assert found["model"] is None
    (stage,) = found["stages"]
    assert (stage["stage"], stage["tasks"]) == ("build", 0)
    assert found["specification"]["bands"] == list(BANDS)


def test_whole_build(tmp_path: Path) -> None:
    project, summary = built(tmp_path)
    before = tree_bytes(project)
    found = status(project / "cube.zarr").as_dict()  # from any folder within the project
    assert json.loads(json.dumps(found)) == found
    assert (found["catalog"]["scenes"], found["catalog"]["days"]) == (6, 4)
    (stage,) = found["stages"]
    assert (stage["tasks"], stage["done"], stage["unfinished"]) == (6, 6, [])
    assert stage["observations"] == summary.as_dict()["observations"]
    assert tree_bytes(project) == before


def test_clear_observations_are_those_of_the_cube(tmp_path: Path) -> None:
    project, _ = built(tmp_path)
    quality = cube_of(project)["quality"]
    clear = ((quality >= 4) & (quality <= 7)).sum(axis=0)
    (zone,) = read_project(project).spec.grid.zones
    means = sorted(float(clear[tile.box(20).slices_in(zone.box(20))].mean()) for tile in zone.tiles())
    found = status(project).as_dict()["stages"][0]["clear_observations"]
    assert found["tiles"] == len(means)
    assert (found["least"], found["most"]) == (round(means[0], 2), round(means[-1], 2))


def test_half_built(tmp_path: Path) -> None:
    """Every state a task can be in is told from the others."""
    project, _ = built(tmp_path)
    ledger = Ledger(project / "ledger")
    keys = sorted(record.key for record in ledger.records("build"))
    ledger.withdraw(keys[0])
    ledger.write(Record(keys[1], "x", "begun", {}))
    ledger.write(Record(keys[2], "of other scenes", "done", {}))
    found = status(project).as_dict()["stages"][0]
    states = {state: found[state] for state in ("done", "missing", "interrupted", "outdated", "incomplete")}
    assert states == {"done": 3, "missing": 1, "interrupted": 1, "outdated": 1, "incomplete": 0}
    assert found["unfinished"] == [f"{keys[0]}: missing", f"{keys[1]}: interrupted", f"{keys[2]}: outdated"]
    assert build(project, run=SERIAL).as_dict()["done"] == 3
    assert status(project).as_dict()["stages"][0]["done"] == 6


def test_features_are_told_done_from_missing_and_outdated(tmp_path: Path) -> None:
    project, _ = built(tmp_path)
    tiles = features(project, run=SERIAL).stage.count("done")
    ledger = Ledger(project / "ledger")
    first, *_ = ledger.records("features")
    ledger.withdraw(first.key)
    stage = status(project).as_dict()["stages"][1]
    assert (stage["stage"], stage["done"], stage["missing"]) == ("features/median-5d", tiles - 1, 1)
    builds = list(ledger.records("build"))
    ledger.write(replace(builds[0], digest="of other scenes"))
    stage = status(project).as_dict()["stages"][1]
    assert stage["outdated"] > 0
    assert stage["done"] + stage["outdated"] == tiles - 1


def test_a_store_that_cannot_be_read_is_said_and_the_rest_shown(tmp_path: Path) -> None:
    project, _ = built(tmp_path)
    features(project, run=SERIAL)
    (project / "features" / "median-5d.zarr" / "zarr.json").write_bytes(b"{")
    found = status(project).as_dict()
    assert "median-5d.zarr is not a store" in found["problems"][0]
    assert found["stages"][0]["done"] == 6


def test_a_store_that_is_gone_is_not_done(tmp_path: Path) -> None:
    project, _ = built(tmp_path)
    shutil.rmtree(project / "cube.zarr")
    Ledger(project / "ledger").write(Record("features/median-5d/utm31n/r1c1", "d", "done", {}))
    found = status(project).as_dict()
    assert [(s["stage"], s["done"]) for s in found["stages"]] == [("build", 0)]
    assert found["stages"][0]["missing"] > 0
    assert ["cube.zarr is gone" in line for line in found["problems"]] == [True, False]
    assert "median-5d.zarr is gone, though 1 tasks" in found["problems"][1]


def test_damaged_catalogue_is_said_and_the_rest_shown(tmp_path: Path) -> None:
    project, _ = built(tmp_path)
    (project / "scenes.parquet").write_bytes(b"PAR1 nonsense PAR1")
    found = status(project).as_dict()
    assert "damaged" in found["problems"][0]
    assert found["stages"][0]["done"] == 6


def test_command_line(tmp_path: Path) -> None:
    catalog = write_catalog(granules(), tmp_path / "scenes")
    (tmp_path / "scenes" / "w1" / "B04.tif").unlink()
    build_small(tmp_path / "project", catalog)
    said = console.ok("status", "--project", tmp_path / "project")
    for word in ("build", "incomplete", "6 scenes", "w1", "no such file", "No usable model"):
        assert word in said
    figures = console.as_json("status", "--project", tmp_path / "project")
    assert figures["stages"][0]["failed_reads"] == 2
    refused = console.run("status", "--project", tmp_path / "scenes")
    assert refused.returncode == 1
    assert "cropcube build --region" in refused.stderr
