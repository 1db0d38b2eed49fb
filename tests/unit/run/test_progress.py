"""The progress bar: tasks, MB/s and time left on a terminal's standard error, nothing elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from cropcube.run.progress import progress_bar

CODE = """
import time
from cropcube.run.progress import progress_bar
with progress_bar("build", 3, False) as advance:
    for _ in range(3):
        time.sleep(0.2)
        advance(5_000_000)
"""


def test_a_terminal_sees_tasks_rate_and_time() -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", CODE], stderr=follower, stdout=subprocess.PIPE, env=environment)
    os.close(follower)
    said = os.read(leader, 65536).decode()
    os.close(leader)
    assert done.returncode == 0
    assert done.stdout == b""
    assert "build" in said
    assert "3/3" in said
    assert "MB/s" in said
    assert "0:00:0" in said


def test_quiet_or_redirected_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (True, False):
        with progress_bar("build", 2, quiet) as advance:
            advance(10)
    assert capsys.readouterr() == ("", "")
