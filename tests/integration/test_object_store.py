"""The commands on a project in an object store, with worker processes: the bytes of the same project in a folder."""

from pathlib import Path

import numpy as np
import pytest

import cropcube
from cropcube.demo.scenes import DemoScenes
from tests.integration.conftest import SEASON
from tests.support import console
from tests.support.object_store import KEY, SECRET, object_store

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bucket():
    with pytest.MonkeyPatch.context() as environment, object_store(environment) as store:
        yield store.bucket()


def test_the_sample_in_a_bucket(bucket, sample_scenes: DemoScenes, sample_project: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = bucket / "demo"
    workers = ("--cluster", "local", "--workers", "2", "--project", str(root))
    said = console.as_json(
        "build", "--region", sample_scenes.outline, "--season", SEASON, "--catalog", sample_scenes.catalog,
        "--tile-px", 96, *workers,
    )  # fmt: skip
    assert said["done"] == said["tasks"]
    console.ok("features", "--kind", "median", "--window", 15, *workers)
    for name, size in root.below():
        content = (root / name).read_bytes()
        assert len(content) == size
        assert SECRET.encode() not in content
        assert KEY.encode() not in content
        if name not in ("cropcube.toml", "scenes.parquet"):  # they name the region's and the catalogue's files
            assert content == (sample_project / name).read_bytes(), name
    stood = cropcube.open(sample_project).features("median-15d")["utm31n/r10m"]
    found = cropcube.open(str(root)).features("median-15d")["utm31n/r10m"]
    assert set(found.data_vars) == set(stood.data_vars) != set()
    for name, array in stood.data_vars.items():
        np.testing.assert_array_equal(found[name].values, array.values)
    assert len(cropcube.open(str(root)).scenes) == len(cropcube.open(sample_project).scenes)
    assert console.as_json("status", "--project", str(root))["problems"] == []
    again = console.as_json("features", "--kind", "median", "--window", 15, *workers)
    assert (again["done"], again["reused"]) == (0, again["tasks"])


@pytest.mark.parametrize("place", ["ftp://host/x", "s3://key:secret@fields/x"])
def test_places_that_are_none(place):
    said = console.run("status", "--project", place)
    assert said.returncode == 2
    assert "secret" not in said.stderr
