"""Fits of CropNet as `train` makes them: what the model sees, what is held, and fits that go wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cropcube.errors import CropcubeError
from cropcube.model.augment import Augmentation
from cropcube.model.checkpoint import load_model
from cropcube.model.diary import WORK_FILE
from cropcube.model.fit_options import FitOptions
from cropcube.pipeline.train import notes_of_settings, train
from cropcube.pipeline.training_set import of_project
from tests.support.field_project import FAST, labelled_project
from tests.support.field_project import training_options as options
from tests.support.learning import break_down

AUGMENTED = Augmentation(copies=1, original=False, shift_days=20)


@pytest.fixture
def project(tmp_path):
    return labelled_project(tmp_path / "project")


def test_a_model_window_is_learnt_recorded_and_tells_models_apart(project):
    short = options(project, classifier="cropnet", model_window="03-18/04-28", fit=replace(FAST, augment=AUGMENTED))
    card = train(project.root, short).card
    assert (card.model_window, len(card.steps)) == ("03-18/04-28", 4)
    assert train(project.root, short).reused
    assert (project.model_path / "log.csv").read_text().count("\n") == 1 + FAST.epochs
    assert not (project.model_path / WORK_FILE).exists()
    again = train(project.root, replace(short, model_window="all"))
    assert not again.reused
    assert len(again.card.steps) == 7


def test_what_augmentation_takes_from_beyond_the_season_is_said(project):
    fit = replace(FAST, augment=AUGMENTED)
    summary = train(project.root, options(project, classifier="cropnet", fit=fit))
    assert any("lay outside the season and was held" in warning for warning in summary.warnings)
    assert summary.card.options["augment"]["scale_days"] == 15  # a quarter of the window of 60 days


def test_settings_that_do_not_do_what_they_are_known_for_are_said(project):
    asked = options(project, classifier="cropnet", fit=FitOptions.of_words("cropnet", {"recipe": "paper"}))
    job = of_project(project, asked)
    (moved, paper) = notes_of_settings(job, asked)
    assert "moved by at most 15 days, not 50: a quarter of the model's window of 60 days" in moved
    assert "published for 43 steps of median-5d; 7 steps of median-10d" in paper
    alone = replace(asked, model_window="03-18/03-28", fit=replace(asked.fit, width=4))
    (augment,) = notes_of_settings(of_project(project, alone), alone)
    assert "--augment changes nothing" in augment
    assert not notes_of_settings(job, replace(asked, fit=FAST))
    assert not notes_of_settings(job, replace(asked, classifier="forest"))


def test_a_fit_that_breaks_down_leaves_a_model_of_its_best_epoch_and_the_one_that_stood(project, monkeypatch):
    train(project.root, options(project, classifier="cropnet", fit=FAST))
    stood = {path.name: path.read_bytes() for path in project.model_path.iterdir()}
    break_down(monkeypatch, 2)
    with pytest.raises(CropcubeError, match="the loss is nan in epoch 2, batch 1") as caught:
        train(project.root, options(project, classifier="cropnet", fit=replace(FAST, seed=1)))
    assert f"is kept as a model in {project.model_path / 'last-good'}" in caught.value.next_step
    assert {path.name: path.read_bytes() for path in project.model_path.iterdir() if path.name in stood} == stood
    kept, card = load_model(project.model_path / "last-good")
    assert card.options["best_epoch"] == 1
    assert kept.classes == len(card.legend)
    assert card.made_of != load_model(project.model_path)[1].made_of


def test_a_model_that_is_no_better_than_one_class_is_said(project):
    wild = replace(FAST, learning_rate=9.0, epochs=1)
    summary = train(project.root, options(project, classifier="cropnet", fit=wild))
    assert (summary.scores.overall_accuracy <= summary.majority_accuracy) == any(
        "no better than" in warning for warning in summary.warnings
    )
    assert any("no better than" in warning for warning in summary.warnings)
