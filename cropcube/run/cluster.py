"""Executors: this process, worker processes on this machine, or a dask cluster. The only place that imports dask."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from cropcube.errors import MissingError
from cropcube.run.memory import processors, worker_memory_bytes
from cropcube.run.options import LOCAL, SERIAL, RunOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cropcube.run.drive import Executor, FutureLike

CONNECT_SECONDS = 20
PATIENCE_SECONDS = 60
"""So often it is asked, while nothing ends, whether there is still a worker."""
START_AGAIN = "Start `dask scheduler` and `dask worker`, and run the same command again: what is done is kept."


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
        """Wait for the first of the futures.

        Raises
        ------
        MissingError
            If the scheduler or the last of its workers is gone.
        """
        from distributed import wait

        with self.client.as_current():  # not the default client: that would catch every dask computation of the user's
            while True:
                try:
                    return list(wait(list(pending), PATIENCE_SECONDS, "FIRST_COMPLETED").done)
                except TimeoutError:
                    _slots(self.client)
                except CancelledError as error:
                    address = self.client.scheduler.address
                    raise MissingError(f"the scheduler at {address} is gone", START_AGAIN) from error


@contextlib.contextmanager
def _local_cluster(have: Resources) -> Iterator[str]:
    from distributed import LocalCluster

    with _interrupts_for_the_driver_alone():
        cluster = LocalCluster(
            n_workers=have.workers,
            threads_per_worker=1,  # a task uses `threads` of its own; two tasks in one process would share one heap
            processes=True,
            memory_limit=have.memory_bytes,
            dashboard_address="127.0.0.1:0",  # any free port: several runs on one machine must not meet at 8787
            silence_logs=logging.CRITICAL,  # the worker that the driver closes in mid-task calls that an error
            host="127.0.0.1",
            preload="cropcube.run.worker",
        )
    with cluster:
        yield cluster.scheduler_address


@contextlib.contextmanager
def _interrupts_for_the_driver_alone() -> Iterator[None]:
    """Start processes that never see Ctrl-C, which a terminal sends to all of the group: the driver closes them.

    They inherit what the thread blocks that starts them, from their first moment on, and so do those that are started
    in place of a dead one. An interrupt that comes meanwhile is delivered at the end.
    """
    resource_tracker.ensure_running()  # multiprocessing starts it with the first process, and unblocks the signal then
    blocked_before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked_before)


@contextlib.contextmanager
def _client(address: str) -> Iterator[Executor]:
    from distributed.utils import silence_logging_cmgr

    with silence_logging_cmgr(logging.CRITICAL), _connect(address) as client:  # what matters of it is in our errors
        yield DaskExecutor(client, _slots(client))


def _slots(client: Any) -> int:
    """Return how many tasks the workers take at a time; wait for the first worker.

    Raises
    ------
    MissingError
        If none comes.
    """
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError as error:
        raise MissingError(f"the scheduler at {client.scheduler.address} has no workers", START_AGAIN) from error
    return sum(client.nthreads().values())


def _connect(address: str) -> Any:
    from distributed import Client

    try:
        with ThreadPoolExecutor(1) as thread:  # a loop of its own: in a notebook one runs already
            thread.submit(asyncio.run, _shake_hands(address)).result()
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TypeError, ImportError) as error:  # no answer; tls without certificates; another dask there
        raise MissingError(
            f"no dask scheduler answers at {address} ({str(error) or f'silence for {CONNECT_SECONDS} s'})",
            f"{START_AGAIN} Or use --cluster local.",
        ) from error


async def _shake_hands(address: str) -> None:
    """Meet a scheduler: dask itself waits for ever where something else listens, its own dashboard for one."""
    from distributed.comm.core import connect
    from distributed.security import Security

    async with asyncio.timeout(CONNECT_SECONDS):
        comm = await connect(address, timeout=CONNECT_SECONDS, **Security().get_connection_args("client"))
        await comm.close()
