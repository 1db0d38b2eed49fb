"""Ctrl-C, sent as a terminal sends it: to the command and to all that it has started."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cropcube.cube.ledger import Ledger
from cropcube.pipeline.build import build
from tests.support import console
from tests.support.file_server import serve_files
from tests.support.granules import tree_bytes, write_catalog
from tests.support.small_build import BANDS, REGION, SEASON, SERIAL, build_small, granules


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait while a process runs; it must not end before."""
    ends = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        time.sleep(0.02)


def group_lives(leader: int) -> bool:
    """Return whether any process of a group is left."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("cluster", ["serial", "local"])
def test_ctrl_c_ends_with_one_line_and_the_same_command_goes_on(tmp_path: Path, cluster: str) -> None:
    """One task is done and others are in the middle of their reads when it comes."""
    catalog = write_catalog(granules(), tmp_path / "scenes")
    build_small(tmp_path / "clean", catalog)
    project, remote = tmp_path / "project", tmp_path / "remote.json"
    ledger = Ledger(project / "ledger")
    words = ["build", "--project", project, "--catalog", remote, "--region", REGION, "--season", SEASON]
    words += ["--bands", ",".join(BANDS), "--tile-px", 96, "--cluster", cluster, "--quiet"]
    words += ["--workers", 2] if cluster == "local" else []
    with serve_files(tmp_path / "scenes") as server:
        remote.write_text(catalog.read_text(encoding="utf-8").replace('"./', f'"{server.url}/'), encoding="utf-8")
        process = subprocess.Popen(
            [console.SCRIPT, *map(str, words)],
            start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_until(lambda: any(record.state == "done" for record in ledger.records()), process)
        server.delay_s = 1.0
        asked = len(server.requests)
        wait_until(lambda: len(server.requests) > asked + 1, process)
        os.killpg(process.pid, signal.SIGINT)
        said, complained = process.communicate(timeout=60)
        server.delay_s = 0.0
        assert process.returncode == 1
        assert not said
        assert complained.splitlines()[-1].startswith("interrupted: what is done is kept; run the same command again")
        for noise in ("Traceback", "KeyboardInterrupt", "leaked", "ERROR", "Warning"):
            assert noise not in complained
        ends = time.monotonic() + 20
        while group_lives(process.pid) and time.monotonic() < ends:
            time.sleep(0.1)
        assert not group_lives(process.pid), "a worker outlived the command"
        states = [record.state for record in ledger.records()]
        assert "done" in states
        assert "begun" in states
        summary = build(project, run=SERIAL)
    assert summary.as_dict()["reused"] == states.count("done")
    assert tree_bytes(project / "cube.zarr") == tree_bytes(tmp_path / "clean" / "cube.zarr")
    assert {record.state for record in ledger.records()} == {"done"}
    assert not [path for path in project.rglob("*") if "partial" in path.name]
