"""Executors: this process, worker processes on this machine, or a dask cluster. The only place that imports dask."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cropcube.errors import CropcubeError, MissingError
from cropcube.run.memory import processors, worker_memory_bytes
from cropcube.run.options import LOCAL, SERIAL, RunOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cropcube.run.drive import Executor, FutureLike

CONNECT_SECONDS = 20


@dataclass(frozen=True)
class Resources:
    """What a run has."""

    kind: str
    "`serial`, `local` or the scheduler's address."
    workers: int
    threads: int
    "Threads for one task: the one budget that kernels, codecs and torch share."
    memory_bytes: int
    "Memory for one worker."


def resources(options: RunOptions, tasks: int) -> Resources:
    """Return what a run of so many tasks has on this machine (a remote cluster answers for itself when asked)."""
    kind = options.kind(tasks)
    if kind == SERIAL:
        return Resources(kind, 1, processors(), options.memory_limit or worker_memory_bytes(1))
    workers = options.workers or max(1, min(processors(), tasks))
    threads = max(1, processors() // workers)
    return Resources(kind, workers, threads, options.memory_limit or worker_memory_bytes(workers))


@contextlib.contextmanager
def open_executor(have: Resources) -> Iterator[Executor]:
    """Open the executor for what a run has, and close it in every case.

    Raises
    ------
    MissingError
        If no scheduler answers at the address.
    """
    if have.kind == SERIAL:
        yield SerialExecutor()
    elif have.kind == LOCAL:
        with _local_cluster(have) as address, _client(address) as executor:
            yield executor
    else:
        with _client(have.kind) as executor:
            yield executor


@dataclass
class DoneFuture:
    """The future of a serial executor: done when it is born."""

    key: int
    value: Any = None
    error: Exception | None = None

    def result(self) -> Any:
        """Return the value or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value

    def cancel(self) -> None:
        """Do nothing: it is done."""


@dataclass
class SerialExecutor:
    """Runs each task when it is submitted, in this process."""

    slots: int = 1
    _keys: Iterator[int] = field(default_factory=itertools.count)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> FutureLike:
        """Run `function(*arguments)` now."""
        return DoneFuture(next(self._keys), function(*arguments))

    def first_done(self, pending: Sequence[FutureLike]) -> list[FutureLike]:
        """Return all of them: each is done."""
        return list(pending)


@dataclass
class DaskExecutor:
    """Coarse futures on a dask cluster; never a graph of pixels."""

    client: Any
    slots: int

    def submit(self, function: Callable[..., Any], *arguments: Any) -> FutureLike:
        """Send `function(*arguments)` to a worker."""
        future: FutureLike = self.client.submit(function, *arguments, pure=False)
        return future

    def first_done(self, pending: Sequence[FutureLike]) -> list[FutureLike]:
        """Wait for the first of the futures."""
        from distributed import wait

        with self.client.as_current():  # not the default client: that would catch every dask computation of the user's
            return list(wait(list(pending), return_when="FIRST_COMPLETED").done)


@contextlib.contextmanager
def _local_cluster(have: Resources) -> Iterator[str]:
    from distributed import LocalCluster

    cluster = LocalCluster(
        n_workers=have.workers,
        threads_per_worker=1,  # a task uses `threads` of its own; two tasks in one process would share one heap
        processes=True,
        memory_limit=have.memory_bytes,
        dashboard_address="127.0.0.1:0",  # any free port: several runs on one machine must not meet at 8787
        silence_logs=logging.ERROR,
        host="127.0.0.1",
    )
    with cluster:
        yield cluster.scheduler_address


@contextlib.contextmanager
def _client(address: str) -> Iterator[Executor]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise MissingError(
            f"no dask scheduler answers at {address} ({error})",
            "Start one with `dask scheduler` and `dask worker`, or use --cluster local.",
        ) from error
    with client:
        slots = sum(client.nthreads().values())
        if slots == 0:
            try:
                client.wait_for_workers(1, timeout=CONNECT_SECONDS)
            except TimeoutError as error:
                raise CropcubeError(f"the scheduler at {address} has no workers", "Start `dask worker`.") from error
            slots = sum(client.nthreads().values())
        yield DaskExecutor(client, slots)
