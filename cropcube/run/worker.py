"""What runs in a worker process besides tasks; dask loads it there."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
from collections.abc import Callable
from typing import Any

from distributed import Status, WorkerPlugin

from cropcube.errors import CropcubeError
from cropcube.run.memory import memory_bytes
from cropcube.run.workers import takes_of, versions

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
MMAP_BYTES = 4 << 20
"""More than a decoded chunk has, and less than the arrays of whole tiles, which go back at once: with 32 MiB a task
took a third more memory, without being faster."""


def dask_setup(worker: Any) -> None:
    """Let locks be made without a name, before the first task of a worker on this machine.

    numcodecs makes one for blosc. In a process that was itself started by spawning it has a name, which the driver's
    resource tracker complains of when the worker is killed in the middle of a task, as it is after Ctrl-C.
    """
    del worker
    multiprocessing.set_start_method("fork", force=True)  # of locks alone: a worker starts no process


def keep_memory() -> None:
    """Let this process keep what it frees for the next array, as glibc does where nobody told it otherwise.

    dask starts workers under `MALLOC_TRIM_THRESHOLD_=65536`, which has every chunk decoded into fresh pages that the
    kernel must zero first: reducing a landscape to medians took twice as long (mallopt(3); other C libraries have no
    such limits).
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
        mallopt(M_TRIM_THRESHOLD, 2 * MMAP_BYTES)


class Admission(WorkerPlugin):
    """Tells the scheduler how much memory tasks may take of a worker: none, if it cannot do them.

    dask gives it to each worker as it joins, so those that come later are under the same rule.
    """

    def __init__(self, memory_limit: int | None = None, check: Callable[[], object] | None = None) -> None:
        self.name = takes_of(memory_limit)[-1]  # runs of one scheduler with limits of their own do not meet
        self.memory_limit = memory_limit
        self.check = check
        self.versions = versions()

    async def setup(self, worker: Any) -> None:
        """State the worker's memory: the least of its own limit, its machine's memory and the run's limit.

        Tasks that wait for a worker, as after all of them died at once, are given out when one starts to run, mostly
        before this; so it says once more that it runs.
        """
        keep_memory()
        limits = (worker.memory_manager.memory_limit, self.memory_limit, memory_bytes())
        have = min(limit for limit in limits if limit) if await asyncio.to_thread(self._is_able) else 0
        await worker.set_resources(**{self.name: have})
        if worker.status == Status.running:  # not one that is out of memory, or about to close
            worker.status = Status.paused
            worker.status = Status.running

    def _is_able(self) -> bool:
        """Return whether this process has the driver's versions and sees what the tasks need."""
        if versions() != self.versions:
            return False
        try:
            if self.check is not None:
                self.check()
        except (CropcubeError, OSError):
            return False
        return True
