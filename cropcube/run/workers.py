"""Workers of a dask cluster: what they have, that they are of our versions, and what they may take at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cropcube.errors import InvalidInputError

MEMORY = "cropcube_memory"
"""The resource, in bytes, that a task takes of its worker: dask starts none that does not fit."""


def takes_of(memory_limit: int | None) -> tuple[str, ...]:
    """Return the resources that a task takes: memory that all runs share, and what a run's own limit leaves of it."""
    return (MEMORY,) if memory_limit is None else (MEMORY, f"{MEMORY}_{memory_limit}")


SAME_VERSION = ("cropcube", "zarr", "numpy", "dask", "distributed")
"""Packages that decide what is written, or whether a task can travel."""
SHOWN = 3


@dataclass(frozen=True)
class Worker:
    """One worker process."""

    address: str
    host: str
    threads: int
    "Tasks that it takes at a time."
    memory_bytes: int
    "What they may use together; 0 where it is not to be used."

    def room_for(self, task_bytes: int) -> int:
        """Return how many tasks of a size it takes at a time."""
        return min(self.threads, self.memory_bytes // max(task_bytes, 1))


def versions() -> dict[str, str]:
    """Return the versions that must be the same everywhere, as they are here."""
    found = {}
    for name in SAME_VERSION:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def workers_of(client: Any, memory_limit: int | None = None) -> list[Worker]:
    """Return the workers that a scheduler has now."""
    found = client.scheduler_info(n_workers=-1)["workers"]
    takes = takes_of(memory_limit)
    return [
        Worker(address, info["host"], info["nthreads"], int(min(info["resources"].get(name, 0) for name in takes)))
        for address, info in found.items()
    ]


def admit(client: Any, memory_limit: int | None, check: Callable[[], object] | None = None) -> list[Worker]:
    """Refuse workers of other versions, let those that are there and those to come take tasks, and return the former.

    Parameters
    ----------
    client
        Of the cluster.
    memory_limit
        Bytes that this run may take of a worker.
    check
        Raises in a worker that cannot do the tasks, which then takes none.

    Raises
    ------
    InvalidInputError
        If the scheduler or a worker has another version of what must be the same.
    """
    from cropcube.run.worker import Admission

    _refuse_other_versions(client)
    for limit in dict.fromkeys((None, memory_limit)):
        client.register_plugin(Admission(limit, check))
    return workers_of(client, memory_limit)


def _refuse_other_versions(client: Any) -> None:
    found = client.get_versions(packages=list(SAME_VERSION))
    here = versions()
    there = {f"the scheduler {client.scheduler.address}": found["scheduler"]}
    there |= {f"worker {address}": held for address, held in sorted(found["workers"].items())}
    others = [words for place, held in there.items() if (words := _differences(held["packages"], here, place))]
    if others:
        more = f"; and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        raise InvalidInputError(
            f"{'; '.join(others[:SHOWN])}{more}",
            "Start the scheduler and its workers from the environment or container image that runs this command.",
        )


def _differences(there: Mapping[str, str | None], here: Mapping[str, str], place: str) -> str:
    other = [name for name, mine in here.items() if (there.get(name) or "none") != mine]
    listed = ", ".join(f"{name} {there.get(name) or 'none'} ({here[name]} here)" for name in other)
    return f"{place} has {listed}" if other else ""


def threads_for_one(workers: Sequence[Worker], processors_of: Mapping[str, int], task_bytes: int) -> int:
    """Return the threads that each task may use where all workers are busy: the least that any of them has.

    Parameters
    ----------
    workers
        Which take tasks.
    processors_of
        Of each worker's machine or container, by the worker's address.
    task_bytes
        Of the largest task.
    """
    at_once: Counter[str] = Counter()
    for worker in workers:
        at_once[worker.host] += worker.room_for(task_bytes)
    busy = [worker for worker in workers if worker.room_for(task_bytes) and worker.address in processors_of]
    return max(1, min((processors_of[worker.address] // at_once[worker.host] for worker in busy), default=1))
