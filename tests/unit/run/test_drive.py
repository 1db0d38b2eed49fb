"""The bounded loop: every task once, failures kept apart, nothing new after a full disk."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from cropcube.errors import CropcubeError, InvalidInputError, ResourceError
from cropcube.run.cluster import DoneFuture, Resources, SerialExecutor, open_executor
from cropcube.run.drive import attempt, drive
from cropcube.run.task import Task


def double(payload: int) -> int:
    if payload == 13:
        raise InvalidInputError("thirteen is not wanted", "Give another number.")
    if payload == 99:
        raise OSError(errno.ENOSPC, "No space left on device", "shard")
    if payload == 50:
        raise KeyError("unforeseen")
    return 2 * payload


def tasks(*payloads: int) -> list[Task[int]]:
    return [Task(f"t{payload}", payload) for payload in payloads]


class LazyExecutor:
    """Runs a task only when it is waited for, last first, and remembers how many were in flight."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.in_flight = self.most = 0
        self._keys = itertools.count()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> DoneFuture:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        return DoneFuture(next(self._keys), function(*arguments))

    def first_done(self, pending: Sequence[Any]) -> list[Any]:
        self.in_flight -= 1
        return [pending[-1]]


@pytest.mark.parametrize("executor", [SerialExecutor(), LazyExecutor(3)])
def test_every_task_is_run_once(executor: Any) -> None:
    outcomes = list(drive(executor, double, tasks(*range(10))))
    assert {o.key: o.result for o in outcomes} == {f"t{n}": 2 * n for n in range(10)}
    assert all(o.error is None and o.peak_bytes > 0 for o in outcomes)


def test_tasks_in_flight_are_bounded_and_taken_lazily() -> None:
    taken = []

    def lazy() -> Iterator[Task[int]]:
        for task in tasks(*range(100)):
            taken.append(task.key)
            yield task

    executor = LazyExecutor(2)
    outcomes = drive(executor, double, lazy())
    next(outcomes)
    assert len(taken) == 4
    assert len(list(outcomes)) == 99
    assert executor.most == 4


def test_a_serial_run_reports_each_task_before_the_next_starts() -> None:
    started = []

    def work(payload: int) -> int:
        started.append(payload)
        return payload

    for number, _ in enumerate(drive(SerialExecutor(), work, tasks(1, 2, 3)), 1):
        assert len(started) == number


def test_a_failed_task_never_stops_the_others() -> None:
    outcomes = {o.key: o for o in drive(SerialExecutor(), double, tasks(1, 13, 50, 2))}
    assert outcomes["t1"].result == 2
    assert outcomes["t2"].result == 4
    assert isinstance(outcomes["t13"].error, InvalidInputError)
    assert outcomes["t50"].error is not None
    assert "KeyError" in outcomes["t50"].error.what
    assert "run the same command again" in outcomes["t50"].error.next_step.lower()


def test_a_full_disk_stops_new_tasks() -> None:
    outcomes = list(drive(SerialExecutor(), double, tasks(1, 99, 2, 3)))
    assert [o.key for o in outcomes] == ["t1", "t99"]
    assert isinstance(outcomes[1].error, ResourceError)
    assert "no space left" in outcomes[1].error.what


def test_a_future_that_raises_becomes_an_outcome() -> None:
    class Dying(SerialExecutor):
        def submit(self, function: Callable[..., Any], *arguments: Any) -> DoneFuture:
            return DoneFuture(next(self._keys), error=RuntimeError("connection lost"))

    (outcome,) = drive(Dying(), double, tasks(1))
    assert isinstance(outcome.error, CropcubeError)
    assert "connection lost" in outcome.error.what


def test_attempt_measures() -> None:
    outcome = attempt(double, Task("t", 4))
    assert (outcome.key, outcome.result, outcome.error) == ("t", 8, None)
    assert outcome.seconds >= 0


@pytest.mark.slow
def test_worker_processes_give_the_same_outcomes_and_name_the_failed_task() -> None:
    with open_executor(Resources("local", 2, 1, 2**30)) as executor:
        assert executor.slots == 2
        outcomes = {o.key: o for o in drive(executor, abs, [Task(f"t{n}", n) for n in (-3, -2, "x", 1)])}
    assert {key: o.result for key, o in outcomes.items()} == {"t-3": 3, "t-2": 2, "tx": None, "t1": 1}
    assert outcomes["tx"].error is not None
    assert "TypeError" in outcomes["tx"].error.what
