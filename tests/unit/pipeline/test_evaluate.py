"""Accuracy: on pixels that the classifier has not seen, with figures that can be counted by hand."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cropcube.cube.store import Store
from cropcube.errors import InvalidInputError, MissingError, ModelMismatchError, UsageError
from cropcube.features.source import StoredFeatures
from cropcube.model.checkpoint import load_model, load_samples, read_card
from cropcube.model.metrics import score
from cropcube.pipeline.evaluate import EvaluateOptions, evaluate
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.model_check import check_fit
from cropcube.report.accuracy import Accuracy, differences
from cropcube.run.options import RunOptions
from cropcube.samples.index import SampleIndex
from cropcube.samples.places import SplitRule
from cropcube.samples.read import OnGrid, Samples
from tests.support.small_features import write_labels
from tests.support.small_map import LEGEND

SERIAL = RunOptions("serial", quiet=True)


def test_the_trained_classifier_is_scored_on_its_test_blocks_only(project):
    summary = evaluate(project.root)
    card = read_card(project.model_path)
    index = load_samples(project.model_path, card).of_set("test")
    store = Store.open(project.features_path(card.feature))
    samples = Samples(OnGrid(StoredFeatures(store)), check_fit(project, card, project.model_path), index, card.legend)
    classifier, _ = load_model(project.model_path)
    said = classifier.probabilities(samples.inputs(card.scaling)).argmax(axis=1)
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (samples.classes, said), 1)
    figures = summary.as_dict()
    assert figures["confusion"] == expected.tolist()
    assert figures["samples"] == len(index)
    assert figures["overall_accuracy"] == pytest.approx(np.trace(expected) / expected.sum())
    assert [entry["name"] for entry in figures["classes"]] == list(LEGEND.names)
    assert figures["blocks"] == len(np.unique(index.block))


def test_folds_score_every_labelled_pixel_once(project):
    summary = evaluate(project.root, EvaluateOptions(folds=4))
    card = read_card(project.model_path)
    assert summary.accuracy.scores.samples == len(load_samples(project.model_path, card))
    assert summary.accuracy.scores.overall_accuracy > 0.9
    assert "fitted anew 4 times" in summary.accuracy.basis


def test_seeds_give_means_and_spreads(project, tmp_path: Path, capsys, monkeypatch):
    from cropcube.pipeline import scoring
    from cropcube_cli.commands.evaluate import evaluate as command

    drawn, real_folds, real_fit = [], scoring.folds, scoring.fit_classifier

    def spy_folds(block, label, count, seed):
        drawn.append(("folds", seed))
        return real_folds(block, label, count, seed)

    def spy_fit(kind, options, *rest):
        drawn.append(("fit", options.seed))
        return real_fit(kind, options, *rest)

    monkeypatch.setattr(scoring, "folds", spy_folds)
    monkeypatch.setattr(scoring, "fit_classifier", spy_fit)
    write_labels(project, tmp_path / "fields.tif", wrong_every=4)
    files = LabelFiles.of(tmp_path / "fields.tif")
    asked = EvaluateOptions(files, folds=3, seeds=3, split=SplitRule("field"))
    summary = evaluate(project.root, asked)
    figures = summary.as_dict()
    assert figures["seeds"] == 3
    assert len(summary.accuracy.repeats) == 3
    spread = figures["spread"]["overall_accuracy"]
    assert spread["values"] == [found.overall_accuracy for found in summary.accuracy.repeats]
    assert spread["mean"] == pytest.approx(np.mean(spread["values"]))
    assert spread["deviation"] == pytest.approx(np.std(spread["values"], ddof=1))
    assert drawn == [one for seed in range(3) for one in [("folds", seed), *[("fit", seed)] * 3]]
    assert set(figures["spread"]["f1"]) == set(LEGEND.names)
    assert "fields" in summary.accuracy.basis
    assert "3 seeds" in summary.accuracy.basis
    again = evaluate(project.root, asked)
    assert again.as_dict()["spread"] == figures["spread"]
    command(labels=[tmp_path / "fields.tif"], folds=3, seeds=2, split="field", project=project.root, quiet=True)
    assert "±" in capsys.readouterr().out


def test_differences_are_paired_by_seed():
    truth = np.array([0, 0, 1, 1])
    said = {"a": ([0, 0, 1, 1], [0, 0, 1, 0]), "b": ([0, 0, 1, 0], [0, 0, 0, 0])}
    runs = {name: tuple(score(truth, np.array(one), ("x", "y")) for one in both) for name, both in said.items()}
    one, other = (Accuracy(name, "", found[0], repeats=found) for name, found in runs.items())
    (found,) = differences(one, [other])
    assert found.overall_accuracy.values == (0.25, 0.25)
    assert found.overall_accuracy.deviation == 0
    assert found.macro_f1.mean == pytest.approx(
        np.mean([a.macro_f1 - b.macro_f1 for a, b in zip(*runs.values(), strict=True)])
    )
    assert found.as_dict()["than"] == "b"


def test_no_fold_is_tested_on_blocks_that_it_was_fitted_to(project, monkeypatch):
    from cropcube.pipeline import scoring

    fitted_blocks, pairs = [], []
    real_fit, real_classify = scoring.fit_classifier, scoring.classify

    def spy_fit(kind, options, train, *rest):
        fitted_blocks.append(set(train.index.block.tolist()))
        return real_fit(kind, options, train, *rest)

    def spy_classify(classifier, samples, *rest):
        pairs.append((fitted_blocks[-1], set(samples.index.block.tolist())))
        return real_classify(classifier, samples, *rest)

    monkeypatch.setattr(scoring, "fit_classifier", spy_fit)
    monkeypatch.setattr(scoring, "classify", spy_classify)
    evaluate(project.root, EvaluateOptions(folds=3))
    assert len(pairs) == 3
    assert all(fitted and tested and not fitted & tested for fitted, tested in pairs)


def test_patches_of_a_raster_that_blocks_cut_are_counted_and_said(project, tmp_path: Path):
    from scipy import ndimage

    from cropcube.pipeline.scoring import cut_patches

    random = np.random.default_rng(0)
    classes = random.integers(1, 4, (40, 30))
    tested = np.add.outer(np.arange(40) // 8, np.arange(30) // 8) % 2 == 0
    row, col = np.indices(classes.shape)
    index = SampleIndex.of("utm31n", row.ravel(), col.ravel(), classes.ravel())
    expected = 0
    for number in (1, 2, 3):
        patch, count = ndimage.label(classes == number)
        for one in range(1, count + 1):
            if not tested[patch == one].all():
                expected += int(tested[patch == one].sum())
    assert cut_patches(index, tested.ravel()) == expected > 100
    of_fields = replace(index, field=np.zeros(len(index), np.int64))
    assert cut_patches(of_fields, tested.ravel()) == 0  # the split itself keeps fields whole
    write_labels(project, tmp_path / "fields.tif")
    files = LabelFiles.of(tmp_path / "fields.tif")
    by_blocks = evaluate(project.root, EvaluateOptions(files, folds=2)).accuracy
    assert 0 < by_blocks.cut < by_blocks.scores.samples
    assert any("do not say where fields end" in said for said in by_blocks.remarks())
    assert evaluate(project.root, EvaluateOptions(files, folds=2, split=SplitRule("field"))).accuracy.cut == 0


def test_a_class_of_one_place_is_said_to_be_beyond_learning(project, tmp_path: Path):
    import rasterio

    write_labels(project, tmp_path / "fields.tif")
    with rasterio.open(tmp_path / "fields.tif", "r+") as file:
        codes = file.read(1)
        grass = codes == LEGEND.codes[2]
        rows, cols = np.nonzero(grass)
        codes[grass] = 0
        middle = len(rows) // 2
        codes[rows[middle] : rows[middle] + 3, cols[middle] : cols[middle] + 3] = LEGEND.codes[2]
        file.write(codes, 1)
    summary = evaluate(project.root, EvaluateOptions(labels=LabelFiles.of(tmp_path / "fields.tif"), folds=2))
    assert summary.accuracy.untestable == ("Grass",)
    assert summary.as_dict()["untestable"] == ["Grass"]
    grass = summary.accuracy.scores.classes[2]
    assert grass.support == 6
    assert grass.recall == 0
    assert summary.accuracy.unlearnt == ("Grass",)
    assert any(
        "not one pixel of the class was left to learn from: Grass" in said for said in summary.accuracy.remarks()
    )


def test_the_scores_of_folds_are_those_of_their_own_pixels(project, monkeypatch):
    from cropcube.pipeline import scoring

    held = []
    real = scoring.classify

    def spy(classifier, samples, *rest):
        said = real(classifier, samples, *rest)
        held.append((samples.classes, said.argmax(axis=1)))
        return said

    monkeypatch.setattr(scoring, "classify", spy)
    accuracy = evaluate(project.root, EvaluateOptions(folds=3)).accuracy
    right = [float(np.mean(truth == said)) for truth, said in held]
    assert [found.overall_accuracy for found in accuracy.folds] == pytest.approx(right)
    assert accuracy.intervals.overall_accuracy.mean == pytest.approx(np.mean(right))


def test_without_a_map_there_is_a_report_and_no_picture(project):
    shutil.rmtree(project.map_path)
    summary = evaluate(project.root)
    assert summary.files.picture is None
    assert "There is no map yet" in summary.files.report.read_text()
    with pytest.raises(MissingError, match="cropcube predict"):
        evaluate(project.root, EvaluateOptions(labels=LabelFiles.of(project.root / "cropcube.toml")))


def test_a_map_of_another_model_is_said(project):
    card = read_card(project.model_path)
    moved = replace(card.scaling, mean=tuple((row[0] + 1.0,) for row in card.scaling.mean))
    (project.model_path / "card.json").write_text(replace(card, scaling=moved).to_json())
    assert "made by another model" in evaluate(project.root).files.report.read_text()


@pytest.mark.parametrize("asked", [{}, {"folds": 3}])
def test_a_label_file_that_is_not_there_is_named(project, asked):
    with pytest.raises(MissingError, match=r"there is no label file .*nofile\.gpkg"):
        evaluate(project.root, EvaluateOptions(LabelFiles.of(project.root / "nofile.gpkg"), **asked))


def test_without_a_model_train_is_named(project):
    shutil.rmtree(project.model_path)
    with pytest.raises(MissingError, match="cropcube train"):
        evaluate(project.root)


def test_a_model_of_another_season_is_not_scored_on_samples_that_are_not_here(project):
    card = read_card(project.model_path)
    (project.model_path / "card.json").write_text(replace(card, season="2018-03-01/2018-05-10").to_json())
    with pytest.raises(ModelMismatchError, match="trained in another project") as refused:
        evaluate(project.root)
    assert "--labels" in refused.value.next_step


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(InvalidInputError, match="svm"):
        EvaluateOptions(classifier="svm")
    with pytest.raises(InvalidInputError, match="1 folds"):
        EvaluateOptions(folds=1)
    with pytest.raises(InvalidInputError, match="--seeds 0"):
        EvaluateOptions(folds=3, seeds=0)
    with pytest.raises(UsageError, match="--seeds goes with folds"):
        EvaluateOptions(seeds=2)
    with pytest.raises(UsageError, match="--split goes with folds"):
        EvaluateOptions(split=SplitRule("field"))
    with pytest.raises(UsageError, match="scores the map"):
        EvaluateOptions(labels=LabelFiles.of(Path("x")), compare=("forest",))


def test_a_classifier_is_not_compared_with_itself(project):
    kind = read_card(project.model_path).classifier
    with pytest.raises(UsageError, match=f"--compare {kind} is what is judged already"):
        evaluate(project.root, EvaluateOptions(compare=("boosting", kind)))
    with pytest.raises(UsageError, match="--compare boosting"):
        evaluate(project.root, EvaluateOptions(classifier="boosting", compare=("boosting",)))
