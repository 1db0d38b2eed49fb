"""The whole job through the installed console script: what it prints, where, and with which exit code."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

import cropcube
from cropcube.demo.sample import sample_legend
from tests.support import console

pytestmark = pytest.mark.slow

VERBS = ["build", "status", "features", "train", "predict", "evaluate", "export", "extract", "regions", "catalogs"]
VERBS += ["demo", "info"]
CLASSES = ["Winter wheat", "Maize", "Barley", "Winter barley", "Potatoes", "Sugar beet", "Permanent grass crops"]


@pytest.fixture(scope="module")
def trained(sample_scenes, sample_project) -> Path:
    """The sample's project with a small forest and its map."""
    said = console.as_json(
        "train", "--labels", sample_scenes.labels, "--legend", sample_scenes.legend, "--features", "median-15d",
        "--classifier", "forest", "--block-m", 160, "--seed", 3, "--project", sample_project,
    )  # fmt: skip
    assert said["classifier"] == "forest"
    said = console.as_json("predict", "--cluster", "serial", "--project", sample_project)
    assert (said["done"], said["failed"]) == (4, 0)
    return sample_project


def test_help_imports_nothing_heavy():
    heavy = {"numpy", "torch", "dask", "distributed", "xarray", "zarr", "rasterio", "pandas", "sklearn", "matplotlib"}
    program = (
        "import sys; sys.argv = ['cropcube', '--help']\n"
        "from cropcube_cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    code = stop.code\n"
        "print('\\nIMPORTED', *sorted(name for name in sys.modules if '.' not in name))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = set(done.stdout.rpartition("IMPORTED")[2].split())
    assert "cropcube_cli" in imported
    assert not imported & heavy


def test_help_lists_every_verb():
    said = console.ok("--help")
    for verb in VERBS:
        assert verb in said
        assert "--json" in console.ok(verb, "--help")


def test_version_and_info():
    assert console.ok("--version").startswith("cropcube 0.")
    said = console.as_json("info")
    assert said["cropcube"] == console.ok("--version").split()[1]
    assert said["packages"]["numpy"].startswith("2.")


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("build", "--nonsense"), ("build", "--max-cloud", "x"), ("predict", "--workers", "0")]
)
def test_usage_errors_end_with_2(arguments):
    done = console.run(*arguments)
    assert done.returncode == 2
    assert not done.stdout
    assert "Usage" in done.stderr


@pytest.mark.parametrize("verb", ["status", "features", "predict", "evaluate"])
def test_without_a_project_a_verb_ends_with_1(verb, tmp_path):
    done = console.run(verb, "--project", tmp_path)
    assert done.returncode == 1
    assert not done.stdout
    assert done.stderr.startswith("error: ")
    assert "cropcube build" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_season_without_scenes_ends_with_1_and_says_so(sample_scenes, tmp_path):
    done = console.run(
        "build", "--region", sample_scenes.outline, "--season", "2015-01-01/2015-02-01", "--catalog",
        sample_scenes.catalog, "--tile-px", 96, "--project", tmp_path, "--json",
    )  # fmt: skip
    assert done.returncode == 1
    assert not done.stdout
    assert "2015-01-01" in done.stderr


def test_a_second_run_of_every_stage_does_no_work(sample_project):
    for verb in (("build",), ("features",), ("features", "--kind", "harmonic")):
        said = console.as_json(*verb, "--project", sample_project)
        assert said["done"] == said["failed"] == said["incomplete"] == 0
        assert said["reused"] == said["tasks"] > 0


def test_dry_run_writes_nothing(sample_scenes, tmp_path):
    root = tmp_path / "project"
    said = console.as_json(
        "build", "--region", sample_scenes.outline, "--season", "2019-05-01/2019-06-01", "--catalog",
        sample_scenes.catalog, "--tile-px", 96, "--dry-run", "--project", root,
    )  # fmt: skip
    assert said["scenes"] == 4
    assert said["tasks"] > 0
    assert said["bytes_to_read"] > 0
    assert not root.exists()


def test_dry_runs_of_a_project_that_is_done_find_nothing_to_do(trained):
    for verb in (("build",), ("features", "--window", 15), ("predict",)):
        said = console.as_json(*verb, "--dry-run", "--project", trained)
        assert (said["verb"], said["tasks"], said["hours"]) == (verb[0], 0, [0.0, 0.0])
        assert said["reused"] > 0
        assert said["tiles"]["utm31n"] == 4


def test_a_region_is_planned_before_anything_stands(tmp_path):
    rates = tmp_path / "rates.toml"
    rates.write_text("core_hour_usd = [3, 4]\n")
    root, asked = tmp_path / "none", ("--region", "belgium", "--season", "2024", "--dry-run", "--workers", 8)
    for verb in ("build", "features", "predict"):
        said = console.as_json(verb, *asked, "--rates", rates, "--project", root)
        assert said["workers"] == 8
        assert said["cost_usd"]["core_hours"][0] > 3 * 0.9 * said["core_hours"][0]
        assert "hours on 8 workers" in console.ok(verb, *asked, "--project", root)
        assert not root.exists()
    rates.write_text("core_hour_usd = -1\n")
    done = console.run("features", *asked, "--rates", rates, "--project", root)
    assert done.returncode == 1
    assert not done.stdout
    assert "core_hour_usd = -1 is too little" in done.stderr


def test_status(trained):
    said = console.as_json("status", "--project", trained)
    assert "build" in json.dumps(said)
    assert "median-15d" in json.dumps(said)


def test_evaluate(trained):
    said = console.as_json("evaluate", "--folds", 4, "--project", trained)
    assert [entry if isinstance(entry, str) else entry["name"] for entry in said["classes"]] == CLASSES
    assert 0.8 < said["overall_accuracy"] < 1
    assert 0.5 < said["macro_f1"] < said["overall_accuracy"]
    matrix = said["confusion"]
    assert len(matrix) == len(matrix[0]) == len(CLASSES)
    assert sum(map(sum, matrix)) == 4096 - 371
    page = (trained / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (trained / "map.png").stat().st_size > 1000


def test_export(trained, tmp_path):
    said = console.as_json("export", "--cog", tmp_path / "map.tif", "--project", trained)
    assert [Path(file["path"]).name for file in said["files"]] == ["map.tif"]
    assert said["other_model"] is False
    with rasterio.open(tmp_path / "map.tif") as raster:
        assert raster.crs.to_epsg() == 32631
        assert raster.bounds[:] == (574680, 5621800, 575320, 5622440)
        colours = [tuple(bytes.fromhex(row.colour[1:])) for row in sample_legend()]
        assert [raster.colormap(1)[value][:3] for value in range(1, 8)] == colours
        classes = raster.read(1)
    assert set(classes.ravel()) <= set(range(8))
    assert (classes > 0).mean() > 0.99


def test_regions_and_catalogs():
    assert "India" in json.dumps(console.as_json("regions", "india"))
    assert "earth-search" in json.dumps(console.as_json("catalogs"))


SMALL_CROPNET = {"classifier": "cropnet", "width": 8, "epochs": 10, "learning_rate": 0.01}
FOREST = {"classifier": "forest"}


@pytest.mark.parametrize(
    ("feature", "words", "classifier"),
    [
        ("harmonic-2", {}, FOREST),
        ("harmonic-2", {}, SMALL_CROPNET),
        ("annual-median", {"kind": "annual-median"}, FOREST),
        ("annual-median", {"kind": "annual-median"}, SMALL_CROPNET),
        ("geomedian-30d", {"kind": "geomedian", "window": 30}, FOREST),
        ("percentiles-10-50-90", {"kind": "percentiles", "percentiles": "10,50,90"}, FOREST),
        ("statistics-ndvi-lswi", {"kind": "statistics", "index": "NDVI,LSWI"}, FOREST),
        ("statistics-ndvi-lswi", {"kind": "statistics", "index": "NDVI,LSWI"}, SMALL_CROPNET),
    ],
)
def test_every_kind_of_features_makes_a_map(sample_scenes, sample_project, tmp_path, feature, words, classifier):
    """Here by the functions of the same names, which spare this many starts of Python."""
    project = tmp_path / "project"
    shutil.copytree(sample_project, project)
    if words:
        assert cropcube.features(project, cluster="serial", quiet=True, **words).as_dict()["name"] == feature
    cropcube.train(
        project, labels=sample_scenes.labels, legend=sample_scenes.legend, features=feature, block_m=160, seed=3,
        quiet=True, **classifier,
    )  # fmt: skip
    assert cropcube.predict(project, cluster="serial", quiet=True).as_dict()["failed"] == 0
    cropcube.export(project, cog=tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as raster, rasterio.open(sample_scenes.labels) as labels:
        mapped, codes = raster.read(1), labels.read(1)
    legend = [0, *(row.code for row in sample_legend())]
    right = (np.take(legend, mapped) == codes)[codes > 0].mean()
    # Most of the fields were trained with: wrong rows, bands or steps would give far less than the commonest class.
    assert right > (0.8 if classifier is FOREST else 0.4)
