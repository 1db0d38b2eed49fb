"""A project of 20 m bands only, of real pixels and labels, from the catalogue to the exported map."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from cropcube.cube.store import Store
from cropcube.demo.sample import COARSE_PATCH, load_sample
from cropcube.demo.scenes import write_scenes
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.errors import InvalidInputError, UsageError
from cropcube.model.fit_options import FitOptions
from cropcube.pipeline.build import build
from cropcube.pipeline.build_options import BuildOptions
from cropcube.pipeline.evaluate import EvaluateOptions, evaluate
from cropcube.pipeline.export import ExportOptions, export
from cropcube.pipeline.extract import ExtractOptions, extract
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.train import TrainOptions, train
from cropcube.run.options import RunOptions
from cropcube.samples.places import SplitRule

SERIAL = RunOptions("serial", quiet=True)
SPEC = FeatureSpec("median", window_days=30)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coarse")
    scenes = write_scenes(folder / "scenes", patch=COARSE_PATCH)
    options = BuildOptions(
        str(scenes.outline), "2019-03-01/2019-10-27", str(scenes.catalog), resolution_m=20, tile_px=96
    )
    build(folder / "project", options, SERIAL)
    features(folder / "project", FeaturesOptions(SPEC), SERIAL)
    return folder / "project", scenes


def test_the_cube_has_the_bands_of_20_m_and_the_quality(project):
    store = Store.open(project[0] / "cube.zarr")
    assert sorted(store.arrays) == [("quality", 20), ("reflectance", 20)]
    assert tuple(store.labels("band", 20)) == ("B05", "B06", "B07", "B8A", "B11", "B12")


def test_samples_and_map_are_pixels_of_10_m_and_carry_what_20_m_tell(project):
    root, scenes = project
    options = TrainOptions(
        LabelFiles.of(scenes.labels), scenes.legend, SPEC.name, "forest", SplitRule(block_m=160),
        FitOptions(trees=40, threads=1),
    )  # fmt: skip
    summary = train(root, options)
    labelled = int((load_sample(COARSE_PATCH).labels_YX > 0).sum())
    counts = summary.card.split.counts
    assert sum(sum(part.values()) for part in counts.values()) + sum(summary.card.labels.dropped.values()) == labelled
    assert summary.card.bands == ("B05", "B06", "B07", "B8A", "B11", "B12")
    areas = predict(root, PredictOptions(), SERIAL).areas
    export(root, ExportOptions(root / "map.tif"))
    with rasterio.open(root / "map.tif") as raster:
        assert raster.res == (10, 10)
        crop = raster.read(1)
    left, bottom, right, top = load_sample(COARSE_PATCH).bounds
    assert crop.size >= 64 * 64
    assert (crop > 0).sum() == sum(areas.pixels) >= 4000
    # two by two pixels of 10 m have the class of one pixel of 20 m
    assert (right - left, top - bottom) == (640, 640)
    whole = crop[: crop.shape[0] // 2 * 2, : crop.shape[1] // 2 * 2]
    squares = whole.reshape(whole.shape[0] // 2, 2, -1, 2).transpose(0, 2, 1, 3).reshape(-1, 4)
    full = squares[(squares > 0).all(axis=1)]
    assert len(full) > 900
    assert (full == full[:, :1]).all()
    scored = evaluate(root, EvaluateOptions(folds=4), SERIAL)
    assert scored.accuracy.scores.overall_accuracy > 0.75
    assert (root / "report.html").stat().st_size > 10_000


def test_series_of_points_have_the_20_m_bands(project, tmp_path):
    import geopandas as gpd
    from shapely.geometry import Point

    left, _, _, top = load_sample(COARSE_PATCH).bounds
    places = gpd.GeoDataFrame({"n": [1]}, geometry=[Point(left + 333, top - 222)], crs=32631).to_crs(4326)
    places.to_file(tmp_path / "p.geojson")
    extract(project[0], ExtractOptions(tmp_path / "p.geojson", source=SPEC.name, output=tmp_path / "p.parquet"), SERIAL)
    series = gpd.read_parquet(tmp_path / "p.parquet")
    assert {"B05", "B12"} <= set(series.columns)
    assert "B02" not in series.columns
    assert len(series) == 8
    assert np.isfinite(series["B05"]).all()


def test_bands_are_chosen_once():
    with pytest.raises(UsageError, match="both choose bands"):
        BuildOptions(bands=("B05",), resolution_m=20)


def test_a_resolution_without_bands_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="no band is measured at 30 m") as caught:
        build(tmp_path, BuildOptions("4,50,4.1,50.1", "2019", resolution_m=30), SERIAL)
    assert "B05" in caught.value.next_step
