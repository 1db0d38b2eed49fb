"""`--json`: one object where a verb ends well, nothing where it does not, and exit codes that say which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cropcube_cli.main import main
from tests.support.granules import write_catalog
from tests.support.small_build import BANDS, REGION, SEASON, granules

NEEDS_PROJECT = {
    "status": (),
    "features": (),
    "train": ("--labels", "fields.gpkg"),
    "predict": (),
    "evaluate": (),
    "export": ("--cog", "map.tif"),
    "extract": ("--points", "points.csv"),
    "build": (),
}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command line in this process and return its exit code."""
    monkeypatch.setattr("sys.argv", ["cropcube", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.mark.parametrize("verb", NEEDS_PROJECT)
def test_after_an_error_standard_output_is_empty(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, verb, *NEEDS_PROJECT[verb], "--project", tmp_path, "--json") == 1
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.startswith("error: ")
    assert "\n  -> " in printed.err


def test_a_build_with_failed_reads_prints_its_figures_and_features_over_it_end_well_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = write_catalog(granules(), tmp_path / "scenes")
    band = next((tmp_path / "scenes").rglob("*w1*/B03.tif"))
    content = band.read_bytes()
    band.unlink()
    project = ("--project", tmp_path / "project", "--cluster", "serial", "--quiet", "--json")
    asked = ("--region", REGION, "--season", SEASON, "--catalog", catalog, "--bands", ",".join(BANDS), "--tile-px", 96)
    assert run(monkeypatch, "build", *asked, *project) == 1
    printed = capsys.readouterr()
    built = json.loads(printed.out)
    assert (built["good"], built["failed_reads"] > 0) == (False, True)
    assert {entry["band"] for entry in built["failures"]} == {"B03"}
    assert "--max-failed-reads" in printed.err

    assert run(monkeypatch, "features", "--window", 30, *project) == 0
    printed = capsys.readouterr()
    made = json.loads(printed.out)
    assert made["incomplete_builds"]
    assert made["incomplete_builds"][0] in printed.err
    assert printed.err.startswith("warning: ")

    band.write_bytes(content)
    assert run(monkeypatch, "build", *project) == 0
    assert json.loads(capsys.readouterr().out)["good"] is True
    assert run(monkeypatch, "features", "--window", 30, *project) == 0
    printed = capsys.readouterr()
    again = json.loads(printed.out)
    assert not printed.err
    assert again["incomplete_builds"] == []
    assert 0 < again["done"] <= made["done"]
