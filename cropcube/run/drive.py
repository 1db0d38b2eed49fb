"""The one bounded loop that drives every stage."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from cropcube.errors import CropcubeError, ReadError, ResourceError
from cropcube.run.memory import peak_memory_bytes
from cropcube.run.task import Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cropcube.run.executors import Resources

P = TypeVar("P")
R = TypeVar("R")

WAITS_SECONDS = (2.0, 10.0, 30.0)
"""Before a task is tried again whose error may pass: so often, and so long each time, while others go on."""
PASSING = frozenset({errno.EIO, errno.ESTALE, errno.EAGAIN, errno.EBUSY, errno.ENETUNREACH, errno.EHOSTUNREACH})
"""What file systems of a network, and stores that do not answer, raise."""


class FutureLike(Protocol):
    """What the loop needs of a future; those of `concurrent.futures` and of dask have it."""

    key: Any

    def result(self) -> Any:
        """Return the outcome, or raise what kept it from being made."""

    def cancel(self) -> Any:
        """Ask for the work not to be started."""


class Executor(Protocol):
    """Where tasks run."""

    have: Resources

    @property
    def places(self) -> int:
        """Tasks to keep submitted; it may change."""

    def submit(self, memory_bytes: int, function: Callable[..., Any], *arguments: Any) -> FutureLike:
        """Start `function(*arguments)`, which is projected to need so much memory."""

    def first_done(self, pending: Sequence[FutureLike], timeout_s: float | None = None) -> list[FutureLike]:
        """Wait until at least one of the futures is done, there are more places, or so long; return those done."""


def attempt(work: Callable[[P], R], task: Task[P]) -> Outcome[R]:
    """Run one task where it stands and return what came of it; an error is an outcome too."""
    began = time.perf_counter()
    result: R | None = None
    error: CropcubeError | None = None
    passing = False
    try:
        result = work(task.payload)
    except CropcubeError as known:
        error, passing = known, is_passing(known)
    except Exception as unforeseen:  # one of the two boundaries: a failed task must not stop the others
        error, passing = _explain(task.key, unforeseen), is_passing(unforeseen)
    if error is not None:  # dask would send the frames along, of its causes too
        error.__traceback__ = error.__cause__ = error.__context__ = None
    return Outcome(task.key, result, error, time.perf_counter() - began, peak_memory_bytes(), passing)


def is_passing(error: Exception) -> bool:
    """Return whether another try may not meet this error: time-outs, connections, stores that do not answer."""
    if isinstance(error, ReadError) and error.transient:
        return True
    if isinstance(error, CropcubeError):
        return error.__cause__ is not None and isinstance(error.__cause__, Exception) and is_passing(error.__cause__)
    return isinstance(error, ConnectionError | TimeoutError) or (isinstance(error, OSError) and error.errno in PASSING)


def drive(executor: Executor, work: Callable[[P], R], tasks: Iterable[Task[P]]) -> Iterator[Outcome[R]]:
    """Run tasks, a bounded number in flight, and yield each outcome as it ends.

    A failed task never stops the others, except one that ran out of disk or memory (`ResourceError`): the others would
    meet the same wall, so nothing new is started after it. One whose error may pass (`is_passing`) is tried again a few
    times, after a while each, and its last outcome alone is yielded. Those that their worker died with again and again
    are tried once more at the end, each alone: a cluster cannot tell which of the tasks in a process has killed it.

    Parameters
    ----------
    executor
        Where the tasks run.
    work
        A module-level function of the payload.
    tasks
        Taken one by one as places come free, so they may be made lazily.
    """
    line = _Line(iter(tasks))
    in_flight: dict[Any, tuple[FutureLike, Task[P]]] = {}
    try:
        while True:
            while len(in_flight) < executor.places and (task := line.next(not in_flight)) is not None:
                future = executor.submit(task.memory_bytes, attempt, work, task)
                in_flight[future.key] = (future, task)
            if not in_flight:
                if not line.wait():
                    yield from line.left()
                    return
                continue
            has_room = len(in_flight) < executor.places
            pending = [future for future, _ in in_flight.values()]
            for future in executor.first_done(pending, line.due_s if has_room else None):
                _, task = in_flight.pop(future.key)
                outcome: Outcome[R] = _outcome(future, task)
                if line.is_tried_again(task, outcome):
                    continue
                yield replace(outcome, tries=line.tries.get(task.key, 0) + 1)
    finally:
        for future, _ in in_flight.values():
            future.cancel()


@dataclass
class _Line(Generic[P]):
    """Tasks that wait: those never tried, and those to be tried again when their time has come."""

    new: Iterator[Task[P]]
    again: list[tuple[float, Task[P], Outcome[Any]]] = field(default_factory=list)
    "In the order of their times, each with what came of it last."
    tries: dict[str, int] = field(default_factory=dict)
    "Failed ones, by the task's key."
    suspects: list[tuple[Task[P], Outcome[Any]]] = field(default_factory=list)
    "To be tried alone, when nothing else is left."
    suspected: set[str] = field(default_factory=set)
    "Keys of those, tried already or not."
    is_closed: bool = False
    "Nothing is started any more."

    def next(self, is_idle: bool) -> Task[P] | None:
        """Return the task to start now, if there is one; `is_idle` if nothing is in flight."""
        if self.is_closed:
            return None
        if self.again and self.again[0][0] <= time.monotonic():
            return self.again.pop(0)[1]
        if (task := next(self.new, None)) is None and self.suspects and is_idle and not self.again:
            return self.suspects.pop(0)[0]
        return task

    def left(self) -> Iterator[Outcome[Any]]:
        """Yield what came of those that were to be tried again when the line was closed."""
        for outcome in (*(waiting[-1] for waiting in self.again), *(waiting[-1] for waiting in self.suspects)):
            yield replace(outcome, tries=self.tries[outcome.key])

    @property
    def due_s(self) -> float | None:
        """Seconds until the first task is to be tried again; None where there is none."""
        return max(0.0, self.again[0][0] - time.monotonic()) if self.again and not self.is_closed else None

    def wait(self) -> bool:
        """Wait for that task; False where nothing is left."""
        if (due := self.due_s) is None:
            return False
        time.sleep(due)
        return True

    def is_tried_again(self, task: Task[P], outcome: Outcome[Any]) -> bool:
        """Put a task back whose error may pass and that has not been tried too often, or that is to be tried alone."""
        tried = self.tries.get(task.key, 0)
        is_suspect = outcome.is_suspect and task.key not in self.suspected
        if self.is_closed or not (is_suspect or (outcome.is_passing and tried < len(WAITS_SECONDS))):
            self.is_closed = self.is_closed or isinstance(outcome.error, ResourceError)
            return False
        self.tries[task.key] = tried + 1
        if is_suspect:
            self.suspected.add(task.key)
            self.suspects.append((task, outcome))
        else:
            self.again.append((time.monotonic() + WAITS_SECONDS[tried], task, outcome))
            self.again.sort(key=lambda waiting: waiting[0])
        return True


def _outcome(future: FutureLike, task: Task[P]) -> Outcome[Any]:
    try:
        outcome: Outcome[Any] = future.result()
    except Exception as error:  # the worker died, or the outcome could not travel
        return Outcome(task.key, None, _explain(task.key, error), 0.0, 0, is_suspect=_is_killed(error))
    return outcome


def _is_killed(error: Exception) -> bool:
    return type(error).__name__ == "KilledWorker"  # dask's; not imported here, where serial runs come too


def _explain(key: str, error: Exception) -> CropcubeError:
    if isinstance(error, MemoryError):
        return ResourceError(f"{key}: out of memory", "Use fewer --workers, or a smaller --tile-px in a new project.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(
            f"{key}: no space left on the device ({error.filename or error})",
            "Free some space and run the same command again: what is done is kept.",
        )
    if _is_killed(error):
        return CropcubeError(
            f"{key}: its worker process died again and again",
            "It was probably killed for its memory: use fewer --workers, then run the same command again.",
        )
    return CropcubeError(f"{key}: {type(error).__name__}: {error}", "Run the same command again: what is done is kept.")
