"""`train` from labels and features to a saved model, and what it refuses."""

import json
import shutil
from dataclasses import replace
from itertools import pairwise

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import box

from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from cropcube.errors import InvalidInputError, MissingError
from cropcube.features.source import StoredFeatures
from cropcube.model.checkpoint import load_model, load_places, load_samples, read_card
from cropcube.model.classifier import classify
from cropcube.model.metrics import score
from cropcube.pipeline.labels import WITHOUT_PLACE, LabelFiles
from cropcube.pipeline.model_check import check_fit
from cropcube.pipeline.train import train
from cropcube.pipeline.training_set import SHARED_FIELD, UNOBSERVED
from cropcube.samples.index import LEFT_OUT, SETS
from cropcube.samples.label_rules import LabelRules
from cropcube.samples.labels import OVERLAP
from cropcube.samples.places import SplitRule
from cropcube.samples.read import OnGrid, Samples
from tests.support.field_project import FAST, labelled_project
from tests.support.field_project import training_options as options
from tests.support.learning import DARK_EVERY, LEFT, SIDE_M, SPEC, TOP, fields


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with features, labels of every field and a legend; never written to by a test."""
    return labelled_project(tmp_path_factory.mktemp("train") / "project")


@pytest.fixture
def project(made, tmp_path):
    shutil.copytree(made.root, tmp_path / "project")
    return replace(made, root=tmp_path / "project")


@pytest.mark.parametrize("classifier", ["forest", "cropnet"])
def test_a_trained_model_carries_all_that_evaluate_needs(project, classifier):
    summary = train(project.root, options(project, classifier=classifier))
    (project.root / "fields.gpkg").unlink()
    (project.root / "legend.csv").unlink()
    fitted, card = load_model(project.model_path)
    index = load_samples(project.model_path, card)
    assert card.legend.codes == (1200, 1110, 9120, 77)
    assert card.labels.file == "fields.gpkg"
    assert card.labels.label_field == "crop"
    assert card.split.block_m == 160
    assert index.counts(card.class_names) == card.split.counts == summary.as_dict()["samples"]
    layout = check_fit(project, card, project.model_path)
    samples = Samples(
        OnGrid(StoredFeatures(Store.open(project.features_path(card.feature)))), layout, index, card.legend
    )
    for name, floor in (("validation", 0.8), ("test", 0.8)):
        part = samples.of_set(name)
        predicted = classify(fitted, part, card.scaling).argmax(axis=1)
        found = score(part.classes, predicted, card.class_names)
        assert found.overall_accuracy > floor
        if name == "validation":
            assert found.as_json() == card.scores
    assert json.dumps(summary.as_dict(), allow_nan=False)


def test_labels_lie_where_the_fields_are_and_dropped_ones_are_counted(project):
    summary = train(project.root, options(project))
    index = load_samples(project.model_path, summary.card)
    lattice = project.spec.grid.zones[0].lattice
    whole = lattice.box_of_bounds((LEFT, TOP - SIDE_M, LEFT + SIDE_M, TOP), 10)
    np.testing.assert_array_equal(index.label, fields(whole)[index.row - whole.row, index.col - whole.col])
    assert (index.col % DARK_EVERY != 0).all()
    assert summary.card.labels.dropped[UNOBSERVED] > 50
    assert OVERLAP not in summary.card.labels.dropped


@pytest.mark.parametrize("rule", [{"radius_m": 20.0}, {"erode_m": 10.0}, {"min_area_ha": 0.1}])
def test_a_rule_for_which_there_is_no_label_is_refused(project, tmp_path, rule):
    name = next(iter(rule)).rsplit("_", 1)[0].replace("_", "-")
    path = project.root / "fields.gpkg"
    if name != "radius":
        frame = gpd.read_file(path)
        path = tmp_path / "points.gpkg"
        frame.set_geometry(frame.geometry.representative_point()).to_file(path)
    held = "polygons" if name == "radius" else "points"
    with pytest.raises(InvalidInputError, match=f"--{name} is a rule for .*; the labels are {held}"):
        train(project.root, replace(options(project), labels=LabelFiles((path,), LabelRules(("crop",), **rule))))
    assert not project.model_path.exists()


def test_a_class_of_two_places_is_said_to_have_too_few(project):
    path = project.root / "fields.gpkg"
    frame = gpd.read_file(path)
    frame.loc[[0, len(frame) - 1], "crop"] = 77
    frame.to_file(path)
    summary = train(project.root, options(project, split=SplitRule("field")))
    counts = {part: names["Hops"] for part, names in summary.card.split.counts.items()}
    (lacking,) = (part for part, count in counts.items() if not count)
    verb = {"train": "learnt", "validation": "validated", "test": "tested"}[lacking]
    assert f"too few places to be {verb}: Hops" in summary.warnings
    assert sum("too few places" in warning for warning in summary.warnings) == 1


def test_what_was_read_and_dropped_is_counted_remembered_and_shown(project, capsys):
    from cropcube_cli.commands.train import train as command

    path = project.root / "fields.gpkg"
    frame = gpd.read_file(path)
    more = gpd.GeoDataFrame(
        {"crop": [1200, None, 1200]}, geometry=[box(0, 0, 9, 9), frame.geometry[0], None], crs=frame.crs
    )
    pd.concat([frame.astype({"crop": object}), more]).to_file(path)
    said = {"label_field": ["crop"], "legend": project.root / "legend.csv", "features": SPEC.name, "trees": 5}
    command(labels=[path], classifier="forest", block_m=160, threads=1, project=project.root, **said)
    shown = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    counts = dict(row for row in shown if len(row) == 2)
    samples = int(counts["samples"].replace(",", ""))
    dropped = [int(count.replace(",", "")) for name, count in counts.items() if name.startswith("pixels dropped: ")]
    assert f"pixels dropped: {UNOBSERVED}" in counts
    assert {name: counts[name] for name in counts if "features" in name} == {
        "features read": str(len(frame) + 3),
        "features dropped: without geometry": "1",
        "features dropped: without a class": "1",
        "features dropped: outside the region": "1",
    }
    assert int(counts["labelled pixels in the region"].replace(",", "")) == samples + sum(dropped)
    card = read_card(project.model_path)
    assert card.labels.features["read"] == len(frame) + 3
    assert len(load_samples(project.model_path, card)) == samples


def test_a_field_of_labels_that_no_file_has_is_refused(project):
    files = LabelFiles.of(project.root / "fields.gpkg", "crop", "crops")
    with pytest.raises(InvalidInputError, match="no file of labels has a field 'crops'"):
        train(project.root, options(project, labels=files))


def test_no_block_is_in_two_sets(project):
    index = load_samples(project.model_path, train(project.root, options(project)).card)
    blocks = {name: set(index.of_set(name).block.tolist()) for name in SETS}
    assert all(blocks.values())
    assert len(set.union(*blocks.values())) == sum(map(len, blocks.values()))


def test_the_same_training_gives_the_same_model(project):
    cards = [train(project.root, options(project, model=project.root / name)).card for name in ("one", "two")]
    assert cards[0] == cards[1]
    other = train(project.root, options(project, fit=replace(FAST, seed=1))).card
    assert other.files["weights"] != cards[0].files["weights"]
    assert other.files["samples"] != cards[0].files["samples"]


def split_of(project, **rule):
    """Train on the fields, split otherwise; return the card and the samples."""
    summary = train(project.root, options(project, split=SplitRule(**rule)))
    return summary, load_samples(project.model_path, summary.card)


def shared(index, name):
    """Return the numbers of a column of the index that lie in two sets."""
    values = [set(getattr(index.of_set(part), name).tolist()) for part in SETS]
    return (values[0] & values[1]) | (values[0] & values[2]) | (values[1] & values[2])


def test_whole_fields_are_dealt_and_their_borders_do_not_matter(project):
    summary, index = split_of(project, by="field")
    assert not shared(index, "field")
    assert summary.card.split.by == "field"
    assert summary.card.split.groups == len(np.unique(index.field)) == len(gpd.read_file(project.root / "fields.gpkg"))
    assert set(summary.card.labels.dropped) == {UNOBSERVED}
    assert index.counts(summary.card.class_names)["test"]["Maize"] > 0


def test_fields_that_reach_over_blocks_are_in_one_set(project):
    summary, index = split_of(project, block_m=100)
    assert not shared(index, "block")
    assert not shared(index, "field")
    assert summary.card.labels.dropped[SHARED_FIELD] > 100
    kept = load_places(project.model_path, summary.card)
    left = kept.select(kept.part == LEFT_OUT)
    assert len(left) == summary.card.labels.dropped[SHARED_FIELD]
    assert set(left.field.tolist()) <= set(index.field.tolist())


def test_a_raster_has_patches_for_fields(project):
    import rasterio

    lattice = project.spec.grid.zones[0].lattice
    whole = lattice.box_of_bounds((LEFT, TOP - SIDE_M, LEFT + SIDE_M, TOP), 10)
    codes = np.array([0, 1200, 1110, 9120], np.uint16)[fields(whole)]
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "height": whole.height, "width": whole.width}
    with rasterio.open(project.root / "f.tif", "w", **profile, crs=lattice.crs, transform=whole.transform) as file:
        file.write(codes, 1)
    given = {"labels": LabelFiles.of(project.root / "f.tif"), "split": SplitRule("field")}
    summary = train(project.root, options(project, **given))
    index = load_samples(project.model_path, summary.card)
    assert not shared(index, "field")
    assert summary.card.split.groups > 50


def test_regions_of_a_file_are_dealt(project):
    edges = np.linspace(LEFT - 100, LEFT + SIDE_M - 300, 6)
    strips = [box(left, TOP - SIDE_M, right, TOP) for left, right in pairwise(edges)]
    gpd.GeoDataFrame(geometry=strips, crs=32631).to_file(project.root / "strips.gpkg")
    summary, index = split_of(project, by="region", regions=project.root / "strips.gpkg")
    assert summary.card.split.groups == 5
    assert not shared(index, "block")
    x = LEFT + 10 * (index.col - LEFT // 10) + 5
    np.testing.assert_array_equal(index.block, np.searchsorted(edges, x) - 1)
    assert summary.card.labels.dropped[WITHOUT_PLACE] > 100
    gpd.GeoDataFrame(geometry=strips[:1], crs=32631).to_file(project.root / "one.gpkg")
    with pytest.raises(InvalidInputError, match="1 groups by region"):
        split_of(project, by="region", regions=project.root / "one.gpkg")


def test_values_of_a_column_are_dealt(project):
    path = project.root / "fields.gpkg"
    frame = gpd.read_file(path)
    frame["farm"] = [f"farm {i % 9}" if i % 10 else None for i in range(len(frame))]
    frame.to_file(path)
    summary, index = split_of(project, by="farm")
    assert summary.card.split.groups == 9
    assert summary.card.split.words == "values of farm"
    assert not shared(index, "block")
    assert not shared(index, "field")
    assert summary.card.labels.dropped[WITHOUT_PLACE] > 100
    with pytest.raises(InvalidInputError, match="no field 'barn'") as caught:
        split_of(project, by="barn")
    assert "farm" in caught.value.next_step


def test_a_class_of_one_field_is_learnt_warned_of_and_marked_untestable(project):
    path = project.root / "fields.gpkg"
    frame = gpd.read_file(path)
    frame.loc[40, "crop"] = 77
    frame.to_file(path)
    for rule in ({"by": "field"}, {"block_m": 160}):
        summary, index = split_of(project, **rule)
        assert summary.card.split.untestable == ("Hops",)
        assert summary.as_dict()["untestable"] == ["Hops"]
        assert any("single place" in warning and "Hops" in warning for warning in summary.warnings)
        assert index.of_set("train").counts(summary.card.class_names)["train"]["Hops"] > 0
        assert not (index.label[index.part > 0] == 4).any()


def test_labels_of_one_class_are_refused(project):
    path = project.root / "fields.gpkg"
    frame = gpd.read_file(path)
    frame[frame["crop"] == 1200].to_file(path)
    with pytest.raises(InvalidInputError, match="all training samples are Maize"):
        train(project.root, options(project))
    assert not project.model_path.exists()


def test_labels_of_another_season_are_refused(project):
    path = project.root / "fields.gpkg"
    frame = gpd.read_file(path)
    frame.assign(start_date="2016-01-01", end_date="2016-12-31").to_file(path)
    with pytest.raises(InvalidInputError, match="2019-03-01/2019-05-10"):
        train(project.root, options(project))
    assert not project.model_path.exists()


@pytest.mark.parametrize("change", ["nothing", "labels", "seed", "features", "damage"])
def test_the_same_again_is_not_trained_again_and_another_is(project, change):
    first = train(project.root, options(project))
    before = {path.name: path.stat().st_mtime_ns for path in project.model_path.iterdir()}
    wanted = options(project)
    if change == "labels":
        frame = gpd.read_file(wanted.labels.paths[0])
        frame.iloc[:-3].to_file(wanted.labels.paths[0])
    elif change == "seed":
        wanted = replace(wanted, fit=replace(FAST, seed=3))
    elif change == "features":
        tile = next(project.spec.grid.zones[0].tiles())
        Ledger(project.ledger_path).write(Record(f"features/{SPEC.name}/utm31n/{tile.name}", "1" * 64, "done", {}))
    elif change == "damage":
        next(project.model_path.glob("weights-*")).write_bytes(b"torn")
    again = train(project.root, wanted)
    assert again.reused == (change == "nothing")
    load_model(project.model_path)
    if change == "nothing":
        assert {path.name: path.stat().st_mtime_ns for path in project.model_path.iterdir()} == before
        assert again.card == first.card
        assert again.scores.as_json() == first.scores.as_json()
        assert again.as_dict()["warnings"] == first.as_dict()["warnings"]


def test_legend_classes_without_samples_are_said(project):
    warnings = train(project.root, options(project)).warnings
    assert any("Hops" in warning for warning in warnings)


def test_missing_features_name_the_command(project):
    with pytest.raises(MissingError) as caught:
        train(project.root, options(project, feature="median-15d"))
    assert "cropcube features --kind median --window 15" in caught.value.next_step
    assert "median-10d" in caught.value.what
    with pytest.raises(MissingError) as caught:
        train(project.root, options(project, feature="harmonic-2"))
    assert "--kind harmonic --order 2" in caught.value.next_step


def test_features_that_are_not_done_everywhere_are_refused(project):
    ledger = Ledger(project.ledger_path)
    tile = next(project.spec.grid.zones[0].tiles())
    ledger.withdraw(f"features/{SPEC.name}/utm31n/{tile.name}")
    store = Store.open(project.features_path(SPEC.name), writable=True)
    for resolution_m in (10, 20):
        store.erase("utm31n", "median", tile.box(resolution_m))
    with pytest.raises(MissingError) as caught:
        train(project.root, options(project))
    assert tile.name in caught.value.what
    assert "--window 10" in caught.value.next_step


def test_features_of_unfinished_builds_are_said(project):
    tile = next(project.spec.grid.zones[0].tiles())
    key = f"features/{SPEC.name}/utm31n/{tile.name}"
    Ledger(project.ledger_path).write(Record(key, "0" * 64, "done", {"unfinished_builds": ["build/x"]}))
    assert any("build is unfinished" in warning for warning in train(project.root, options(project)).warnings)


@pytest.mark.parametrize(
    ("changes", "error", "part"),
    [
        ({"label_fields": ()}, InvalidInputError, "fields that could hold classes"),
        ({"legend": None}, InvalidInputError, "the legend does not"),
        ({"split": SplitRule(block_m=5000)}, InvalidInputError, "blocks"),
        ({"split": SplitRule(block_m=33)}, InvalidInputError, "33 m"),
        ({"classifier": "oracle"}, InvalidInputError, "oracle"),
    ],
)
def test_what_is_refused_leaves_no_model(project, changes, error, part):
    if "label_fields" in changes:
        changes = {"labels": LabelFiles.of(project.root / "fields.gpkg", *changes["label_fields"])}
    with pytest.raises(error) as caught:
        train(project.root, options(project, **changes))
    assert part in caught.value.what
    assert caught.value.next_step
    assert not project.model_path.exists()


def test_missing_files_are_named(project, tmp_path):
    for changes in ({"labels": LabelFiles.of(tmp_path / "none.gpkg")}, {"legend": tmp_path / "none.csv"}):
        with pytest.raises(MissingError, match="none"):
            train(project.root, options(project, **changes))


def test_the_command_prints_one_json_object_and_progress_apart(project, capsys):
    from cropcube_cli.commands.train import train as command

    command(
        labels=[project.root / "fields.gpkg"], label_field=["crop"], legend=project.root / "legend.csv",
        features=SPEC.name, classifier="cropnet", width=8, epochs=2, block_m=160, project=project.root,
        as_json=True, threads=1, batch=64,
    )  # fmt: skip
    out, err = capsys.readouterr()
    assert json.loads(out)["classifier"] == "cropnet"
    assert "epoch 2:" in err


def test_the_command_prints_a_table(project, capsys):
    from cropcube_cli.commands.train import train as command

    command(
        labels=[project.root / "fields.gpkg"], label_field=["crop"], legend=project.root / "legend.csv",
        features=SPEC.name, classifier="forest", trees=5, block_m=160, project=project.root, threads=1,
    )  # fmt: skip
    out, _ = capsys.readouterr()
    assert "Winter wheat" in out
    assert "macro-F1" in out
