"""Labels other than the test set: what of them the map is scored on, and what is left out."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import Transformer

from cropcube.errors import InvalidInputError, MissingError, ModelMismatchError
from cropcube.model.checkpoint import load_samples, read_card
from cropcube.pipeline import evaluate as evaluate_module
from cropcube.pipeline.evaluate import EvaluateOptions, evaluate
from cropcube.pipeline.labels import LabelFiles
from cropcube.samples.label_rules import LabelRules
from cropcube.samples.split import Blocks
from tests.support.small_features import write_labels
from tests.support.small_map import LEGEND


def place_of(project, part: str) -> tuple[float, float]:
    """Return lon, lat of a pixel of a set, in the region."""
    index = load_samples(project.model_path, read_card(project.model_path)).of_set(part)
    lattice = project.spec.grid.zones[0].lattice
    x, y = lattice.left_m + index.col * 10 + 5, lattice.top_m - index.row * 10 - 5
    lon, lat = Transformer.from_crs(lattice.crs, 4326, always_xy=True).transform(x, y)
    there = np.flatnonzero(shapely.contains_xy(project.spec.region.geometry, lon, lat))[0]
    return lon[there], lat[there]


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


def learnt_blocks(project) -> tuple[set[int], Blocks]:
    """Return the numbers of the blocks that the model learnt from, and the blocks."""
    card = read_card(project.model_path)
    index = load_samples(project.model_path, card)
    return set(index.block[index.part < 2].tolist()), Blocks(card.split.block_m // 10, card.split.anchors)


def test_other_files_are_scored_outside_the_blocks_that_the_model_learnt_from_only(project, tmp_path, monkeypatch):
    write_labels(project, tmp_path / "fields.tif", wrong_every=4)
    scored, real = [], evaluate_module.of_map

    def spy(store, index, *rest):
        scored.append(index)
        return real(store, index, *rest)

    monkeypatch.setattr(evaluate_module, "of_map", spy)
    summary = evaluate(project.root, EvaluateOptions(LabelFiles.of(tmp_path / "fields.tif")))
    (index,), (learnt, blocks) = scored, learnt_blocks(project)
    found = set(blocks.of(index.zones[0], index.row, index.col).tolist())
    assert found
    assert not found & learnt
    (said,) = [note for note in summary.notes if "training or validation set" in note]
    left = int(said.split()[0].replace(",", ""))
    with rasterio.open(tmp_path / "fields.tif") as file:
        assert 0 < left < (file.read(1) > 0).sum()
    assert "blocks of 160 m" in said
    assert f"{len(index):,} of {len(index) + left:,} labelled pixels" in summary.accuracy.basis


def test_labels_that_all_lie_where_the_model_learnt_are_refused(project, tmp_path):
    lon, lat = place_of(project, "train")
    (tmp_path / "p.csv").write_text(f"lon,lat,crop\n{lon},{lat},{LEGEND.codes[0]}\n")
    files = LabelFiles.of(tmp_path / "p.csv")
    with pytest.raises(InvalidInputError, match=r"all 1 labelled pixels of p\.csv lie in places") as caught:
        evaluate(project.root, EvaluateOptions(files))
    assert "--folds 4" in caught.value.next_step
    card = read_card(project.model_path)
    (project.model_path / "card.json").write_text(replace(card, season="2018-03-01/2018-05-10").to_json())
    summary = evaluate(project.root, EvaluateOptions(files))
    assert summary.accuracy.scores.samples == 1
    assert any("in another season, 2018-03-01/2018-05-10" in note for note in summary.notes)


def test_the_files_of_training_by_other_rules_are_said_to_be_so(project, tmp_path, monkeypatch):
    lon, lat = place_of(project, "test")
    (tmp_path / "p.csv").write_text(f"lon,lat,crop\n{lon},{lat},{LEGEND.codes[0]}\n")
    monkeypatch.setattr(LabelFiles, "digest", read_card(project.model_path).labels.digest)
    summary = evaluate(project.root, EvaluateOptions(LabelFiles((tmp_path / "p.csv",), LabelRules(radius_m=15))))
    assert "read by other rules" in summary.notes[0]
    assert not any("only its test set" in note for note in summary.notes)
    assert 1 < summary.accuracy.scores.samples + summary.accuracy.unmapped <= 9


def test_features_that_are_no_labels_of_the_region_are_noted(project, tmp_path: Path):
    lon, lat = place_of(project, "test")
    code = LEGEND.codes[0]
    (tmp_path / "p.csv").write_text(f"lon,lat,crop\n{lon},{lat},{code}\n{lon},{lat},\n0,0,{code}\n0,1,{code}\n")
    summary = evaluate(project.root, EvaluateOptions(labels=LabelFiles.of(tmp_path / "p.csv")))
    assert summary.accuracy.scores.samples == 1
    assert "1 features of the label file left out: without a class" in summary.notes
    assert "2 features of the label file left out: outside the region" in summary.notes


@pytest.mark.parametrize("folds", [None, 2])
def test_labels_of_classes_that_the_legend_lacks_are_left_out_and_named(project, tmp_path: Path, folds):

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


def test_the_map_of_another_model_is_not_scored_as_if_it_had_not_learnt_elsewhere(project, tmp_path: Path):
    write_labels(project, tmp_path / "fields.tif")
    card = read_card(project.model_path)
    moved = replace(card.scaling, mean=tuple((row[0] + 1.0,) for row in card.scaling.mean))
    (project.model_path / "card.json").write_text(replace(card, scaling=moved).to_json())
    with pytest.raises(ModelMismatchError, match="made by another model") as caught:
        evaluate(project.root, EvaluateOptions(LabelFiles.of(tmp_path / "fields.tif")))
    assert "--model" in caught.value.next_step
