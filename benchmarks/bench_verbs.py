"""Processor seconds of the verbs for what they read and make: the speeds that `--dry-run` projects hours with.

Usage: python benchmarks/bench_verbs.py [--results benchmarks/results/verbs.json]

`build`: one task of 25 tiles and five dates whose files lie on this machine (blocks of 1024 px, DEFLATE with predictor,
as the catalogues' COGs have), so that nothing waits for a network. `features`: tiles of 72 days in a year, every kind.
`predict`: a tile of five-day medians read and arranged for a classifier that costs nothing; and each classifier by
itself, as it is fitted on the shipped sample. Pixels are the sample's. Seconds are of the processor, all threads
together, so that they say what a core does and not how busy the machine was; each is the least of three.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from bench_feature_stage import SPECS, make_project, patched, run_ours, tiles_of
from kernel_timing import machine
from numpy.typing import NDArray

import cropcube
from cropcube.config import Project, read_project
from cropcube.cube.store import Store
from cropcube.demo.granule import Granule, lonlat_polygon, write_granule
from cropcube.demo.sample import load_sample
from cropcube.demo.scenes import write_scenes
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.lattice import SQUARE_PX, Lattice, Tile
from cropcube.domain.model_card import Scaling
from cropcube.domain.sensor import SENTINEL2
from cropcube.features.model_input import InputLayout
from cropcube.features.source import StoredFeatures
from cropcube.maps.predict import MapModel, predict_tile
from cropcube.model.checkpoint import load_model
from cropcube.pipeline.scene_sizes import bytes_per_pixel

DATES, TILE_PX, PIXELS = 5, 768, 16_384
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "CropNet of width 48": {"classifier": "cropnet", "epochs": 1, "recipe": "local"},
    "CropNet of width 128": {"classifier": "cropnet", "epochs": 1, "recipe": "local", "width": 128},
    "forest of 200 trees": {"classifier": "forest"},
    "boosting of 100 iterations": {"classifier": "boosting"},
}


class Idle:
    """A classifier that costs nothing and keeps what it is given."""

    kind, classes = "idle", 7

    def __init__(self, input_shape: tuple[int, int]) -> None:
        self.input_shape = input_shape
        self.given: list[NDArray[np.float32]] = []

    def probabilities(self, inputs_NBS: NDArray[np.float32], threads: int = 1) -> NDArray[np.float32]:
        """Return the same for all."""
        self.given = [*self.given[-8:], inputs_NBS]
        return np.full((len(inputs_NBS), self.classes), 1 / self.classes, np.float32)


def least_seconds(work: Callable[[], Any]) -> float:
    """Return the least processor seconds of three."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def granules() -> Iterator[Granule]:
    """Yield dates of a whole square of tiles, each tile with other pixels."""
    sample, side = load_sample(), SQUARE_PX // TILE_PX
    left, _, _, top = Tile(Lattice.utm(31, True), SQUARE_PX, 115, 14).box(10).bounds
    for date in range(DATES):
        bands: dict[str, NDArray[Any]] = {}
        for band in (*SENTINEL2.bands, SENTINEL2.quality):
            tiles = [patched(sample, (band.name,), 11 * date + 3 * number)[0] for number in range(side * side)]
            bands[band.name] = np.vstack([np.hstack(tiles[row * side : (row + 1) * side]) for row in range(side)])
        when = datetime(2023, 6, 1, 10, 50, tzinfo=UTC) + timedelta(days=5 * date)
        yield Granule(f"date{date}", "sentinel-2-l2a", when, 32631, left, top, bands)


def measure_build(folder: Path) -> dict[str, float]:
    """Return what a core reads of files and makes of observations, in MB (of 10^6 bytes) a second."""
    items, outline = [], {}
    for granule in granules():
        items.append(write_granule(granule, folder, 1024))
        left, bottom, right, top = granule.bounds
        outline = lonlat_polygon((left + 50, bottom + 50, right - 50, top - 50), granule.epsg)
    (folder / "scenes.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    (folder / "outline.geojson").write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": outline}))
    files = sum(path.stat().st_size for path in folder.rglob("*.tif"))
    asked = {"region": str(folder / "outline.geojson"), "season": "2023-06-01/2023-07-01", "quiet": True}

    def build() -> None:
        shutil.rmtree(folder / "project", ignore_errors=True)
        cropcube.build(folder / "project", catalog=str(folder / "scenes.json"), cluster="serial", **asked)

    seconds = least_seconds(build)
    raw = DATES * SQUARE_PX**2 * bytes_per_pixel(SENTINEL2)
    stored = sum(path.stat().st_size for path in (folder / "project" / "cube.zarr").rglob("*") if path.is_file())
    return {
        "seconds": seconds, "file_mb": files / 1e6, "observation_mb": raw / 1e6, "stored_mb": stored / 1e6,
        "observation_mb_per_s": raw / 1e6 / seconds, "file_mb_per_s": files / 1e6 / seconds,
    }  # fmt: skip


def measure_features(project: Project) -> dict[str, dict[str, float]]:
    """Return by kind what a core reduces, in MB of observations a second, and what features take on the disk."""
    raw = len(tiles_of(project)) * 72 * TILE_PX**2 * bytes_per_pixel(SENTINEL2)
    found = {}
    for spec in SPECS:
        seconds = least_seconds(lambda spec=spec: run_ours(project, spec))  # type: ignore[misc]
        store = Store.open(project.features_path(spec.name))
        arrays = (
            np.dtype(a.dtype).itemsize * np.prod([n for _, n in a.leading]) * (TILE_PX * 10 // a.resolution_m) ** 2
            for a in (store.array(name, m) for name, m in store.arrays)
        )
        made = float(sum(arrays)) * len(tiles_of(project))
        stored = sum(path.stat().st_size for path in project.features_path(spec.name).rglob("c/**/*") if path.is_file())
        found[spec.name] = {
            "seconds": seconds, "observation_mb_per_s": raw / 1e6 / seconds, "made_mb": made / 1e6,
            "stored_mb": stored / 1e6,
        }  # fmt: skip
    return found


def measure_arranging(project: Project, spec: FeatureSpec) -> dict[str, float]:
    """Return what a core reads and arranges of stored features for a classifier, in MB a second."""
    layout = InputLayout.of(spec, project.spec.season, project.spec.sensor)
    flat = ((0.0,),) * len(layout.bands)
    tile = tiles_of(project)[0]
    model = MapModel(Idle((len(layout.bands), len(layout.steps))), layout, Scaling("standard", flat, ((1.0,),) * 10))
    source = StoredFeatures(Store.open(project.features_path(spec.name)))
    counted = np.ones((TILE_PX, TILE_PX), bool)
    seconds = least_seconds(lambda: predict_tile(source, model, tile, counted))
    made = len(layout.series_steps) * TILE_PX**2 * (4 * 2 + 6 * 2 / 4)
    return {"seconds": seconds, "feature_mb_per_s": made / 1e6 / seconds}


def measure_classifiers(folder: Path) -> dict[str, dict[str, float]]:
    """Return what a core classifies, in pixels a second, by classifiers fitted on the sample."""
    scenes, root = write_scenes(folder / "scenes"), folder / "sample"
    asked = {"catalog": str(scenes.catalog), "cluster": "serial", "quiet": True}
    cropcube.build(root, region=str(scenes.outline), season="2018-12-01/2019-11-28", tile_px=96, **asked)
    cropcube.features(root, window=5, cluster="serial", quiet=True)
    found = {}
    for name, options in CLASSIFIERS.items():
        fit = {"labels": scenes.labels, "legend": scenes.legend, "block_m": 160, "features": "median-5d", **options}
        cropcube.train(root, model=folder / "model", model_window="all", quiet=True, **fit)
        classifier, card = load_model(folder / "model")
        project, store = read_project(root), Store.open(root / "features" / "median-5d.zarr")
        layout = InputLayout.of(FeatureSpec("median", 5), project.spec.season, project.spec.sensor)
        idle = Idle(classifier.input_shape)
        for tile in tiles_of(project):
            counted = np.ones(tile.box(10).shape, bool)
            predict_tile(StoredFeatures(store), MapModel(idle, layout, card.scaling), tile, counted)
        inputs = np.resize(np.concatenate(idle.given), (PIXELS, *classifier.input_shape))
        seconds = least_seconds(lambda: classifier.probabilities(inputs, 1))  # noqa: B023
        bands, steps = classifier.input_shape
        found[name] = {
            "seconds": seconds, "pixels_per_s": PIXELS / seconds, "bands": bands, "steps": steps,
            "classes": classifier.classes,
        }  # fmt: skip
    return found


def main() -> None:
    """Print the figures, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, help="JSON file for the figures")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {"machine": machine(), "build": measure_build(folder / "build")}
        shutil.rmtree(folder / "build")
        project = make_project(folder / "year", 1)
        found["features"] = measure_features(project)
        found["arranging"] = measure_arranging(project, SPECS[0])
        found["classifiers"] = measure_classifiers(folder)
    text = json.dumps(found, indent=1)
    sys.stdout.write(text + "\n")
    if asked.results:
        asked.results.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
