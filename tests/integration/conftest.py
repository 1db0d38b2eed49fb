"""The shipped sample, built once for all the tests here."""

from pathlib import Path

import pytest

from cropcube.demo.scenes import DemoScenes, write_scenes
from tests.support import console

SEASON = "2018-12-01/2019-11-28"


@pytest.fixture(scope="session")
def sample_scenes(tmp_path_factory: pytest.TempPathFactory) -> DemoScenes:
    """The sample as a catalogue."""
    return write_scenes(tmp_path_factory.mktemp("sample") / "scenes")


@pytest.fixture(scope="session")
def sample_project(sample_scenes: DemoScenes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of the sample with cube, medians of 5 and 15 days, and harmonics."""
    root = tmp_path_factory.mktemp("project")
    console.ok(
        "build", "--region", sample_scenes.outline, "--season", SEASON, "--catalog", sample_scenes.catalog,
        "--tile-px", 96, "--cluster", "serial", "--project", root,
    )  # fmt: skip
    common = ("--cluster", "serial", "--project", root)
    console.ok("features", "--kind", "median", *common)
    console.ok("features", "--kind", "median", "--window", 15, *common)
    console.ok("features", "--kind", "harmonic", *common)
    return root
