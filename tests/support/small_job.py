"""The small build with features and a model learnt from made-up labels: all that `predict` needs, from every source."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
from shapely.geometry import Point, box

from cropcube.config import read_project
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.model.fit_options import FitOptions
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.train import TrainOptions, train
from cropcube.samples.places import SplitRule
from tests.support.granules import EPSG, LEFT_M, TOP_M
from tests.support.small_build import SERIAL

if TYPE_CHECKING:
    from pathlib import Path

    from cropcube.config import Project

CLASSES = (3, 4, 5, 8, 9)
"""Kept, so that most of the noise counts as clear."""
MEDIAN = FeatureSpec(window_days=20, classes=CLASSES, dilate_m=20)
ANNUAL = FeatureSpec("annual-median", classes=CLASSES)
HARMONIC = FeatureSpec("harmonic", order=1, classes=(0, *CLASSES)[1:], ridge=0.1)
LEGEND = "code,name\n1,bare soil\n2,winter wheat\n3,never sown\n"
FOREST = FitOptions(trees=12, threads=1)
CROPNET = FitOptions(width=4, epochs=1, batch=32, threads=1)


def write_labels(folder: Path) -> tuple[Path, Path]:
    """Write random points of two of three classes over the region, and the legend, if they are not there."""
    if (folder / "points.gpkg").exists():
        return folder / "points.gpkg", folder / "legend.csv"
    rng = np.random.default_rng(5)
    x, y = LEFT_M + rng.integers(25, 255, 1500) * 10 + 5, TOP_M - rng.integers(15, 175, 1500) * 10 - 5
    frame = gpd.GeoDataFrame(
        {"crop": rng.integers(1, 3, len(x))}, geometry=[Point(*xy) for xy in zip(x, y, strict=True)], crs=EPSG
    )
    frame.to_file(folder / "points.gpkg")
    (folder / "legend.csv").write_text(LEGEND)
    return folder / "points.gpkg", folder / "legend.csv"


def options(folder: Path, spec: FeatureSpec, classifier: str = "forest", origin: str = "features") -> TrainOptions:
    """Return how to train on the points."""
    labels, legend = write_labels(folder)
    fit = CROPNET if classifier == "cropnet" else FOREST
    files = LabelFiles.of(labels, "crop")
    return TrainOptions(files, legend, spec.name, classifier, SplitRule(block_m=320), fit, origin=origin)


def learn(root: Path, spec: FeatureSpec, classifier: str = "forest") -> None:
    """Make features, and a model of them."""
    features(root, FeaturesOptions(spec), SERIAL)
    train(root, options(root.parent, spec, classifier))


def bare(root: Path, folder: Path) -> Project:
    """Copy what `predict` from the catalogue needs, and nothing else: specification, frozen scenes, model."""
    folder.mkdir(parents=True)
    for name in ("cropcube.toml", "region.geojson", "scenes.parquet"):
        shutil.copy(root / name, folder / name)
    shutil.copytree(root / "model", folder / "model")
    return read_project(folder)


def half_mask(folder: Path, epsg: int = 4326) -> Path:
    """Write polygons of crops: the western half of the region, in lon/lat."""
    half = gpd.GeoDataFrame(geometry=[box(LEFT_M, TOP_M - 3000, LEFT_M + 1402, TOP_M)], crs=EPSG).to_crs(epsg)
    path = folder / "crops.geojson"
    path.write_text(json.dumps(json.loads(half.to_json(to_wgs84=True))))
    return path
