"""The card of a model, for people and as JSON."""

import json
import shutil
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from cropcube.domain.model_card import Calibration
from cropcube.errors import InvalidInputError, MissingError
from cropcube.model.checkpoint import CARD_NAME, read_card
from cropcube.pipeline.show_model import show_model
from cropcube_cli.main import make_app
from tests.support.small_features import train_forest, write_features
from tests.support.small_map import LEGEND, small_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = small_project(tmp_path_factory.mktemp("shown") / "project")
    train_forest(made, write_features(made))
    path = made.model_path / CARD_NAME
    card = replace(read_card(made.model_path), calibration=Calibration(0.8, 0.071, 0.032, 321))
    path.write_text(card.to_json())
    return made


def test_a_model_is_shown_to_people(project):
    found = CliRunner().invoke(make_app(), ["model", "show", str(project.root)], env={"COLUMNS": "200"})
    assert found.exit_code == 0
    for words in ("forest", "sentinel-2-l2a", "median-10d: 7 steps", "blocks of 160 m", *LEGEND.names):
        assert words in found.stdout
    assert "temperature 0.8, expected calibration error 7.1 % before and 3.2 % after" in found.stdout
    assert "elsewhere, score it on labels of that place first" in " ".join(found.stdout.split())


def test_what_labels_were_taken_by_and_how_many_is_shown(project, tmp_path):
    shutil.copytree(project.model_path, tmp_path / "model")
    card = read_card(project.model_path)
    labels = replace(
        card.labels, rules={"erode_m": 10.0}, features={"read": 1234, "too small": 5}, dropped={"never observed": 67}
    )
    (tmp_path / "model" / CARD_NAME).write_text(replace(card, labels=labels).to_json())
    found = CliRunner().invoke(make_app(), ["model", "show", str(tmp_path / "model")], env={"COLUMNS": "200"})
    for words in ("erode m 10.0", "1,234 read; left out: 5 too small", "67 never observed"):
        assert words in found.stdout
    assert "best epoch" not in found.stdout  # a forest has none


def test_json_holds_the_whole_card(project):
    found = CliRunner().invoke(make_app(), ["model", "show", str(project.model_path), "--json"])
    said = json.loads(found.stdout)
    assert said["card"]["legend"] == LEGEND.as_json()
    assert said["card"]["calibration"]["temperature"] == 0.8
    assert [entry["name"] for entry in said["classes"]] == list(LEGEND.names)
    assert all(entry["samples"]["train"] > 0 for entry in said["classes"])


def test_a_class_without_samples_and_a_missing_calibration_are_limits(project, tmp_path):
    shutil.copytree(project.model_path, tmp_path / "model")
    card = read_card(project.model_path)
    counts = {part: {**names, "Grass": 0} for part, names in card.split.counts.items()}
    (tmp_path / "model" / CARD_NAME).write_text(
        replace(card, calibration=None, split=replace(card.split, counts=counts)).to_json()
    )
    limits = show_model(tmp_path / "model").limits
    assert any("Never maps Grass" in limit for limit in limits)
    assert any("not calibrated" in limit for limit in limits)


def test_what_is_no_model_and_what_was_changed_is_refused(project, tmp_path):
    with pytest.raises(MissingError, match="holds no model, and is in no project"):
        show_model(tmp_path)
    shutil.copytree(project.model_path, tmp_path / "model")
    path = tmp_path / "model" / CARD_NAME
    path.write_text(path.read_text().replace('"Grass"', '"Meadow"'))
    with pytest.raises(InvalidInputError, match="was changed since"):
        show_model(tmp_path / "model")
