"""A mapped project that the tests of `evaluate` share."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.run.options import RunOptions
from tests.support.small_features import train_forest, write_features
from tests.support.small_map import small_project


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A project with features, a forest and its map, never written to by a test."""
    project = small_project(tmp_path_factory.mktemp("made") / "project")
    train_forest(project, write_features(project))
    predict(project.root, PredictOptions(), RunOptions("serial", quiet=True))
    return project


@pytest.fixture
def project(made, tmp_path: Path):
    shutil.copytree(made.root, tmp_path / "project")
    return replace(made, root=tmp_path / "project")
