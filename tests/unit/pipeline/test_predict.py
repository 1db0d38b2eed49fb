"""The map: known classes come back, whatever runs it; models that do not fit are refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.grid import inside, owned
from cropcube.domain.legend import Legend
from cropcube.domain.map_product import legend_of
from cropcube.errors import MissingError, ModelMismatchError, ResourceError
from cropcube.model.checkpoint import CARD_NAME, read_card
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.run.options import RunOptions
from tests.support.small_features import SPEC, train_forest, unseen, write_features
from tests.support.small_map import LEGEND, TWO_ZONES, known_classes, small_project

if TYPE_CHECKING:
    from pathlib import Path

SERIAL = RunOptions("serial", quiet=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with features and a forest, never written to by a test."""
    project = small_project(tmp_path_factory.mktemp("made") / "project", TWO_ZONES)
    train_forest(project, write_features(project))
    return project


@pytest.fixture
def project(made, tmp_path: Path):
    shutil.copytree(made.root, tmp_path / "project")
    return replace(made, root=tmp_path / "project")


def rewrite_card(project, **changes):
    path = project.model_path / CARD_NAME
    path.write_text(replace(read_card(project.model_path), **changes).to_json())


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_known_classes_come_back_inside_the_region_and_nowhere_else(project):
    summary = predict(project.root, PredictOptions(), SERIAL)
    store = Store.open(project.map_path)
    total = np.zeros(len(LEGEND) + 1, int)
    for tile in project.spec.grid.tiles():
        box, zone = tile.box(10), tile.lattice.name
        counted = inside(project.spec.region, box) & owned(box)
        seen = counted & ~unseen(box)
        crop = store.read(zone, "crop", box)
        # 20 m bands see the class of the pixel above left, so only pixels whose square has one class are certain.
        np.testing.assert_array_equal(crop > 0, seen)
        assert (crop == known_classes(box))[seen].mean() > 0.95
        np.testing.assert_array_equal(store.read(zone, "clear_count", box) > 0, seen)
        confidence = store.read(zone, "confidence", box)
        np.testing.assert_array_equal(confidence > 0, seen)
        assert confidence.max() <= 100
        total += np.bincount(crop[counted], minlength=len(total))
    assert summary.as_dict()["area"]["pixels"] == dict(zip(LEGEND.names, total[1:].tolist(), strict=True))
    assert summary.areas.unclassified == total[0] > 0
    assert summary.stage.count("done") == len(project.spec.grid)
    assert len(project.spec.grid.zones) == 2


def test_clear_counts_are_summed_over_the_windows(project):
    predict(project.root, PredictOptions(), SERIAL)
    tile = next(project.spec.grid.tiles())
    counts = Store.open(project.map_path).read(tile.lattice.name, "clear_count", tile.box(10))
    # Seven windows with two observations each; two windows are empty in every third row.
    assert set(np.unique(counts)) == {0, 10, 14}


def test_two_processes_write_the_bytes_that_one_does(project, tmp_path: Path):
    other = tmp_path / "other"
    shutil.copytree(project.root, other)
    predict(project.root, PredictOptions(), SERIAL)
    predict(other, PredictOptions(), RunOptions("local", workers=2, quiet=True))
    assert tree(project.map_path) == tree(other / "map.zarr")
    assert tree(project.ledger_path) == tree(other / "ledger")


def test_a_second_run_does_no_work_and_a_killed_one_is_gone_on_with(project):
    predict(project.root, PredictOptions(), SERIAL)
    before = tree(project.root)
    again = predict(project.root, PredictOptions(), SERIAL)
    assert (again.stage.count("reused"), again.stage.count("done")) == (len(project.spec.grid), 0)
    assert tree(project.root) == before
    tile = next(project.spec.grid.tiles())
    key = f"predict/{tile.lattice.name}/{tile.name}"
    ledger = Ledger(project.ledger_path)
    ledger.write(Record(key, ledger.read(key).digest, "begun", {}))
    assert predict(project.root, PredictOptions(), SERIAL).stage.count("done") == 1
    assert tree(project.root) == before


def test_a_changed_feature_renews_its_tile_only(project):
    predict(project.root, PredictOptions(), SERIAL)
    tile = next(project.spec.grid.tiles())
    ledger = Ledger(project.ledger_path)
    ledger.write(Record(f"features/{SPEC.name}/{tile.lattice.name}/{tile.name}", "others", "done", {}))
    summary = predict(project.root, PredictOptions(), SERIAL)
    assert summary.stage.count("done") == 1
    assert summary.stage.count("reused") == len(project.spec.grid) - 1


def test_tiles_without_features_are_left_out_and_counted(project):
    tile = next(project.spec.grid.tiles())
    Ledger(project.ledger_path).withdraw(f"features/{SPEC.name}/{tile.lattice.name}/{tile.name}")
    summary = predict(project.root, PredictOptions(), SERIAL)
    assert summary.tiles_without_features == 1
    assert not Store.open(project.map_path).read(tile.lattice.name, "crop", tile.box(10)).any()


def test_the_map_says_what_its_values_mean(project):
    predict(project.root, PredictOptions(), SERIAL)
    store = Store.open(project.map_path)
    assert legend_of(store.array("crop", 10).attrs) == LEGEND
    assert store.attrs["classifier"] == "forest"
    assert store.attrs["features"] == "median-10d"


def test_xarray_finds_crs_flags_and_coordinates(project):
    import xarray as xr

    predict(project.root, PredictOptions(), SERIAL)
    with xr.open_dataset(project.map_path, engine="zarr", group="utm31n/r10m", chunks=None, consolidated=False) as data:
        assert data.crop.dtype == np.uint8
        assert data.crop.attrs["flag_values"] == [1, 2, 3]
        assert data.crop.attrs["flag_codes"] == [1110, 1200, 9120]
        assert data.crop.attrs["flag_colors"].split() == ["#e69f00", "#f0e442", "#009e73"]
        assert "wkt" in data.crop.attrs["_CRS"]
        assert data.attrs["proj:code"] == "EPSG:32631"
        assert float(data.y[0]) > float(data.y[-1])
        assert 'EPSG",32631' in data.spatial_ref.attrs["crs_wkt"]


def test_without_a_model_train_is_named(project):
    shutil.rmtree(project.model_path)
    with pytest.raises(MissingError, match="cropcube train"):
        predict(project.root, PredictOptions(), SERIAL)


def test_missing_features_name_their_command(project):
    spec = FeatureSpec("median", window_days=10, classes=(4, 5))
    rewrite_card(project, feature=spec.name, feature_spec=spec.as_dict())
    with pytest.raises(MissingError, match=r"cropcube features --kind median --window 10 --mask scl:4,5`"):
        predict(project.root, PredictOptions(), SERIAL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sensor": "emit-l2a"}, "model for emit-l2a"),
        ({"bands": ("B01",) * 10}, "the project has no B01"),
        ({"steps": tuple("abc"), "feature_spec": SPEC.as_dict()}, "3 steps of median-10d .* gives 7"),
    ],
)
def test_models_that_do_not_fit_are_refused_with_the_command_that_makes_one(project, changes, message):
    rewrite_card(project, **changes)
    with pytest.raises(ModelMismatchError, match=message) as refused:
        predict(project.root, PredictOptions(), SERIAL)
    assert "cropcube train --features median-10d" in refused.value.next_step
    assert not project.map_path.exists()


def test_a_map_with_another_legend_is_only_replaced_when_asked(project):
    predict(project.root, PredictOptions(), SERIAL)
    before = tree(project.map_path)
    other = Legend.of([(1, "a", "#000001"), (2, "b", "#000002"), (3, "c", "#000003")])
    train_forest(project, Store.open(project.features_path(SPEC.name)), legend=other)
    with pytest.raises(ModelMismatchError, match="another legend") as refused:
        predict(project.root, PredictOptions(), SERIAL)
    assert "--rebuild" in refused.value.next_step
    assert tree(project.map_path) == before
    predict(project.root, PredictOptions(rebuild=True), SERIAL)
    assert legend_of(Store.open(project.map_path).array("crop", 10).attrs) == other
    assert not [path for path in project.root.rglob(".map*/**/*") if path.is_file()]


@pytest.mark.parametrize("damage", [False, True])
def test_a_rebuild_makes_every_tile_anew_also_of_the_same_model(project, damage: bool):
    predict(project.root, PredictOptions(), SERIAL)
    before = tree(project.map_path)
    (project.map_path / "of another day").write_text("x")
    if damage:
        (project.map_path / "zarr.json").write_text("{}")
    summary = predict(project.root, PredictOptions(rebuild=True), SERIAL)
    assert (summary.stage.count("done"), summary.stage.count("reused")) == (len(project.spec.grid), 0)
    assert tree(project.map_path) == before
    assert not list(project.root.glob(".*.partial"))


def test_other_colours_are_not_another_legend(project):
    predict(project.root, PredictOptions(), SERIAL)
    painted = Legend.of([(entry.code, entry.name, "") for entry in LEGEND.classes])
    rewrite_card(project, legend=painted)
    predict(project.root, PredictOptions(), SERIAL)
    assert legend_of(Store.open(project.map_path).array("crop", 10).attrs) == painted


def test_another_model_with_the_same_legend_replaces_the_map(project, tmp_path: Path):
    predict(project.root, PredictOptions(), SERIAL)
    before = Store.open(project.map_path).attrs["model_digest"]
    scaling = read_card(project.model_path).scaling
    shutil.copytree(project.model_path, tmp_path / "other")
    path = tmp_path / "other" / CARD_NAME
    moved = replace(scaling, mean=tuple((row[0] + 1.0,) for row in scaling.mean))
    path.write_text(replace(read_card(path.parent), scaling=moved).to_json())
    summary = predict(project.root, PredictOptions(tmp_path / "other"), SERIAL)
    assert summary.stage.count("done") == len(project.spec.grid)
    assert Store.open(project.map_path).attrs["model_digest"] != before


def test_a_map_that_was_removed_is_made_again(project):
    predict(project.root, PredictOptions(), SERIAL)
    before = tree(project.map_path)
    shutil.rmtree(project.map_path)
    assert predict(project.root, PredictOptions(), SERIAL).stage.count("done") == len(project.spec.grid)
    assert tree(project.map_path) == before


def test_too_little_memory_is_refused_with_the_numbers(project):
    with pytest.raises(ResourceError, match="GiB"):
        predict(project.root, PredictOptions(), replace(SERIAL, memory_limit=2**20))
