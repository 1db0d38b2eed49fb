"""Where tasks run: this process, or the workers of a dask cluster."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cropcube.errors import MissingError
from cropcube.run.memory import processors
from cropcube.run.workers import Worker, takes_of, threads_for_one, workers_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cropcube.run.drive import FutureLike

START_AGAIN = "Start `dask scheduler` and `dask worker`, and run the same command again: what is done is kept."
COUNT_SECONDS = 5.0
"""So often workers are counted, which come and go."""
PATIENCE_SECONDS = 60.0
"""How long a run goes on without a worker: the time that one takes to be started in place of a dead one."""


@dataclass(frozen=True)
class Resources:
    """What a run has."""

    kind: str
    "`serial`, `local`, another kind of cluster, or the scheduler's address."
    workers: int
    threads: int
    "Threads for one task: the one budget that kernels, codecs and torch share."
    memory_bytes: int
    "Memory for one worker; of several that differ, of the largest."


@dataclass
class DoneFuture:
    """A future whose outcome is here: a serial executor's, or one that was fetched from a cluster."""

    key: Any
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

    have: Resources
    places: int = 1
    "One: what it has run is reported before the next is started."
    _keys: Iterator[int] = field(default_factory=itertools.count)

    def submit(self, memory_bytes: int, function: Callable[..., Any], *arguments: Any) -> FutureLike:
        """Run `function(*arguments)` now."""
        del memory_bytes  # there is one at a time
        return DoneFuture(next(self._keys), function(*arguments))

    def first_done(self, pending: Sequence[FutureLike], timeout_s: float | None = None) -> list[FutureLike]:
        """Return all of them: each is done."""
        del timeout_s
        return list(pending)


def silent(_line: str) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Terms:
    """What a run asks of its workers."""

    task_bytes: int
    "Projected memory of the largest task."
    memory_limit: int | None = None
    "Bytes of a worker that the run may take."
    is_growing: bool = False
    "Whether workers come when there is work, so that having none is no failure."
    most_workers: int = 0
    "So many it may have one day: their work is kept waiting, or none of them would be asked for."
    say: Callable[[str], None] = silent
    "Gets what is waited for."


@dataclass
class DaskExecutor:
    """Coarse futures on a dask cluster; never a graph of pixels.

    A worker starts a task when a thread is free and the memory that the task is projected to need is not taken by
    others (see `worker.Admission`). Workers are counted again and again: `have` and `places` follow them.
    """

    client: Any
    have: Resources
    terms: Terms
    _slots: int = 0
    _counted: float = float("-inf")
    _without_since: float | None = None
    _is_said: bool = False
    _processors: dict[str, int] = field(default_factory=dict)
    "Of the workers' machines, by their addresses."

    @property
    def places(self) -> int:
        """Tasks to keep submitted: twice what the workers of now take at a time, of the largest ones."""
        if time.monotonic() - self._counted > COUNT_SECONDS:
            self._count()
        return 2 * max(self._slots, self.terms.most_workers, 1)

    def submit(self, memory_bytes: int, function: Callable[..., Any], *arguments: Any) -> FutureLike:
        """Send `function(*arguments)` to a worker."""
        takes = dict.fromkeys(takes_of(self.terms.memory_limit), max(memory_bytes, 1))
        future: FutureLike = self.client.submit(function, *arguments, pure=False, resources=takes)
        return future

    def first_done(self, pending: Sequence[FutureLike], timeout_s: float | None = None) -> list[FutureLike]:
        """Wait for the first of the futures, or until there are more places or the time is over.

        Returns those that are done, outcomes and all.

        Raises
        ------
        MissingError
            If the scheduler is gone, or all of its workers for a minute.
        """
        from distributed import wait

        places = self.places
        ends = None if timeout_s is None else time.monotonic() + timeout_s
        with self.client.as_current():  # not the default client: that would catch every dask computation of the user's
            while self.places <= places and (ends is None or time.monotonic() < ends):
                patience = COUNT_SECONDS if ends is None else max(0.01, min(COUNT_SECONDS, ends - time.monotonic()))
                try:
                    return self._fetched(wait(list(pending), patience, "FIRST_COMPLETED").done)
                except TimeoutError:  # nothing is done, or it died with its worker before it was here
                    self._count()
                except CancelledError as error:
                    raise self._gone() from error
        return []

    def _fetched(self, futures: Iterable[Any]) -> list[FutureLike]:
        """Return futures with their outcomes, all asked for in one request: a round trip for each adds up."""
        by_status: dict[str, list[Any]] = {}  # as it is now: what was done a moment ago may have died with its worker
        for future in futures:
            by_status.setdefault(future.status, []).append(future)
        if "cancelled" in by_status:
            raise CancelledError
        failed, finished = by_status.get("error", []), by_status.get("finished", [])
        try:
            outcomes = self.client.sync(
                lambda: self.client.gather(finished, asynchronous=True), callback_timeout=COUNT_SECONDS
            )
        except CancelledError:
            raise
        except Exception:  # a worker that does not answer, or an outcome that cannot travel
            return [*failed, *filter(None, map(self._asked_alone, finished))]
        return failed + [DoneFuture(future.key, outcome) for future, outcome in zip(finished, outcomes, strict=True)]

    def _asked_alone(self, future: Any) -> DoneFuture | None:
        """Return one future with its outcome; None where that does not come in time: it is asked for once more."""
        try:
            return DoneFuture(future.key, future.result(COUNT_SECONDS))
        except (CancelledError, TimeoutError):  # a task's own errors are in its outcome
            return None
        except Exception as error:
            return DoneFuture(future.key, error=error)

    def _count(self) -> None:
        try:
            workers = workers_of(self.client, self.terms.memory_limit)
            self._ask_processors(workers)
        except (OSError, KeyError) as error:  # no answer; or what the client remembers, which names no workers
            raise self._gone() from error
        self._slots = slots(workers, self.terms.task_bytes)
        self._counted = time.monotonic()
        if self._slots:
            self._without_since, self._is_said = None, False
            self.have = replace(
                self.have,
                workers=len(workers),
                threads=threads_for_one(workers, self._processors, self.terms.task_bytes),
                memory_bytes=max(worker.memory_bytes for worker in workers),
            )
        else:
            self._wait_for_one(workers)

    def _ask_processors(self, workers: Sequence[Worker]) -> None:
        """Ask those that are new; the addresses of those that are gone do not come again."""
        self._processors = {
            it.address: self._processors[it.address] for it in workers if it.address in self._processors
        }
        if new := [worker.address for worker in workers if worker.address not in self._processors]:
            self._processors |= self.client.run(processors, workers=new, on_error="ignore")

    def _wait_for_one(self, workers: Sequence[Worker]) -> None:
        """Say, or raise where none will come, that no worker has taken a task for a while."""
        now = time.monotonic()
        self._without_since = self._without_since or now
        if now - self._without_since <= PATIENCE_SECONDS:
            return
        what = f"the scheduler at {self._address} has no workers"
        if workers:
            gib = self.terms.task_bytes / 2**30
            what += f" that take tasks of {gib:.2f} GiB (it has {len(workers)}, of other versions or with less memory)"
        if not self.terms.is_growing:
            raise MissingError(what, START_AGAIN)
        if not self._is_said:
            self.terms.say(f"{what}: waiting for one (Ctrl-C gives up)")
            self._is_said = True

    @property
    def _address(self) -> str:
        return str(self.client.scheduler.address)

    def _gone(self) -> MissingError:
        return MissingError(f"the scheduler at {self._address} is gone", START_AGAIN)


def slots(workers: Sequence[Worker], task_bytes: int) -> int:
    """Return how many tasks of a size the workers take at a time: as many as have a thread and fit the memory."""
    return sum(worker.room_for(task_bytes) for worker in workers)
