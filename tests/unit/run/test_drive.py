"""The bounded loop: every task once, failures kept apart, nothing new after a full disk."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from cropcube.errors import CropcubeError, InvalidInputError, ReadError, ResourceError
from cropcube.run.cluster import Wanted, open_executor
from cropcube.run.drive import attempt, drive, is_passing
from cropcube.run.executors import DoneFuture, Resources, SerialExecutor
from cropcube.run.options import RunOptions
from cropcube.run.task import Task

HERE = Resources("serial", 1, 1, 2**30)


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
        self.places = 2 * slots
        self.in_flight = self.most = 0
        self._keys = itertools.count()

    def submit(self, memory_bytes: int, function: Callable[..., Any], *arguments: Any) -> DoneFuture:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        return DoneFuture(next(self._keys), function(*arguments))

    def first_done(self, pending: Sequence[Any], timeout_s: float | None = None) -> list[Any]:
        self.in_flight -= 1
        return [pending[-1]]


@pytest.mark.parametrize("executor", [SerialExecutor(HERE), LazyExecutor(3)])
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

    for number, _ in enumerate(drive(SerialExecutor(HERE), work, tasks(1, 2, 3)), 1):
        assert len(started) == number


def test_a_failed_task_never_stops_the_others() -> None:
    outcomes = {o.key: o for o in drive(SerialExecutor(HERE), double, tasks(1, 13, 50, 2))}
    assert outcomes["t1"].result == 2
    assert outcomes["t2"].result == 4
    assert isinstance(outcomes["t13"].error, InvalidInputError)
    assert outcomes["t50"].error is not None
    assert "KeyError" in outcomes["t50"].error.what
    assert "run the same command again" in outcomes["t50"].error.next_step.lower()


def test_a_full_disk_stops_new_tasks() -> None:
    outcomes = list(drive(SerialExecutor(HERE), double, tasks(1, 99, 2, 3)))
    assert [o.key for o in outcomes] == ["t1", "t99"]
    assert isinstance(outcomes[1].error, ResourceError)
    assert "no space left" in outcomes[1].error.what


def test_a_future_that_raises_becomes_an_outcome() -> None:
    class Dying(SerialExecutor):
        def submit(self, memory_bytes: int, function: Callable[..., Any], *arguments: Any) -> DoneFuture:
            return DoneFuture(next(self._keys), error=RuntimeError("connection lost"))

    (outcome,) = drive(Dying(HERE), double, tasks(1))
    assert isinstance(outcome.error, CropcubeError)
    assert "connection lost" in outcome.error.what


def test_tasks_whose_worker_died_are_tried_alone_at_the_end() -> None:
    """Whatever runs beside the one that kills its worker dies with it; alone, the others are done."""

    class KilledWorker(Exception):
        """As dask's is called."""

    class OneProcess(LazyExecutor):
        def submit(self, memory_bytes: int, function: Callable[..., Any], *arguments: Any) -> DoneFuture:
            future = super().submit(memory_bytes, function, *arguments)
            asked.append(arguments[1].key)
            return future

        def first_done(self, pending: Sequence[Any], timeout_s: float | None = None) -> list[Any]:
            self.in_flight -= len(pending)
            if any(future.value.result == 2 * 7 for future in pending):
                return [DoneFuture(future.key, error=KilledWorker()) for future in pending]
            return list(pending)

    asked: list[str] = []
    outcomes = {o.key: o for o in drive(OneProcess(2), double, tasks(*range(12)))}
    assert {key: o.result for key, o in outcomes.items() if key != "t7"} == {
        f"t{n}": 2 * n for n in range(12) if n != 7
    }
    assert outcomes["t7"].error is not None
    assert "its worker process died again and again" in outcomes["t7"].error.what
    assert asked == [f"t{n}" for n in range(12)] + ["t4", "t5", "t6", "t7"]
    assert {o.tries for o in outcomes.values()} == {1, 2}


class Stumbling:
    """Work that fails in passing so many times, by payload."""

    def __init__(self, **failures: int) -> None:
        self.left = failures
        self.started: list[str] = []

    def __call__(self, payload: str) -> str:
        self.started.append(payload)
        if self.left.get(payload, 0):
            self.left[payload] -= 1
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        return payload


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cropcube.run.drive.WAITS_SECONDS", (0.0, 0.01, 0.02))


@pytest.mark.usefixtures("at_once")
def test_what_may_pass_is_tried_again_while_others_go_on() -> None:
    work = Stumbling(b=2)
    outcomes = {o.key: o for o in drive(SerialExecutor(HERE), work, [Task(name, name) for name in "abc"])}
    assert {key: (o.result, o.tries) for key, o in outcomes.items()} == {"a": ("a", 1), "b": ("b", 3), "c": ("c", 1)}
    assert work.started.count("b") == 3
    assert work.started[-1] == "b"


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("slots", [1, 3])
def test_it_is_given_up_at_last_with_its_last_error(slots: int) -> None:
    work = Stumbling(b=9)
    outcomes = {o.key: o for o in drive(LazyExecutor(slots), work, [Task(name, name) for name in "abcdef"])}
    assert len(outcomes) == 6
    assert outcomes["b"].tries == work.started.count("b") == 4
    assert outcomes["b"].error is not None
    assert "ConnectionResetError" in outcomes["b"].error.what


def test_nothing_is_tried_again_after_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor anything new; what waited for another try is told as it failed."""
    monkeypatch.setattr("cropcube.run.drive.WAITS_SECONDS", (60.0,))
    started = []

    def work(payload: str) -> None:
        started.append(payload)
        if payload == "full":
            raise OSError(errno.ENOSPC, "No space left on device", "shard")
        raise TimeoutError("no answer")

    outcomes = list(drive(LazyExecutor(1), work, [Task(name, name) for name in ("slow", "full", "new")]))
    assert started == ["slow", "full"]
    assert isinstance(outcomes[0].error, ResourceError)
    assert [(outcome.key, outcome.tries) for outcome in outcomes] == [("full", 1), ("slow", 1)]
    assert outcomes[1].error is not None
    assert "no answer" in outcomes[1].error.what


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("failures", [2, 9])
def test_a_store_that_takes_nothing_for_a_while_is_no_full_disk(failures: int) -> None:
    """Until it is given up: then nothing new is started."""
    left = [failures]

    def work(payload: str) -> str:
        if payload == "a" and left[0]:
            left[0] -= 1
            raise ResourceError("s3://fields cannot be written") from OSError(errno.EIO, "the store cannot be used")
        return payload

    outcomes = {o.key: o for o in drive(LazyExecutor(1), work, [Task(name, name) for name in "abcdefgh"])}
    assert outcomes["a"].tries == min(failures, 3) + 1
    assert (outcomes["a"].error is None) is (failures == 2)
    assert (len(outcomes) == 8) or failures == 9


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (TimeoutError("no answer"), True),
        (ConnectionRefusedError(), True),
        (OSError(errno.EIO, "the store cannot be used (503)", "s3://fields/a"), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (ReadError("b04.tif: HTTP 503", transient=True), True),
        (ReadError("b04.tif: HTTP 404"), False),
        (PermissionError(errno.EACCES, "the store refuses it (403)"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (InvalidInputError("thirteen is not wanted"), False),
        (KeyError("unforeseen"), False),
        (MemoryError(), False),
    ],
)
def test_which_errors_may_pass(error: Exception, passing: bool) -> None:
    assert is_passing(error) is passing
    caused = CropcubeError("a chunk cannot be read")
    caused.__cause__ = error
    assert is_passing(caused) is passing


def test_attempt_measures() -> None:
    outcome = attempt(double, Task("t", 4))
    assert (outcome.key, outcome.result, outcome.error) == ("t", 8, None)
    assert outcome.seconds >= 0


@pytest.mark.slow
def test_worker_processes_give_the_same_outcomes_and_name_the_failed_task() -> None:
    with open_executor(RunOptions("local", workers=2), Wanted(4)) as executor:
        assert executor.places == 4
        outcomes = {o.key: o for o in drive(executor, abs, [Task(f"t{n}", n) for n in (-3, -2, "x", 1)])}
    assert {key: o.result for key, o in outcomes.items()} == {"t-3": 3, "t-2": 2, "tx": None, "t1": 1}
    assert outcomes["tx"].error is not None
    assert "TypeError" in outcomes["tx"].error.what
