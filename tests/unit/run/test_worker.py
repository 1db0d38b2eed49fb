"""What a worker process is told besides tasks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, resource, sys
import numpy as np
from cropcube.run.worker import keep_memory
if not hasattr(ctypes.CDLL(None), "mallopt"):
    sys.exit("no mallopt")

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        np.ones(3 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

held = [np.ones(3 << 20, np.uint8) for _ in range(8)]  # whatever lies free between what imports left
found = [faults()]
keep_memory()
faults()
print(*found, faults())
"""


def test_a_worker_keeps_the_memory_that_it_frees() -> None:
    """Under the setting that dask starts workers with, every array is made of fresh pages, zeroed one by one."""
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "no mallopt" in done.stderr:
        pytest.skip("this C library keeps memory in a way of its own")
    before, after = map(int, done.stdout.split())
    assert before > 50
    assert after < before / 10
