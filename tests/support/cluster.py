"""A dask cluster of one's own: real `dask scheduler` and `dask worker` processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropcube.run.options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DASK = Path(sys.executable).with_name("dask")
SCHEDULER_PORT = 8786
QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@dataclass
class Cluster:
    """A running scheduler and its workers."""

    address: str
    cwd: Path
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def run(self) -> RunOptions:
        return RunOptions(self.address, quiet=True)

    def work(self, *words: str, before: tuple[str, ...] = (), environment: Mapping[str, str] | None = None) -> None:
        """Start one more worker with more options; `before` is what it is started through."""
        command = [*before, str(DASK), "worker", self.address, "--nworkers", "1", "--no-dashboard", *words]
        env = {**os.environ, **(environment or {})}
        self.workers.append(subprocess.Popen(command, cwd=self.cwd, start_new_session=True, env=env, **QUIET))

    def processes(self) -> list[int]:
        """Return the worker processes themselves, not the nannies that start them again."""
        return [child for nanny in self.workers for child in children(nanny.pid) if b"spawn_main" in words_of(child)]

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many worker processes run."""
        ends = time.monotonic() + 120
        while len(self.processes()) < count:
            assert time.monotonic() < ends
            time.sleep(0.1)

    def end(self, part: str) -> None:
        """Kill the scheduler, or end the first worker with the nanny that would start it again."""
        if part == "scheduler":
            self.scheduler.kill()
        else:
            self.workers[0].terminate()


@contextlib.contextmanager
def cluster(
    cwd: Path, *workers: tuple[str, ...], host: str = "127.0.0.1", port: int = 0, before: tuple[str, ...] = ()
) -> Iterator[Cluster]:
    """Start a scheduler, and a worker for each tuple of options; `before` is what the scheduler is started through."""
    port = port or (SCHEDULER_PORT if before else free_port(host))
    words = [*before, DASK, "scheduler", "--host", host, "--port", str(port), "--no-dashboard"]
    running = Cluster(f"tcp://{host}:{port}", cwd, subprocess.Popen(words, cwd=cwd, **QUIET))
    try:
        wait_for_port(port, host)
        for options in workers:
            running.work(*options)
        yield running
    finally:
        for process in (*running.workers, running.scheduler):
            process.terminate()
        for process in (*running.workers, running.scheduler):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        for process in running.workers:  # what it had started, had it no time to end it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        running.scheduler.kill()
        for process in (*running.workers, running.scheduler):
            process.wait()


def free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])


def wait_for_port(port: int, host: str = "127.0.0.1") -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.1)


def children(parent: int) -> list[int]:
    """Return the processes that a process has started, and theirs."""
    with contextlib.suppress(OSError):
        lists = [file.read_text("ascii") for file in Path(f"/proc/{parent}/task").glob("*/children")]
        own = [int(word) for listed in lists for word in listed.split()]
        return own + [child for process in own for child in children(process)]
    return []


def words_of(process: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""
