"""What a verb would do, of all that can be dry-run: what it comes to, how long it takes and what it costs."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cropcube.location import Location, ObjectPath
from cropcube.pipeline.rates import Range, Rates
from cropcube.run.cluster import resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cropcube.domain.grid import Grid
    from cropcube.run.executors import Resources
    from cropcube.run.options import RunOptions

SECONDS, THOUSAND, MB, GB = 3600, 1000, 1e6, 1e9


@dataclass(frozen=True)
class Estimate:
    """What a verb is expected to come to; tiles are all of the region's, the rest is of what is still to do."""

    source: str
    "Where the figures come from, in words."
    tiles: Mapping[str, int]
    "By zone."
    tasks: int
    "Tasks to do."
    reused: int
    "Tasks that are done already."
    read_bytes: int
    store_bytes: int
    "After compression."
    task_memory_bytes: int
    "Of the largest task."
    work: Mapping[str, float]
    "What processors have to do: amounts, by the speed of `Rates` that they are done at."
    fetched_bytes: int = 0
    "Of the bytes to read: from beyond this machine, where the scenes lie."
    scenes: int | None = None
    "Of the catalogue, where scenes are read."
    notes: tuple[str, ...] = ()
    "What was taken for granted, in sentences."


def tiles_of(grid: Grid) -> dict[str, int]:
    """Return the number of tiles in each zone."""
    return {zone.lattice.name: len(zone.cells) for zone in grid.zones}


def free_bytes(root: Location) -> int | None:
    """Return the bytes that are free where a folder is, or will be made; None in an object store, which has no end."""
    if isinstance(root, ObjectPath):
        return None
    folder = root
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class DryRun:
    """What a verb would do; nothing was written."""

    verb: str
    estimate: Estimate
    have: Resources
    "Workers, and what one of them may use."
    free_bytes: int | None
    "On the project's disk; None in an object store."
    rates: Rates = field(default_factory=Rates)

    @classmethod
    def of(cls, verb: str, estimate: Estimate, root: Location, run: RunOptions, rates: Rates) -> DryRun:
        """Return the dry run of an estimate in a folder, on what a run would have."""
        return cls(verb, estimate, resources(run, estimate.tasks), free_bytes(root), rates)

    @property
    def is_good(self) -> bool:
        """Whether it fits."""
        fits = self.estimate.task_memory_bytes <= self.have.memory_bytes
        return fits and (self.free_bytes is None or self.estimate.store_bytes <= self.free_bytes)

    def check(self) -> None:
        """Raise nothing: a dry run that shows that a verb does not fit has done its work."""

    @property
    def rests_on(self) -> dict[str, Any]:
        """The rates that hours and cost rest on, as `Rates.as_dict` gives them."""
        bought = ("core_hour_usd", "storage_gb_month_usd", "storage_months")
        fetching = ("requests_1000_usd", "transfer_gb_usd", "request_mb", "network_mb_s")
        used = {*bought, *(fetching if self.estimate.fetched_bytes else ()), *self.estimate.work}
        return {name: rate for name, rate in self.rates.as_dict().items() if name in used}

    @property
    def busy_hours(self) -> Range:
        """Hours of workers, all tasks together: each waits for what it fetches, and works on all its threads."""
        waiting = self.rates.network_mb_s.taken_by(self.estimate.fetched_bytes / MB)
        working = Range(0, 0)
        for speed, amount in self.estimate.work.items():
            working += getattr(self.rates, speed).taken_by(amount)
        return (waiting + working * (1 / self.have.threads)) * (1 / SECONDS)

    @property
    def hours(self) -> Range:
        """From start to end on the workers; a last round that does not keep all of them busy takes as long."""
        if not self.estimate.tasks:
            return Range(0, 0)
        rounds = math.ceil(self.estimate.tasks / self.have.workers)
        return self.busy_hours * (rounds / self.estimate.tasks)

    @property
    def cost(self) -> dict[str, Range]:
        """What it costs by what is paid for; the last is all of it."""
        rates, fetched = self.rates, self.estimate.fetched_bytes
        requests = rates.request_mb.taken_by(fetched / MB) * (1 / THOUSAND)
        of = {
            "core hours": self.busy_hours * self.have.threads * rates.core_hour_usd,
            "read requests": requests * rates.requests_1000_usd,
            "transfer": rates.transfer_gb_usd * (fetched / GB),
            "storage": rates.storage_gb_month_usd * rates.storage_months * (self.estimate.store_bytes / GB),
        }
        return {**of, "all": sum(of.values(), Range(0, 0))}

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        expected = self.estimate
        return {
            "dry_run": True,
            "verb": self.verb,
            "source": expected.source,
            "tiles": dict(expected.tiles),
            "scenes": expected.scenes,
            "tasks": expected.tasks,
            "reused": expected.reused,
            "bytes_to_read": expected.read_bytes,
            "bytes_to_fetch": expected.fetched_bytes,
            "bytes_to_store": expected.store_bytes,
            "task_memory_bytes": expected.task_memory_bytes,
            "free_bytes": self.free_bytes,
            "worker_memory_bytes": self.have.memory_bytes,
            "fits": self.is_good,
            "workers": self.have.workers,
            "threads_per_worker": self.have.threads,
            "work": dict(expected.work),
            "hours": self.hours.rounded(),
            "core_hours": (self.busy_hours * self.have.threads).rounded(),
            "cost_usd": {name.replace(" ", "_"): cost.rounded() for name, cost in self.cost.items()},
            "rates": self.rates.as_dict(),
            "notes": list(expected.notes),
        }
