"""A small project whose crops can be learnt: each class has its own course over the season, with noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyproj import Transformer
from shapely.geometry import Polygon

from cropcube.config import Project, ProjectSpec, create_project
from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.legend import Legend
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.features.layout import feature_store_spec
from cropcube.features.model_input import InputLayout
from cropcube.features.source import StoredFeatures
from cropcube.samples.index import SampleIndex
from cropcube.samples.read import OnGrid, Samples
from cropcube.samples.split import plan_blocks, three_sets

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox, Tile

LEGEND = Legend.parse("1200,Maize\n1110,Winter wheat\n9120,Grass")
SPEC = FeatureSpec("median", window_days=10)
LEFT, TOP, SIDE_M = 573_800, 5_623_000, 1_280
"""A square over four tiles of 96 px in UTM 31."""
DARK_EVERY = 13
"""Lattice columns that this divides are never seen clear."""


def make_project(root: Path) -> Project:
    """Return a project over a square of 128 px, season of seven windows of ten days."""
    to_lonlat = Transformer.from_crs(32631, 4326, always_xy=True)
    x, y = [LEFT, LEFT + SIDE_M, LEFT + SIDE_M, LEFT], [TOP - SIDE_M, TOP - SIDE_M, TOP, TOP]
    outline = Polygon(zip(*to_lonlat.transform(x, y), strict=True))
    season = Season.parse("2019-03-01/2019-05-10")
    return create_project(root, ProjectSpec(Region.of("square", outline), season, SENTINEL2, 96))


def fields(box: PixelBox) -> NDArray[np.uint8]:
    """Return the class (legend row) at 10 m: fields of 8 px."""
    rows = np.arange(box.row, box.row + box.height)[:, None] // 8
    cols = np.arange(box.col, box.col + box.width)[None] // 8
    return (1 + (rows * 2 + cols * 5 + rows * cols) % 3).astype(np.uint8)


def medians(tile: Tile, resolution_m: int, bands: int, windows: int) -> NDArray[np.uint16]:
    """Return the medians of a tile; window 2 has no clear observation in every third row."""
    factor = resolution_m // 10
    box = tile.box(10)
    classes = fields(box)[::factor, ::factor].astype(np.float64)
    time, band = np.arange(windows)[:, None, None, None], np.arange(bands)[None, :, None, None]
    course = 2500 + 1200 * np.sin(0.9 * time + 2.1 * classes + 0.3 * band)
    noise = np.random.default_rng([tile.row, tile.col, resolution_m]).normal(0, 250, course.shape)
    values = np.clip(course + noise, 1, None).astype(np.uint16)
    values[2, :, ::3] = 0
    if resolution_m == 10:
        cols = np.arange(box.col, box.col + box.width)
        values[:, :, :, cols % DARK_EVERY == 0] = 0
    return values


def write_features(project: Project, spec: FeatureSpec = SPEC) -> Store:
    """Write the features of every tile, and their records."""
    sensor, season = project.spec.sensor, project.spec.season
    path = project.features_path(spec.name)
    store = Store.create(path, project.spec.grid, feature_store_spec(spec, season, sensor, project.spec.tile_px))
    ledger = Ledger(project.ledger_path)
    zone = project.spec.grid.zones[0]
    for tile in zone.tiles():
        for resolution_m in (10, 20):
            bands = len(sensor.bands_at(resolution_m))
            values = medians(tile, resolution_m, bands, spec.windows(season))
            store.write(zone.lattice.name, "median", tile.box(resolution_m), values)
        ledger.write(Record(f"features/{spec.name}/{zone.lattice.name}/{tile.name}", "0" * 64, "done", {}))
    return store


def make_samples(project: Project, store: Store, spacing: int = 2, seed: int = 0) -> Samples:
    """Return every `spacing`-th observed pixel of the square as a sample, dealt by blocks of 160 m."""
    lattice = project.spec.grid.zones[0].lattice
    box = lattice.box_of_bounds((LEFT, TOP - SIDE_M, LEFT + SIDE_M, TOP), 10)
    rows, cols = np.meshgrid(
        np.arange(box.row, box.row + box.height, spacing),
        np.arange(box.col, box.col + box.width, spacing),
        indexing="ij",
    )
    rows, cols = rows.ravel(), cols.ravel()
    index = SampleIndex.of(lattice.name, rows, cols, fields(box)[rows - box.row, cols - box.col])
    layout = InputLayout.of(SPEC, project.spec.season, project.spec.sensor)
    samples = Samples(OnGrid(StoredFeatures(store)), layout, index, LEGEND)
    samples = samples.select(samples.observed())
    blocks = plan_blocks(project.spec.region, project.spec.grid, 160)
    numbers = blocks.of(lattice.name, samples.index.row, samples.index.col)
    return Samples(
        samples.source,
        layout,
        samples.index.with_blocks(numbers, three_sets(numbers, samples.index.label, seed)),
        LEGEND,
    )


def break_down(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    """Have a fit of CropNet meet a loss that is no number in an epoch."""
    from cropcube.model import fit_cropnet

    original = fit_cropnet._Fit._learn

    def poisoned(self: fit_cropnet._Fit, number: int) -> object:
        if number == epoch:
            self.loss_of.weight.fill_(np.nan)
        return original(self, number)

    monkeypatch.setattr(fit_cropnet._Fit, "_learn", poisoned)
