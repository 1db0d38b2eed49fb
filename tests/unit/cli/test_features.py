import json

import pytest
from typer.testing import CliRunner

from cropcube.config import read_project
from cropcube.cube.ledger import Ledger, Record
from cropcube.errors import InvalidInputError
from cropcube_cli.main import main, make_app
from tests.support.small_cube import make_project


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("features") / "project", region=(4.05, 50.74, 4.06, 50.745)).root


def run(root, *arguments):
    return CliRunner().invoke(
        make_app(), ["features", "--project", str(root), "--cluster", "serial", "--quiet", *arguments]
    )


def test_json_is_one_object_and_nothing_else(root):
    done = run(root, "--kind", "median", "--window", "10", "--mask", "scl:4,5", "--dilate", "20", "--json",
               "--index", "ndvi,EVI", "--index", "LSWI")  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["features"] == {
        "kind": "median", "window_days": 10, "order": 2, "ridge": 0.0, "classes": [4, 5], "dilate_m": 20,
        "indices": ["NDVI", "EVI", "LSWI"], "percentiles": [10.0, 25.0, 50.0, 75.0, 90.0],
    }  # fmt: skip
    assert said["name"].startswith("median-10d-")
    assert said["done"] == said["tasks"] > 0


def test_people_get_a_table_and_what_is_incomplete_goes_to_standard_error(root):
    ledger = Ledger(root / "ledger")
    record = next(iter(ledger.records("build")))
    ledger.write(Record(record.key, record.digest, "incomplete", record.details))
    done = run(root, "--kind", "harmonic", "--order", "1", "--ridge", "0.5")
    ledger.write(record)
    assert done.exit_code == 0, done.output
    assert "harmonic-1-" in done.stdout
    assert record.key in done.stderr
    assert "cropcube build" in done.stderr
    assert record.key not in done.stdout


def test_a_window_longer_than_the_season_is_said(root):
    season = read_project(root).spec.season
    assert not run(root, "--window", str(season.days)).stderr
    done = run(root, "--window", str(season.days + 1))
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines() == [
        f"note: a window of {season.days + 1} days is longer than the season of {season.days}: the season is one window"
    ]
    assert not run(root, "--kind", "annual-median").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--mask", "qa:1"),
        ("--kind", "mean"),
        ("--window", "0"),
        ("--kind", "harmonic", "--order", "0"),
        ("--index", "NVDI"),
        ("--kind", "harmonic", "--index", "NDVI"),
        ("--kind", "percentiles", "--percentiles", "10,x"),
        ("--kind", "percentiles", "--percentiles", "101"),
        ("--kind", "percentiles", "--percentiles", "2.55"),
        ("--kind", "statistics", "--index", "NVDI"),
        ("--kind", "geomedian", "--window", "0"),
    ],
)
def test_bad_options_make_nothing(root, arguments):
    before = sorted((root / "features").glob("*")) if (root / "features").exists() else []
    done = run(root, *arguments)
    assert isinstance(done.exception, InvalidInputError)
    assert (sorted((root / "features").glob("*")) if (root / "features").exists() else []) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--kind", "median", "--order", "2"), "--order belongs to --kind harmonic, not to median"),
        (("--order", "3"), "--order belongs to --kind harmonic, not to median"),
        (("--kind", "harmonic", "--window", "5"), "--window belongs to --kind median or geomedian, not to harmonic"),
        (("--kind", "annual-median", "--ridge", "0"), "--ridge belongs to --kind harmonic, not to annual-median"),
        (
            ("--kind", "harmonic", "--index", "NDVI"),
            "--index belongs to --kind median, annual-median, geomedian, statistics or emit",
        ),
        (("--percentiles", "5"), "--percentiles belongs to --kind percentiles, not to median"),
        (("--memory-limit", "6X"), "'6X' is not a size"),
    ],
)
def test_options_that_do_not_go_together_end_with_2(root, arguments, said, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["cropcube", "features", "--project", str(root), *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {said}")
    assert not printed.out
