"""The one bounded loop that drives every stage."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cropcube.errors import CropcubeError, ResourceError
from cropcube.run.memory import peak_memory_bytes
from cropcube.run.task import Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

P = TypeVar("P")
R = TypeVar("R")


class FutureLike(Protocol):
    """What the loop needs of a future; those of `concurrent.futures` and of dask have it."""

    key: Any

    def result(self) -> Any:
        """Return the outcome, or raise what kept it from being made."""

    def cancel(self) -> Any:
        """Ask for the work not to be started."""


class Executor(Protocol):
    """Where tasks run."""

    slots: int
    "Tasks that run at the same time."

    def submit(self, function: Callable[..., Any], *arguments: Any) -> FutureLike:
        """Start `function(*arguments)`."""

    def first_done(self, pending: Sequence[FutureLike]) -> list[FutureLike]:
        """Wait until at least one of the futures is done, and return those that are."""


def attempt(work: Callable[[P], R], task: Task[P]) -> Outcome[R]:
    """Run one task where it stands and return what came of it; an error is an outcome too."""
    began = time.perf_counter()
    result: R | None = None
    error: CropcubeError | None = None
    try:
        result = work(task.payload)
    except CropcubeError as known:
        error = known
    except Exception as unforeseen:  # one of the two boundaries: a failed task must not stop the others
        error = _explain(task.key, unforeseen)
    return Outcome(task.key, result, error, time.perf_counter() - began, peak_memory_bytes())


def drive(executor: Executor, work: Callable[[P], R], tasks: Iterable[Task[P]]) -> Iterator[Outcome[R]]:
    """Run tasks, a bounded number in flight, and yield each outcome as it ends.

    A failed task never stops the others, except one that ran out of disk or memory (`ResourceError`): the others would
    meet the same wall, so nothing new is started after it.

    Parameters
    ----------
    executor
        Where the tasks run.
    work
        A module-level function of the payload.
    tasks
        Taken one by one as places come free, so they may be made lazily.
    """
    waiting = iter(tasks)
    in_flight: dict[Any, tuple[FutureLike, Task[P]]] = {}
    stopped = False
    try:
        while True:
            while not stopped and len(in_flight) < 2 * executor.slots and (task := next(waiting, None)) is not None:
                future = executor.submit(attempt, work, task)
                in_flight[future.key] = (future, task)
                if executor.slots == 1:
                    break  # a serial executor has run it already: report before starting the next
            if not in_flight:
                return
            for future in executor.first_done([future for future, _ in in_flight.values()]):
                _, task = in_flight.pop(future.key)
                outcome: Outcome[R] = _outcome(future, task)
                stopped = stopped or isinstance(outcome.error, ResourceError)
                yield outcome
    finally:
        for future, _ in in_flight.values():
            future.cancel()


def _outcome(future: FutureLike, task: Task[P]) -> Outcome[Any]:
    try:
        outcome: Outcome[Any] = future.result()
    except Exception as error:  # the worker died, or the outcome could not travel
        return Outcome(task.key, None, _explain(task.key, error), 0.0, 0)
    return outcome


def _explain(key: str, error: Exception) -> CropcubeError:
    if isinstance(error, MemoryError):
        return ResourceError(f"{key}: out of memory", "Use fewer --workers, or a smaller --tile-px in a new project.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(
            f"{key}: no space left on the device ({error.filename or error})",
            "Free some space and run the same command again: what is done is kept.",
        )
    if type(error).__name__ == "KilledWorker":
        return CropcubeError(
            f"{key}: its worker process died again and again",
            "It was probably killed for its memory: use fewer --workers, then run the same command again.",
        )
    return CropcubeError(f"{key}: {type(error).__name__}: {error}", "Run the same command again: what is done is kept.")
