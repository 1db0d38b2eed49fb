"""Training and scoring on tables of series: real ones as they are, and what `extract` wrote of a project."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import Point

from cropcube.cube.store import Store
from cropcube.errors import InvalidInputError, ModelMismatchError, UsageError
from cropcube.features.model_input import InputLayout
from cropcube.features.source import StoredFeatures
from cropcube.model.augment import Augmenter
from cropcube.model.checkpoint import load_model, load_samples, read_card
from cropcube.model.fit_options import FitOptions
from cropcube.pipeline.evaluate import EvaluateOptions, evaluate
from cropcube.pipeline.extract import ExtractOptions, extract
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.train import TrainOptions, train, window_of_words
from cropcube.run.options import RunOptions
from cropcube.samples.index import SETS, SampleIndex
from cropcube.samples.label_rules import LabelRules
from cropcube.samples.places import SplitRule
from cropcube.samples.read import OnGrid, Samples
from cropcube.samples.table import ground_blocks
from tests.support.learning import LEFT, LEGEND, SIDE_M, SPEC, TOP, fields, make_project, write_features

PUBLIC = Path(__file__).parents[2] / "data" / "point-series"
WIDE, LONG = PUBLIC / "uganda_southsudan_2017_wide_500.parquet", PUBLIC / "flanders_2021_long_100.parquet"
SERIAL = RunOptions("serial", quiet=True)
FAST = FitOptions(trees=20, threads=1)


def legend_of(path, folder):
    """Write a legend of all classes of a table: maize, sorghum, and one for all others."""
    codes = sorted(set(pd.read_parquet(path, columns=["ewoc_code"])["ewoc_code"]))
    names = {1101060000: "maize", 1101070000: "sorghum"}
    text = "code,name\n" + "\n".join(f"{code},{names.get(code, 'other')}" for code in codes)
    (folder / "legend.csv").write_text(text)
    return folder / "legend.csv"


def asked(path, folder, **changes):
    given = {"labels": LabelFiles((), table=path), "classifier": "forest", "fit": FAST, "model": folder / "model"}
    return TrainOptions(**given | {"legend": legend_of(path, folder)} | changes)


@pytest.mark.parametrize(("path", "steps", "block_m"), [(WIDE, 12, None), (LONG, 16, 20_000)])
def test_a_public_table_makes_a_model_without_a_project(tmp_path, path, steps, block_m):
    summary = train(tmp_path, asked(path, tmp_path, split=SplitRule(block_m=block_m)))
    card = read_card(tmp_path / "model")
    assert card == summary.card
    assert (card.feature, len(card.steps), card.region) == ("median-30d", steps, path.name)
    assert card.labels.label_field == "ewoc_code"
    index = load_samples(tmp_path / "model", card)
    for name in ("block", "field"):
        values = [set(getattr(index.of_set(part), name).tolist()) for part in SETS]
        assert sum(map(len, values)) == len(set.union(*values))
    read = 500 if path == WIDE else 100
    assert len(index) + sum(card.labels.dropped.values()) == read
    assert json.dumps(summary.as_dict(), allow_nan=False)
    if path == LONG:
        assert any("B8A" in warning for warning in summary.warnings)
        assert "B8A" not in card.bands
    assert train(tmp_path, asked(path, tmp_path, split=SplitRule(block_m=block_m))).reused


def five_days_table(path):
    """A table of two classes over a year in steps of five days, as the paper's features are."""
    days = np.datetime64("2019-01-01") + 5 * np.arange(73)
    generator = np.random.default_rng(0)
    label, place = np.arange(240) % 2, np.arange(240) // 4
    course = 2500 + 1200 * np.sin(np.arange(73)[:, None] / 9 + 1.5 * label)
    bands = {
        f"{band}_{day}": np.clip(course[step] + generator.normal(0, 300, 240), 1, None)
        for band in ("B02", "B03", "B04", "B08", "B11", "B12")
        for step, day in enumerate(days)
    }
    where = {"lon": 4 + place % 10 * 0.1, "lat": 50 + place // 10 * 0.1, "ewoc_code": np.where(label, 1101060000, 1200)}
    pd.DataFrame(where | bands).to_parquet(path)


def test_the_papers_recipe_fits_as_published(tmp_path, monkeypatch):
    """One epoch instead of fifty; all else is as it stands in the recipe."""
    taken, make = [], Augmenter.__call__

    def counted(self, entries, seed):
        taken.append(len(entries))
        return make(self, entries, seed)

    monkeypatch.setattr(Augmenter, "__call__", counted)
    five_days_table(tmp_path / "series.parquet")
    recipe = FitOptions.of_words("cropnet", {"recipe": "paper", "epochs": 1, "threads": 1})
    window = window_of_words(None, "paper", "cropnet")
    given = asked(tmp_path / "series.parquet", tmp_path, classifier="cropnet", fit=recipe, model_window=window)
    summary = train(tmp_path, given)
    card, (epoch,) = summary.card, summary.history
    assert (card.feature, len(card.steps), card.steps[0], card.steps[-1]) == (
        "median-5d",
        43,
        "2019-05-01",
        "2019-11-27",
    )
    assert card.bands == ("B02", "B03", "B04", "B08", "B11", "B12")
    expected = {"learning_rate": 1e-4, "batch": 256, "class_weights": "balanced", "width": 128}
    assert {name: card.options[name] for name in expected} == expected
    assert 0 < epoch.held < 0.05  # ends that are moved by up to 50 days at once with a shift by 50
    assert not any("published for 43 steps" in warning for warning in summary.warnings)
    classifier, _ = load_model(tmp_path / "model")
    assert all(np.isfinite(tensor).all() for tensor in classifier.tensors().values())
    assert sum(taken) == 3 * sum(card.split.counts["train"].values())  # the sample itself and two changed copies


def test_the_command_counts_what_it_read_and_dropped(tmp_path, capsys):
    from cropcube_cli.commands.train import train as command

    legend = legend_of(WIDE, tmp_path)
    command(table=WIDE, legend=legend, classifier="forest", trees=5, threads=1, project=tmp_path)
    shown = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    counts = dict(row for row in shown if len(row) == 2)
    assert counts["samples read"] == "500"
    assert counts["samples dropped: the same as another sample"] == "20"
    assert (tmp_path / "model" / "card.json").is_file()


def test_a_model_of_a_table_is_scored_on_its_test_set_and_over_folds(tmp_path):
    train(tmp_path, asked(WIDE, tmp_path))
    table = LabelFiles((), table=WIDE)
    summary = evaluate(tmp_path, EvaluateOptions(table), SERIAL)
    card = read_card(tmp_path / "model")
    assert summary.files is None
    assert summary.accuracy.scores.samples == sum(card.split.counts["test"].values())
    folds = evaluate(tmp_path, EvaluateOptions(table, folds=3, seeds=2, compare=("boosting",)), SERIAL)
    figures = folds.as_dict()
    assert figures["samples"] == 480
    assert figures["overall_accuracy"] > 0.5
    assert figures["report"] is None
    assert len(figures["differences"][0]["macro_f1"]["values"]) == 2


def test_a_table_of_other_bands_or_steps_is_refused_and_one_of_more_bands_is_not(tmp_path):
    train(tmp_path, asked(WIDE, tmp_path))
    frame = pd.read_parquet(WIDE)
    frame.drop(columns=[name for name in frame if "-B8A-" in name]).to_parquet(tmp_path / "without.parquet")
    with pytest.raises(ModelMismatchError, match="no B8A") as caught:
        evaluate(tmp_path, EvaluateOptions(LabelFiles((), table=tmp_path / "without.parquet")), SERIAL)
    for named in ("B8A", "cropcube extract", "cropcube build --bands", "cropcube train --table"):
        assert named in caught.value.next_step
    fewer = frame.drop(columns=[name for name in frame if "-B8A-" in name or "-ts11-" in name])
    fewer.assign(end_date="2017-10-01").to_parquet(tmp_path / "fewer.parquet")
    train(tmp_path, asked(tmp_path / "fewer.parquet", tmp_path))
    with pytest.raises(ModelMismatchError, match="12 steps"):
        evaluate(tmp_path, EvaluateOptions(LabelFiles((), table=WIDE)), SERIAL)
    more = frame.drop(columns=[name for name in frame if "-ts11-" in name]).assign(end_date="2017-10-01")
    more.to_parquet(tmp_path / "more.parquet")
    summary = evaluate(tmp_path, EvaluateOptions(LabelFiles((), table=tmp_path / "more.parquet")), SERIAL)
    assert any("391 samples left out" in note for note in summary.notes)
    assert summary.accuracy.scores.samples == 480 - 391


def test_samples_of_classes_that_the_legend_lacks_are_left_out_and_named(tmp_path):
    train(tmp_path, asked(WIDE, tmp_path))
    frame = pd.read_parquet(WIDE)
    frame.loc[:9, "ewoc_code"], frame.loc[10:12, "ewoc_code"] = 42, 43
    frame.to_parquet(tmp_path / "other.parquet")
    table = LabelFiles((), table=tmp_path / "other.parquet")
    summary = evaluate(tmp_path, EvaluateOptions(table, folds=3), SERIAL)
    assert summary.accuracy.scores.samples <= 487
    (said,) = [note for note in summary.notes if "known classes only" in note]
    assert "13 samples left out, not in the legend: 42 (10 samples), 43 (3 samples)" in said
    frame.assign(ewoc_code=42).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InvalidInputError, match="no class of the legend, only 42") as caught:
        evaluate(tmp_path, EvaluateOptions(table, folds=3), SERIAL)
    assert "maize" in caught.value.next_step


def test_another_table_is_scored_where_the_model_has_not_learnt_only(tmp_path):
    train(tmp_path, asked(WIDE, tmp_path))
    card = read_card(tmp_path / "model")
    frame = pd.read_parquet(WIDE)
    frame[::-1].to_parquet(tmp_path / "turned.parquet")
    own = evaluate(tmp_path, EvaluateOptions(LabelFiles((), table=WIDE)), SERIAL).accuracy.scores
    table = LabelFiles((), table=tmp_path / "turned.parquet")
    summary = evaluate(tmp_path, EvaluateOptions(table), SERIAL)
    assert summary.accuracy.scores.as_json() == own.as_json()
    learnt = card.split.counts["train"], card.split.counts["validation"]
    count = sum(sum(part.values()) for part in learnt)
    assert f"{count:,} samples left out: in a place ({card.split.words}) of the model's" in "; ".join(summary.notes)
    assert not summary.accuracy.unlearnt
    place = ground_blocks(frame[["lon", "lat"]].to_numpy(), card.split.block_m)
    index = load_samples(tmp_path / "model", card)
    frame[np.isin(place, index.block[index.part == 0])].to_parquet(tmp_path / "learnt.parquet")
    with pytest.raises(InvalidInputError, match=r"all [0-9]+ samples of learnt\.parquet lie in places") as caught:
        evaluate(tmp_path, EvaluateOptions(LabelFiles((), table=tmp_path / "learnt.parquet")), SERIAL)
    assert "--folds" in caught.value.next_step
    with pytest.raises(UsageError, match="a boosting would have nothing to learn from"):
        evaluate(tmp_path, EvaluateOptions(table, compare=("boosting",)), SERIAL)


def test_another_column_of_the_training_table_is_scored_row_by_row(tmp_path):
    frame = pd.read_parquet(WIDE)
    frame["other"] = frame["ewoc_code"].where(np.arange(len(frame)) != 3)
    frame.to_parquet(tmp_path / "two.parquet")
    table = LabelFiles((), LabelRules(("ewoc_code",)), tmp_path / "two.parquet")
    train(tmp_path, asked(tmp_path / "two.parquet", tmp_path, labels=table))
    own = evaluate(tmp_path, EvaluateOptions(table), SERIAL).accuracy.scores
    other = replace(table, rules=LabelRules(("other",)))
    found = evaluate(tmp_path, EvaluateOptions(other), SERIAL).accuracy.scores
    assert abs(found.samples - own.samples) <= 1
    assert found.overall_accuracy == pytest.approx(own.overall_accuracy, abs=0.02)


def test_a_table_without_places_is_scored_whole_with_a_word_of_warning(tmp_path):
    train(tmp_path, asked(WIDE, tmp_path))
    pd.read_parquet(WIDE).drop(columns=["lon", "lat"]).to_parquet(tmp_path / "t.parquet")
    summary = evaluate(tmp_path, EvaluateOptions(LabelFiles((), table=tmp_path / "t.parquet")), SERIAL)
    assert summary.accuracy.scores.samples == 480
    assert any("places are not known" in note for note in summary.notes)
    assert "seen" not in summary.accuracy.basis


def test_tables_are_split_by_a_column_or_a_field_or_refused_without_places(tmp_path):
    summary = train(tmp_path, asked(WIDE, tmp_path, split=SplitRule("tile"), model=tmp_path / "one"))
    assert summary.card.split.by == "tile"
    summary = train(tmp_path, asked(WIDE, tmp_path, split=SplitRule("field"), model=tmp_path / "two"))
    assert summary.card.split.groups == 450
    assert not any("single sample" in warning for warning in summary.warnings)
    with pytest.raises(InvalidInputError, match="no column 'farm'"):
        train(tmp_path, asked(WIDE, tmp_path, split=SplitRule("farm")))
    frame = pd.read_parquet(WIDE).drop(columns=["lon", "lat"])
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match="no coordinates"):
        train(tmp_path, asked(tmp_path / "t.parquet", tmp_path))
    assert not (tmp_path / "model").exists()


def test_features_that_a_table_does_not_have_are_refused(tmp_path):
    with pytest.raises(UsageError, match="has steps of its own, those of median-30d; --features median-15d"):
        train(tmp_path, asked(WIDE, tmp_path, feature="median-15d"))
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("path", "wanted", "steps"), [(WIDE, "", 12), (LONG, "04-01/10-28", 7)])
def test_the_growing_season_of_a_table_is_that_of_its_latitude(tmp_path, path, wanted, steps):
    split = SplitRule(block_m=None if path == WIDE else 20_000)
    card = train(tmp_path, asked(path, tmp_path, split=split, model_window="growing")).card
    assert (card.model_window, len(card.steps)) == (wanted, steps)


def test_rules_that_nothing_given_has_are_refused():
    with pytest.raises(UsageError, match=r"rules for vector files; a\.tif"):
        LabelFiles((Path("a.tif"),), LabelRules(erode_m=5))
    assert LabelFiles.if_given((), (), {"table": None, "erode": 0.0, "start_field": None}) is None
    for words in ({"erode": 10.0}, {"start_field": "sown"}):
        with pytest.raises(UsageError, match="no labels are given"):
            LabelFiles.if_given((), (), words)
    with pytest.raises(UsageError, match="--from and --table"):
        TrainOptions(LabelFiles((), table=WIDE), origin="cube")
    with pytest.raises(UsageError, match="--tensorboard"):
        TrainOptions(LabelFiles((), table=WIDE), classifier="forest", tensorboard=True)


def test_labels_and_a_table_are_not_given_together():
    with pytest.raises(UsageError, match="both given"):
        LabelFiles((Path("a.gpkg"),), table=WIDE)
    with pytest.raises(UsageError, match="no labels"):
        LabelFiles(())
    with pytest.raises(UsageError, match="rules for label files"):
        LabelFiles((), LabelRules(erode_m=5), WIDE)


def test_what_extract_wrote_of_medians_trains_as_the_store_does(tmp_path):
    project = make_project(tmp_path / "project")
    store = write_features(project)
    lattice = project.spec.grid.zones[0].lattice
    whole = lattice.box_of_bounds((LEFT, TOP - SIDE_M, LEFT + SIDE_M, TOP), 10)
    rows, cols = (np.random.default_rng(0).permutation(128)[:100] for _ in range(2))
    kept = (cols + whole.col) % 13 != 0
    rows, cols = rows[kept], cols[kept]
    row = fields(whole)[rows, cols]
    points = [Point(LEFT + 10 * c + 5, TOP - 10 * r - 5) for r, c in zip(rows, cols, strict=True)]
    crops = [LEGEND.names[number - 1] for number in row]
    gpd.GeoDataFrame({"crop": crops}, geometry=points, crs=32631).to_crs(4326).to_parquet(tmp_path / "p.parquet")
    made = ExtractOptions(tmp_path / "p.parquet", source=SPEC.name, output=tmp_path / "series.parquet")
    extract(project.root, made, SERIAL)
    (tmp_path / "legend.csv").write_text("1200,Maize\n1110,Winter wheat\n9120,Grass")
    table = LabelFiles((), table=tmp_path / "series.parquet")
    split, legend = SplitRule(block_m=160), tmp_path / "legend.csv"
    summary = train(project.root, TrainOptions(table, legend, classifier="forest", split=split, fit=FAST))
    card = summary.card
    assert (card.feature, card.season) == (SPEC.name, str(project.spec.season))
    assert card.steps == tuple(SPEC.steps(project.spec.season))

    from cropcube.samples.series_table import read_series
    from cropcube.samples.table import table_samples

    found = table_samples(tmp_path / "series.parquet", read_series(tmp_path / "series.parquet", "x"), LEGEND)
    layout = InputLayout.of(SPEC, project.spec.season, project.spec.sensor)
    index = SampleIndex.of(lattice.name, rows + whole.row, cols + whole.col, row)
    samples = Samples(OnGrid(StoredFeatures(Store.open(store.path))), layout, index, LEGEND)
    inputs = np.zeros((len(index), *layout.shape), np.float32)
    for cell in samples.cells():
        inputs[cell.positions] = samples.read(cell)
    order = np.lexsort(found.source.values_NBS.reshape(len(index), -1).T)
    wanted = np.lexsort(inputs.reshape(len(index), -1).T)
    np.testing.assert_array_equal(found.source.values_NBS[order], inputs[wanted])
    assert predict(project.root, PredictOptions(), SERIAL).feature == SPEC.name  # the model fits the project
    window = "03-11/04-20"
    narrow = train(
        project.root,
        TrainOptions(table, legend, classifier="forest", split=split, fit=FAST, model_window=window),
    )
    assert len(narrow.card.steps) == 4
