"""A dask cluster of one's own: real `dask scheduler` and `dask worker` processes, there, silent, lost or elsewhere."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cropcube.errors import MissingError
from cropcube.pipeline.build import build
from cropcube.run import cluster
from cropcube.run.cluster import Resources, open_executor
from cropcube.run.drive import drive
from cropcube.run.options import RunOptions
from cropcube.run.task import Task
from tests.support.granules import tree_bytes, write_catalog
from tests.support.small_build import SERIAL, build_small, granules

DASK = Path(sys.executable).with_name("dask")
pytestmark = pytest.mark.slow


@dataclass
class Cluster:
    """A running scheduler and, perhaps, one worker."""

    address: str
    scheduler: "subprocess.Popen[bytes]"
    worker: "subprocess.Popen[bytes] | None"

    @property
    def have(self) -> Resources:
        return Resources(self.address, 1, 1, 2**30)

    def end(self, part: str) -> None:
        """Kill the scheduler, or end the worker with the nanny that would start it again."""
        if part == "scheduler":
            self.scheduler.kill()
        elif self.worker is not None:
            self.worker.terminate()


@contextlib.contextmanager
def processes(cwd: Path, worker: tuple[str, ...] | None = (), before: tuple[str, ...] = ()) -> Iterator[Cluster]:
    """Start a scheduler and a worker with more options; `before` is what the worker is started through."""
    quiet = {"cwd": cwd, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    words = [DASK, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    running = [subprocess.Popen(words, **quiet)]  # type: ignore[call-overload]
    try:
        wait_for_port(port)
        if worker is not None:
            words = [*before, DASK, "worker", address, "--nworkers", "1", "--no-dashboard", *worker]
            running.append(subprocess.Popen(words, **quiet))  # type: ignore[call-overload]
        yield Cluster(address, running[0], running[1] if worker is not None else None)
    finally:
        for process in reversed(running):
            process.terminate()
        for process in reversed(running):
            process.wait(30)


def wait_for_port(port: int) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer than people do: the machine may be busy."""
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 120)


def be_hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(cluster, "PATIENCE_SECONDS", 1)


def test_a_build_on_a_cluster_gives_the_same_bytes(tmp_path: Path) -> None:
    """Also where a worker runs several tasks in one process."""
    catalog = write_catalog(granules(), tmp_path / "scenes")
    build_small(tmp_path / "clean", catalog)
    with processes(tmp_path, ("--nthreads", "3")) as running:
        summary = build_small(tmp_path / "project", catalog, RunOptions(running.address, quiet=True))
    assert summary.is_good
    assert summary.as_dict()["done"] == 6
    assert tree_bytes(tmp_path / "project" / "cube.zarr") == tree_bytes(tmp_path / "clean" / "cube.zarr")
    assert tree_bytes(tmp_path / "project" / "ledger") == tree_bytes(tmp_path / "clean" / "ledger")


def test_a_worker_that_does_not_see_the_project_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    """The next build, with processes that do, goes on."""
    hide = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs tmpfs "{tmp_path / "hidden"}" && exec "$0" "$@"')
    if shutil.which("unshare") is None or subprocess.run([*hide[:2], "true"], check=False).returncode:
        pytest.skip("a name space of its own is not permitted here")
    catalog = write_catalog(granules(), tmp_path / "scenes")
    project = tmp_path / "hidden" / "project"
    project.parent.mkdir()
    with processes(tmp_path, ("--nthreads", "1"), before=hide) as running:
        summary = build_small(project, catalog, RunOptions(running.address, quiet=True))
    assert summary.as_dict()["failed"] == 6
    with pytest.raises(Exception, match="does not see the project") as caught:
        summary.check()
    assert "shared file system" in str(caught.value)
    assert not (project / "ledger").exists()
    again = build(project, run=SERIAL)
    assert again.as_dict()["done"] == 6


def test_nobody_there_is_said_and_the_next_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_hasty(monkeypatch)
    catalog = write_catalog(granules(), tmp_path / "scenes")
    with pytest.raises(MissingError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9 .*\n.*`dask scheduler`"):
        build_small(tmp_path / "project", catalog, RunOptions("tcp://127.0.0.1:9", quiet=True))
    assert build(tmp_path / "project", run=SERIAL).as_dict()["done"] == 6


def test_another_server_at_the_address_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler's own dashboard, for one, listens and never answers."""
    be_hasty(monkeypatch)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        nobody = pytest.raises(MissingError, match=f"no dask scheduler answers at {address} .silence")
        with nobody, open_executor(Resources(address, 1, 1, 2**30)):
            pytest.fail("no executor may open")


def test_tls_without_certificates_is_said() -> None:
    nobody = pytest.raises(MissingError, match=r"no dask scheduler answers at tls.*TLS")
    with nobody, open_executor(Resources("tls://127.0.0.1:9", 1, 1, 2**30)):
        pytest.fail("no executor may open")


def test_a_scheduler_without_workers_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with processes(tmp_path, None) as running:
        be_hasty(monkeypatch)
        with pytest.raises(MissingError, match="has no workers"), open_executor(running.have):
            pytest.fail("no executor may open")


@pytest.mark.parametrize(("lost", "said"), [("scheduler", "is gone"), ("worker", "has no workers")])
def test_a_cluster_that_is_lost_on_the_way_is_said(
    tmp_path: Path, lost: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_and_lose(running: Cluster) -> None:
        with open_executor(running.have) as executor:
            be_hasty(monkeypatch)
            for outcome in drive(executor, time.sleep, [Task(f"t{number}", 0.5) for number in range(100)]):
                assert outcome.error is None
                running.end(lost)

    with processes(tmp_path, ("--nthreads", "1")) as running, pytest.raises(MissingError, match=said) as caught:
        run_and_lose(running)
    assert "what is done is kept" in caught.value.next_step
