"""Samples of a project are the same from its features and from the cube: to learn from, and to be scored on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cropcube.errors import InvalidInputError, MissingError, UsageError
from cropcube.pipeline.evaluate import EvaluateOptions, evaluate
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.train import train
from tests.support import small_job
from tests.support.granules import tree_bytes
from tests.support.small_build import built
from tests.support.small_job import MEDIAN, learn


@pytest.fixture(scope="module")
def cube(tmp_path_factory) -> Path:
    """A project that was built, never changed by the tests."""
    root, _ = built(tmp_path_factory.mktemp("cube"))
    return root


@pytest.mark.parametrize("classifier", ["forest", "cropnet"])
def test_a_model_learnt_from_the_cube_is_the_same(cube: Path, tmp_path: Path, classifier: str) -> None:
    root = tmp_path / "project"
    shutil.copytree(cube, root)
    learn(root, MEDIAN, classifier)
    before = tree_bytes(root / "model")
    shutil.rmtree(root / "model")
    summary = train(root, small_job.options(root.parent, MEDIAN, classifier, "cube"))
    assert not summary.reused
    found = {name: content for name, content in tree_bytes(root / "model").items() if name.startswith("weights")}
    assert found == {name: content for name, content in before.items() if name.startswith("weights")}
    assert train(root, small_job.options(root.parent, MEDIAN, classifier)).reused


@pytest.mark.parametrize("options", [{}, {"folds": 2, "compare": ("boosting",)}])
def test_scores_and_report_from_the_cube_are_those_from_features(cube: Path, tmp_path: Path, options) -> None:
    root = tmp_path / "project"
    shutil.copytree(cube, root)
    learn(root, MEDIAN)
    stored = evaluate(root, EvaluateOptions(**options))
    page = stored.files.report.read_text()
    shutil.rmtree(root / "features")
    with pytest.raises(MissingError, match="no features") as caught:
        evaluate(root, EvaluateOptions(**options))
    assert "cropcube features --kind median" in caught.value.next_step
    assert "--from cube" in caught.value.next_step
    made = evaluate(root, EvaluateOptions(**options, origin="cube"))
    assert made.as_dict() == stored.as_dict()
    told = made.files.report.read_text()
    figures, commands = told.split("cropcube build", 1)
    assert figures == page.split("cropcube build", 1)[0]
    assert "cropcube evaluate" in commands
    assert "--from cube" in commands
    assert "cropcube features" not in commands
    shutil.rmtree(root / "cube.zarr")
    with pytest.raises(MissingError, match="no cube yet"):
        evaluate(root, EvaluateOptions(**options, origin="cube"))


def test_samples_of_no_such_source_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="'map'"):
        EvaluateOptions(origin="map")
    with pytest.raises(UsageError, match="--from and --table"):
        EvaluateOptions(LabelFiles((), table=Path("t.parquet")), origin="cube")
