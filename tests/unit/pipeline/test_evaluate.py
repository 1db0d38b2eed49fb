"""Accuracy: on pixels that the classifier has not seen, with figures that can be counted by hand."""

from __future__ import annotations

import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from cropcube.domain.grid import inside
from cropcube.errors import InvalidInputError, MissingError, ModelMismatchError, UsageError
from cropcube.features.source import StoredFeatures
from cropcube.model.checkpoint import load_model, load_samples, read_card
from cropcube.model.metrics import score
from cropcube.pipeline.evaluate import EvaluateOptions, evaluate
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.model_check import check_fit
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.report_sections import detail_box, label_picture
from cropcube.pipeline.report_words import hectares_text
from cropcube.report.accuracy import Accuracy, differences
from cropcube.run.options import RunOptions
from cropcube.samples.places import SplitRule
from cropcube.samples.read import OnGrid, Samples
from tests.support.small_features import train_forest, write_features
from tests.support.small_map import LEGEND, known_classes, small_project

SERIAL = RunOptions("serial", quiet=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with features, a forest and its map, never written to by a test."""
    project = small_project(tmp_path_factory.mktemp("made") / "project")
    train_forest(project, write_features(project))
    predict(project.root, PredictOptions(), SERIAL)
    return project


@pytest.fixture
def project(made, tmp_path: Path):
    shutil.copytree(made.root, tmp_path / "project")
    return replace(made, root=tmp_path / "project")


def write_labels(project, path: Path, wrong_every: int = 0) -> None:
    """Write the known classes of one tile as a class raster; every n-th row says another class."""
    import rasterio

    box = max((t.box(10) for t in project.spec.grid.tiles()), key=lambda b: int(inside(project.spec.region, b).sum()))
    classes = known_classes(box)
    if wrong_every:
        classes[::wrong_every] = classes[::wrong_every] % len(LEGEND) + 1
    codes = np.array([0, *LEGEND.codes], np.uint16)[classes]
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "nodata": 0, "height": box.height, "width": box.width}
    with rasterio.open(path, "w", **profile, crs=box.lattice.crs, transform=box.transform) as file:
        file.write(codes, 1)


class Tags(HTMLParser):
    """Collects what a browser would load, and checks that tags are balanced."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open, self.loads, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.loads += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


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
        "All pixels of Grass" in said and "none left to learn from" in said for said in summary.accuracy.remarks()
    )


def test_the_map_is_scored_on_labels_of_their_own(project, tmp_path: Path):
    write_labels(project, tmp_path / "fields.tif", wrong_every=4)
    summary = evaluate(project.root, EvaluateOptions(labels=LabelFiles.of(tmp_path / "fields.tif")))
    # The map has the known classes in nearly all pixels; a quarter of the rows of the labels say otherwise.
    assert summary.accuracy.scores.overall_accuracy == pytest.approx(0.75, abs=0.03)
    assert summary.accuracy.classifier == "The map"
    assert summary.accuracy.unmapped > 0
    assert any("no data in the map" in said for said in summary.accuracy.remarks())


def test_the_map_is_scored_without_features_too(project, tmp_path: Path):
    write_labels(project, tmp_path / "fields.tif")
    shutil.rmtree(project.root / "features")
    summary = evaluate(project.root, EvaluateOptions(labels=LabelFiles.of(tmp_path / "fields.tif")))
    assert summary.accuracy.scores.overall_accuracy > 0.95
    assert "are not there any more" in summary.files.report.read_text()
    with pytest.raises(MissingError, match="cropcube features"):
        evaluate(project.root)


def test_the_labels_of_training_are_only_scored_in_the_test_blocks(project, tmp_path: Path, monkeypatch):
    write_labels(project, tmp_path / "fields.tif")
    monkeypatch.setattr(LabelFiles, "digest", read_card(project.model_path).labels.digest)
    summary = evaluate(project.root, EvaluateOptions(labels=LabelFiles.of(tmp_path / "fields.tif")))
    card = read_card(project.model_path)
    test = load_samples(project.model_path, card).of_set("test")
    assert summary.accuracy.scores.samples + summary.accuracy.unmapped == len(test)
    assert "only its test set" in summary.notes[0]


def test_features_that_are_no_labels_of_the_region_are_noted(project, tmp_path: Path):
    lon, lat = project.spec.region.geometry.representative_point().coords[0]
    code = LEGEND.codes[0]
    (tmp_path / "p.csv").write_text(f"lon,lat,crop\n{lon},{lat},{code}\n{lon},{lat},\n0,0,{code}\n0,1,{code}\n")
    summary = evaluate(project.root, EvaluateOptions(labels=LabelFiles.of(tmp_path / "p.csv")))
    assert summary.accuracy.scores.samples == 1
    assert "1 features of the label file left out: without a class" in summary.notes
    assert "2 features of the label file left out: outside the region" in summary.notes


@pytest.mark.parametrize("folds", [None, 2])
def test_labels_of_classes_that_the_legend_lacks_are_left_out_and_named(project, tmp_path: Path, folds):
    import rasterio

    write_labels(project, tmp_path / "fields.tif")
    files = LabelFiles.of(tmp_path / "fields.tif")
    whole = evaluate(project.root, EvaluateOptions(files, folds=folds)).accuracy.scores
    with rasterio.open(tmp_path / "fields.tif", "r+") as file:
        codes = file.read(1)
        grass = int((codes == LEGEND.codes[2]).sum())
        codes[codes == LEGEND.codes[2]] = 4100
        file.write(codes, 1)
    summary = evaluate(project.root, EvaluateOptions(files, folds=folds))
    assert summary.accuracy.scores.samples == whole.samples - whole.classes[2].support
    (said,) = [note for note in summary.notes if "4100" in note]
    inside_it = int(said.split()[0].replace(",", ""))
    assert whole.classes[2].support <= inside_it <= grass
    assert f"4100 ({inside_it} pixels)" in said
    assert "known classes only" in said
    with rasterio.open(tmp_path / "fields.tif", "r+") as file:
        file.write(np.where(codes > 0, 4100, 0).astype(np.uint16), 1)
    with pytest.raises(InvalidInputError, match="no class of the legend in the region small, only 4100") as caught:
        evaluate(project.root, EvaluateOptions(files, folds=folds))
    assert "1110 Winter wheat" in caught.value.next_step
    assert "--legend" not in caught.value.next_step


def test_folds_take_labels_of_their_own(project, tmp_path: Path):
    write_labels(project, tmp_path / "fields.tif")
    summary = evaluate(project.root, EvaluateOptions(labels=LabelFiles.of(tmp_path / "fields.tif"), folds=2))
    assert 4000 < summary.accuracy.scores.samples < 96 * 96
    assert any("without a clear observation" in note for note in summary.notes)


def test_the_report_needs_nothing_beside_itself_and_says_what_it_must(project):
    summary = evaluate(project.root)
    text = summary.files.report.read_text(encoding="utf-8")
    page = Tags()
    page.feed(text)
    assert page.open == []
    assert len(page.loads) == 9  # map, composite, labels, map; three crops; confidence, clear observations
    assert all(link.startswith("data:image/png;base64,") for link in page.loads)
    assert "url(" not in text
    assert len(text) < 3_000_000
    assert str(project.root) not in text
    words = " ".join(page.texts)
    for wanted in ("Maize & more", "Confusion matrix", "overall accuracy", "macro-F1", "median-10d", "fields.gpkg",
                   "2019-03-01/2019-05-10", "Random forest", "blocks of 160 m", "12 overlapping classes", "NDVI",
                   "How sure the map is", "cropcube features --kind median --window 10", "cropcube predict",
                   "cropcube evaluate"):  # fmt: skip
        assert wanted in words
    assert "Maize &amp; more" in text
    assert summary.files.picture.read_bytes().startswith(b"\x89PNG")


def test_the_figures_of_the_page_are_those_for_machines(project):
    summary = evaluate(project.root, EvaluateOptions(folds=3, seeds=2))
    page = Tags()
    page.feed(summary.files.report.read_text(encoding="utf-8"))
    words, figures = " ".join(page.texts), summary.as_dict()
    assert f"{100 * figures['overall_accuracy']:.1f} %" in words
    for row, entry in zip(figures["confusion"], figures["classes"], strict=True):
        assert " ".join([entry["name"], *(f"{count:,}" for count in row)]) in words
        assert " ".join([entry["name"], *(f"{entry[score]:.3f}" for score in ("precision", "recall", "f1"))]) in words
    macro = figures["intervals"]["macro_f1"]
    assert len(macro["values"]) == 6
    assert f"{macro['low']:.2f} to {macro['high']:.2f}" in words
    assert "cropcube evaluate --folds 3 --seeds 2" in words


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


def test_failed_reads_are_told_without_folders_and_secrets(project):
    failed = {"scene": "S2A_31UES_20190302", "band": "B04", "error": "https://host/private/B04.tif?sig=secret refused"}
    key = "build/utm31n/s000/r0000c0000"
    details = {"failed": [failed], "failed_reads": 3}
    Ledger(project.ledger_path).write(Record(key, "digest", "incomplete", details))
    text = evaluate(project.root).files.report.read_text(encoding="utf-8")
    assert "<dt>Failed reads</dt><dd>3</dd>" in text
    assert "<dt>S2A_31UES_20190302 B04</dt><dd>B04.tif refused</dd>" in text
    assert "secret" not in text


def test_the_same_evaluation_writes_the_same_report(project):
    first = evaluate(project.root).files.report.read_bytes()
    assert evaluate(project.root).files.report.read_bytes() == first


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


def test_labels_are_drawn_where_they_are(made):
    index = load_samples(made.model_path, read_card(made.model_path))
    box = detail_box(made, index)
    image = label_picture(index, box)
    drawn = image > 0
    np.testing.assert_array_equal(image[drawn], known_classes(box)[drawn])
    assert drawn.sum() > 100
    assert max(box.shape) <= 512


def test_areas_are_written_as_people_read_them():
    told = ["0.0 ha", "0.04 ha", "13.8 ha", "1,380 ha", "2.31 Mha"]
    assert [hectares_text(x) for x in (0.0, 0.04, 13.84, 1380.2, 2_310_000)] == told
