"""What came of a build."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cropcube.errors import CropcubeError, IncompleteError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cropcube.cube.ledger import Record
    from cropcube.pipeline.stage import StageSummary

LISTED_FAILURES = 50
"""Failed reads that a summary names; all are counted."""


@dataclass(frozen=True)
class BuildSummary:
    """The closing figures of a build."""

    project: str
    "Its folder."
    catalog: Mapping[str, Any]
    "What was asked of which catalogue."
    scenes: int
    "In the frozen catalogue."
    stage: StageSummary
    tally: Tally
    "Of every task of the build, reused ones included."
    amplification: float | None
    "Pixels decoded over pixels kept in this run; None if nothing was read."
    max_failed_reads: int

    @property
    def is_good(self) -> bool:
        """Whether every task left a result and failed reads are within the budget."""
        return not self.stage.failed and self.tally.failed_reads <= self.max_failed_reads

    def check(self) -> None:
        """Raise what kept the build from being good.

        Raises
        ------
        CropcubeError
            If a task failed.
        IncompleteError
            If more reads failed than the budget allows.
        """
        if self.stage.failed:
            first = self.stage.failed[0]
            more = f" (and {len(self.stage.failed) - 1} more tasks)" if len(self.stage.failed) > 1 else ""
            raise CropcubeError(f"build failed in {first.key}{more}: {first.error}", first.next_step)
        if not self.is_good:
            raise IncompleteError(
                f"{self.tally.failed_reads} reads failed in {self.tally.incomplete} tasks "
                f"(--max-failed-reads {self.max_failed_reads})",
                "Run the same command again: it retries what failed. What is broken for good is mended in the "
                "catalogue, or let pass with --max-failed-reads; `cropcube status` shows what is missing.",
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {
            "project": self.project,
            "catalog": dict(self.catalog),
            "scenes": self.scenes,
            **self.stage.as_dict(),
            "decode_amplification": None if self.amplification is None else round(self.amplification, 3),
            "observations": self.tally.observations,
            "failed_reads": self.tally.failed_reads,
            "failures": list(self.tally.failures),
            "max_failed_reads": self.max_failed_reads,
            "good": self.is_good,
        }


@dataclass(frozen=True)
class Tally:
    """What the ledger says of the tasks of a build."""

    done: int
    incomplete: int
    observations: int
    "Days x tiles that have any observation."
    failed_reads: int
    failures: tuple[Mapping[str, Any], ...]
    "The first of them: task, scene, band, error."
    decoded: int
    "Pixels decoded."
    needed: int
    "Pixels kept."


def tally(records: Iterable[Record]) -> Tally:
    """Count what records of build tasks say."""
    done = incomplete = observations = failed_reads = decoded = needed = 0
    failures: list[Mapping[str, Any]] = []
    for record in records:
        details: Mapping[str, Any] = record.details
        done += record.state == "done"
        incomplete += record.state == "incomplete"
        observations += sum(len(days) for days in details.get("days", {}).values())
        failed_reads += details.get("failed_reads", 0)
        decoded += details.get("pixels_decoded", 0)
        needed += details.get("pixels_needed", 0)
        for failure in details.get("failed", [])[: LISTED_FAILURES - len(failures)]:
            failures.append({"task": record.key, **failure})
    return Tally(done, incomplete, observations, failed_reads, tuple(failures), decoded, needed)
