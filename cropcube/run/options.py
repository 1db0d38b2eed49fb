"""Where and how wide work runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cropcube.errors import InvalidInputError, UsageError

AUTO, SERIAL, LOCAL = "auto", "serial", "local"
DEVICES = (AUTO, "cpu", "cuda")
HANDFUL = 4
"""Up to this many tasks, starting worker processes costs more than it saves."""


@dataclass(frozen=True)
class RunOptions:
    """How the tasks of one verb are run."""

    cluster: str = AUTO
    "`auto` (local for more than a handful of tasks), `serial`, `local`, or a dask scheduler's address `tcp://...`."
    workers: int | None = None
    "Worker processes of a local cluster; None chooses from the machine."
    memory_limit: int | None = None
    "Bytes for one worker; None chooses from the machine."
    quiet: bool = False
    "No progress bar."
    device: str = AUTO
    "What workers reduce tiles on: a GPU where CuPy finds one (`auto`), the processor (`cpu`), or a GPU only (`cuda`)."

    def __post_init__(self) -> None:
        if self.cluster not in (AUTO, SERIAL, LOCAL) and not re.fullmatch(r"(tcp|tls)://\S+:\d+", self.cluster):
            raise InvalidInputError(
                f"cluster {self.cluster!r} is not known", "Use auto, serial, local or tcp://HOST:PORT of a scheduler."
            )
        if self.device not in DEVICES:
            raise InvalidInputError(f"device {self.device!r} is not known", f"Use {', '.join(DEVICES)}.")
        if self.workers is not None and self.cluster not in (AUTO, LOCAL):
            raise UsageError(
                f"--workers {self.workers} starts processes here, --cluster {self.cluster} has "
                f"{'none' if self.cluster == SERIAL else 'its own'}",
                "Leave one of them out.",
            )
        if self.workers is not None and self.workers < 1:
            raise InvalidInputError(f"{self.workers} workers cannot work", "Give --workers 1 or more.")
        if self.memory_limit is not None and self.memory_limit < 1:
            raise InvalidInputError(
                f"a memory limit of {self.memory_limit} bytes cannot hold a task", "Give --memory-limit 4GiB, say."
            )

    @property
    def is_elsewhere(self) -> bool:
        """Whether tasks run on a scheduler's workers, which may have what this machine lacks."""
        return self.cluster not in (AUTO, SERIAL, LOCAL)

    def kind(self, tasks: int) -> str:
        """Return `serial`, `local` or the scheduler's address for a number of tasks."""
        if self.cluster != AUTO:
            return self.cluster
        if self.workers == 1 or (self.workers is None and tasks <= HANDFUL):
            return SERIAL
        return LOCAL
