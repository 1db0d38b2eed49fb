"""Tasks are done once: reused, erased, written, recorded, and told apart after a kill at any moment."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from cropcube.config import Project, ProjectSpec, create_project
from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.objects import partial_folder
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import CropcubeError, ReadError, ResourceError
from cropcube.pipeline.stage import StageTask, StageWork, TaskResult, perform, run_stage
from cropcube.run.drive import attempt
from cropcube.run.options import RunOptions
from cropcube.run.task import Task

SPEC = ProjectSpec(Region("r", box(4, 50, 4.01, 50.01)), Season.of_year(2020), SENTINEL2, 96)


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


def chunks(project: Project, task: StageTask) -> Path:
    return project.root / "store" / task.key.replace("/", "_")


def erase(project: Project, task: StageTask) -> None:
    folder = chunks(project, task)
    for number, path in enumerate(sorted(folder.glob("*"))):
        if task.payload.get("kill_erase") == number:
            raise Killed
        path.unlink()


def write(project: Project, task: StageTask) -> TaskResult:
    """Write one file per name in the payload; planned to die or fail before the n-th."""
    folder = chunks(project, task)
    folder.mkdir(parents=True, exist_ok=True)
    objects = {}
    for number, name in enumerate(task.payload["names"]):
        if task.payload.get("kill_write") == number:
            raise Killed
        objects[str(folder / name)] = (folder / name).write_text(f"{task.digest} {name}")
    if task.payload.get("fail"):
        raise ReadError("scene S1 cannot be read", "Run it again.")
    state = "incomplete" if task.payload.get("miss") else "done"
    return TaskResult(state, {"failed": ["S1"] if task.payload.get("miss") else []}, 10, objects)


WORK = StageWork("toy", Path("/none"), erase, write)
SERIAL = RunOptions("serial", quiet=True)


def task(digest: str, *names: str, key: str = "toy/utm31n/r0001c0001", **payload: Any) -> StageTask:
    return StageTask(key, digest, {"names": names, **payload})


def stored(project: Project) -> dict[str, bytes]:
    return tree(project.root / "store")


def tree(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return create_project(tmp_path, SPEC)


def test_a_second_run_does_no_work(project: Project) -> None:
    tasks = [task("d", "a", "b", key=f"toy/utm31n/r{n:04d}c0001") for n in range(3)]
    first = run_stage(project, tasks, WORK, SERIAL)
    assert (first.count("done"), first.count("reused")) == (3, 0)
    before = tree(project.root)
    second = run_stage(project, [replace(t, payload={"names": (), "fail": True}) for t in tasks], WORK, SERIAL)
    assert (second.count("done"), second.count("reused"), second.failed) == (0, 3, ())
    assert tree(project.root) == before


def test_what_travels_to_the_driver_is_small_whatever_a_task_wrote(project: Project) -> None:
    """Errors too, which distributed, once it is imported, has pickled with their frames and causes."""
    pytest.importorskip("distributed")
    names = [f"chunk-{number}" for number in range(500)]
    asked = [task("d", *names), task("d", *names, key="toy/x", miss=True), task("d", "a", key="toy/y", fail=True)]
    outcomes = [attempt(perform, Task(one.key, (project.place, one, WORK))) for one in asked]
    assert [outcome.result and outcome.result.state for outcome in outcomes] == ["done", "incomplete", None]
    assert max(len(pickle.dumps(outcome)) for outcome in outcomes) < 1000


def test_another_digest_erases_what_stood(project: Project) -> None:
    run_stage(project, [task("old", "a", "b")], WORK, SERIAL)
    run_stage(project, [task("new", "b", "c")], WORK, SERIAL)
    stored = {name: text for name, text in tree(project.root).items() if name.startswith("store")}
    assert stored == {
        "store/toy_utm31n_r0001c0001/b": b"new b",
        "store/toy_utm31n_r0001c0001/c": b"new c",
    }


def test_an_incomplete_task_is_done_again_and_only_it(project: Project) -> None:
    tasks = [task("d", "a"), task("d", "a", key="toy/x", miss=True)]
    assert run_stage(project, tasks, WORK, SERIAL).count("incomplete") == 1
    again = run_stage(project, [tasks[0], task("d", "a", key="toy/x")], WORK, SERIAL)
    assert (again.count("done"), again.count("reused")) == (1, 1)
    assert run_stage(project, tasks, WORK, SERIAL).count("reused") == 2


def test_a_failed_task_is_named_and_leaves_no_record_of_done(project: Project) -> None:
    summary = run_stage(project, [task("d", "a", fail=True), task("d", "a", key="toy/x")], WORK, SERIAL)
    assert [r.error for r in summary.failed] == ["scene S1 cannot be read"]
    assert summary.count("done") == 1
    assert summary.as_dict()["errors"][0]["next_step"] == "Run it again."
    record = Ledger(project.ledger_path).read("toy/utm31n/r0001c0001")
    assert record is not None
    assert record.state == "begun"
    with pytest.raises(CropcubeError, match=r"toy failed in toy/utm31n.*S1"):
        summary.raise_failed()


@pytest.mark.parametrize("left", [None, b"d"])
def test_a_done_task_whose_object_is_gone_or_cut_short_is_done_again(project: Project, left: bytes | None) -> None:
    tasks = [task("d", "a", "b"), task("d", "a", key="toy/x")]
    run_stage(project, tasks, WORK, SERIAL)
    before = tree(project.root)
    lost = chunks(project, tasks[0]) / "b"
    lost.unlink() if left is None else lost.write_bytes(left)
    again = run_stage(project, tasks, WORK, SERIAL)
    assert ([report.key for report in again.reports], again.count("reused")) == ([tasks[0].key], 1)
    assert tree(project.root) == before


@pytest.mark.parametrize("fate", ["good", "fail", "nothing to do"])
def test_when_a_stage_is_over_nothing_lies_beside_store_and_ledger(project: Project, fate: str) -> None:
    store = project.root / "store"
    work = StageWork("toy", store, erase, write)
    tasks = [task("a", "x"), task("b", "x", key="toy/utm31n/r0001c0002", fail=fate == "fail")]
    if fate == "nothing to do":
        run_stage(project, tasks, work, SERIAL)
    for path in (store, project.ledger_path):
        partial_folder(path).mkdir(parents=True)
        (partial_folder(path) / f"{socket.gethostname()}~1~1~1").write_bytes(b"of another host, a day old")
        os.utime(partial_folder(path) / f"{socket.gethostname()}~1~1~1", (0, 0))
    assert len(run_stage(project, tasks, work, SERIAL).failed) == (fate == "fail")
    assert not list(project.root.glob(".*.partial"))


def test_a_task_too_big_is_refused_before_the_first(project: Project) -> None:
    tasks = [task("d", "a"), replace(task("d", "a", key="toy/big"), memory_bytes=3 * 2**30)]
    with pytest.raises(ResourceError, match=r"toy/big.*3.00 GiB.*1.00 GiB"):
        run_stage(project, tasks, WORK, RunOptions("serial", memory_limit=2**30, quiet=True))
    assert sorted(path.name for path in project.root.iterdir()) == ["cropcube.toml", "region.geojson"]


names = st.lists(st.sampled_from("abcd"), unique=True, max_size=4)
attempts = st.lists(
    st.tuples(
        st.sampled_from(["one", "two"]),
        st.none() | st.integers(0, 4),
        st.none() | st.integers(0, 4),
        st.none() | st.sampled_from("abcd"),
    ),
    max_size=5,
)
"""Which task, where its erasing or writing is killed, and which object is lost afterwards."""


@settings(max_examples=150, deadline=None)
@given(contents=st.tuples(names, names), killed=attempts, last=st.sampled_from(["one", "two"]))
def test_after_any_history_of_kills_and_losses_the_result_is_that_of_a_clean_run(
    tmp_path_factory: pytest.TempPathFactory,
    contents: tuple[list[str], list[str]],
    killed: list[tuple[str, int | None, int | None, str | None]],
    last: str,
) -> None:
    of = dict(zip(("one", "two"), contents, strict=True))
    tried = create_project(tmp_path_factory.mktemp("tried"), SPEC)
    clean = create_project(tmp_path_factory.mktemp("clean"), SPEC)
    for digest, kill_erase, kill_write, lost in killed:
        attempt = task(digest, *of[digest], kill_erase=kill_erase, kill_write=kill_write)
        with contextlib.suppress(Killed):
            perform((tried.place, attempt, WORK))
        if lost is not None:
            (chunks(tried, attempt) / lost).unlink(missing_ok=True)
    for project in (tried, clean):
        report = perform((project.place, task(last, *of[last]), WORK))
        assert report.state in ("done", "reused")
    assert stored(tried) == stored(clean)
    kept = [Ledger(project.ledger_path).read("toy/utm31n/r0001c0001") for project in (tried, clean)]
    assert [(record.digest, record.state) for record in kept if record] == [(last, "done")] * 2


def test_a_driver_that_comes_late_finds_the_work_done(project: Project) -> None:
    perform((project.place, task("d", "a"), WORK))
    late = perform((project.place, task("d", "a", kill_write=0, kill_erase=0), WORK))
    assert late.state == "reused"


def test_a_second_driver_on_a_begun_task_does_not_erase_what_the_first_wrote(project: Project) -> None:
    Ledger(project.ledger_path).write(Record("toy/utm31n/r0001c0001", "d", "begun", {}))
    report = perform((project.place, task("d", "a", kill_erase=0), WORK))
    assert report.state == "done"


@pytest.mark.parametrize("fate", [{"kill_erase": 0}, {"kill_write": 1}, {"miss": True}], ids=str)
def test_what_a_task_keeps_stands_in_its_record_until_it_is_done(project: Project, fate: dict[str, Any]) -> None:
    perform((project.place, task("old", "a"), WORK))
    asked = replace(task("new", "a", "b", **fate), kept={"kept": ["a box"]})
    with contextlib.suppress(Killed):
        perform((project.place, asked, WORK))
    ledger = Ledger(project.ledger_path)
    record = ledger.read(asked.key)
    assert record is not None
    assert record.state in ("erasing", "begun", "incomplete")
    assert record.details["kept"] == ["a box"]
    perform((project.place, replace(asked, payload={"names": ("a", "b")}), WORK))
    record = ledger.read(asked.key)
    assert record is not None
    assert (record.state, record.details) == ("done", {"failed": []})
