"""The feature stage end to end beside a plain Zarr read and write of the same bytes, in one process.

Usage: python benchmarks/bench_feature_stage.py [TILES] [--results FILE]     (tiles of 768 px; default 1)

The cube holds 73 days in a year, ten bands and the quality, of pixels of the shipped sample: every 64-pixel patch of a
tile shows another date and another side of it. The verb then runs on it, once a kind. Beside it: zarr-python reads the
days present of the same arrays into memory that is there and writes arrays of the same features, chunks, shards and
codec; and our own store does the same, without any kernel. Wall seconds, median of three, files in the page cache.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from kernel_timing import machine, median_seconds
from numpy.typing import NDArray
from shapely.geometry import box as lonlat_box

from cropcube.config import Project, ProjectSpec, create_project
from cropcube.cube.layout import cube_spec
from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from cropcube.demo.sample import Sample, load_sample
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.lattice import Tile
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.pipeline.build_plan import task_key
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.run.options import RunOptions

SEASON, TILE_PX = Season.of_year(2023), 768
DAYS = range(0, 365, 5)
SPECS = (
    FeatureSpec("median", 5),
    FeatureSpec("median", 30),
    FeatureSpec("annual-median"),
    FeatureSpec("harmonic"),
    FeatureSpec("median", 30, indices=("NDVI", "EVI")),
    FeatureSpec("median", 30, dilate_m=100),
    FeatureSpec("geomedian", 30),
    FeatureSpec("percentiles"),
    FeatureSpec("statistics", indices=("NDVI", "EVI", "LSWI")),
)


def patched(sample: Sample, bands: tuple[str, ...], number: int) -> NDArray[Any]:
    """Return one day of a tile (band, y, x) of which no two neighbouring patches are of one date or side."""
    pixels = np.stack([sample.bands[band] for band in bands], axis=1)
    dates, patch_px = len(pixels), pixels.shape[-1]
    side = TILE_PX * 64 // (64 * 64)
    day = np.empty((len(bands), side * patch_px, side * patch_px), pixels.dtype)
    for row, col in np.ndindex(side, side):
        which = row * side + col
        patch = np.rot90(pixels[(number + 7 * which) % dates], which % 4, (1, 2))
        day[:, row * patch_px : (row + 1) * patch_px, col * patch_px : (col + 1) * patch_px] = patch
    return day


def make_project(root: Path, tiles: int) -> Project:
    """Make a project whose cube holds the tiles, and the build records that say so."""
    width = 0.09 * tiles
    spec = ProjectSpec(Region("here", lonlat_box(4.0, 50.75, 4.0 + width, 50.8)), SEASON, SENTINEL2, TILE_PX)
    project = create_project(root, spec)
    store = Store.create(project.cube_path, spec.grid, cube_spec(SEASON, SENTINEL2, TILE_PX))
    sample = load_sample()
    made = {
        (name, m): {day: patched(sample, store.labels("band", m) if name != "quality" else ("SCL",), i)
                    for i, day in enumerate(DAYS)}
        for name, m in store.arrays
    }  # fmt: skip
    for zone in spec.grid.zones:
        for square, inside in zone.squares().items():
            for slab in range(SEASON.slabs):
                span = SEASON.slab_days(slab)
                for tile in inside:
                    for (name, m), values in made.items():
                        seen = {d: v[0] if name == "quality" else v for d, v in values.items() if d in span}
                        store.write_days(tile.lattice.name, name, tile.box(m), span, seen)
                present = {tile: [day for day in DAYS if day in span] for tile in inside}
                store.mark_present(zone.lattice.name, slab, square, present)
                Ledger(project.ledger_path).write(Record(task_key(zone.lattice.name, slab, square), "made", "done", {}))
    return project


def tiles_of(project: Project) -> list[Tile]:
    """Return the tiles of the region."""
    return [tile for zone in project.spec.grid.zones for tile in zone.tiles()]


def run_ours(project: Project, spec: FeatureSpec) -> None:
    """Compute the features anew."""
    shutil.rmtree(project.features_path(spec.name), ignore_errors=True)
    features(project.root, FeaturesOptions(spec), RunOptions("serial", quiet=True))


def by_zarr(project: Project, spec: FeatureSpec, folder: Path) -> Callable[[], None]:
    """Return the work of reading the same observations and writing the same features by zarr-python."""
    cube = zarr.open_group(project.cube_path, mode="r")
    made = zarr.open_group(project.features_path(spec.name), mode="r")
    copied = folder / "copy.zarr"
    pairs = []
    for zone in project.spec.grid.zones:
        sources = [
            cube[f"{zone.lattice.name}/{name}"] for name in ("r10m/reflectance", "r20m/reflectance", "r20m/quality")
        ]
        results = [array for _, group in made[zone.lattice.name].groups() for _, array in group.arrays()
                   if array.ndim >= 2]  # fmt: skip
        pairs.append((sources, [(array, array[...]) for array in results]))
    room = [[np.empty(source.shape[1:], source.dtype) for source in sources] for sources, _ in pairs]

    def work() -> None:
        shutil.rmtree(copied, ignore_errors=True)
        for (sources, results), buffers in zip(pairs, room, strict=True):
            for source, buffer in zip(sources, buffers, strict=True):
                out = zarr.core.buffer.default_buffer_prototype().nd_buffer.from_numpy_array(buffer[None])
                for day in DAYS:
                    source.get_basic_selection(slice(day, day + 1), out=out)
            for array, values in results:
                into = zarr.create_array(
                    copied / array.path, shape=array.shape, dtype=array.dtype, chunks=array.chunks, shards=array.shards,
                    compressors=array.compressors, fill_value=array.fill_value,
                )  # fmt: skip
                into[...] = values

    return work


def by_our_store(project: Project, spec: FeatureSpec, folder: Path) -> Callable[[], None]:
    """Return the work of our own store alone: the same reading and writing, tile by tile, on as many threads."""
    cube = Store.open(project.cube_path, threads=2)
    stored = Store.open(project.features_path(spec.name), threads=2)
    copied = folder / "ours.zarr"
    values = {
        (tile, name, m): stored.read(tile.lattice.name, name, tile.box(m))
        for tile in tiles_of(project) for name, m in stored.arrays
    }  # fmt: skip

    def work() -> None:
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(project.features_path(spec.name), copied, ignore=shutil.ignore_patterns("c"))
        into = Store.open(copied, writable=True, threads=2)
        for tile in tiles_of(project):
            for name, m in cube.arrays:
                cube.read(tile.lattice.name, name, tile.box(m), (list(DAYS),))
        for (tile, name, m), array in values.items():
            into.write(tile.lattice.name, name, tile.box(m), array)

    return work


def profile(project: Project, spec: FeatureSpec) -> Iterator[tuple[str, float]]:
    """Yield where the time of one run goes: seconds within reading, masks, kernel, writing."""
    profiler = cProfile.Profile()
    profiler.runcall(run_ours, project, spec)
    spent = {(Path(file).name, name): row[3] for (file, _, name), row in pstats.Stats(profiler).stats.items()}
    for label, at in (
        ("reading", ("observed.py", "read_observations")),
        ("masks", ("compute.py", "clear_observations")),
        ("kernel and masks", ("compute.py", "reduce_time")),
        ("indices", ("compute.py", "compute_indices")),
        ("counting", ("features.py", "_count")),
        ("putting cells together", ("cells.py", "paste")),
        ("writing", ("features.py", "_put")),
        ("all", ("features.py", "features")),
    ):
        if at in spent:
            yield label, spent[at]


def measure(project: Project, spec: FeatureSpec, folder: Path) -> dict[str, Any]:
    """Return wall seconds of the stage and of both ways of only reading and writing, and where the time goes."""
    run_ours(project, spec)
    found = {
        "kind": spec.name,
        "stage_s": median_seconds(lambda: run_ours(project, spec), 3, at_most=120),
        "zarr_s": median_seconds(by_zarr(project, spec, folder), 3, at_most=120),
        "store_s": median_seconds(by_our_store(project, spec, folder), 3, at_most=120),
    }
    return found | {"profile_s": dict(profile(project, spec))}


def main() -> None:
    """Print one row for each kind of features."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tiles", nargs="?", type=int, default=1)
    parser.add_argument("--results", type=Path, help="JSON file for the figures")
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        project = make_project(Path(name) / "project", asked.tiles)
        held = f"{len(tiles_of(project))} tiles of {TILE_PX} px, {len(DAYS)} days, ten bands and the quality"
        print(f"{machine()}\n{held}\n")
        print("| features | stage s | plain zarr s | our store alone s | stage / zarr | stage / our store |")
        print("| --- | --- | --- | --- | --- | --- |")
        for spec in SPECS:
            row = measure(project, spec, Path(name))
            rows.append(row)
            stage, plain, own = row["stage_s"], row["zarr_s"], row["store_s"]
            print(
                f"| {row['kind']} | {stage:.2f} | {plain:.2f} | {own:.2f} | {stage / plain:.2f} | {stage / own:.2f} |"
            )
            sys.stdout.flush()
    for row in rows:
        print(f"{row['kind']}: " + ", ".join(f"{label} {seconds:.2f}" for label, seconds in row["profile_s"].items()))
    if asked.results:
        asked.results.parent.mkdir(parents=True, exist_ok=True)
        asked.results.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
