"""A dask cluster of one's own: real `dask scheduler` and `dask worker` processes, there, silent, lost or elsewhere."""

import itertools
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cropcube.errors import InvalidInputError, MissingError, ResourceError
from cropcube.pipeline.build import build
from cropcube.run import cluster as opening
from cropcube.run import executors
from cropcube.run.cluster import Wanted, open_executor
from cropcube.run.drive import drive
from cropcube.run.options import RunOptions
from cropcube.run.task import Task
from tests.support.cluster import Cluster, cluster
from tests.support.granules import tree_bytes, write_catalog
from tests.support.small_build import SERIAL, build_small, granules

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer than people do: the machine may be busy."""
    monkeypatch.setattr(opening, "CONNECT_SECONDS", 120)


def place_of_work(seconds: float) -> tuple[int, float, float]:
    began = time.monotonic()
    time.sleep(seconds)
    return os.getpid(), began, time.monotonic()


def call(function: Callable[[], Any]) -> Any:
    return function()


def exits() -> None:
    os._exit(1)


def be_hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "CONNECT_SECONDS", 1)
    monkeypatch.setattr(executors, "PATIENCE_SECONDS", 1)


def test_a_build_on_a_cluster_gives_the_same_bytes(tmp_path: Path) -> None:
    """Also where a worker runs several tasks in one process."""
    catalog = write_catalog(granules(), tmp_path / "scenes")
    build_small(tmp_path / "clean", catalog)
    with cluster(tmp_path, ("--nthreads", "3")) as running:
        summary = build_small(tmp_path / "project", catalog, RunOptions(running.address, quiet=True))
    assert summary.is_good
    assert summary.as_dict()["done"] == 6
    assert tree_bytes(tmp_path / "project" / "cube.zarr") == tree_bytes(tmp_path / "clean" / "cube.zarr")
    assert tree_bytes(tmp_path / "project" / "ledger") == tree_bytes(tmp_path / "clean" / "ledger")


def test_a_worker_that_does_not_see_the_project_is_refused_before_the_first_task(tmp_path: Path) -> None:
    """The next build, with processes that do, goes on."""
    hide = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs tmpfs "{tmp_path / "hidden"}" && exec "$0" "$@"')
    if shutil.which("unshare") is None or subprocess.run([*hide[:2], "true"], check=False).returncode:
        pytest.skip("a name space of its own is not permitted here")
    catalog = write_catalog(granules(), tmp_path / "scenes")
    project = tmp_path / "hidden" / "project"
    project.parent.mkdir()
    with cluster(tmp_path) as running:
        running.work("--nthreads", "1", before=hide)
        with pytest.raises(MissingError, match=r"worker tcp://\S+: \S+ does not see the project") as caught:
            build_small(project, catalog, running.run)
    assert "shared file system" in caught.value.next_step
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
        with nobody, open_executor(RunOptions(address), Wanted(1)):
            pytest.fail("no executor may open")


def test_tls_without_certificates_is_said() -> None:
    nobody = pytest.raises(MissingError, match=r"no dask scheduler answers at tls.*TLS")
    with nobody, open_executor(RunOptions("tls://127.0.0.1:9"), Wanted(1)):
        pytest.fail("no executor may open")


def test_a_scheduler_without_workers_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cluster(tmp_path) as running:
        be_hasty(monkeypatch)
        with pytest.raises(MissingError, match="has no workers"), open_executor(running.run, Wanted(1)):
            pytest.fail("no executor may open")


@pytest.mark.parametrize(("lost", "said"), [("scheduler", "is gone"), ("worker", "has no workers")])
def test_a_cluster_that_is_lost_on_the_way_is_said(
    tmp_path: Path, lost: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_and_lose(running: Cluster) -> None:
        with open_executor(running.run, Wanted(1)) as executor:
            be_hasty(monkeypatch)
            for outcome in drive(executor, time.sleep, [Task(f"t{number}", 0.5) for number in range(100)]):
                assert outcome.error is None
                running.end(lost)

    with cluster(tmp_path, ("--nthreads", "1")) as running, pytest.raises(MissingError, match=said) as caught:
        run_and_lose(running)
    assert "what is done is kept" in caught.value.next_step


def test_outcomes_that_die_with_their_worker_are_made_again_by_another(tmp_path: Path) -> None:
    """Done, but not fetched yet."""
    with cluster(tmp_path, ("--nthreads", "1")) as running, open_executor(running.run, Wanted(4)) as executor:
        futures = [executor.submit(1, place_of_work, 0.1) for _ in range(4)]
        assert len(executor.client.gather(futures)) == 4
        running.work("--nthreads", "1")
        running.wait_for_workers(2)
        first = running.processes()[0]
        running.end("worker")
        running.workers[0].wait()
        while not (done := executor.first_done(futures)):
            pass
        outcomes = [future.result() for future in done]
    assert first not in {worker for worker, _, _ in outcomes}


@pytest.mark.parametrize("bad", [threading.Lock, exits], ids=["cannot travel", "kills its worker"])
def test_a_task_without_an_outcome_takes_no_others_with_it(tmp_path: Path, bad: Any) -> None:
    """One worker, so that none is left for a moment; what ran beside the one that kills it is tried alone."""
    with cluster(tmp_path, ("--nthreads", "2")) as running, open_executor(running.run, Wanted(8)) as executor:
        outcomes = list(drive(executor, call, [Task(f"t{number}", bad if number == 3 else int) for number in range(8)]))
    assert {outcome.key for outcome in outcomes if outcome.error is not None} == {"t3"}
    assert [outcome.result for outcome in outcomes if outcome.error is None] == [0] * 7


def other_zarr(folder: Path) -> dict[str, str]:
    """Return an environment in which zarr says to be of another version."""
    about = folder / "other" / "zarr-9.9.9.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: zarr\nVersion: 9.9.9\n", encoding="ascii")
    return {"PYTHONPATH": str(about.parent)}


def test_a_worker_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    catalog = write_catalog(granules(), tmp_path / "scenes")
    with cluster(tmp_path) as running:
        running.work("--nthreads", "1", environment=other_zarr(tmp_path))
        with pytest.raises(InvalidInputError, match=r"worker tcp://\S+ has zarr 9\.9\.9") as caught:
            build_small(tmp_path / "project", catalog, running.run)
    assert "container image" in caught.value.next_step
    assert not (tmp_path / "project" / "ledger").exists()


def test_one_that_joins_later_gets_nothing_to_do(tmp_path: Path) -> None:
    with cluster(tmp_path, ("--nthreads", "1")) as running, open_executor(running.run, Wanted(40)) as executor:
        running.work("--nthreads", "4", environment=other_zarr(tmp_path))
        running.wait_for_workers(2)
        outcomes = list(drive(executor, place_of_work, [Task(f"t{number}", 0.05) for number in range(40)]))
    assert all(outcome.error is None for outcome in outcomes)
    assert len({outcome.result[0] for outcome in outcomes if outcome.result}) == 1


def test_one_that_joins_later_has_work_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the only worker before it is in the middle of a task."""
    monkeypatch.setattr(executors, "COUNT_SECONDS", 0.2)
    with cluster(tmp_path, ("--nthreads", "1")) as running, open_executor(running.run, Wanted(4)) as executor:
        running.work("--nthreads", "1")
        outcomes = [o.result for o in drive(executor, place_of_work, [Task(f"t{number}", 5.0) for number in range(4)])]
    first = min(outcome[2] for outcome in outcomes if outcome)
    assert len({outcome[0] for outcome in outcomes if outcome and outcome[1] < first + 5}) == 2


def test_tasks_wait_for_the_memory_that_others_have(tmp_path: Path) -> None:
    """Two threads, and memory for one task: never two at a time; what fits no worker is refused with the numbers."""
    gib = 2**30
    with cluster(tmp_path, ("--nthreads", "2", "--memory-limit", "1GiB")) as running:
        with open_executor(running.run, Wanted(6, int(0.6 * gib), "t0")) as executor:
            assert executor.places == 2
            assert executor.have.memory_bytes == gib
            tasks = [Task(f"t{number}", 0.1, int(0.6 * gib)) for number in range(6)]
            spans = sorted(o.result[1:] for o in drive(executor, place_of_work, tasks) if o.result)
        refused = pytest.raises(ResourceError, match=r"task t0 .* 2\.00 GiB; one of 1 workers has 1\.00 GiB")
        with refused, open_executor(running.run, Wanted(6, 2 * gib, "t0")):
            pytest.fail("no executor may open")
    assert len(spans) == 6
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_a_scheduler_file_names_the_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "scheduler.json"
    with cluster(tmp_path, ("--nthreads", "1")) as running:
        file.write_text(json.dumps({"address": running.address}), encoding="ascii")
        with open_executor(RunOptions(str(file)), Wanted(1)) as executor:
            assert executor.places == 2
    be_hasty(monkeypatch)
    file.write_text("{}", encoding="ascii")
    none = tmp_path / "none.json"
    for path, error, said in ((none, MissingError, "no scheduler file"), (file, InvalidInputError, "is no")):
        with pytest.raises(error, match=said), open_executor(RunOptions(str(path)), Wanted(1)):
            pytest.fail("no executor may open")
