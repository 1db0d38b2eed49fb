"""The commands regions and extract print what they found, and one JSON object if asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cropcube.errors import InvalidInputError
from cropcube_cli.commands.extract import extract
from cropcube_cli.commands.regions import regions
from tests.support.small_cube import DAYS, make_project


def app_of(command: Callable[..., None]) -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app


def test_regions_prints_a_table() -> None:
    result = CliRunner().invoke(app_of(regions), ["guinea"])
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if "GNB" in line and "Guinea-Bissau" in line]
    assert "no country or state matches 'zzzz'" in CliRunner().invoke(app_of(regions), ["zzzz"]).stdout
    assert "Did you mean Belgium?" in CliRunner().invoke(app_of(regions), ["Beligum"]).stdout


def test_regions_prints_json() -> None:
    found = json.loads(CliRunner().invoke(app_of(regions), ["belgium", "--json"]).stdout)
    assert found["count"] == 1
    (belgium,) = found["regions"]
    assert (belgium["code"], belgium["continent"], belgium["kind"]) == ("BEL", "Europe", "country")
    assert belgium["area_km2"] == pytest.approx(30_700, rel=0.03)
    assert belgium["bounds"][0] == pytest.approx(2.5, abs=0.1)


def test_extract_says_what_has_no_row(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (tmp_path / "p.csv").write_text("lon,lat\n4.06,50.745\n9,9\n")
    words = ["--points", str(tmp_path / "p.csv"), "--project", str(project.root), "--cluster", "serial", "-q"]
    result = CliRunner().invoke(app_of(extract), words)
    assert result.exit_code == 0
    assert "p-cube.parquet" in result.stdout.replace("\n", "")
    assert "1 places lie off the project's tiles and have no row (number 1, counted from 0)" in result.stderr
    as_json = CliRunner().invoke(app_of(extract), [*words, "--json"])
    figures = json.loads(as_json.stdout)
    assert (figures["rows"], figures["outside"]) == (len(DAYS), [1])
    bad = CliRunner().invoke(app_of(extract), [*words, "--mask", "scl:99"])
    assert isinstance(bad.exception, InvalidInputError)
