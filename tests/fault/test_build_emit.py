"""What goes wrong in a build of EMIT is named and mended by the next; nothing half-written is marked done."""

from __future__ import annotations

from pathlib import Path

import pytest

from cropcube.cube.ledger import Ledger
from tests.support import console
from tests.support.emit import CROP, Files, Swath, write_granule
from tests.support.granules import tree_bytes

pytestmark = pytest.mark.slow
REGION = ("--region", "-116.04,32.97,-115.97,33.03", "--season", "2023-03-20/2023-05-10", "--tile-px", "96")
BUILD = ("build", "--sensor", "emit", "--cluster", "serial", "--quiet")
DATES = ("20230401T203751", "20230405T190000", "20230409T173000", "20230502T173000")


@pytest.fixture(scope="module")
def granules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("granules")
    for number, date in enumerate(DATES):
        write_granule(folder, Swath(bands=285, angle_deg=20.0 * number), Files(name=f"001_{date}_2309114_00{number}"))
    return folder


@pytest.fixture(scope="module")
def clean(granules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("clean") / "project"
    console.ok(*BUILD, *REGION, "--project", project, "--catalog", granules)
    return project


def same(project: Path, clean: Path) -> None:
    for part in ("cube-emit.zarr", "ledger"):
        assert tree_bytes(project / part) == tree_bytes(clean / part)


def test_kill_and_resume_equals_a_clean_run(tmp_path: Path, granules: Path, clean: Path) -> None:
    project = tmp_path / "project"
    ledger = Ledger(project / "ledger")

    def some_begun() -> bool:
        states = [record.state for record in ledger.records("build-emit")]
        return "begun" in states and "done" in states

    killed = console.kill_when(some_begun, *BUILD, *REGION, "--project", project, "--catalog", granules)
    assert killed
    before = [record.state for record in ledger.records("build-emit")]
    assert 0 < before.count("done") < len(list(Ledger(clean / "ledger").records("build-emit")))
    again = console.as_json(*BUILD, "--project", project)
    assert again["reused"] >= before.count("done")
    assert again["good"]
    same(project, clean)
    assert console.as_json(*BUILD, "--project", project)["done"] == 0


def test_files_that_are_no_granules_are_left_out_by_name(tmp_path: Path, granules: Path, clean: Path) -> None:
    """A companion is missing, a file is cut short, one is a part of a real one, one of elsewhere, one none at all."""
    folder = tmp_path / "granules"
    for path in granules.iterdir():
        (folder / path.name).parent.mkdir(exist_ok=True)
        (folder / path.name).hardlink_to(path)
    small = Swath(bands=285, lines=20, samples=20)
    write_granule(folder, small, Files(name="001_20230420T100000_2311001_001"))
    (folder / "EMIT_L2A_MASK_001_20230420T100000_2311001_001.nc").unlink()
    cut = write_granule(folder, small, Files(name="001_20230421T100000_2311101_001"))
    cut.write_bytes(cut.read_bytes()[:-5000])
    write_granule(
        folder, Swath(bands=285, lines=20, samples=20, lat=-20.0), Files(name="001_20230422T100000_2311201_001")
    )
    for kind in ("RFL", "RFLUNCERT", "MASK"):
        name = CROP.name.replace("RFL", kind).removesuffix("_crop.nc")
        (folder / f"{name}.nc").write_bytes(CROP.read_bytes())
    (folder / "EMIT_L2A_RFL_001_20230423T100000_2311301_001.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    project = tmp_path / "project"
    done = console.run(*BUILD[:-1], *REGION, "--project", project, "--catalog", folder)
    assert done.returncode == 0, done.stderr
    for words in ("no MASK file", "is cut short", "20230423T100000", "left out"):
        assert words in done.stderr
    assert tree_bytes(project / "cube-emit.zarr") == tree_bytes(clean / "cube-emit.zarr")
