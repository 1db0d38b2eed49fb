"""Folders that cannot be written and full disks, verb by verb: one clear error, nothing half-written stands."""

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio

import cropcube
from cropcube.demo.scenes import DemoScenes, write_scenes
from cropcube.domain.grid import inside, owned
from cropcube.domain.lattice import Lattice
from cropcube.errors import CropcubeError, ResourceError
from cropcube.pipeline.export import ExportOptions, export
from tests.support import console
from tests.support.granules import tree_bytes
from tests.support.small_map import known_classes, small_project, write_known_map

SEASON = "2019-04-01/2019-05-20"
SERIAL = {"cluster": "serial", "quiet": True}
FULL = ("No space left", "the disk is full", "projected to store", "could not be written")
"""What is said of a full disk; GDAL does not always know why it could not write."""


@dataclass(frozen=True)
class Job:
    """A project of the sample in which every verb has been run, and what it was made from."""

    root: Path
    scenes: DemoScenes

    def at(self, root: Path) -> "Job":
        """Return the same job with its project elsewhere."""
        return Job(root, self.scenes)

    def build(self, root: Path) -> object:
        return cropcube.build(
            root, region=str(self.scenes.outline), season=SEASON, catalog=str(self.scenes.catalog), tile_px=96, **SERIAL
        )

    def train(self, seed: int = 0) -> object:
        return cropcube.train(
            self.root, labels=self.scenes.labels, legend=self.scenes.legend, features="median-30d",
            classifier="forest", trees=5, block_m=160, seed=seed, quiet=True,
        )  # fmt: skip


VERBS: dict[str, Callable[[Job], object]] = {
    "build": lambda job: job.build(job.root / "new"),
    "search": lambda job: cropcube.build(job.root, search=True, **SERIAL),
    "features": lambda job: cropcube.features(job.root, kind="harmonic", **SERIAL),
    "train": lambda job: job.train(seed=1),
    "predict": lambda job: cropcube.predict(job.root, rebuild=True, **SERIAL),
    "evaluate": lambda job: cropcube.evaluate(job.root, quiet=True),
    "export": lambda job: cropcube.export(job.root, cog=job.root / "map.tif"),
    "extract": lambda job: cropcube.extract(
        job.root, polygons=job.scenes.outline, output=job.root / "series.parquet", **SERIAL
    ),
    "scenes": lambda job: write_scenes(job.root / "scenes"),
}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("job")
    made = Job(folder / "project", write_scenes(folder / "scenes"))
    made.build(made.root)
    cropcube.features(made.root, window=30, **SERIAL)
    made.train()
    cropcube.predict(made.root, **SERIAL)
    return made


@contextlib.contextmanager
def mounted(folder: Path, *words: str) -> Iterator[None]:
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, *words, folder], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        yield
    finally:
        # Lazily: a Parquet writer that met the full disk keeps its file until it is collected.
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def unwritable(job: Job, tmp_path: Path) -> Iterator[Job]:
    """The job on a file system that is mounted for reading (no rights hold root back)."""
    root = tmp_path / "project"
    root.mkdir()
    with mounted(root, "--bind", str(job.root)):
        subprocess.run(["mount", "-o", "remount,ro,bind", root], check=True)
        yield job.at(root)


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_that_cannot_be_written_is_said(unwritable: Job, verb: str) -> None:
    before = tree_bytes(unwritable.root)
    with pytest.raises(CropcubeError, match="Read-only file system") as caught:
        VERBS[verb](unwritable)
    assert str(unwritable.root) in caught.value.what
    assert caught.value.next_step
    assert tree_bytes(unwritable.root) == before


def test_what_writes_nothing_works_in_a_folder_that_cannot_be_written(unwritable: Job) -> None:
    place = ("--project", unwritable.root)
    said = console.as_json("build", *place)
    assert said["reused"] == said["tasks"] > 0
    assert console.as_json("build", "--dry-run", *place)["tasks"] == 0
    assert console.as_json("features", "--window", 30, *place)["done"] == 0
    assert console.as_json("predict", *place)["done"] == 0
    console.ok("status", *place)
    refused = console.run("features", *place)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: ")
    assert "Traceback" not in refused.stderr


@pytest.fixture
def small(job: Job, tmp_path: Path) -> Iterator[tuple[Job, Path]]:
    """The job on a disk of 32 MB, and a file that can be removed to make room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(disk, "-t", "tmpfs", "-o", "size=32m", "tmpfs"):
        shutil.copytree(job.root, disk / "project")
        yield job.at(disk / "project"), disk / "filler"


def leave(filler: Path, free: int) -> None:
    """Fill a disk but for some bytes."""
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        os.truncate(filler, max(0, file.tell() - free))


def refusal(work: Callable[[], object]) -> CropcubeError | None:
    """Return the error of a piece of work, if any."""
    try:
        work()
    except CropcubeError as error:
        return error
    return None


@pytest.mark.parametrize("free", [0, 12288])
@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_is_said_and_with_room_the_same_command_ends_well(
    small: tuple[Job, Path], verb: str, free: int
) -> None:
    job, filler = small
    leave(filler, free)
    error = refusal(lambda: VERBS[verb](job))
    if error is None:
        assert free > 0, "nothing can have been written"
    else:
        assert error.next_step
        assert any(
            word in error.what
            for word in ("No space left", "disk is full", "projected to store", "could not be written")
        )
    assert cropcube.status(job.root).as_dict()["stages"]
    filler.unlink()
    VERBS[verb](job)
    stages = cropcube.status(job.root).as_dict()["stages"]
    assert {stage["stage"]: (stage["tasks"], stage["done"]) for stage in stages}
    assert all(stage["tasks"] == stage["done"] for stage in stages)


@pytest.fixture
def longest_file() -> Iterator[Callable[[int], None]]:
    """Set how long a file may get; nobody needs to be root for that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda length: resource.setrlimit(resource.RLIMIT_FSIZE, (length, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_geotiff_is_whole_or_not_there(tmp_path: Path, longest_file: Callable[[int], None]) -> None:
    """GDAL says nothing when the last bytes of a file cannot be written: whatever the place of the cut, we do."""
    project = small_project(tmp_path / "project", (4.05, 50.74, 4.15, 50.79))
    write_known_map(project)
    whole = export(project.root, ExportOptions(tmp_path / "whole.tif")).files[0].size_bytes
    refused = 0
    for length in (*range(1000, whole, whole // 20), whole - 1, whole - 500, 4 * whole):
        target = tmp_path / f"{length}.tif"
        longest_file(length)
        error = refusal(lambda: export(project.root, ExportOptions(target)))  # noqa: B023
        longest_file(resource.RLIM_INFINITY)
        if error is not None:
            refused += 1
            assert "could not be written" in error.what
            assert not target.exists()
        else:
            with rasterio.open(target) as file:
                box = Lattice.utm(31, True).box_of_bounds(file.bounds, 10)
                counted = inside(project.spec.region, box) & owned(box)
                np.testing.assert_array_equal(file.read(1), np.where(counted, known_classes(box), 0))
    assert refused >= 20
    assert target.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_scenes_of_the_demo_are_whole_or_not_there(tmp_path: Path, longest_file: Callable[[int], None]) -> None:
    longest_file(3000)
    with pytest.raises(ResourceError, match="scenes cannot be written"):
        write_scenes(tmp_path / "scenes")
    longest_file(resource.RLIM_INFINITY)
    assert not (tmp_path / "scenes" / "scenes.json").exists()
    assert write_scenes(tmp_path / "scenes").catalog.exists()
