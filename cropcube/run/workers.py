"""Workers of a dask cluster: what they have, that they are of our versions, and what they may take at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cropcube.errors import InvalidInputError
from cropcube.run.memory import processors

MEMORY = "cropcube_memory"
"""The resource, in bytes, that a task takes of its worker: dask starts none that does not fit."""
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


def workers_of(client: Any) -> list[Worker]:
    """Return the workers that a scheduler has now."""
    found = client.scheduler_info(n_workers=-1)["workers"]
    return [
        Worker(address, info["host"], info["nthreads"], int(info["resources"].get(MEMORY, 0)))
        for address, info in found.items()
    ]


def admit(client: Any, memory_limit: int | None) -> list[Worker]:
    """Refuse workers of other versions, let those that are there and those to come take tasks, and return the former.

    Raises
    ------
    InvalidInputError
        If the scheduler or a worker has another version of what must be the same.
    """
    from cropcube.run.worker import Admission

    _refuse_other_versions(client)
    client.register_plugin(Admission(memory_limit))
    return workers_of(client)


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


def threads_for_one(client: Any, workers: Sequence[Worker], task_bytes: int) -> int:
    """Return the threads that each task may use where all workers are busy: the least that any of them has.

    Parameters
    ----------
    client
        Of the cluster; each worker is asked for its processors.
    workers
        Which take tasks.
    task_bytes
        Of the largest task.
    """
    asked = client.run(processors, workers=[worker.address for worker in workers], on_error="ignore")
    at_once: Counter[str] = Counter()
    for worker in workers:
        at_once[worker.host] += worker.room_for(task_bytes)
    busy = [worker for worker in workers if worker.room_for(task_bytes) and worker.address in asked]
    return max(1, min((asked[worker.address] // at_once[worker.host] for worker in busy), default=1))
