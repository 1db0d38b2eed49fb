"""Maps that CropNet makes on a GPU, for which another device of the processor stands in."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cropcube.cube.store import Store
from cropcube.errors import ConflictError, InvalidInputError
from cropcube.model import cropnet
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.status import status
from tests.support.granules import tree_bytes
from tests.support.small_build import SERIAL, built
from tests.support.small_job import MEDIAN, learn

ON_GPU = replace(SERIAL, device="cuda")


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, _ = built(tmp_path_factory.mktemp("cube"))
    learn(root, MEDIAN, "cropnet")
    return root


@pytest.fixture
def project(learnt: Path, tmp_path: Path) -> Path:
    root = tmp_path / "project"
    shutil.copytree(learnt, root)
    return root


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cropnet, "gpu", lambda: torch.device("cpu", 0))


def layers(root: Path) -> dict[str, np.ndarray]:
    store = Store.open(root / "map.zarr")
    (zone,) = store.zones
    return {name: store.read(zone, name, store.zone(zone).box(10)).astype(int) for name, _ in store.arrays}


@pytest.mark.usefixtures("device")
def test_the_map_is_that_of_the_processor_within_a_percent_and_says_where_it_was_made(project: Path) -> None:
    predict(project, PredictOptions(), SERIAL)
    on_processor = layers(project)
    assert "inference" not in Store.open(project / "map.zarr").attrs
    made = predict(project, PredictOptions(), ON_GPU)
    assert made.stage.count("done") > 0
    assert Store.open(project / "map.zarr").attrs["inference"] == "cuda"
    for name, values in layers(project).items():
        assert np.abs(values - on_processor[name]).max() <= (0 if name in ("crop", "clear_count") else 1)
    again = predict(project, PredictOptions(), ON_GPU)
    assert again.stage.count("reused") == made.stage.count("done")
    assert all(stage.is_done for stage in status(project).stages if stage.stage == "predict")


@pytest.mark.usefixtures("device")
def test_a_map_is_of_one_device_throughout(project: Path) -> None:
    predict(project, PredictOptions(), ON_GPU)
    with pytest.raises(
        ConflictError, match="made by another model, or with other --crop-mask, --probabilities or --device"
    ):
        predict(project, PredictOptions(box="4.05,50.74,4.06,50.75"), SERIAL)
    back = predict(project, PredictOptions(), SERIAL)
    assert back.stage.count("reused") == 0


def test_without_a_gpu_nothing_is_touched(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predict(project, PredictOptions(), SERIAL)
    before = tree_bytes(project / "map.zarr")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInputError, match="finds no GPU to classify on"):
        predict(project, PredictOptions(rebuild=True), ON_GPU)
    assert tree_bytes(project / "map.zarr") == before


def test_a_forest_stays_on_the_processor(project: Path) -> None:
    learn(project, MEDIAN, "forest")
    predict(project, PredictOptions(rebuild=True), ON_GPU)
    assert "inference" not in Store.open(project / "map.zarr").attrs
