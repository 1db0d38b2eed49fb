"""What goes wrong in a build is counted, listed, and mended by the next build; nothing half-written is marked done."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cropcube.cube.ledger import Ledger
from cropcube.demo.granule import write_raster
from cropcube.domain.sensor import READ_FAILED
from cropcube.errors import CropcubeError, IncompleteError
from cropcube.pipeline import build as build_module
from cropcube.pipeline.build import build
from cropcube.pipeline.build_summary import BuildSummary
from cropcube.pipeline.status import status
from cropcube.run.options import RunOptions
from tests.support import console
from tests.support.file_server import serve_files
from tests.support.granules import tree_bytes, write_catalog
from tests.support.small_build import BANDS, REGION, SEASON, SERIAL, build_small, built, cube_of, granules

DAY = {"w1": 7, "e2": 39, "w3": 74}
"""Days on which one granule is alone."""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was built without any fault."""
    project, _ = built(tmp_path_factory.mktemp("clean"))
    return project


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def overwrite(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[900:1300] = bytes(byte ^ 0x3C for byte in content[900:1300])
    path.write_bytes(bytes(content))


def shrink(path: Path) -> None:
    import rasterio

    with rasterio.open(path) as file:
        pixels, transform = file.read(1)[:-16, :-16], file.transform
    write_raster(path, pixels, 32631, transform)


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (Path.unlink, "no such file"),
    "truncated": (cut, "bytes; its item states"),
    "overwritten": (overwrite, "sha256"),
    "wrong size": (shrink, "its item states"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("band", ["B04", "B11", "SCL"])
def test_file_that_cannot_be_read(tmp_path: Path, clean: Path, fault: str, band: str) -> None:
    """Its scene is failed, not absent; the next build reads that task again and ends like a clean one."""
    catalog = write_catalog(granules(), tmp_path / "scenes")
    path = tmp_path / "scenes" / "w1" / f"{band}.tif"
    kept = path.read_bytes()
    spoil, said = FAULTS[fault]
    spoil(path)
    summary = build_small(tmp_path / "project", catalog)
    check_failure(tmp_path / "project", clean, summary, (band, said))
    path.write_bytes(kept)
    again = build(tmp_path / "project", run=SERIAL)
    assert isinstance(again, BuildSummary)
    assert again.is_good
    assert again.as_dict()["reused"] == 6 - summary.as_dict()["incomplete"]
    check_same(tmp_path / "project", clean)


def check_same(project: Path, clean: Path) -> None:
    """Check that two projects hold the same bytes; digests differ, since the scenes lie in different folders."""
    assert tree_bytes(project / "cube.zarr") == tree_bytes(clean / "cube.zarr")
    found, wanted = (list(Ledger(root / "ledger").records()) for root in (project, clean))
    assert [(r.key, r.state, r.details) for r in found] == [(r.key, r.state, r.details) for r in wanted]
    assert not [path for path in project.rglob("*") if "partial" in path.name]


def check_failure(project: Path, clean: Path, summary: BuildSummary, failure: tuple[str, str]) -> None:
    band, said = failure
    figures = summary.as_dict()
    assert figures["incomplete"] in (1, 2)
    assert figures["failed_reads"] == figures["incomplete"]
    assert {(entry["scene"], entry["band"]) for entry in figures["failures"]} == {("w1", band)}
    assert said in figures["failures"][0]["error"]
    with pytest.raises(IncompleteError, match="reads failed"):
        summary.check()
    found = cube_of(project)
    day = DAY["w1"]
    lost = found["quality"][day] == READ_FAILED
    assert lost.any()
    for name in BANDS:
        times = 1 if name == "B11" else 2
        assert not found[name][day][lost.repeat(times, 0).repeat(times, 1)].any()
    if band != "SCL":  # the footprint, known from the file itself, is lost exactly
        seen = cube_of(clean)["quality"][day] != 0
        np.testing.assert_array_equal(lost, seen)
    stage = status(project).as_dict()["stages"][0]
    assert (stage["incomplete"], stage["failed_reads"]) == (figures["incomplete"], figures["failed_reads"])
    assert any("incomplete" in line for line in stage["unfinished"])


def test_failures_within_the_budget_are_good(tmp_path: Path) -> None:
    catalog = write_catalog(granules(), tmp_path / "scenes")
    (tmp_path / "scenes" / "w1" / "B04.tif").unlink()
    summary = build_small(tmp_path / "project", catalog, max_failed_reads=2)
    assert summary.as_dict()["failed_reads"] > 0
    summary.check()


def test_class_above_eleven(tmp_path: Path, clean: Path) -> None:
    """A file that holds a class that does not exist is corrupt, whatever its checksum says."""
    made = granules()
    made[3].bands["SCL"][20:25, 20:25] = 12  # type: ignore[index]
    summary = build_small(tmp_path / "project", write_catalog(made, tmp_path / "scenes"))
    check_failure(tmp_path / "project", clean, summary, ("SCL", "class 12"))


def test_next_scene_takes_over(tmp_path: Path) -> None:
    """On a day with several scenes a broken one leaves no hole where another has the pixel."""
    catalog = write_catalog(granules(), tmp_path / "scenes")
    (tmp_path / "scenes" / "w0new" / "B11.tif").unlink()
    build_small(tmp_path / "project", catalog)
    without = write_catalog([g for g in granules() if g.id != "w0new"], tmp_path / "fewer")
    build_small(tmp_path / "other", without)
    found, wanted = cube_of(tmp_path / "project"), cube_of(tmp_path / "other")
    marked = found["quality"][2] == READ_FAILED
    np.testing.assert_array_equal(np.where(marked, 0, found["quality"][2]), wanted["quality"][2])
    for name in BANDS:
        np.testing.assert_array_equal(found[name], wanted[name])


def test_catalogue_that_is_replaced_under_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task whose scenes are no longer those it was planned with writes nothing."""
    catalog = write_catalog(granules(), tmp_path / "scenes")
    real = build_module.run_stage

    def late(project: Any, *arguments: Any) -> Any:
        fewer = write_catalog(granules()[:3], tmp_path / "fewer")
        other = tmp_path / "other"
        monkeypatch.undo()
        build_small(other, fewer)
        shutil.copy(other / "scenes.parquet", project.scenes_path)
        return real(project, *arguments)

    monkeypatch.setattr("cropcube.pipeline.build.run_stage", late)
    summary = build_small(tmp_path / "project", catalog)
    assert summary.as_dict()["failed"] > 0
    with pytest.raises(CropcubeError, match=r"scenes\.parquet was replaced"):
        summary.check()


COMMAND = ("build", "--cluster", "serial", "--quiet")


def arguments(project: Path, catalog: Path) -> list[str]:
    options = ["--region", REGION, "--season", SEASON, "--bands", ",".join(BANDS), "--tile-px", "96"]
    return [*COMMAND, "--project", str(project), "--catalog", str(catalog), *options]


def some_begun(project: Path) -> bool:
    records = list(Ledger(project / "ledger").records("build"))
    return any(record.state == "begun" for record in records) and any(record.state == "done" for record in records)


def test_kill_and_resume_equals_a_clean_run(tmp_path: Path, clean: Path) -> None:
    catalog = write_catalog(granules(), tmp_path / "scenes")
    project = tmp_path / "project"
    killed = console.kill_when(lambda: some_begun(project), *arguments(project, catalog))
    assert killed
    records = {record.key: record.state for record in Ledger(project / "ledger").records("build")}
    assert "done" in records.values()
    assert len([state for state in records.values() if state == "done"]) < 6
    summary = build(project, run=SERIAL)
    assert isinstance(summary, BuildSummary)
    assert summary.is_good
    assert summary.as_dict()["reused"] >= 1
    check_same(project, clean)


def test_two_drivers_with_the_same_specification(tmp_path: Path, clean: Path) -> None:
    catalog = write_catalog(granules(), tmp_path / "scenes")
    project = tmp_path / "project"
    drivers = [
        subprocess.Popen([console.SCRIPT, *arguments(project, catalog)], stdout=subprocess.DEVNULL) for _ in range(2)
    ]
    assert [driver.wait(timeout=300) for driver in drivers] == [0, 0]
    check_same(project, clean)


def test_second_driver_with_another_specification(tmp_path: Path, clean: Path) -> None:
    catalog = write_catalog(granules(), tmp_path / "scenes")
    before = tree_bytes(clean)
    done = console.run("build", "--project", clean, "--catalog", catalog, "--region", REGION, "--season", "2021")
    assert done.returncode == 1
    assert "holds another project" in done.stderr
    assert "another --project folder" in done.stderr
    assert tree_bytes(clean) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system that the cube does not fit."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if mount is None or subprocess.run([mount, *options], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("cluster", ["serial", "local"])
def test_full_disk(
    tmp_path: Path, clean: Path, small_disk: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done is kept, nothing is marked done that is not; with more room the build goes on."""
    monkeypatch.setattr("cropcube.pipeline.build.free_bytes", lambda root: 10**9)  # so that it begins at all
    catalog = write_catalog(granules(), tmp_path / "scenes")
    project = small_disk / "project"
    summary = build_small(project, catalog, RunOptions(cluster, workers=2 if cluster == "local" else None, quiet=True))
    figures = summary.as_dict()
    assert figures["failed"] >= 1
    assert any(word in figures["errors"][0]["what"].lower() for word in ("space", "written"))
    assert figures["errors"][0]["next_step"]
    with pytest.raises(CropcubeError, match="build failed in"):
        summary.check()
    states = {record.key: record.state for record in Ledger(project / "ledger").records()}
    assert states.get(figures["errors"][0]["task"]) != "done"
    subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
    build(project, run=SERIAL)
    assert tree_bytes(project / "cube.zarr") == tree_bytes(clean / "cube.zarr")


def test_disk_too_small_is_said_before_the_first_read(tmp_path: Path, small_disk: Path) -> None:
    """The projection is far over the 600 kB: refused with the numbers, and no task was begun."""
    catalog = write_catalog(granules(), tmp_path / "scenes")
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * 400_000)
    done = console.run(*arguments(small_disk / "project", catalog))
    assert done.returncode == 1
    assert "projected to store" in done.stderr
    assert "are free" in done.stderr
    assert not (small_disk / "project" / "ledger").exists()


def test_build_through_a_server_that_stumbles(tmp_path: Path, clean: Path) -> None:
    """The same cube as from local files, with the refused reads repeated and counted."""
    catalog = write_catalog(granules(), tmp_path / "scenes")
    with serve_files(tmp_path / "scenes") as server:
        text = catalog.read_text(encoding="utf-8").replace('"./', f'"{server.url}/')
        (tmp_path / "remote.json").write_text(text, encoding="utf-8")
        # One more than there are files: GDAL gets over a refused HEAD by itself, so some GET is refused too.
        server.answers["SCL.tif"] = [0, *[503] * 7]
        summary = build_small(tmp_path / "project", tmp_path / "remote.json")
    assert summary.is_good
    assert tree_bytes(tmp_path / "project" / "cube.zarr") == tree_bytes(clean / "cube.zarr")
    retries = [record.details["retries"] for record in Ledger(tmp_path / "project" / "ledger").records()]
    assert sum(retries) >= 1


def test_exit_code_and_listing_of_failed_reads(tmp_path: Path) -> None:
    catalog = write_catalog(granules(), tmp_path / "scenes")
    (tmp_path / "scenes" / "w1" / "B04.tif").unlink()
    done = console.run(*arguments(tmp_path / "project", catalog))
    assert done.returncode == 1
    assert "failed reads" in done.stdout
    assert "w1" in done.stdout
    assert "reads failed" in done.stderr
    allowed = console.run(*arguments(tmp_path / "project", catalog), "--max-failed-reads", 5)
    assert allowed.returncode == 0, allowed.stderr
