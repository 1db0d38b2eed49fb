"""What is said and raised where workers take nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from cropcube.errors import MissingError
from cropcube.run import executors
from cropcube.run.executors import DaskExecutor, Resources, Terms
from cropcube.run.workers import MEMORY

GIB = 2**30


class Client:
    """A client of dask, of a scheduler whose workers have so much memory each."""

    def __init__(self, *memory: int) -> None:
        self.scheduler = SimpleNamespace(address="tcp://10.0.0.1:8786")
        self.memory = memory

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        assert n_workers == -1
        of = {"host": "10.0.0.2", "nthreads": 1}
        return {"workers": {f"w{n}": {**of, "resources": {MEMORY: m}} for n, m in enumerate(self.memory)}}

    def run(self, function: Any, workers: list[str], on_error: str) -> dict[str, int]:
        assert on_error == "ignore"
        return dict.fromkeys(workers, 8)


@pytest.fixture(autouse=True)
def counted_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "PATIENCE_SECONDS", -1)
    monkeypatch.setattr(executors, "COUNT_SECONDS", -1)


def executor(*memory: int, **terms: Any) -> DaskExecutor:
    return DaskExecutor(Client(*memory), Resources("tcp", 1, 1, GIB), Terms(GIB, **terms))


def test_places_threads_and_memory_follow_the_workers() -> None:
    running = executor(GIB, GIB)
    assert running.places == 4
    assert (running.have.workers, running.have.threads, running.have.memory_bytes) == (2, 4, GIB)
    running.client.memory = (GIB, 3 * GIB, GIB, GIB)
    assert running.places == 8
    assert (running.have.workers, running.have.threads, running.have.memory_bytes) == (4, 2, 3 * GIB)


@pytest.mark.parametrize(
    ("memory", "said"), [((), "has no workers\n"), ((0, GIB - 1), r"that take tasks of 1\.00 GiB \(it has 2")]
)
def test_workers_that_take_no_task_are_none(memory: tuple[int, ...], said: str) -> None:
    with pytest.raises(MissingError, match=said):
        _ = executor(*memory).places


def test_one_that_grows_says_once_that_it_waits() -> None:
    lines: list[str] = []
    running = executor(is_growing=True, most_workers=40, say=lines.append)
    assert [running.places for _ in range(3)] == [80, 80, 80]
    assert len(lines) == 1
    assert "has no workers: waiting for one" in lines[0]
    running.client.memory = (GIB,)
    assert running.places == 80
    running.client.memory = ()
    _ = running.places, running.places
    assert len(lines) == 2
