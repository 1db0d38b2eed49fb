"""Objects that vanish or shrink behind the ledger's back: seen, refused by readers, and alone made again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cropcube.config import Project, read_project
from cropcube.errors import CropcubeError, MissingError, ReadError
from cropcube.pipeline.build import build
from cropcube.pipeline.evaluate import evaluate
from cropcube.pipeline.export import ExportOptions, export
from cropcube.pipeline.extract import ExtractOptions, extract
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.status import status
from cropcube.pipeline.train import TrainOptions, train
from tests.support.granules import tree_bytes
from tests.support.small_build import SERIAL, built
from tests.support.small_features import SPEC, train_forest, write_features
from tests.support.small_map import TWO_ZONES, small_project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a cube and features."""
    project, _ = built(tmp_path_factory.mktemp("made"))
    features(project, run=SERIAL)
    return read_project(project)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with features, a forest and its map."""
    project = small_project(tmp_path_factory.mktemp("mapped") / "project", TWO_ZONES)
    train_forest(project, write_features(project))
    predict(project.root, PredictOptions(), SERIAL)
    return project


def copy(project: Project, folder: Path) -> Project:
    shutil.copytree(project.root, folder / "project")
    return replace(project, root=folder / "project")


def lose(store: Path, array: str, cut: bool) -> str:
    """Remove an object of an array, or cut it short; return its name."""
    lost = sorted(path for path in store.glob(f"*/*/{array}/c/**/*") if path.is_file())[0]
    lost.write_bytes(lost.read_bytes()[:-7]) if cut else lost.unlink()
    return lost.relative_to(store).as_posix()


def stage_of(project: Project, number: int) -> dict[str, int]:
    return status(project.root).as_dict()["stages"][number]


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("array", ["reflectance", "quality", "present"])
def test_of_the_cube(made: Project, tmp_path: Path, array: str, cut: bool) -> None:
    project = copy(made, tmp_path)
    before = tree_bytes(project.root)
    name = lose(project.cube_path, array, cut)
    assert (stage_of(project, 0)["damaged"], stage_of(project, 0)["done"]) == (1, 5)
    for read in (
        lambda: features(project.root, FeaturesOptions(SPEC), SERIAL),
        lambda: extract(project.root, ExtractOptions(points=project.root / "points.csv")),
    ):
        with pytest.raises(ReadError, match=name) as refused:
            read()
        assert "`cropcube build`" in refused.value.next_step
    summary = build(project.root, run=SERIAL).as_dict()
    assert (summary["done"], summary["reused"]) == (1, 5)
    assert tree_bytes(project.root) == before


@pytest.mark.parametrize("array", ["median", "clear_count"])
def test_of_features(made: Project, tmp_path: Path, array: str) -> None:
    project = copy(made, tmp_path)
    before = tree_bytes(project.root)
    name = lose(project.features_path("median-5d"), array, cut=False)
    assert stage_of(project, 1)["damaged"] == 1
    with pytest.raises(ReadError, match=name) as refused:
        train(project.root, TrainOptions(LabelFiles.of(project.root / "labels.csv"), classifier="forest"))
    assert "`cropcube features --kind median --window 5`" in refused.value.next_step
    assert features(project.root, run=SERIAL).stage.count("done") == 1
    assert tree_bytes(project.root) == before


def test_of_the_features_that_a_model_takes(mapped: Project, tmp_path: Path) -> None:
    project = copy(mapped, tmp_path)
    name = lose(project.features_path(SPEC.name), "median", cut=True)
    for read in (lambda: predict(project.root, PredictOptions(), SERIAL), lambda: evaluate(project.root)):
        with pytest.raises(ReadError, match=name):
            read()


def test_of_the_map(mapped: Project, tmp_path: Path) -> None:
    project = copy(mapped, tmp_path)
    before = tree_bytes(project.root)
    name = lose(project.map_path, "crop", cut=False)
    assert sum(stage.get("damaged", 0) for stage in status(project.root).as_dict()["stages"]) == 1
    for read in (lambda: export(project.root, ExportOptions(tmp_path / "map.tif")), lambda: evaluate(project.root)):
        with pytest.raises(ReadError, match=name) as refused:
            read()
        assert "`cropcube predict`" in refused.value.next_step
    assert predict(project.root, PredictOptions(), SERIAL).stage.count("done") == 1
    assert tree_bytes(project.root) == before


@pytest.mark.parametrize("what", ["weights", "samples", "card"])
def test_of_the_model(mapped: Project, tmp_path: Path, what: str) -> None:
    project = copy(mapped, tmp_path)
    (lost,) = project.model_path.glob(f"{what}*")
    lost.unlink()
    assert any(str(project.model_path) in problem for problem in status(project.root).problems)
    with pytest.raises(MissingError, match=r"model") as refused:
        predict(project.root, PredictOptions(), SERIAL)
    assert isinstance(refused.value, CropcubeError)
    assert "cropcube train" in refused.value.next_step
