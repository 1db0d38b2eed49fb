"""Samples a second: our stream, xbatcher over the same store, the bare decoding of its chunks, and CropNet's training.

Usage: python benchmarks/bench_stream.py        (the extras `model` and `bench`)

The store is a tile of 768 px of five-day medians (73 windows of ten bands, chunks of 64 px), with the pixels of the
shipped sample and half of the windows empty at places, as clouds leave them; every pixel is a sample, which is what
suits xbatcher best. Ours gives shuffled, gap-filled, scaled batches of 256. xbatcher gives patches of a chunk in the
store's order. `xbatcher, bare` turns them into rows of (bands, steps) with 20 m pixels repeated and leaves it there: no
gaps filled, nothing scaled or shuffled. `xbatcher, filled` also fills the gaps (by arrays) and scales, so that its rows
are ours but for the shuffling. `ours, changed` is with the default augmentation. Wall and processor time of the best of
seven passes (of one or two, where one takes long), made in turns, files in the page cache. Floors: 5 x xbatcher's
samples a second, 5 x training's.

On two cores (AMD EPYC, 24 GiB), one of seven runs:

                         samples/s  ours / it   per CPU s  ours / it
    ours                 1,026,482       1.00     570,598       1.00
    ours, changed           46,343      22.15      43,294      13.18
    xbatcher, bare         214,107       4.79     214,041       2.67
    xbatcher, filled       103,208       9.95     103,185       5.53
    decoding alone       2,915,095       0.29   1,691,019       0.29
    training, 48 x 73        1,023     834.03         553     874.51
    training, 128 x 43         294    2899.37         156    3108.76

Where xbatcher's patches are made into the same rows, with NumPy, both floors are met: 8.2 to 10.2 times in seven runs.
Where they are left unfilled, unscaled and in the store's order, it is 4.1 to 5.2 times: decoding takes a third of our
time, gathering rows from planes, filling and taking them in another order (memory latency) the rest. Changing every
sample is 45 times as fast as training.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import xarray as xr
import xbatcher
from numpy.typing import NDArray
from torch import nn

from cropcube.cube.store import Store
from cropcube.demo.sample import load_sample
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.grid import Grid
from cropcube.domain.lattice import Lattice, Tile, ZoneGrid
from cropcube.domain.legend import Legend
from cropcube.domain.season import Season
from cropcube.domain.sensor import REFLECTANCE_SCALE, SENTINEL2
from cropcube.features.layout import feature_store_spec
from cropcube.features.model_input import InputLayout, reflectance_scaling
from cropcube.features.source import StoredFeatures
from cropcube.model.augment import AUGMENTATIONS, Augmenter, TimeSpan
from cropcube.model.cropnet import CropNet, channels_last
from cropcube.run.memory import processors
from cropcube.samples.index import SampleIndex
from cropcube.samples.read import Cell, OnGrid, Samples
from cropcube.samples.stream import AsTheyAre, Preparation, SampleStream, StreamOptions

TILE = Tile(Lattice.utm(31, True), 768, 7000, 700)
GRID = Grid((ZoneGrid(TILE.lattice, TILE.tile_px, 1, frozenset({(TILE.row, TILE.col)})),))
SPEC, SEASON = FeatureSpec("median", window_days=5), Season.of_year(2023)
PATCH_PX, BATCH, PASSES, EMPTY = 64, 256, 7, 0.5


def tile_of(bands: tuple[str, ...], resolution_m: int) -> NDArray[np.uint16]:
    """Return medians (73, bands, y, x) of the whole tile: the sample's pixels, every patch of another date and side."""
    sample = load_sample()
    pixels = np.stack([sample.bands[band] for band in bands], axis=1)
    side, patch = 7680 // resolution_m, pixels.shape[-1]
    steps, count = len(SPEC.steps(SEASON)), side // patch
    random = np.random.default_rng(resolution_m)
    found = np.empty((steps, len(bands), side, side), np.uint16)
    for step in range(steps):
        for row in range(count):
            for col in range(count):
                turned = np.rot90(pixels[random.integers(len(pixels))], random.integers(4), (1, 2))
                found[step, :, row * patch : (row + 1) * patch, col * patch : (col + 1) * patch] = turned
    return found


def make_store(path: Path) -> Store:
    """Write the tile; what is empty is so in all bands, in patches of 160 m."""
    store = Store.create(path, GRID, feature_store_spec(SPEC, SEASON, SENTINEL2, TILE.tile_px))
    empty = np.random.default_rng(0).random((len(SPEC.steps(SEASON)), 48, 48)) < EMPTY
    for resolution_m in (10, 20):
        values = tile_of(SENTINEL2.bands_at(resolution_m), resolution_m)
        times = values.shape[-1] // 48
        values *= ~np.kron(empty, np.ones((times, times), bool))[:, None]
        store.write(TILE.lattice.name, "median", TILE.box(resolution_m), values)
    return Store.open(path)


def all_pixels(store: Store) -> Samples:
    """Return every pixel of the tile as a sample."""
    box = TILE.box(10)
    rows, cols = (axis.ravel() for axis in np.indices(box.shape))
    index = SampleIndex.of(TILE.lattice.name, box.row + rows, box.col + cols, np.ones(rows.size))
    layout = InputLayout.of(SPEC, SEASON, SENTINEL2)
    return Samples(OnGrid(StoredFeatures(store)), layout, index, Legend.parse("1,all\n2,none"))


def ours(samples: Samples, prepare: Preparation) -> Iterator[int]:
    """Yield the sizes of the batches of a pass."""
    for batch in SampleStream(samples, prepare, StreamOptions(BATCH, threads=processors())).loader(1):
        yield len(batch.classes)


def xbatchers(store: Store, filled: bool) -> Iterator[int]:
    """Yield the sizes of xbatcher's batches of a pass: a patch at both resolutions, made into rows."""
    made = []
    for resolution_m in (10, 20):
        side = PATCH_PX * 10 // resolution_m
        group = f"{TILE.lattice.name}/r{resolution_m}m"
        features = xr.open_zarr(store.path, group=group, chunks=None, consolidated=False)[["median"]]
        # all dimensions, since xbatcher stacks those that are not named
        made.append(xbatcher.BatchGenerator(features, input_dims={**features.sizes, "y": side, "x": side}))
    for fine, coarse in zip(*made, strict=True):
        images = [patch["median"].values for patch in (fine, coarse)]
        image = np.concatenate([images[0], images[1].repeat(2, axis=2).repeat(2, axis=3)], axis=1)
        rows = np.ascontiguousarray(image.reshape(*image.shape[:2], -1).transpose(2, 1, 0), np.float32)
        if filled:
            fill(rows)
            rows *= np.float32(REFLECTANCE_SCALE)
        yield len(torch.from_numpy(rows))


def fill(rows_NBS: NDArray[np.float32]) -> None:
    """Fill gaps in place as NumPy does it fastest: both neighbours of each gap are found for all bands at once."""
    seen = rows_NBS[:, 0] != 0
    step, steps = np.arange(seen.shape[1], dtype=np.int32), seen.shape[1]
    before = np.maximum.accumulate(np.where(seen, step, np.int32(-1)), axis=1)
    after = np.minimum.accumulate(np.where(seen, step, np.int32(steps))[:, ::-1], axis=1)[:, ::-1]
    sample, gap = np.nonzero(~seen)
    first, last = before[sample, gap], after[sample, gap]
    first, last = np.where(first < 0, last, first), np.where(last == steps, first, last)
    first, last = (place.clip(0, steps - 1) for place in (first, last))
    part = ((gap - first) / np.maximum(last - first, 1)).astype(np.float32)[:, None]
    lower, upper = rows_NBS[sample, :, first], rows_NBS[sample, :, last]
    rows_NBS[sample, :, gap] = np.floor(lower + part * (upper - lower) + np.float32(0.5))


def decoding(store: Store) -> Iterator[int]:
    """Yield the pixels of the cells as they are decoded, nothing else done with them."""
    samples, source = all_pixels(store), StoredFeatures(store)

    def decode(cell: Cell) -> int:
        source.read(samples.layout, samples.source.box(samples.layout, samples.index, cell))  # type: ignore[attr-defined]
        return len(cell.positions)

    with ThreadPoolExecutor(processors()) as pool:
        yield from pool.map(decode, samples.cells())


def training(width: int, windows: int) -> Iterator[int]:
    """Yield the sizes of the batches of eight of CropNet's training steps, on 10 bands."""
    torch.set_num_threads(processors())
    network = channels_last(CropNet(7, width)).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    inputs, classes = torch.randn(BATCH, 1, 10, windows), torch.randint(0, 7, (BATCH,))
    for _ in range(8):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(inputs), classes).backward()
        optimiser.step()
        yield BATCH


def rates(works: dict[str, tuple[Callable[[], Iterator[int]], int]]) -> dict[str, tuple[float, float]]:
    """Return samples a second and samples a second of processor time, each the best of some passes, made in turns."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for number in range(PASSES):
        for name, (work, passes) in works.items():
            if number < passes:
                began, spent = time.perf_counter(), time.process_time()
                count = sum(work())
                found[name].append((count / (time.perf_counter() - began), count / (time.process_time() - spent)))
    return {name: (max(wall for wall, _ in of), max(processor for _, processor in of)) for name, of in found.items()}


def main() -> None:
    """Measure all and say how they compare."""
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder) / "features.zarr")
        samples = all_pixels(store)
        scaling, changes = reflectance_scaling(10), AUGMENTATIONS["default"]
        span = TimeSpan.of(samples.layout)
        assert changes is not None
        assert span is not None
        found = rates(
            {
                "ours": (lambda: ours(samples, AsTheyAre(scaling)), PASSES),
                "ours, changed": (lambda: ours(samples, Augmenter(changes, span, scaling)), 1),
                "xbatcher, bare": (lambda: xbatchers(store, False), PASSES),
                "xbatcher, filled": (lambda: xbatchers(store, True), 2),
                "decoding alone": (lambda: decoding(store), PASSES),
                "training, 48 x 73": (lambda: training(48, 73), 2),
                "training, 128 x 43": (lambda: training(128, 43), 2),
            }
        )
    print(f"{'':<18}{'samples/s':>12}{'ours / it':>11}{'per CPU s':>12}{'ours / it':>11}")
    for name, (wall, processor) in found.items():
        ratios = found["ours"][0] / wall, found["ours"][1] / processor
        print(f"{name:<18}{wall:>12,.0f}{ratios[0]:>11.2f}{processor:>12,.0f}{ratios[1]:>11.2f}")


if __name__ == "__main__":
    main()
