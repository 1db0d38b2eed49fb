"""A small project with features and a fitted forest: spectra follow from the known classes, so the map is known too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import rasterio

from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.grid import inside
from cropcube.domain.model_card import LabelSource, ModelCard, SplitRecord
from cropcube.features.layout import feature_store_spec
from cropcube.features.model_input import InputLayout
from cropcube.features.source import StoredFeatures
from cropcube.model.checkpoint import save_model
from cropcube.model.fit import fit_classifier
from cropcube.model.fit_options import FitOptions
from cropcube.samples.index import SampleIndex
from cropcube.samples.read import OnGrid, Samples
from cropcube.samples.split import plan_blocks, three_sets
from tests.support.small_map import LEGEND, known_classes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cropcube.config import Project
    from cropcube.domain.legend import Legend
    from cropcube.domain.model_window import ModelWindow

SPEC = FeatureSpec("median", window_days=10)
UNSEEN_COLUMNS = 11
"""Every lattice column that this divides was never seen clear."""


def reflectance(classes: NDArray[np.uint8], step: int, band: int) -> NDArray[np.uint16]:
    """Return the median of a band in a window for pixels of known classes: each class has its own course."""
    wide = classes.astype(np.int64)
    return (300 + 700 * wide + 90 * step * (wide % 2) + 13 * band).astype(np.uint16)


def unseen(where_10m: object) -> NDArray[np.bool_]:
    """Return which pixels of a 10 m box have no clear observation."""
    cols = np.arange(where_10m.col, where_10m.col + where_10m.width)
    return np.broadcast_to(cols % UNSEEN_COLUMNS == 0, where_10m.shape)


def write_features(project: Project, spec: FeatureSpec = SPEC) -> Store:
    """Write median features of every tile, and the records that say so."""
    sensor, season = project.spec.sensor, project.spec.season
    path = project.features_path(spec.name)
    store = Store.create(path, project.spec.grid, feature_store_spec(spec, season, sensor, project.spec.tile_px))
    ledger = Ledger(project.ledger_path)
    for tile in project.spec.grid.tiles():
        writer = Store.open(path, writable=True)
        for resolution_m in (10, 20):
            write_tile(writer, tile, resolution_m, spec.windows(season))
        key = f"features/{spec.name}/{tile.lattice.name}/{tile.name}"
        ledger.write(Record(key, f"features of {tile.name}", "done", {}, writer.written))
    return store


def write_tile(store: Store, tile: object, resolution_m: int, windows: int) -> None:
    """Write the features of one tile at one resolution; windows 1 and 2 have a gap in every third row."""
    box, fine = tile.box(resolution_m), tile.box(10)
    factor = resolution_m // 10
    classes, dark = known_classes(fine)[::factor, ::factor], unseen(fine)[::factor, ::factor]
    if factor > 1:
        dark = np.zeros_like(dark)
    bands = len(store.labels("band", resolution_m))
    median = np.stack([np.stack([reflectance(classes, w, b) for b in range(bands)]) for w in range(windows)])
    count = np.full((windows, *box.shape), 2, np.uint16)
    median[1:3, :, ::3], count[1:3, ::3] = 0, 0
    median[:, :, dark], count[:, dark] = 0, 0
    store.write(tile.lattice.name, "median", box, median)
    store.write(tile.lattice.name, "clear_count", box, count)


def labelled(project: Project, spacing: int = 3) -> SampleIndex:
    """Return every `spacing`-th seen pixel of the tiles as a sample, dealt to the three sets by blocks of 160 m."""
    parts = []
    for tile in project.spec.grid.tiles():
        box = tile.box(10)
        rows, cols = np.nonzero(~unseen(box))
        keep = (rows % spacing == 0) & (cols % spacing == 0)
        rows, cols = rows[keep], cols[keep]
        parts.append(SampleIndex.of(tile.lattice.name, box.row + rows, box.col + cols, known_classes(box)[rows, cols]))
    index = SampleIndex.join(parts)
    blocks = plan_blocks(project.spec.region, project.spec.grid, 160)
    numbers = np.zeros(len(index), np.int64)
    for zone in index.zones:
        mine = index.in_zone(zone)
        numbers[mine] = blocks.of(zone, index.row[mine], index.col[mine])
    return index.with_blocks(numbers, three_sets(numbers, index.label, 0))


def train_forest(
    project: Project,
    store: Store,
    folder: Path | None = None,
    legend: Legend = LEGEND,
    spec: FeatureSpec = SPEC,
    window: ModelWindow | None = None,
) -> ModelCard:
    """Fit a small forest on the training blocks and save it as the project's model."""
    layout = InputLayout.of(spec, project.spec.season, project.spec.sensor, window)
    index = labelled(project)
    samples = Samples(OnGrid(StoredFeatures(store)), layout, index, legend)
    options = FitOptions(trees=8, threads=1)
    fitted = fit_classifier("forest", options, samples.of_set("train"), samples.of_set("validation"))
    blocks = plan_blocks(project.spec.region, project.spec.grid, 160)
    card = ModelCard(
        classifier="forest",
        feature=spec.name,
        feature_spec=spec.as_dict(),
        sensor=project.spec.sensor.name,
        bands=layout.bands,
        steps=layout.steps,
        scaling=fitted.scaling,
        gap_fill=layout.gap_rule,
        legend=legend,
        labels=LabelSource("fields.gpkg", "0" * 64, "crop", {"overlapping classes": 12}),
        split=SplitRecord(160, 0, dict(blocks.anchors), index.counts(legend.names)),
        options=options.for_card("forest"),
        scores=fitted.scores.as_json(),
        region=project.spec.region.name,
        season=str(project.spec.season),
        versions={"cropcube": "0.1.0"},
        features_digest="0" * 64,
        model_window=str(window or ""),
    )
    return save_model(folder or project.model_path, fitted.classifier, card, index)


def write_labels(project: Project, path: Path, wrong_every: int = 0) -> None:
    """Write the known classes of one tile as a class raster; every n-th row says another class."""
    box = max((t.box(10) for t in project.spec.grid.tiles()), key=lambda b: int(inside(project.spec.region, b).sum()))
    classes = known_classes(box)
    if wrong_every:
        classes[::wrong_every] = classes[::wrong_every] % len(LEGEND) + 1
    codes = np.array([0, *LEGEND.codes], np.uint16)[classes]
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "nodata": 0, "height": box.height, "width": box.width}
    with rasterio.open(path, "w", **profile, crs=box.lattice.crs, transform=box.transform) as file:
        file.write(codes, 1)
