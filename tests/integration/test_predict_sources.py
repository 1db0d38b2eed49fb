"""The sample's map, straight from its scenes and from its cube: the bytes that its stored features give."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import cropcube
from cropcube.demo.scenes import DemoScenes
from tests.support.granules import tree_bytes

pytestmark = pytest.mark.slow
SERIAL: Any = {"cluster": "serial", "quiet": True}


@pytest.mark.parametrize("features", ["median-5d", "harmonic-2", "statistics-evi-lswi"])
def test_the_sample_is_mapped_the_same_from_every_source(
    sample_scenes: DemoScenes, sample_project: Path, tmp_path: Path, features: str
) -> None:
    model = tmp_path / "model"
    if features.startswith("statistics"):
        cropcube.features(sample_project, kind="statistics", index="EVI,LSWI", **SERIAL)
    cropcube.train(
        sample_project, labels=sample_scenes.labels, legend=sample_scenes.legend, features=features,
        classifier="forest", trees=20, block_m=160, model=model, quiet=True,
    )  # fmt: skip
    maps = []
    for source in ("features", "cube", "catalog"):
        root = tmp_path / source
        shutil.copytree(sample_project, root, ignore=shutil.ignore_patterns("map.zarr", "predict"))
        if source != "features":
            shutil.rmtree(root / "features")
        if source == "catalog":
            shutil.rmtree(root / "cube.zarr")
        made = cropcube.predict(root, model=model, source=source, **SERIAL).as_dict()
        assert made["done"] == made["tasks"] > 0
        assert made["failed_reads"] == 0
        maps.append(tree_bytes(root / "map.zarr"))
    assert maps[0] == maps[1] == maps[2]
