"""How a verb becomes tasks that are done once: reused, erased, written and recorded, in that order."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.objects import discard_leftovers, sizes_of
from cropcube.errors import CropcubeError
from cropcube.run.cluster import Wanted, open_executor
from cropcube.run.drive import drive
from cropcube.run.progress import note, progress_bar
from cropcube.run.task import Outcome, Task

if TYPE_CHECKING:
    from cropcube.config import Project, ProjectPlace
    from cropcube.cube.objects import SizeOf
    from cropcube.location import Location
    from cropcube.run.options import RunOptions

ERASING, BEGUN, DONE, INCOMPLETE, REUSED = "erasing", "begun", "done", "incomplete", "reused"


@dataclass(frozen=True)
class StageTask:
    """One task of a verb: it owns whole shards."""

    key: str
    "Its place in the ledger, such as `build/utm31n/s003/r0114c0014`."
    digest: str
    "Of everything that decides its result: its own inputs, options, the algorithm's revision."
    payload: Any
    "Small and picklable."
    memory_bytes: int = 0
    "Projected peak."
    threads: int = 1
    "Set by the run: the thread budget that kernels, codecs and torch share."
    device: str = "cpu"
    "Set by the run: what the task reduces tiles on; see `RunOptions.device`."
    kept: Mapping[str, Any] = field(default_factory=dict)
    "Details that its record has until it is done: of what stands and is written over, not erased."


@dataclass(frozen=True)
class TaskResult:
    """What a task's `write` returns."""

    state: str = DONE
    "`done`, or `incomplete` where reads failed."
    details: Mapping[str, Any] = field(default_factory=dict)
    "JSON-ready, under 100 kB, no clock times: kept in the ledger."
    bytes_read: int = 0
    objects: Mapping[str, int] = field(default_factory=dict)
    "Bytes of every object that the task left, by path within the store: `Store.written`."


@dataclass(frozen=True)
class StageWork:
    """A store and the two module-level functions by which a worker changes it; both must be harmless to repeat."""

    stage: str
    "What their records are kept under."
    store: Location
    "What the tasks write."
    erase: Callable[[Project, StageTask], None]
    "Removes every chunk that the task owns."
    write: Callable[[Project, StageTask], TaskResult]
    "Makes and writes the task's shards, whole."


@dataclass(frozen=True)
class TaskReport:
    """One finished task as the driver keeps it; under 1 kB."""

    key: str
    state: str
    "`done`, `incomplete`, `reused`, or `failed`."
    seconds: float
    peak_bytes: int
    bytes_read: int = 0
    bytes_written: int = 0
    error: str = ""
    next_step: str = ""


@dataclass(frozen=True)
class StageSummary:
    """What came of a stage."""

    stage: str
    reports: tuple[TaskReport, ...]
    "Of the tasks that were not reused by the driver itself."
    reused_before: int
    seconds: float

    def count(self, state: str) -> int:
        """Return how many tasks ended in a state."""
        return sum(report.state == state for report in self.reports) + (self.reused_before if state == REUSED else 0)

    @property
    def failed(self) -> tuple[TaskReport, ...]:
        """Tasks that left no result."""
        return tuple(report for report in self.reports if report.state == "failed")

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {
            "stage": self.stage,
            "tasks": len(self.reports) + self.reused_before,
            **{state: self.count(state) for state in (DONE, REUSED, INCOMPLETE, "failed")},
            "seconds": round(self.seconds, 3),
            "bytes_read": sum(report.bytes_read for report in self.reports),
            "bytes_written": sum(report.bytes_written for report in self.reports),
            "peak_memory_bytes": max((report.peak_bytes for report in self.reports), default=0),
            "slowest": [
                {"task": report.key, "seconds": round(report.seconds, 3)}
                for report in sorted(self.reports, key=lambda report: -report.seconds)[:3]
            ],
            "errors": [{"task": r.key, "what": r.error, "next_step": r.next_step} for r in self.failed],
        }

    def raise_failed(self) -> None:
        """Raise the first failure, if any; the others are counted in its message.

        Raises
        ------
        CropcubeError
            Where a task left no result. What the other tasks wrote is kept.
        """
        if self.failed:
            first = self.failed[0]
            more = f" (and {len(self.failed) - 1} more tasks)" if len(self.failed) > 1 else ""
            raise CropcubeError(f"{self.stage} failed in {first.key}{more}: {first.error}", first.next_step)


def run_stage(
    project: Project,
    tasks: Sequence[StageTask],
    work: StageWork,
    options: RunOptions,
    clear: Callable[[], None] | None = None,
) -> StageSummary:
    """Do what is not done yet.

    A task whose record in the ledger is `done` with the wanted digest, and whose objects stand as recorded, is reused.
    Any other is erased where something may stand, written, and only then recorded.

    Parameters
    ----------
    project, tasks, work, options
        What is done, and where.
    clear
        Given where all tasks are to be done anew: takes away what stands, once nothing is left that could refuse them.

    Raises
    ------
    ResourceError
        Before the first task, if one does not fit the memory of a worker.
    """
    began = time.perf_counter()
    ledger = Ledger(project.ledger_path)
    reports: list[TaskReport] = []
    with _swept(ledger, work.store):
        standing = {} if clear else {record.key: record for record in ledger.records(work.stage)}
        wanted = not_done(tasks, standing, work.store)
        if wanted:
            with (
                open_executor(options, _asked(project, wanted, options)) as executor,
                progress_bar(work.stage, len(wanted), options.quiet) as advance,
            ):
                if clear:
                    clear()
                given = (replace(task, threads=executor.have.threads, device=options.used_device) for task in wanted)
                jobs = (Task(task.key, (project.place, task, work), task.memory_bytes) for task in given)
                for outcome in drive(executor, perform, jobs):
                    report = _report(outcome)
                    reports.append(report)
                    advance(report.bytes_read + report.bytes_written)
    return StageSummary(work.stage, tuple(reports), len(tasks) - len(wanted), time.perf_counter() - began)


@contextlib.contextmanager
def _swept(ledger: Ledger, store: Location) -> Iterator[None]:
    """Remove what killed writers have left of a store and the ledger, before and after the work."""
    ledger.sweep()
    discard_leftovers(store)
    try:
        yield
    finally:
        ledger.sweep()
        discard_leftovers(store)


def perform(job: tuple[ProjectPlace, StageTask, StageWork]) -> TaskReport:
    """Do one task on a worker: erase if something else may stand, write, record.

    The record goes through `erasing` and `begun`, so that a kill at any moment is told from a clean slate: chunks of
    another digest are never left under a new record, and a second driver that does the same task writes the same
    bytes over them without erasing what the first has finished.
    """
    place, task, work = job
    project = place.open()
    ledger = Ledger(project.ledger_path)
    standing = ledger.read(task.key)
    if is_done(standing, task.digest, sizes_of(work.store)):
        return TaskReport(task.key, REUSED, 0.0, 0)
    if standing is not None and not _is_underway(standing, task):
        ledger.write(Record(task.key, task.digest, ERASING, task.kept))
        work.erase(project, task)
    begin(ledger, task)
    result = work.write(project, task)
    details = result.details if result.state == DONE else {**result.details, **task.kept}
    ledger.write(Record(task.key, task.digest, result.state, details, result.objects))
    return TaskReport(task.key, result.state, 0.0, 0, result.bytes_read, sum(result.objects.values()))


def begin(ledger: Ledger, task: StageTask) -> None:
    """Record a task as begun: it is done, whatever stood of it, by this run or the next."""
    ledger.write(Record(task.key, task.digest, BEGUN, task.kept))


def is_done(record: Record | None, digest: str, size_of: SizeOf) -> bool:
    """Return whether a task is done as it is wanted now, and what it wrote still stands (see `sizes_of`)."""
    if record is None or (record.state, record.digest) != (DONE, digest):
        return False
    return not record.damaged(size_of)


def not_done(tasks: Iterable[StageTask], standing: Mapping[str, Record], store: Location) -> list[StageTask]:
    """Return the tasks that a run has to do.

    Parameters
    ----------
    tasks
        Of one store.
    standing
        Its records by key.
    store
        Where it is.
    """
    size_of = sizes_of(store, bool(standing))
    return [task for task in tasks if not is_done(standing.get(task.key), task.digest, size_of)]


def _is_underway(record: Record, task: StageTask) -> bool:
    """Return whether what stands is of this very task: begun, or done and damaged since. It is written over."""
    return record.state in (BEGUN, DONE) and record.digest == task.digest


def _report(outcome: Outcome[TaskReport]) -> TaskReport:
    if outcome.result is not None:
        return replace(outcome.result, seconds=outcome.seconds, peak_bytes=outcome.peak_bytes)
    what = outcome.error.what if outcome.error else ""
    next_step = outcome.error.next_step if outcome.error else ""
    return TaskReport(outcome.key, "failed", outcome.seconds, outcome.peak_bytes, error=what, next_step=next_step)


def _asked(project: Project, tasks: Sequence[StageTask], options: RunOptions) -> Wanted:
    """Return what the cluster of a stage is asked for."""
    largest = max(tasks, key=lambda task: task.memory_bytes)
    return Wanted(len(tasks), largest.memory_bytes, largest.key, project.place.open, partial(note, quiet=options.quiet))
