"""Opening the executor that a run asks for. dask is imported in run/ alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropcube.errors import CropcubeError, InvalidInputError, MissingError, ResourceError
from cropcube.run.executors import START_AGAIN, DaskExecutor, Resources, SerialExecutor, Terms, silent
from cropcube.run.memory import processors, worker_memory_bytes
from cropcube.run.options import GROWING, LOCAL, SERIAL, STARTED, RunOptions
from cropcube.run.workers import admit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cropcube.run.drive import Executor

CONNECT_SECONDS = 20
ANSWER_SECONDS = 20
"""Of a scheduler that was reached once."""
POLL_SECONDS = 2


@dataclass(frozen=True)
class Wanted:
    """What a run is to do, as far as its cluster is concerned."""

    tasks: int
    memory_bytes: int = 0
    "Projected peak of the largest task."
    largest: str = ""
    "Its name."
    check: Callable[[], object] | None = None
    "Raises in a worker that cannot do the tasks: run in each worker elsewhere before the first task."
    say: Callable[[str], None] = silent
    "Gets the dashboard's address, and what is waited for."


def resources(options: RunOptions, tasks: int) -> Resources:
    """Return what a run of so many tasks has, taking workers elsewhere for ones like this machine's."""
    kind = options.kind(tasks)
    if kind == SERIAL:
        return Resources(kind, 1, processors(), options.memory_limit or worker_memory_bytes(1))
    workers = options.most_workers or options.workers or max(1, min(processors(), tasks))
    threads = max(1, processors() // workers)
    return Resources(kind, workers, threads, options.memory_limit or worker_memory_bytes(workers))


@contextlib.contextmanager
def open_executor(options: RunOptions, wanted: Wanted) -> Iterator[Executor]:
    """Open the executor for a run, and close it in every case.

    Raises
    ------
    MissingError
        If no scheduler answers, it has no workers, or a worker does not see what the tasks need.
    InvalidInputError
        If the scheduler or a worker has other versions than this process.
    ResourceError
        If no worker has the memory of the largest task.
    """
    planned = resources(options, wanted.tasks)
    if planned.kind in (SERIAL, LOCAL):
        _refuse_too_big(planned, wanted)
    if planned.kind == SERIAL:
        yield SerialExecutor(planned)
    elif planned.kind == LOCAL:
        from cropcube.run.clusters import local_cluster

        with local_cluster(planned) as cluster, _on_workers(cluster.scheduler_address, options, wanted) as executor:
            yield executor
    elif planned.kind in STARTED:
        from cropcube.run.clusters import started_cluster

        with started_cluster(options) as cluster, _on_workers(cluster, options, wanted) as executor:
            yield executor
    else:
        with _on_workers(planned.kind, options, wanted) as executor:
            yield executor


@contextlib.contextmanager
def _on_workers(place: Any, options: RunOptions, wanted: Wanted) -> Iterator[Executor]:
    """Join the workers of a scheduler (its address, its file or a cluster), once all of them are seen to be able."""
    from distributed.utils import silence_logging_cmgr

    with silence_logging_cmgr(logging.CRITICAL), _connect(place) as client:  # what matters of it is in our errors
        _say_dashboard(client, wanted.say)
        _wait_for_workers(client, options, wanted.say)
        workers = admit(client, options.memory_limit, wanted.check if options.is_elsewhere else None)
        most = max((worker.memory_bytes for worker in workers), default=0)
        have = Resources(options.kind(wanted.tasks), len(workers), 1, most)
        if wanted.check is not None and options.is_elsewhere:
            _refuse_unable(client, wanted.check)
        _refuse_too_big(have, wanted)
        is_growing = options.cluster in GROWING
        terms = Terms(wanted.memory_bytes, options.memory_limit, is_growing, options.most_workers or 0, wanted.say)
        yield DaskExecutor(client, have, terms)


def _refuse_too_big(have: Resources, wanted: Wanted) -> None:
    if wanted.memory_bytes > have.memory_bytes:
        raise ResourceError(
            f"task {wanted.largest} is projected to need {wanted.memory_bytes / 2**30:.2f} GiB; "
            f"one of {have.workers} workers has {have.memory_bytes / 2**30:.2f} GiB",
            "Use fewer --workers or ones with more memory, raise --memory-limit, or create the project with a smaller "
            "--tile-px.",
        )


def _refuse_unable(client: Any, check: Callable[[], object]) -> None:
    """Raise what keeps a worker from doing its tasks."""
    for address, error in client.run(_error_of, check, on_error="return").items():
        if isinstance(error, CropcubeError):
            raise type(error)(f"worker {address}: {error.what}", error.next_step)
        if isinstance(error, OSError):
            raise MissingError(
                f"worker {address} cannot read {error.filename or 'the project'} ({error.strerror or error})",
                "Its environment needs what this one has: paths, or the store's endpoint and credentials (AWS_..., "
                "AZURE_..., GOOGLE_...).",
            )
        if isinstance(error, Exception):
            raise MissingError(f"worker {address} cannot be used: {type(error).__name__}: {error}", START_AGAIN)


def _error_of(check: Callable[[], object]) -> CropcubeError | None:
    try:
        check()
    except CropcubeError as error:
        return error
    return None


def _say_dashboard(client: Any, say: Callable[[str], None]) -> None:
    """Say where the dashboard is, if there is one: it needs bokeh where the scheduler runs."""
    services: Mapping[str, Any] = client.scheduler_info(n_workers=0).get("services", {})
    if services.get("dashboard"):
        say(f"dashboard: {client.dashboard_link}")


def _wait_for_workers(client: Any, options: RunOptions, say: Callable[[str], None]) -> None:
    """Wait for the first worker: of a batch system or Kubernetes for ever, of a scheduler that stands not for long."""
    began, said = time.monotonic(), False
    while not client.scheduler_info(n_workers=1)["workers"]:
        if time.monotonic() - began > CONNECT_SECONDS:
            if options.cluster not in GROWING:
                raise MissingError(f"the scheduler at {client.scheduler.address} has no workers", START_AGAIN)
            if not said:
                say(f"waiting for the first worker of {options.cluster} (Ctrl-C gives up)")
                said = True
        time.sleep(0.05 if time.monotonic() - began < POLL_SECONDS else POLL_SECONDS)


def _connect(place: Any) -> Any:
    from distributed import Client

    if not isinstance(place, str):
        return Client(place, timeout=ANSWER_SECONDS, set_as_default=False)
    address = place if "://" in place else _address_in(Path(place))
    try:
        with ThreadPoolExecutor(1) as thread:  # a loop of its own: in a notebook one runs already
            thread.submit(asyncio.run, _shake_hands(address)).result()
        return Client(address, timeout=ANSWER_SECONDS, set_as_default=False)
    except (OSError, TypeError, ImportError, ValueError) as error:  # no answer; tls without certificates; another dask
        raise MissingError(
            f"no dask scheduler answers at {address} ({str(error) or f'silence for {CONNECT_SECONDS} s'})",
            f"{START_AGAIN} Or use --cluster local.",
        ) from error


def _address_in(path: Path) -> str:
    """Return the address in a scheduler file, which may appear a moment after the scheduler was started."""
    ends = time.monotonic() + CONNECT_SECONDS
    while not path.exists():
        if time.monotonic() > ends:
            raise MissingError(
                f"there is no scheduler file {path}", "Start `dask scheduler --scheduler-file FILE`, or mend the path."
            )
        time.sleep(0.1)
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(
            f"{path} is no scheduler file ({type(error).__name__}: {error})",
            "`dask scheduler --scheduler-file FILE` writes one.",
        ) from error


async def _shake_hands(address: str) -> None:
    """Meet a scheduler: dask itself waits for ever where something else listens, its own dashboard for one."""
    from distributed.comm.core import connect
    from distributed.security import Security

    async with asyncio.timeout(CONNECT_SECONDS):
        comm = await connect(address, timeout=CONNECT_SECONDS, **Security().get_connection_args("client"))
        await comm.close()
