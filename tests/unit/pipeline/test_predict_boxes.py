"""Boxes of a map: what was mapped before is known as well after a kill, a failure or a rebuild as without them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cropcube.config import read_project
from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from cropcube.errors import CropcubeError, ReadError
from cropcube.pipeline import predict_task
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.status import status
from cropcube.run.options import RunOptions
from tests.support import console
from tests.support.granules import LEFT_M, TOP_M, region_text, tree_bytes
from tests.support.small_build import SERIAL, built
from tests.support.small_job import MEDIAN, bare, learn

FIRST = region_text(LEFT_M + 300, TOP_M - 900, LEFT_M + 1300, TOP_M - 300)
SECOND = region_text(LEFT_M + 700, TOP_M - 600, LEFT_M + 1800, TOP_M - 200)
THIRD = region_text(LEFT_M + 1200, TOP_M - 1500, LEFT_M + 1700, TOP_M - 700)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with features and a forest, never changed by the tests."""
    root, _ = built(tmp_path_factory.mktemp("learnt"))
    learn(root, MEDIAN)
    return root


@pytest.fixture
def project(learnt: Path, tmp_path: Path) -> Path:
    root = tmp_path / "project"
    shutil.copytree(learnt, root)
    return root


def boxed(root: Path, *boxes: str | None, rebuild: bool = False) -> None:
    for box in boxes:
        predict(root, PredictOptions(box=box, rebuild=rebuild), SERIAL)


def mapped(root: Path) -> dict[str, bytes]:
    """Return the bytes of the map, and of its records."""
    trees = {name: tree_bytes(root / name) for name in ("map.zarr", "ledger/predict")}
    return {f"{name}/{path}": content for name, tree in trees.items() for path, content in tree.items()}


def stopped(root: Path, monkeypatch: pytest.MonkeyPatch, options: PredictOptions) -> None:
    """Map a box, and stop in every tile after its first array: what a kill leaves, without the kill."""

    def stop(store: Store, tile: object, made: predict_task.TileMap, part: object) -> None:
        def first(store: Store, zone: str, name: str, *given: object) -> None:
            write(store, zone, name, *given)
            raise ReadError("stopped", "Go on.")

        with monkeypatch.context() as inner:
            write = Store.write
            inner.setattr(Store, "write", first)
            put(store, tile, made, part)

    put = predict_task._put
    with monkeypatch.context() as patched:
        patched.setattr(predict_task, "_put", stop)
        with pytest.raises(CropcubeError, match="stopped"):
            predict(root, options, SERIAL)


def begun(root: Path) -> list[Record]:
    return [record for record in Ledger(root / "ledger").records("predict") if record.state == "begun"]


@pytest.mark.parametrize("before", [(FIRST,), (FIRST, THIRD), (None,), ()], ids=["one", "two", "whole", "none"])
@pytest.mark.parametrize("rebuild", [False, True])
def test_a_box_that_was_stopped_and_mapped_again_leaves_what_a_smooth_run_does(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: tuple[str | None, ...], rebuild: bool
) -> None:
    smooth = tmp_path / "smooth"
    shutil.copytree(project, smooth)
    for root in (project, smooth):
        boxed(root, *before)
    if rebuild or before != (None,):  # a box of a whole tile is done already
        stopped(project, monkeypatch, PredictOptions(box=SECOND, rebuild=rebuild))
        assert begun(project)
    boxed(project, SECOND)
    boxed(smooth, SECOND, rebuild=rebuild)
    assert mapped(project) == mapped(smooth)
    for box in filter(None, (*before, SECOND)):
        assert predict(project, PredictOptions(box=box), SERIAL).stage.count("done") == 0


def test_another_box_after_one_that_was_stopped_forgets_none_but_that(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth = tmp_path / "smooth"
    shutil.copytree(project, smooth)
    boxed(project, FIRST)
    stopped(project, monkeypatch, PredictOptions(box=SECOND))
    stopped(project, monkeypatch, PredictOptions(box=THIRD))
    boxed(project, THIRD)
    boxed(smooth, FIRST, THIRD)
    # Pixels of the one that was stopped may stand, but no record says so.
    tried, wanted = (list(Ledger(root / "ledger").records("predict")) for root in (project, smooth))
    known = {record.key: record.details["parts"] for record in tried if record.state == "done"}
    assert known == {record.key: record.details["parts"] for record in wanted if record.key in known}
    assert [FIRST, THIRD] in known.values()
    boxed(project, SECOND)
    boxed(smooth, SECOND)
    assert mapped(project) == mapped(smooth)


@pytest.mark.parametrize("before", [(FIRST, THIRD), (None,)], ids=["boxes", "whole"])
def test_a_box_that_is_made_anew_changes_nothing_that_stands(project: Path, before: tuple[str | None, ...]) -> None:
    boxed(project, *before)
    stands = mapped(project)
    boxed(project, FIRST, rebuild=True)
    assert mapped(project) == stands


def test_a_rebuild_of_a_box_that_is_stopped_is_gone_on_with_in_every_tile(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxed(project, None)
    stands = mapped(project)
    stopped(project, monkeypatch, PredictOptions(box=SECOND, rebuild=True))
    under_way = len(begun(project))
    assert under_way > 1
    assert predict(project, PredictOptions(box=SECOND), SERIAL).stage.count("done") == under_way
    assert mapped(project) == stands


def test_failed_reads_of_a_box_do_not_forget_those_before(learnt: Path, tmp_path: Path) -> None:
    built(tmp_path / "clean")
    clean = tmp_path / "clean" / "project"
    shutil.copytree(learnt / "model", clean / "model")
    tried, smooth = (bare(clean, tmp_path / name).root for name in ("tried", "smooth"))
    file = tmp_path / "clean" / "scenes" / "e2" / "B11.tif"
    kept = file.read_bytes()

    def map_box(root: Path, box: str) -> int:
        return predict(root, PredictOptions(box=box, origin="catalog"), SERIAL).tally.failed_reads

    for root in (tried, smooth):
        assert map_box(root, FIRST) == 0
    file.write_bytes(kept[:-200])
    assert map_box(tried, SECOND) > 0
    file.write_bytes(kept)
    for root in (tried, smooth):
        assert map_box(root, SECOND) == 0
    assert mapped(tried) == mapped(smooth)


def test_boxes_of_a_tile_of_which_something_is_gone_are_not_said_to_stand(project: Path) -> None:
    boxed(project, FIRST)
    ledger = Ledger(project / "ledger")
    record = next(record for record in ledger.records("predict") if record.objects)
    (project / "map.zarr" / next(iter(record.objects))).unlink()
    boxed(project, SECOND)
    now = ledger.read(record.key)
    assert now is not None
    assert now.details["parts"] == [SECOND]


def test_status_tells_a_tile_of_which_boxes_are_mapped_from_one_that_is_out_of_date(project: Path) -> None:
    boxed(project, FIRST, THIRD)
    found = status(project).stages[-1]
    records = {record.key: record for record in Ledger(project / "ledger").records("predict")}
    assert found.counts["partial"] == len(records) > 1
    assert found.counts["outdated"] == 0
    assert not found.is_done
    assert found.as_dict()["partial"] == len(records)
    assert found.as_dict()["boxes"] == {key: record.details["parts"] for key, record in records.items()}
    for key, record in records.items():
        parts = record.details["parts"]
        assert (
            f"{key}: partial (only {'boxes' if len(parts) > 1 else 'the box'} {' and '.join(parts)})"
            in found.unfinished
        )
    assert f"{len(records)} partial" in console.ok("status", "--project", project)
    ledger = Ledger(project / "ledger")
    for record in list(ledger.records("features")):
        ledger.write(replace(record, digest="of other scenes"))
    found = status(project).stages[-1]
    assert (found.counts["partial"], found.counts["outdated"]) == (0, len(records))
    boxed(project, None)
    assert status(project).stages[-1].is_done


def test_boxes_of_other_features_are_not_said_to_stand(project: Path) -> None:
    boxed(project, FIRST)
    ledger = Ledger(project / "ledger")
    for record in list(ledger.records("features")):
        ledger.write(replace(record, digest="of other scenes"))
    boxed(project, SECOND)
    found = {tuple(record.details["parts"]) for record in ledger.records("predict")}
    assert found == {(FIRST,), (SECOND,)}
    assert len(read_project(project).spec.grid) > len(list(ledger.records("predict")))


@pytest.mark.parametrize("options", [{"rebuild": True}, {"probabilities": True}])
def test_a_map_stands_until_nothing_is_left_that_could_refuse_the_next(project: Path, options: dict[str, bool]) -> None:
    boxed(project, None)
    before = mapped(project)
    for run in (RunOptions("local", 1, 1024, True), RunOptions("tcp://127.0.0.1:9", quiet=True)):
        with pytest.raises(CropcubeError):
            predict(project, PredictOptions(**options), run)
        assert mapped(project) == before
