"""Workers as jobs of a batch system: so many as are wanted, and others in the place of those that end."""

from __future__ import annotations

import logging
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import dask
from distributed import Adaptive

if TYPE_CHECKING:
    from cropcube.run.options import RunOptions

ENDED_AFTER = 15
"""So many looks without a worker tell a job that has ended from one whose workers are being started again."""
LOOK_SECONDS = 1.0


def words_for_jobs(options: RunOptions) -> dict[str, Any]:
    """Return what dask-jobqueue's classes are asked for.

    A job has one worker process for each of its cores unless `[cluster.options]` or dask's configuration say
    otherwise: tasks use the threads that they are given by themselves.
    """
    configured = dask.config.get(f"jobqueue.{options.cluster}", {})
    words: dict[str, Any] = {"silence_logs": logging.CRITICAL, "scheduler_options": {"dashboard_address": ":0"}}
    words |= {"processes": configured.get("processes") or options.cluster_options.get("cores") or configured["cores"]}
    words |= options.cluster_options
    if options.memory_limit is not None and "memory" not in options.cluster_options:
        words["memory"] = f"{options.memory_limit * (words['processes'] or 1)}B"  # of a job, not of a worker
    return words


def keep_jobs(cluster: Any, options: RunOptions) -> None:
    """Submit the jobs of a run and keep their number, or what the work asks for; a job is submitted whole.

    Raises
    ------
    RuntimeError
        If the batch system refuses one.
    """
    in_job = len(_suffixes(cluster))
    least = options.workers or 1
    cluster.scale(least)
    cluster.sync(_submitted, cluster)
    cluster.adapt(
        Adaptive=Replacing,
        minimum_jobs=math.ceil(least / in_job),
        maximum_jobs=math.ceil((options.most_workers or least) / in_job),
        interval=LOOK_SECONDS,
        worker_key=_job_of if in_job > 1 else None,
    )


async def _submitted(cluster: Any) -> None:
    """Wait until the jobs are submitted; raises what the batch system says of one that it refuses."""
    await cluster
    for job in cluster.workers.values():
        await job


def _suffixes(cluster: Any) -> list[str]:
    """Return what the names of a job's workers have more than the job's."""
    return list(cluster.new_spec.get("group", [""]))


def _job_of(worker: Any) -> str:
    """Return the job of one of several workers, for the scheduler to end them together."""
    return str(worker.name).rpartition("-")[0]


class Replacing(Adaptive):
    """Forgets jobs whose workers are all gone, so that others are submitted: their time was over, or their node died.

    distributed does it where a job is one worker; it knows jobs of several by names that no worker has.
    """

    cluster: Any

    def __init__(self, cluster: Any, **words: Any) -> None:
        super().__init__(cluster, **words)
        self._seen: set[str] = set()
        self._looks_without: Counter[str] = Counter()

    async def recommendations(self, target: int) -> dict[str, Any]:
        """Return what to do to have so many workers."""
        suffixes = _suffixes(self.cluster)
        if len(suffixes) > 1:
            await self._forget_ended({job for job in self.cluster.workers if self._has_worker(job, suffixes)})
        found: dict[str, Any] = await super().recommendations(target)
        return found

    def _has_worker(self, job: str, suffixes: list[str]) -> bool:
        return any(f"{job}{suffix}" in self.observed for suffix in suffixes)

    async def _forget_ended(self, present: set[str]) -> None:
        self._seen |= present
        self._looks_without.update((self._seen & set(self.cluster.workers)) - present)
        for job in present:
            del self._looks_without[job]
        for job in [job for job, looks in self._looks_without.items() if looks >= ENDED_AFTER]:
            del self._looks_without[job]
            self._seen.discard(job)
            if job in self.cluster.workers:
                await self.cluster.workers.pop(job).close()
