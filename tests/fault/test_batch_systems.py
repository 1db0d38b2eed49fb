"""Workers as jobs of Slurm and PBS: real scripts of dask-jobqueue, run here at once by stand-ins of the commands."""

import os
import time

import pytest

from cropcube.config import FILE_NAME
from cropcube.errors import MissingError
from cropcube.pipeline.build import build
from cropcube.run import jobs
from cropcube.run.cluster import Wanted, open_executor
from cropcube.run.drive import drive
from cropcube.run.jobs import words_for_jobs
from cropcube.run.options import RunOptions
from cropcube.run.task import Task
from cropcube.run.workers import workers_of
from tests.support import console
from tests.support.batch_system import BatchSystem
from tests.support.granules import tree_bytes, write_catalog
from tests.support.small_build import build_small, granules

pytestmark = pytest.mark.slow
OPTIONS = {"cores": 1, "memory": "2GB", "interface": "lo", "queue": "normal", "walltime": "00:10:00"}


@pytest.fixture
def catalog(tmp_path):
    return write_catalog(granules(), tmp_path / "scenes")


@pytest.fixture
def batch(tmp_path, monkeypatch):
    started = []

    def start(kind, **words):
        started.append(BatchSystem(tmp_path / kind, kind, monkeypatch, **words))
        return started[-1]

    yield start
    for system in started:
        system.end()


def whoami(seconds):
    time.sleep(seconds)
    return os.getpid()


def wait_for_workers(executor, count):
    ends = time.monotonic() + 120
    while len(workers_of(executor.client)) < count:
        assert time.monotonic() < ends
        time.sleep(0.1)


@pytest.mark.parametrize(("kind", "directive"), [("slurm", "#SBATCH -p normal"), ("pbs", "#PBS -q normal")])
def test_a_build_by_jobs_gives_the_same_bytes_and_ends_them(tmp_path, catalog, batch, kind, directive):
    build_small(tmp_path / "clean", catalog)
    system = batch(kind)
    run = RunOptions(kind, workers=2, quiet=True, cluster_options=OPTIONS)
    summary = build_small(tmp_path / "project", catalog, run)
    assert summary.is_good
    assert summary.as_dict()["done"] == 6
    for part in ("cube.zarr", "ledger"):
        assert tree_bytes(tmp_path / "project" / part) == tree_bytes(tmp_path / "clean" / part)
    assert len(system.jobs) == 2
    assert all(directive in job for job in system.jobs)
    assert sorted(system.cancelled) == ["0", "1"]


def test_jobs_that_end_are_submitted_again_whole(tmp_path, batch, monkeypatch):
    """Two jobs of two workers each; one is over before the work is."""
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.2)
    system = batch("slurm")
    run = RunOptions("slurm", workers=3, cluster_options={**OPTIONS, "cores": 2, "processes": 2})
    workers, said = {}, []
    with open_executor(run, Wanted(60, say=said.append)) as executor:
        wait_for_workers(executor, 4)
        for number, outcome in enumerate(drive(executor, whoami, [Task(f"t{number}", 0.1) for number in range(400)])):
            assert outcome.error is None
            workers.setdefault(outcome.result, number)
            if number == 20:
                system.kill(0)
            if len(system.jobs) == 3 and len(workers) == 6:
                break
        wait_for_workers(executor, 4)
    assert len(system.jobs) == 3
    assert len(workers) == 6
    assert sorted(system.cancelled)[-1] == "2"


def test_memory_is_of_a_worker_and_a_job_has_one_for_each_core():
    words = words_for_jobs(RunOptions("slurm", memory_limit=4 * 2**30, cluster_options={"cores": 8}))
    assert words["processes"] == 8
    assert words["memory"] == f"{32 * 2**30}B"
    assert words_for_jobs(RunOptions("pbs", cluster_options={"cores": 8, "processes": 2}))["processes"] == 2


def test_the_table_of_the_project_starts_as_many_as_the_work_needs(tmp_path, catalog, batch):
    build_small(tmp_path / "clean", catalog)
    project = tmp_path / "project"
    build_small(project, catalog, scenes_only=True)
    lines = [f"{name} = {value!r}" for name, value in OPTIONS.items()]
    table = ["", "[cluster]", 'kind = "slurm"', "workers = [1, 2]", "", "[cluster.options]", *lines]
    with open(project / FILE_NAME, "a", encoding="utf-8") as file:
        file.write("\n".join(table).replace("'", '"') + "\n")
    system = batch("slurm")
    summary = build(project, run=RunOptions(quiet=True))
    assert summary.as_dict()["done"] == 6
    assert 1 <= len(system.jobs) <= 2
    assert tree_bytes(project / "cube.zarr") == tree_bytes(tmp_path / "clean" / "cube.zarr")


def test_no_batch_system_is_said(tmp_path, catalog, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(MissingError, match="--cluster slurm needs sbatch"):
        build_small(tmp_path / "project", catalog, RunOptions("slurm", cluster_options=OPTIONS))


@pytest.mark.parametrize("line", ['qeue = "normal"', 'queue = "normal"'])
def test_options_that_it_cannot_use_are_said(tmp_path, catalog, batch, line):
    batch("slurm")
    build_small(tmp_path / "project", catalog, scenes_only=True)
    cores = 'cores = 1\nmemory = "2GB"' if line.startswith("qeue") else ""
    with open(tmp_path / "project" / FILE_NAME, "a", encoding="utf-8") as file:
        file.write(f'[cluster]\nkind = "slurm"\n[cluster.options]\n{line}\n{cores}\n')
    done = console.run("build", "--project", tmp_path / "project")
    assert done.returncode == 1
    assert "--cluster slurm does not start" in done.stderr
    assert "SLURMCluster" in done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def test_a_refused_job_is_said_in_the_words_of_the_batch_system(tmp_path, catalog, batch):
    batch("slurm", refuses=True)
    build_small(tmp_path / "project", catalog, scenes_only=True)
    with open(tmp_path / "project" / FILE_NAME, "a", encoding="utf-8") as file:
        file.write('[cluster]\nkind = "slurm"\nworkers = 2\n[cluster.options]\ncores = 1\nmemory = "2GB"\n')
    done = console.run("build", "--project", tmp_path / "project")
    assert done.returncode == 1
    assert "slurm refuses a job of workers" in done.stderr
    assert "invalid partition specified" in done.stderr
    assert "[cluster.options]" in done.stderr
    assert "Traceback" not in done.stderr, done.stderr
