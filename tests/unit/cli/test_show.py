"""What people read stays readable at 80 columns: names and paths are whole, and no table is folded."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cropcube.cube.ledger import Ledger, Record
from cropcube_cli import show
from cropcube_cli.main import make_app
from tests.support.small_build import built

LONG = "S2B_MSIL2A_20190101T105439_R051_T31UES_20201008T071842"
PATH = f"/data/archive/sentinel-2/{LONG}/B02_of_the_granule_in_the_middle_of_nowhere.tif"


def terminal() -> Console:
    return Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None, highlight=False)


def printed(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def failure(task: str, band: str, error: str) -> dict[str, str]:
    return {"task": f"build/utm31n/s000/{task}", "scene": LONG, "band": band, "error": error}


def test_failed_reads_are_listed_by_file_with_whole_paths() -> None:
    console = terminal()
    gone = f"{LONG} B02: no such file: {PATH}"
    reads = [
        failure("r0113c0014", "B02", gone),
        failure("r0114c0014", "B02", gone),
        failure("r0114c0014", "SCL", "odd"),
    ]
    show.failed_reads(console, 7, reads)
    assert printed(console) == [
        "7 failed reads, the first 3:",
        f"  {gone}",
        "    in build/utm31n/s000/r0113c0014 and 1 more",
        f"  {LONG} SCL: odd",
        "    in build/utm31n/s000/r0114c0014",
    ]


def test_markup_in_an_error_is_text() -> None:
    console = terminal()
    show.failed_reads(console, 1, [failure("r0", "B02", "[Errno 5] bad [bold]disk[/]")])
    assert printed(console)[1] == f"  {LONG} B02: [Errno 5] bad [bold]disk[/]"


def test_columns_of_numbers_with_gaps_stand_right() -> None:
    console = terminal()
    console.print(show.table("t", ("class", "F1"), [("a", "0.5"), ("b", "-")]))
    assert printed(console)[-2].endswith("│   - │")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory):
    return built(tmp_path_factory.mktemp("show"))[0]


def test_status_shows_whole_stage_names_and_only_states_that_occur(root) -> None:
    done = CliRunner().invoke(make_app(), ["features", "--window", "9", "--mask", "scl:4", "-p", str(root), "-q"])
    assert done.exit_code == 0, done.output
    name = next((root / "features").glob("median-9d-*.zarr")).stem
    ledger = Ledger(root / "ledger")
    record = next(ledger.records("build"))
    ledger.write(Record(record.key, record.digest, "begun", {}))
    said = CliRunner().invoke(make_app(), ["status", "-p", str(root)], env={"COLUMNS": "80"}).stdout.splitlines()
    assert all(len(line) <= 80 for line in said if line.startswith(("│", "┃")))
    rows = {cells[0]: cells[1:] for line in said if len(cells := [c.strip() for c in line.split("│")[1:-1]]) == 3}
    tasks = int(rows["build"][0])
    assert rows["build"][1] == f"{tasks - 1} done, 1 interrupted"
    assert f"features/{name}" in rows
