"""Clusters that a run starts for itself and closes: processes here, GPUs here, jobs of a batch system, Kubernetes."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import logging
import shutil
import signal
from collections.abc import Iterator, Mapping
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from cropcube.errors import InvalidInputError, MissingError, MissingExtraError
from cropcube.run.options import CUDA, KUBERNETES, PBS, SLURM, RunOptions

if TYPE_CHECKING:
    from cropcube.run.executors import Resources

CLASSES = {
    CUDA: ("dask_cuda", "LocalCUDACluster", "gpu"),
    SLURM: ("dask_jobqueue", "SLURMCluster", "hpc"),
    PBS: ("dask_jobqueue", "PBSCluster", "hpc"),
    KUBERNETES: ("dask_kubernetes.operator", "KubeCluster", "kubernetes"),
}
"""Module, class and extra of each kind."""
SUBMITS = {SLURM: "sbatch", PBS: "qsub"}
DEVICE_POOL = 0.8
"""Share of a GPU's memory that its worker's pool takes at the start, where RMM is installed."""


@contextlib.contextmanager
def local_cluster(have: Resources) -> Iterator[Any]:
    """Start worker processes on this machine."""
    from distributed import LocalCluster

    with _interrupts_for_the_driver_alone():
        cluster = LocalCluster(
            n_workers=have.workers,
            threads_per_worker=1,  # a task uses `threads` of its own; two tasks in one process would share one heap
            processes=True,
            memory_limit=have.memory_bytes,
            dashboard_address="127.0.0.1:0",  # any free port: several runs on one machine must not meet at 8787
            silence_logs=logging.CRITICAL,  # the worker that the driver closes in mid-task calls that an error
            host="127.0.0.1",
            preload="cropcube.run.worker",
        )
    with cluster:
        yield cluster


@contextlib.contextmanager
def _interrupts_for_the_driver_alone() -> Iterator[None]:
    """Start processes that never see Ctrl-C, which a terminal sends to all of the group: the driver closes them.

    They inherit what the thread blocks that starts them, from their first moment on, and so do those that are started
    in place of a dead one. An interrupt that comes meanwhile is delivered at the end.
    """
    resource_tracker.ensure_running()  # multiprocessing starts it with the first process, and unblocks the signal then
    blocked_before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked_before)


@contextlib.contextmanager
def started_cluster(options: RunOptions) -> Iterator[Any]:
    """Start a cluster by the package that knows how: dask-cuda, dask-jobqueue or dask-kubernetes.

    Raises
    ------
    MissingExtraError
        If the package is not installed.
    MissingError
        If there is no GPU, no batch system, no Kubernetes.
    InvalidInputError
        If `[cluster.options]` do not suit the class that they are passed to.
    """
    start = {CUDA: _start_cuda, KUBERNETES: _start_pods}.get(options.cluster, _start_jobs)
    with contextlib.closing(start(options)) as cluster:
        yield cluster


def _class_of(kind: str) -> Any:
    module, name, extra = CLASSES[kind]
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise MissingExtraError(
            f"--cluster {kind} needs {module.partition('.')[0].replace('_', '-')} ({error})",
            f'Install it: pip install "cropcube[{extra}]".',
        ) from error


def _start_cuda(options: RunOptions) -> Any:
    kind = _class_of(CUDA)
    words: dict[str, Any] = {
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,
        "host": "127.0.0.1",
        "preload": ["cropcube.run.worker"],  # to which dask-cuda adds its own
    }
    if options.workers is not None:
        words["n_workers"] = options.workers
    if options.memory_limit is not None:
        words["memory_limit"] = options.memory_limit
    if importlib.util.find_spec("rmm") is not None:  # else CuPy's own pool holds what was used once
        words |= {"rmm_pool_size": DEVICE_POOL, "rmm_allocator_external_lib_list": "cupy"}
    with _interrupts_for_the_driver_alone():
        return _started(kind, CUDA, words | dict(options.cluster_options))


def _start_jobs(options: RunOptions) -> Any:
    submits = SUBMITS[options.cluster]
    if shutil.which(submits) is None:
        raise MissingError(
            f"--cluster {options.cluster} needs {submits}, which is not on this machine",
            "Run the command where jobs are submitted, or use --cluster local.",
        )
    kind = _class_of(options.cluster)
    from cropcube.run.jobs import keep_jobs, words_for_jobs

    cluster = _started(kind, options.cluster, words_for_jobs(options))
    with _without_echo(), _closed_on_error(cluster):
        try:
            keep_jobs(cluster, options)
        except RuntimeError as error:
            raise MissingError(
                f"{options.cluster} refuses a job of workers: {' '.join(str(error).split())}",
                "Mend [cluster.options] in cropcube.toml, or dask's own configuration of dask-jobqueue.",
            ) from error
    return cluster


@contextlib.contextmanager
def _without_echo() -> Iterator[None]:
    """Keep asyncio from logging, when they are collected, errors of jobs that are said in our words."""
    log = logging.getLogger("asyncio")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        gc.collect()
        log.disabled = before


def _start_pods(options: RunOptions) -> Any:
    words = {"name": "cropcube", "n_workers": options.workers or 1, "quiet": True}
    if options.memory_limit is not None:
        words["resources"] = {kind: {"memory": str(options.memory_limit)} for kind in ("requests", "limits")}
    cluster = _started(_class_of(KUBERNETES), KUBERNETES, words | dict(options.cluster_options))
    with _closed_on_error(cluster):
        if options.most_workers is not None:
            cluster.adapt(minimum=options.workers, maximum=options.most_workers)
        elif options.workers is not None:
            cluster.scale(options.workers)  # also where a specification of one's own names another number
    return cluster


@contextlib.contextmanager
def _closed_on_error(cluster: Any) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(AssertionError):  # distributed wants each job to have been submitted
            cluster.close()
        raise


def _started(kind: Any, name: str, words: Mapping[str, Any]) -> Any:
    """Start a cluster, with what its package raises in our words."""
    try:
        return kind(**words)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"--cluster {name} does not start: {' '.join(str(error).split())}",
            f"Mend [cluster.options] in cropcube.toml, or dask's own configuration of {kind.__name__}.",
        ) from error
    except Exception as error:  # of all kinds: NVML's, a command's, a server's
        what = "no NVIDIA GPU answers here" if name == CUDA else f"no {name} answers here"
        raise MissingError(
            f"--cluster {name} does not start: {what} ({type(error).__name__}: {error})",
            "Run it where there is one, or use --cluster local.",
        ) from error
