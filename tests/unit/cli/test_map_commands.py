"""`predict`, `evaluate` and `export` as people and programs see them."""

from __future__ import annotations

import json
import shutil

import pytest
import rasterio
from typer.testing import CliRunner

from cropcube.errors import MissingError
from cropcube_cli.main import make_app
from tests.support.small_features import train_forest, write_features
from tests.support.small_map import LEGEND, TWO_ZONES, small_project


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    project = small_project(tmp_path_factory.mktemp("commands") / "project", TWO_ZONES)
    train_forest(project, write_features(project))
    done = run("predict", project.root, "--cluster", "serial", "--quiet", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["area"]["pixels"].keys() == set(LEGEND.names)
    return project.root


def run(verb, root, *arguments):
    return CliRunner().invoke(make_app(), [verb, "--project", str(root), *map(str, arguments)])


def test_predict_prints_areas_and_leaves_what_stands(root):
    done = run("predict", root, "--cluster", "serial", "--quiet")
    assert done.exit_code == 0, done.output
    for wanted in ("Winter wheat", "hectares", "map.zarr", "tiles done, reused"):
        assert wanted in done.stdout
    assert "0, " in done.stdout


def test_evaluate_prints_one_object_for_programs(root):
    done = run("evaluate", root, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert {"overall_accuracy", "macro_f1", "classes", "confusion", "report", "picture", "compared"} <= said.keys()
    assert len(said["confusion"]) == len(said["classes"]) == len(LEGEND)
    assert 0.5 < said["overall_accuracy"] <= 1


def test_evaluate_prints_tables_and_paths_for_people(root):
    done = run("evaluate", root, "--quiet")
    assert done.exit_code == 0, done.output
    for wanted in ("overall accuracy", "Confusion", "report.html", "map.png", "Grass"):
        assert wanted in done.stdout


def test_export_names_each_zone_and_says_so(root, tmp_path):
    done = run("export", root, "--cog", tmp_path / "map.tif")
    assert done.exit_code == 0, done.output
    assert "map-utm31n.tif" in done.stdout
    assert "2 zones" in done.stderr
    assert (tmp_path / "map-utm32n.tif").exists()


def test_export_of_probabilities_says_how_to_have_them_and_writes_a_band_for_each_class(root, tmp_path):
    done = run("export", root, "--cog", tmp_path / "p.tif", "--layer", "probability")
    assert isinstance(done.exception, MissingError)
    assert "has no probability" in str(done.exception)
    assert "--probabilities" in done.exception.next_step
    project = tmp_path / "project"
    shutil.copytree(root, project)
    assert run("predict", project, "--rebuild", "--probabilities", "--cluster", "serial", "--quiet").exit_code == 0
    done = run("export", project, "--cog", tmp_path / "p.tif", "--layer", "probability")
    assert done.exit_code == 0, done.output
    assert "probability: " in done.stdout
    with rasterio.open(tmp_path / "p-utm31n.tif") as file:
        assert file.descriptions == LEGEND.names


def test_a_verb_in_the_wrong_order_names_the_right_one(tmp_path):
    project = small_project(tmp_path / "project")
    for verb, arguments in (("predict", ()), ("evaluate", ()), ("export", ("--cog", tmp_path / "map.tif"))):
        done = run(verb, project.root, *arguments)
        assert isinstance(done.exception, MissingError)
        assert "cropcube train" in str(done.exception) or "cropcube predict" in str(done.exception)
