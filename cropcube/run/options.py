"""Where and how wide work runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cropcube.domain.words import size_bytes
from cropcube.errors import InvalidInputError, UsageError

AUTO, SERIAL, LOCAL, CUDA = "auto", "serial", "local", "cuda"
SLURM, PBS, KUBERNETES = "slurm", "pbs", "kubernetes"
STARTED = (CUDA, SLURM, PBS, KUBERNETES)
"""Kinds of cluster that another package starts, which the table's options are for."""
GROWING = (SLURM, PBS, KUBERNETES)
"""Kinds whose number of workers may follow the work."""
DEVICES = (AUTO, "cpu", "cuda")
HANDFUL = 4
"""Up to this many tasks, starting worker processes costs more than it saves."""
KINDS = "auto, serial, local, cuda, slurm, pbs, kubernetes, tcp://HOST:PORT of a scheduler or the path of its file"
_ADDRESS = re.compile(r"(tcp|tls|ucx|ucxx|ws|wss)://\S+:\d+")


@dataclass(frozen=True)
class RunOptions:
    """How the tasks of one verb are run."""

    cluster: str = AUTO
    """`auto` (local for more than a handful of tasks), `serial`, `local`, `cuda`, `slurm`, `pbs`, `kubernetes`, a dask
    scheduler's address `tcp://...`, or the path of its scheduler file."""
    workers: int | None = None
    "Worker processes of a cluster that is started; None chooses from the machine, or one of a batch system."
    memory_limit: int | None = None
    "Bytes for one worker; None chooses from the machine, or takes what a cluster's workers have."
    quiet: bool = False
    "No progress bar."
    device: str = AUTO
    "What workers reduce tiles on: a GPU where CuPy finds one (`auto`), the processor (`cpu`), or a GPU only (`cuda`)."
    most_workers: int | None = None
    "Up to so many workers, as the work asks for, but at least `workers`: of slurm, pbs and kubernetes."
    cluster_options: Mapping[str, Any] = field(default_factory=dict)
    "Passed as they stand to what starts a cluster: `SLURMCluster`, `PBSCluster`, `KubeCluster`, `LocalCUDACluster`."

    def __post_init__(self) -> None:
        if self.cluster not in (AUTO, SERIAL, LOCAL, *STARTED) and not (self.is_address or self.is_file):
            raise InvalidInputError(f"cluster {self.cluster!r} is not known", f"Use {KINDS}.")
        if self.device not in DEVICES:
            raise InvalidInputError(f"device {self.device!r} is not known", f"Use {', '.join(DEVICES)}.")
        if self.cluster == CUDA and self.device == "cpu":
            raise UsageError("--cluster cuda has workers with GPUs, --device cpu none", "Leave one of them out.")
        self._check_workers()
        if self.memory_limit is not None and self.memory_limit < 1:
            raise InvalidInputError(
                f"a memory limit of {self.memory_limit} bytes cannot hold a task", "Give --memory-limit 4GiB, say."
            )
        if self.cluster_options and self.cluster not in STARTED:
            raise InvalidInputError(
                f"[cluster.options] are for {', '.join(STARTED)}, not for {self.cluster}", "Take the table out."
            )

    def _check_workers(self) -> None:
        if self.workers is not None and self.cluster not in (AUTO, LOCAL, *STARTED):
            raise UsageError(
                f"--workers {self.workers} starts workers, --cluster {self.cluster} has "
                f"{'none' if self.cluster == SERIAL else 'its own'}",
                "Leave one of them out.",
            )
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"{self.workers} workers cannot work", "Give --workers 1 or more.")
        if self.most_workers is None:
            return
        if self.cluster not in GROWING:
            raise UsageError(
                f"a cluster that grows from {self.workers} to {self.most_workers} workers is one of "
                f"{', '.join(GROWING)}; --cluster is {self.cluster}",
                "Give --workers one number.",
            )
        if self.workers is None or self.most_workers < self.workers:
            raise InvalidInputError(
                f"workers cannot go from {self.workers} to {self.most_workers}", "Give --workers 2:40, say."
            )

    @property
    def used_device(self) -> str:
        """What workers reduce tiles on: those of a cluster of GPUs on them."""
        return CUDA if self.cluster == CUDA else self.device

    @property
    def is_address(self) -> bool:
        """Whether `cluster` is the address of a scheduler."""
        return _ADDRESS.fullmatch(self.cluster) is not None

    @property
    def is_file(self) -> bool:
        """Whether `cluster` is the path of a scheduler file."""
        return "://" not in self.cluster and (self.cluster.endswith(".json") or "/" in self.cluster)

    @property
    def is_elsewhere(self) -> bool:
        """Whether tasks may run on other machines, which may have what this one lacks."""
        return self.cluster not in (AUTO, SERIAL, LOCAL, CUDA)

    def kind(self, tasks: int) -> str:
        """Return `cluster`, with `auto` decided for a number of tasks."""
        if self.cluster != AUTO:
            return self.cluster
        if self.workers == 1 or (self.workers is None and tasks <= HANDFUL):
            return SERIAL
        return LOCAL

    def or_else(self, table: Mapping[str, Any]) -> RunOptions:
        """Return these options, with what a project's `[cluster]` table says where they say nothing.

        Parameters
        ----------
        table
            `kind`, `workers` (a number, or the least and the most), `memory_limit` (`16GiB`) and `options`, a table.

        Raises
        ------
        InvalidInputError
            If the table cannot be used.
        """
        if not table or self.cluster not in (AUTO, table.get("kind")):
            return self
        given = _of_table(table)
        own: dict[str, Any] = {"quiet": self.quiet, "device": self.device}
        if self.workers is not None:
            own |= {"workers": self.workers, "most_workers": self.most_workers}
        if self.memory_limit is not None:
            own["memory_limit"] = self.memory_limit
        return replace(given, **own)


def workers_of_words(text: str) -> tuple[int, int | None]:
    """Return the least and the most workers of `4` or `2:40`.

    Raises
    ------
    UsageError
        If it is neither.
    """
    match = re.fullmatch(r"(\d{1,6})(?::(\d{1,6}))?", text)
    if match is None or int(match[1]) < 1:
        raise UsageError(
            f"--workers {text!r} is no number of workers", "Give 4, or 2:40 for as many as the work needs."
        )
    least, most = match.groups()
    return int(least), None if most is None else int(most)


def _of_table(table: Mapping[str, Any]) -> RunOptions:
    names: dict[str, Any] = {"kind": str, "workers": (int, list), "memory_limit": str, "options": dict}
    for name, value in table.items():
        if name not in names or not isinstance(value, names[name]) or isinstance(value, bool):
            raise InvalidInputError(
                f"cropcube.toml: cluster.{name} {f'= {value!r} cannot be used' if name in names else 'is not known'}",
                'In [cluster]: kind = "slurm", workers = 4 or [2, 40], memory_limit = "16GiB", and [cluster.options].',
            )
    workers, most = table.get("workers"), None
    if isinstance(workers, list):
        if len(workers) != 2 or not all(type(number) is int for number in workers):
            raise InvalidInputError(f"cropcube.toml: cluster.workers = {workers} cannot be used", "Give 4, or [2, 40].")
        workers, most = workers
    limit = table.get("memory_limit")
    return RunOptions(
        cluster=table.get("kind", AUTO),
        workers=workers,
        memory_limit=None if limit is None else size_bytes(limit),
        most_workers=most,
        cluster_options=table.get("options", {}),
    )
