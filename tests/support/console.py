"""Run the installed console script, as people do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPT = Path(sys.executable).with_name("cropcube")


def run(*arguments: object, timeout: float = 900) -> subprocess.CompletedProcess[str]:
    """Run `cropcube` with some arguments and return what came of it."""
    return subprocess.run(
        [SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def ok(*arguments: object, timeout: float = 900) -> str:
    """Run `cropcube`, which must end with 0, and return its standard output."""
    done = run(*arguments, timeout=timeout)
    assert done.returncode == 0, f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def as_json(*arguments: object, timeout: float = 900) -> dict[str, Any]:
    """Run `cropcube ... --json`; standard output must be one JSON object and nothing else."""
    said = json.loads(ok(*arguments, "--json", timeout=timeout))
    assert isinstance(said, dict)
    return said


def kill_when(ready: Callable[[], bool], *arguments: object, timeout: float = 300) -> bool:
    """Start `cropcube` in a group of its own and kill -9 the whole group as soon as `ready` says so.

    Returns
    -------
    bool
        Whether it was still running when it was killed.
    """
    process = subprocess.Popen(
        [SCRIPT, *map(str, arguments)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    ends = time.monotonic() + timeout
    try:
        while process.poll() is None and time.monotonic() < ends and not ready():
            time.sleep(0.05)
        running = process.poll() is None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
    return running
