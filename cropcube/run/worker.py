"""What a worker process on this machine does before its first task; dask loads it there."""

from __future__ import annotations

import multiprocessing
from typing import Any


def dask_setup(worker: Any) -> None:
    """Let locks be made without a name.

    numcodecs makes one for blosc. In a process that was itself started by spawning it has a name, which the driver's
    resource tracker complains of when the worker is killed in the middle of a task, as it is after Ctrl-C.
    """
    del worker
    multiprocessing.set_start_method("fork", force=True)  # of locks alone: a worker starts no process
