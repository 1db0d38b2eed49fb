"""What workers may take, and that those of other versions are refused by name."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Status

from cropcube.errors import InvalidInputError, MissingError
from cropcube.run.executors import slots
from cropcube.run.memory import memory_bytes
from cropcube.run.worker import Admission
from cropcube.run.workers import MEMORY, Worker, admit, takes_of, threads_for_one, versions

GIB = 2**30


class Client:
    """What is asked of a client of dask."""

    def __init__(self, scheduler: dict[str, str | None], **workers: dict[str, str | None]) -> None:
        self.scheduler = SimpleNamespace(address="tcp://10.0.0.1:8786")
        self.found = {
            "scheduler": {"packages": scheduler},
            "workers": {name: {"packages": held} for name, held in workers.items()},
        }
        self.plugins: list[Any] = []

    def get_versions(self, packages: list[str]) -> dict[str, Any]:
        assert set(packages) == set(versions())
        return self.found

    def register_plugin(self, plugin: Any) -> None:
        self.plugins.append(plugin)

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        assert n_workers == -1
        of = {"host": "10.0.0.2", "nthreads": 2, "resources": {MEMORY: float(GIB)}}
        return {"workers": dict.fromkeys(self.found["workers"], of)}


def test_workers_of_the_same_versions_are_let_in() -> None:
    client = Client({**versions(), "pandas": "1"}, a={**versions(), "pandas": "2"})
    assert admit(client, None) == [Worker("a", "10.0.0.2", 2, GIB)]
    assert len(client.plugins) == 1


def test_memory_is_shared_by_runs_and_a_limit_is_of_one() -> None:
    client = Client(versions(), a=versions())
    assert admit(client, GIB // 2) == [Worker("a", "10.0.0.2", 2, 0)]  # it has not said yet what the limit leaves
    assert [plugin.name for plugin in client.plugins] == [MEMORY, f"{MEMORY}_{GIB // 2}"]
    assert takes_of(None) == (MEMORY,)


def test_others_are_refused_by_name() -> None:
    here = versions()
    old, bare = {**here, "zarr": "3.0.1"}, {**here, "cropcube": None}
    with pytest.raises(InvalidInputError) as caught:
        admit(Client(here, a=here, b=old, c=bare, d=old, e=old), None)
    for words in (f"worker b has zarr 3.0.1 ({here['zarr']} here)", "worker c has cropcube none", "and 1 more"):
        assert words in caught.value.what
    assert "worker a" not in caught.value.what
    with pytest.raises(InvalidInputError, match=r"the scheduler tcp://10\.0\.0\.1:8786 has numpy 1\.26"):
        admit(Client({**here, "numpy": "1.26"}, a=here), None)


class Standing:
    """A worker, and what it tells the scheduler."""

    def __init__(self, limit: int | None, status: Status = Status.running) -> None:
        self.memory_manager = SimpleNamespace(memory_limit=limit)
        self.heard: dict[str, int] = {}
        self.said: list[Status] = []
        self._status = status

    async def set_resources(self, **resources: int) -> None:
        self.heard.update(resources)

    @property
    def status(self) -> Status:
        return self._status

    @status.setter
    def status(self, status: Status) -> None:
        self._status = status
        self.said.append(status)


def told(limit: int | None, run_limit: int | None = None, **other: str) -> int:
    """Return what a worker of a limit tells the scheduler."""
    plugin = Admission(run_limit)
    plugin.versions |= other
    worker = Standing(limit)
    asyncio.run(plugin.setup(worker))
    return worker.heard[takes_of(run_limit)[-1]]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (Status.running, [Status.paused, Status.running]),
        (Status.paused, []),
        (Status.closing_gracefully, []),
    ],
)
def test_a_worker_that_runs_says_so_once_more(status: Status, said: list[Status]) -> None:
    worker = Standing(GIB, status)
    asyncio.run(Admission(None).setup(worker))
    assert worker.said == said


def test_a_worker_says_the_least_of_its_limits_and_nothing_where_it_is_of_other_versions() -> None:
    assert told(GIB) == GIB
    assert told(GIB, GIB // 2) == GIB // 2
    assert told(None) == told(0) == memory_bytes()
    assert told(GIB, zarr="3.0.1") == 0


@pytest.mark.parametrize(
    ("error", "memory"), [(None, GIB), (MissingError("no project", "Mount it."), 0), (OSError(), 0)]
)
def test_a_worker_that_does_not_see_what_tasks_need_takes_none(error: Exception | None, memory: int) -> None:
    def check() -> None:
        if error is not None:
            raise error

    worker = Standing(GIB)
    asyncio.run(Admission(None, check).setup(worker))
    assert worker.heard == {MEMORY: memory}


def test_a_worker_takes_what_has_a_thread_and_fits_its_memory() -> None:
    wide, narrow, unused = Worker("a", "h", 8, 4 * GIB), Worker("b", "h", 1, 16 * GIB), Worker("c", "h", 4, 0)
    assert [worker.room_for(GIB) for worker in (wide, narrow, unused)] == [4, 1, 0]
    assert wide.room_for(0) == 8
    assert slots([wide, narrow, unused], GIB) == 5


def test_threads_are_shared_by_the_tasks_on_a_host() -> None:
    one, two, other = Worker("a", "h1", 8, 8 * GIB), Worker("b", "h1", 8, 8 * GIB), Worker("c", "h2", 1, 8 * GIB)
    machines = {"a": 16, "b": 16, "c": 4}
    assert threads_for_one([one, two, other], machines, GIB) == 1
    assert threads_for_one([one, two, other], machines, 4 * GIB) == 4
    assert threads_for_one([other], machines, GIB) == 4
