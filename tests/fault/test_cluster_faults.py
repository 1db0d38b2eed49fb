"""What clusters do on bad days: all ends with the bytes of a clean run, and the next run does only what is missing."""

import contextlib
import os
import random
import signal
import threading
import time

import pytest

from cropcube.cube.ledger import Ledger
from cropcube.errors import MissingError
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.train import train
from cropcube.run import cluster as opening
from tests.support import small_job
from tests.support.cluster import children, cluster, free_port
from tests.support.file_server import serve_files
from tests.support.granules import tree_bytes, write_catalog
from tests.support.hosts import hosts
from tests.support.object_store import object_store
from tests.support.small_build import SERIAL, build_small, granules

pytestmark = pytest.mark.slow
ONE = ("--nthreads", "1")


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Wait longer than people do: the machine may be busy."""
    monkeypatch.setattr(opening, "CONNECT_SECONDS", 120)


def remote_catalog(catalog, server):
    """Write a catalogue whose files lie behind a server."""
    remote = catalog.with_name(f"remote-{server.url.rpartition(':')[2]}.json")
    remote.write_text(catalog.read_text(encoding="utf-8").replace('"./', f'"{server.url}/'), encoding="utf-8")
    return remote


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The catalogue, its files behind a server, and a project that was built without any fault."""
    folder = tmp_path_factory.mktemp("clean")
    catalog = write_catalog(granules(), folder / "scenes")
    with serve_files(folder / "scenes") as server:
        remote = remote_catalog(catalog, server)
        build_small(folder / "project", remote)
        yield server, remote, folder


@pytest.fixture
def slowly(clean):
    """A server that takes its time, so that there is a middle of the run."""
    server, remote, folder = clean
    server.delay_s = 0.3
    yield remote, folder
    server.delay_s = 0.0


def same_as_clean(project, folder):
    for part in ("cube.zarr", "ledger"):
        assert tree_bytes(project / part) == tree_bytes(folder / "project" / part)


@contextlib.contextmanager
def meanwhile(work):
    """Do something else until the block ends; it is told when that is."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_half_of_the_workers_are_killed_at_random(tmp_path, slowly):
    remote, folder = slowly
    drawn, killed = random.Random(7), []

    def kill(over):
        while len(killed) < 2 and not over.wait(0.7):
            if at_work := [pid for pid in running.processes() if pid not in killed]:
                killed.append(drawn.choice(at_work))
                os.kill(killed[-1], signal.SIGKILL)

    with cluster(tmp_path, ONE, ONE, ONE, ONE) as running:
        running.wait_for_workers(4)
        with meanwhile(kill):
            summary = build_small(tmp_path / "project", remote, running.run)
    assert len(killed) == 2
    assert summary.is_good
    same_as_clean(tmp_path / "project", folder)
    assert build_small(tmp_path / "project", remote).as_dict()["reused"] == 6


def test_a_lost_scheduler_is_said_and_another_goes_on(tmp_path, slowly, monkeypatch):
    monkeypatch.setattr(opening, "ANSWER_SECONDS", 8)  # that its return is waited for
    remote, folder = slowly
    project, port = tmp_path / "project", free_port()
    ledger = Ledger(project / "ledger")

    def end_it(over):
        while not over.wait(0.05):
            if any(record.state == "done" for record in ledger.records()):
                running.end("scheduler")
                return

    with (
        cluster(tmp_path, ONE, port=port) as running,
        meanwhile(end_it),
        pytest.raises(MissingError, match="is gone") as caught,
    ):
        build_small(project, remote, running.run)
    assert "run the same command again" in caught.value.next_step
    done = sum(record.state == "done" for record in ledger.records())
    assert 0 < done < 6
    with cluster(tmp_path, ONE, port=port) as running:
        summary = build_small(project, remote, running.run)
    assert (summary.as_dict()["reused"], summary.as_dict()["done"]) == (done, 6 - done)
    same_as_clean(project, folder)


def test_a_worker_that_stands_still_holds_nobody_up(tmp_path, slowly, monkeypatch):
    """The scheduler takes its tasks away after a time; woken, it writes the same bytes once more."""
    remote, folder = slowly
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL", "4s")
    stopped = []

    def stop(over):
        over.wait(0.5)
        stopped.extend([running.workers[0].pid, *children(running.workers[0].pid)])
        for process in stopped:
            os.kill(process, signal.SIGSTOP)

    with cluster(tmp_path, ONE, ONE) as running:
        running.wait_for_workers(2)
        try:
            with meanwhile(stop):
                summary = build_small(tmp_path / "project", remote, running.run)
        finally:
            for process in stopped:
                os.kill(process, signal.SIGCONT)
        time.sleep(2)
    assert summary.is_good
    same_as_clean(tmp_path / "project", folder)


def whole_job(root, folder, catalog, run):
    build_small(root, catalog, run).check()
    features(root, FeaturesOptions(small_job.MEDIAN), run)
    train(root, small_job.options(folder, small_job.MEDIAN))
    predict(root, PredictOptions(), run).check()


def contents(root):
    return {name: (root / name).read_bytes() for name, _ in root.below()}


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """The catalogue and a project that was mapped in a folder, by one process."""
    folder = tmp_path_factory.mktemp("mapped")
    catalog = write_catalog(granules(), folder / "scenes")
    whole_job(folder / "project", folder, catalog, SERIAL)
    return catalog, folder


def test_the_whole_job_on_several_hosts_through_an_object_store(tmp_path, mapped, monkeypatch):
    catalog, folder = mapped
    with hosts(3) as net, object_store(monkeypatch, net.store_address) as store:
        first, *others = net.others
        with cluster(tmp_path, host=first.address, before=first.before) as running:
            for host in others:
                running.work(*ONE, "--host", host.address, before=host.before)
            root = store.bucket() / "project"
            whole_job(root, folder, catalog, running.run)
        assert contents(root) == tree_bytes(folder / "project")


def test_workers_that_are_cut_off_from_the_store_for_a_while(tmp_path, mapped, monkeypatch):
    catalog, folder = mapped
    with (
        hosts(2) as net,
        object_store(monkeypatch, net.store_address) as store,
        contextlib.ExitStack() as slow,
    ):
        if not net.are_apart:
            pytest.skip("network name spaces are not permitted here")
        root, cut_off = store.bucket() / "project", []

        def cut(over):
            while not any((root / "ledger").below()) and not over.wait(0.02):
                pass
            for host in net.others:
                host.cut(net.store_address)
            cut_off.append(not over.wait(6))
            for host in net.others:
                host.mend(net.store_address)

        server = slow.enter_context(serve_files(folder / "scenes", net.address))
        server.delay_s = 0.3
        with cluster(tmp_path, host=net.others[0].address, before=net.others[0].before) as running:
            for host in net.others:
                running.work(*ONE, "--host", host.address, before=host.before)
            with meanwhile(cut):
                summary = build_small(root, remote_catalog(catalog, server), running.run)
        assert cut_off == [True], "it had ended before"
        assert summary.is_good, summary.as_dict()["errors"]
        assert contents(root / "cube.zarr") == tree_bytes(folder / "project" / "cube.zarr")


def test_wrong_credentials_of_a_worker_are_said_before_the_first_task_and_never_shown(tmp_path, mapped, monkeypatch):
    catalog, _ = mapped
    with object_store(monkeypatch) as store, cluster(tmp_path) as running:
        root = store.bucket() / "project"
        store.refused_key = "AKIANOTHERS"
        running.work(*ONE, environment={"AWS_ACCESS_KEY_ID": "AKIANOTHERS", "AWS_SECRET_ACCESS_KEY": "wrong"})
        with pytest.raises(MissingError, match=r"worker tcp\S+ cannot read s3://.* \(the store refuses it") as caught:
            build_small(root, catalog, running.run)
        assert not any((root / "ledger").below())
    assert "AKIA" not in str(caught.value)
    assert "AWS_" in caught.value.next_step
