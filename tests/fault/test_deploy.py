"""The scripts of deploy/ run: real schedulers, workers and drivers, started by stand-ins of a site's commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cropcube.config import FILE_NAME
from tests.support.batch_system import BatchSystem
from tests.support.granules import tree_bytes, write_catalog
from tests.support.small_build import REGION, SEASON, build_small, granules

pytestmark = pytest.mark.slow
DEPLOY = Path(__file__).parents[2] / "deploy"
EACH_NODE = """#!/bin/bash
# Starts a command on two nodes that are this machine, and ends it there when it is itself ended.
[ "$1" = -- ] && shift
trap 'kill $(jobs -p)' TERM
"$@" & "$@" &
wait; wait
"""
TABLE = """
[cluster]
kind = "{kind}"
[cluster.options]
cores = 1
memory = "2GB"
interface = "lo"
"""


@pytest.fixture
def catalog(tmp_path):
    return write_catalog(granules(), tmp_path / "scenes")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """What a job finds: a shared folder, variables of both batch systems, and commands that start workers."""
    (tmp_path / "bin").mkdir()
    for name in ("srun", "pbsdsh"):
        (tmp_path / "bin" / name).write_text(EACH_NODE, encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    path = [str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    for name, value in {
        "PATH": os.pathsep.join(path),
        "SLURM_JOB_ID": "12",
        "SLURM_CPUS_PER_TASK": "1",
        "PBS_JOBID": "12.head",
        "PBS_O_WORKDIR": str(tmp_path),
        "NCPUS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def run(kind, script, words, cwd):
    """Run a script as Slurm does, with words, or as PBS does, with a variable."""
    environment = os.environ | ({"COMMAND": " ".join(words)} if kind == "pbs" else {})
    command = ["bash", str(DEPLOY / kind / script), *(words if kind == "slurm" else [])]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240)


def words_of_build(project, catalog):
    return [
        "build", "--project", str(project), f"--region={REGION}", "--season", SEASON, "--catalog", str(catalog),
        "--bands", "B03,B04,B11", "--tile-px", "96",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["slurm", "pbs"])
def test_an_allocation_runs_a_command_on_its_nodes(site, catalog, kind):
    build_small(site / "clean", catalog)
    done = run(kind, "allocation.sh", words_of_build(site / "project", catalog), site)
    assert done.returncode == 0, done.stderr
    for part in ("cube.zarr", "ledger"):
        assert tree_bytes(site / "project" / part) == tree_bytes(site / "clean" / part)
    assert not list(site.glob("cropcube-12-*"))


def test_an_allocation_ends_as_its_command_does(site):
    done = run("slurm", "allocation.sh", ["predict", "--project", str(site / "none")], site)
    assert done.returncode == 1
    assert "error:" in done.stderr
    assert not list(site.glob("cropcube-12-*"))


@pytest.mark.parametrize("kind", ["slurm", "pbs"])
def test_a_job_that_submits_jobs(site, catalog, monkeypatch, kind):
    system = BatchSystem(site / kind, kind, monkeypatch)
    build_small(site / "clean", catalog)
    build_small(site / "project", catalog, scenes_only=True)
    with open(site / "project" / FILE_NAME, "a", encoding="utf-8") as file:
        file.write(TABLE.format(kind=kind))
    try:
        done = run(kind, "driver.sh", ["build", "--project", str(site / "project"), "--workers", "2"], site)
        assert done.returncode == 0, done.stderr
        assert len(system.jobs) == 2
    finally:
        system.end()
    assert tree_bytes(site / "project" / "cube.zarr") == tree_bytes(site / "clean" / "cube.zarr")
