"""The demo as `make demo` runs it: every step, the floor of its accuracy, and nothing twice."""

from pathlib import Path

import pytest
import rasterio

from cropcube.demo.scenes import write_scenes
from cropcube.errors import ConflictError, InvalidInputError
from cropcube.pipeline.demo import DATES, DemoOptions, DemoSummary, demo
from cropcube.run.options import RunOptions

pytestmark = pytest.mark.slow

SERIAL = RunOptions("serial", quiet=True)
FLOOR = {"overall_accuracy": 0.88, "macro_f1": 0.70}
"""Of CropNet, pooled over the folds."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> DemoSummary:
    """The real thing, with the network and the folds that people get."""
    return demo(tmp_path_factory.mktemp("demo") / "demo", run=SERIAL)


def files_of(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def test_everything_is_there(first):
    root = first.files.root
    for name in (
        "cropcube.toml",
        "scenes/scenes.json",
        "scenes.parquet",
        "cube.zarr",
        "map.zarr",
        "map.tif",
        "map.png",
    ):
        assert (root / name).exists(), name
    assert (root / "features" / "median-15d.zarr").exists()
    assert (root / "features" / "harmonic-2.zarr").exists()
    assert "Contains modified Copernicus Sentinel data" in (root / "report.html").read_text()
    with rasterio.open(root / "map.tif") as raster:
        assert raster.shape == (64, 64)
        assert (raster.read(1) > 0).all()


def test_cropnet_keeps_its_floor_over_all_the_folds(first):
    network = first.accuracies[0]
    assert (network["classifier"], network["blocks"]) == ("CropNet", 16)
    assert sum(map(sum, network["confusion"])) == network["samples"] == 4096 - 371
    for score, least in FLOOR.items():
        assert network[score] >= least


def test_both_classifiers_are_scored_on_the_same_pixels(first):
    network, forest = first.accuracies
    assert (network["classifier"], forest["classifier"]) == ("CropNet", "Random forest")
    assert network["samples"] == forest["samples"] == 4096 - 371
    assert network["blocks"] == forest["blocks"] == 16
    assert forest["overall_accuracy"] > 0.8


def test_twice_does_no_work_twice(first):
    before = files_of(first.files.root)
    said: list[str] = []
    again = demo(first.files.root, run=SERIAL, say=said.append)
    assert again.reused
    assert again.accuracies == first.accuracies
    assert files_of(first.files.root) == before
    assert "model, map and report stand already" in said


def test_other_options_are_fitted_again(first, monkeypatch):
    fitted = []
    monkeypatch.setattr("cropcube.pipeline.demo.train", lambda *_: fitted.append(1))
    monkeypatch.setattr("cropcube.pipeline.demo._evaluate", lambda _: ())
    monkeypatch.setattr("cropcube.pipeline.demo._write_record", lambda *_: None)
    assert not demo(first.files.root, DemoOptions(epochs=2), SERIAL).reused
    assert fitted


def test_a_damaged_record_is_named(first):
    text = first.files.record.read_text()
    first.files.record.write_text("{")
    with pytest.raises(InvalidInputError, match=r"demo\.json is damaged"):
        demo(first.files.root, run=SERIAL)
    first.files.record.write_text(text)


def test_another_project_is_left_alone(tmp_path):
    from cropcube.pipeline.build import build
    from cropcube.pipeline.build_options import BuildOptions

    scenes = write_scenes(tmp_path / "scenes")
    options = BuildOptions(
        region=str(scenes.outline), season="2019-05-01/2019-05-03", catalog=str(scenes.catalog), tile_px=192
    )
    build(tmp_path, options, SERIAL)
    with pytest.raises(ConflictError):
        demo(tmp_path, run=SERIAL)


def test_the_sample_has_the_dates_that_are_promised(first):
    from cropcube.catalog.frozen import FrozenCatalog

    assert len(FrozenCatalog.open(first.files.root / "scenes.parquet")) == DATES
