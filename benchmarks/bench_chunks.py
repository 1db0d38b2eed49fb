"""Chunks of the cube and of features: what each size costs to write, to read by tile, and to read by point.

Usage: python benchmarks/bench_chunks.py [cube|codec|features|zarr]     (default: all)

Pixels are those of the shipped sample: every 64-pixel patch of a tile shows another date and another side of it, so
that the compressor meets real texture and no patch twice. Figures are CPU seconds on one thread, best of three, with
files in the page cache.
"""

from __future__ import annotations

import itertools
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from cropcube.cube import shards
from cropcube.cube.layout import ArraySpec, StoreSpec, cube_spec, feature_array
from cropcube.cube.store import Store
from cropcube.demo.sample import Sample, load_sample
from cropcube.domain.grid import Grid
from cropcube.domain.lattice import Lattice, PixelBox, Tile, ZoneGrid
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2

PATCH_PX = 64
TILE = Tile(Lattice.utm(31, True), 768, 7000, 700)
GRID = Grid((ZoneGrid(TILE.lattice, TILE.tile_px, 1, frozenset({(TILE.row, TILE.col)})),))
SEASON = Season.of_year(2023)
EVERY_DAYS = 5
BANDS = ("B02", "B03", "B04", "B08")
POINTS = 200


def textures(sample: Sample) -> NDArray[np.uint16]:
    """Return (72 dates x 8 sides, band, 64, 64)."""
    pixels = np.stack([sample.bands[band] for band in BANDS], axis=1)
    turned = [np.rot90(pixels, turn, (2, 3)) for turn in range(4)]
    return np.ascontiguousarray(np.concatenate([*turned, *(piece.swapaxes(2, 3) for piece in turned)]))


def day_of(patches: NDArray[np.uint16], day: int) -> NDArray[np.uint16]:
    """Return a tile (band, 768, 768) of which no two patches are alike."""
    side = TILE.tile_px // PATCH_PX
    chosen = patches[(7 * day + 5 * np.arange(side * side)) % len(patches)].reshape(side, side, len(BANDS), 64, 64)
    return np.ascontiguousarray(chosen.transpose(2, 0, 3, 1, 4)).reshape(len(BANDS), TILE.tile_px, TILE.tile_px)


def best(work: Callable[[], Any]) -> float:
    """Return the least CPU seconds of three."""
    found = []
    for _ in range(3):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def points(box: PixelBox) -> Iterator[PixelBox]:
    """Yield scattered pixels of a tile, each as a box."""
    random = np.random.default_rng(1)
    for row, col in random.integers(0, box.height, (POINTS, 2)).tolist():
        yield PixelBox(box.lattice, box.resolution_m, box.row + row, box.col + col, 1, 1)


def store_of(folder: Path, array: ArraySpec) -> Store:
    """Make an empty store of one array."""
    return Store.create(folder / "one.zarr", GRID, StoreSpec("features", (array,)))


def stored_bytes(store: Store, array: ArraySpec) -> int:
    """Return the size of the array's files."""
    files = (store.path / TILE.lattice.name / array.group / array.name / "c").rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file())


def measure_cube(patches: NDArray[np.uint16], inner_px: int, codec: str) -> tuple[str, ...]:
    """Write a year of every fifth day slab by slab, read it by tile, by window and by point."""
    shards.CODEC, shards.LEVEL = (codec, 5) if codec == "lz4" else (codec, 1)  # type: ignore[misc]
    array = next(a for a in cube_spec(SEASON, SENTINEL2, TILE.tile_px).arrays if a.resolution_m == 10)
    array = replace(array, chunk=(1, len(BANDS), inner_px, inner_px))
    days = list(range(0, SEASON.days, EVERY_DAYS))
    box, zone = TILE.box(10), TILE.lattice.name
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(Path(folder), array)
        write = 0.0
        for slab in range(SEASON.slabs):
            span = SEASON.slab_days(slab)
            seen = {day: day_of(patches, day) for day in days if day in span}
            write += best(lambda span=span, seen=seen: store.write_days(zone, array.name, box, span, seen))
        raw = len(days) * 2 * len(BANDS) * box.height * box.width
        tile = best(lambda: store.read(zone, array.name, box, (days,)))
        one_day = best(lambda: store.read(zone, array.name, box, ([days[10]],)))
        window = best(lambda: store.read(zone, array.name, replace(box, height=64, width=64), (days,)))
        some = list(itertools.islice(points(box), 10))
        point = best(lambda: [store.read(zone, array.name, at, (days,)) for at in some]) / len(some)
        size = stored_bytes(store, array)
    return (
        f"{codec}", f"{inner_px}", f"{raw / size:.2f}", f"{raw / write / 1e9:.2f}", f"{raw / tile / 1e9:.2f}",
        f"{1e3 * one_day:.0f}", f"{1e3 * window:.1f}", f"{1e3 * point:.1f}",
    )  # fmt: skip


def measure_features(patches: NDArray[np.uint16], kind: str, inner_px: int) -> tuple[str, ...]:
    """Write one tile of features, read it whole, by strips of 64 rows and by scattered pixels."""
    steps, dtype = (73, "uint16") if kind == "median" else (5, "float32")
    shards.CODEC, shards.LEVEL = "lz4", 5  # type: ignore[misc]
    array = feature_array(kind, 10, (("window", steps), ("band", len(BANDS))), dtype, TILE.tile_px)
    array = replace(array, chunk=(steps, len(BANDS), inner_px, inner_px))
    values = np.stack([day_of(patches, day) for day in range(steps)]).astype(dtype)
    if dtype == "float32":
        values += np.random.default_rng(0).random(values.shape, dtype=np.float32)
    box, zone = TILE.box(10), TILE.lattice.name
    strips = [replace(box, row=box.row + top, height=64) for top in range(0, box.height, 64)]
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(Path(folder), array)
        write = best(lambda: store.write(zone, array.name, box, values))
        tile = best(lambda: store.read(zone, array.name, box))
        rows = best(lambda: [store.read(zone, array.name, strip) for strip in strips])
        point = best(lambda: [store.read(zone, array.name, at) for at in points(box)]) / POINTS
        ratio = values.nbytes / stored_bytes(store, array)
    gigabytes = values.nbytes / 1e9
    return (
        kind, f"{inner_px}", f"{ratio:.2f}", f"{gigabytes / write:.2f}", f"{gigabytes / tile:.2f}",
        f"{gigabytes / rows:.2f}", f"{1e3 * point:.2f}", f"{math.prod(array.chunk) * values.itemsize / 2**20:.2f}",
    )  # fmt: skip


def compare_with_zarr(patches: NDArray[np.uint16]) -> Iterator[tuple[str, ...]]:
    """Write and read the days present of a tile, ourselves and by zarr-python; once each."""
    array = next(a for a in cube_spec(SEASON, SENTINEL2, TILE.tile_px).arrays if a.resolution_m == 10)
    days = list(range(0, SEASON.days, EVERY_DAYS))
    box, zone = TILE.box(10), TILE.lattice.name
    raw = len(days) * 2 * len(BANDS) * box.height * box.width
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(Path(folder), array)
        stored: Any = zarr.open_group(store.path, mode="r+")[f"{zone}/{array.group}/{array.name}"]
        slabs = [SEASON.slab_days(slab) for slab in range(SEASON.slabs)]
        seen = {day: day_of(patches, day) for day in days}

        def write_zarr() -> None:
            for span in slabs:
                dense = np.zeros((len(span), len(BANDS), *box.shape), np.uint16)
                for day in set(span) & set(days):
                    dense[day - span.start] = seen[day]
                stored[span.start : span.stop] = dense

        def write_ours() -> None:
            for span in slabs:
                store.write_days(zone, array.name, box, span, {day: seen[day] for day in days if day in span})

        work: dict[str, Callable[[], Any]] = {
            "write, zarr": write_zarr,
            "write, ours": write_ours,
            "read, ours": lambda: store.read(zone, array.name, box, (days,)),
            "read, zarr day": lambda: np.stack([stored[day] for day in days]),
            "read, oindex": lambda: stored.oindex[days],
        }
        for name, do in work.items():
            began, wall = time.process_time(), time.perf_counter()
            do()
            spent, waited = time.process_time() - began, time.perf_counter() - wall
            yield name, f"{spent:.2f}", f"{waited:.2f}", f"{raw / spent / 1e9:.2f}"


def show(title: str, head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    """Print a table row by row."""
    print(f"\n{title}\n" + " ".join(f"{name:>14}" for name in head))
    for row in rows:
        print(" ".join(f"{value:>14}" for value in row), flush=True)


def main() -> None:
    """Run what the command line asks for."""
    patches = textures(load_sample())
    wanted = sys.argv[1:] or ["cube", "codec", "features", "zarr"]
    cube_head = ("codec", "inner px", "ratio", "write GB/s", "tile GB/s", "one day ms", "64x64 ms", "point ms")
    if "cube" in wanted:
        sizes = (64, 96, 128, 192, 256, 384, 768)
        show("Cube, 73 days x 4 bands x 768 px", cube_head, (measure_cube(patches, size, "lz4") for size in sizes))
    if "codec" in wanted:
        show("Codecs", cube_head, (measure_cube(patches, 256, codec) for codec in ("lz4", "zstd", "blosclz")))
    if "zarr" in wanted:
        head = ("work", "CPU s", "wall s", "GB/s of CPU")
        show("73 of 365 days x 4 bands x 768 px", head, compare_with_zarr(patches))
    if "features" in wanted:
        head = ("kind", "inner px", "ratio", "write GB/s", "tile GB/s", "strips GB/s", "point ms", "chunk MiB")
        sizes = (16, 32, 48, 64, 96, 128, 192, 256, 768)
        cases = itertools.product(("median", "harmonic"), sizes)
        show("Features, 768 px, 4 bands", head, (measure_features(patches, *case) for case in cases))


if __name__ == "__main__":
    main()
