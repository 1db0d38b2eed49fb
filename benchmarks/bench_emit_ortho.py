"""An EMIT granule of full size laid on the 60 m lattice, beside reading its bytes once and beside NumPy's look-up.

Usage: python benchmarks/bench_emit_ortho.py [--lines 1280] [--chunked] [--rounds 3] [--folder DIR] [--results FILE]

The granule (1280 lines x 1242 samples x 285 bands, reflectance 1.8 GB, turned by 35 degrees) is made of real spectra
and read from the page cache. Each way runs in processes of its own, in turns: once to warm up, then three times; wall
seconds are the median over all rounds, memory is the highest that a process was resident with (mapped pages count).

Reading the bytes once is measured three ways: into one buffer of 1 MiB again and again, which writes nothing to memory;
into an array that holds them all, which is what there must be to work with; and by h5py, into an array too, which for a
chunked file means decoding. Orthorectification writes 1.3 times as many bytes as it reads: tiles hold cells of none.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from kernel_timing import THREADS, machine

from cropcube.domain.lattice import Lattice, PixelBox, Tile
from cropcube.observations.emit_granule import EmitGranule, open_granule
from cropcube.observations.emit_ortho import ortho_index
from cropcube.observations.emit_sweep import SweepOptions, sweep

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.emit import Files, Swath, write_granule

LATTICE, TILE_PX = Lattice.utm(11, True), 768
GRANULE = "EMIT_L2A_RFL_001_20230401T203751_2309114_002.nc"


def read_in_blocks(path: Path) -> None:
    """Read all bytes into one small buffer."""
    buffer = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def read_into_memory(path: Path) -> None:
    """Read all bytes into an array."""
    np.fromfile(path, np.uint8)


def read_by_h5py(path: Path) -> None:
    """Read, and decode where that is needed, all reflectances into an array."""
    with h5py.File(path) as file:
        file["reflectance"][:]


def look_up(path: Path) -> None:
    """Orthorectify onto the granule's own grid in degrees, all at once, as tutorials do."""
    with h5py.File(path) as file:
        swath = file["reflectance"][:]
        glt_x, glt_y = file["location/glt_x"][:], file["location/glt_y"][:]
    out = np.full((*glt_x.shape, swath.shape[2]), -9999, np.float32)
    there = (glt_x != 0) & (glt_y != 0)
    out[there] = swath[np.abs(glt_y[there]) - 1, np.abs(glt_x[there]) - 1]


def cells_under(granule: EmitGranule) -> tuple[PixelBox, list[Tile]]:
    """Return a box of whole tiles around a granule, and the tiles in it."""
    with h5py.File(granule.header.path) as file:
        edges = [float(file.attrs[f"{side}_longitude"][0]) for side in ("westernmost", "easternmost")]
        edges += [float(file.attrs[f"{side}_latitude"][0]) for side in ("southernmost", "northernmost")]
    from pyproj import Transformer

    to_metres = Transformer.from_crs(4326, LATTICE.epsg, always_xy=True)
    bounds = to_metres.transform_bounds(edges[0], edges[2], edges[1], edges[3])
    box = LATTICE.box_of_bounds(bounds, TILE_PX * 10)
    rows, cols = range(box.row, box.row + box.height), range(box.col, box.col + box.width)
    return LATTICE.box_of_bounds(box.bounds, 60), [Tile(LATTICE, TILE_PX, row, col) for row in rows for col in cols]


def index_alone(path: Path) -> None:
    """Find the pixel of every cell."""
    granule = open_granule(path)
    ortho_index(granule.header, cells_under(granule)[0], THREADS)


def ours(path: Path, **options: Any) -> None:
    """Find the pixel of every cell and go through all tiles."""
    granule = open_granule(path)
    box, tiles = cells_under(granule)
    index = ortho_index(granule.header, box, THREADS)
    for _ in sweep(granule, index, tiles, SweepOptions(threads=THREADS, **options)):
        pass


BARE: dict[str, Any] = {"uncertainty": False, "quality": False}
WAYS: dict[str, Callable[[Path], None]] = {
    "bytes, in blocks": read_in_blocks,
    "bytes, into memory": read_into_memory,
    "bytes, by h5py into memory": read_by_h5py,
    "ours: index and all tiles, arrays used again": lambda path: ours(path, **BARE, reuse=True),
    "ours: index and all tiles, new arrays": lambda path: ours(path, **BARE),
    "ours: with uncertainty and quality (3.6 GB)": lambda path: ours(path, reuse=True),
    "ours: nothing mapped": lambda path: ours(path, **BARE, reuse=True, mapped=False),
    "of ours: index": index_alone,
    "NumPy look-up of the whole array": look_up,
}


def highest_mb() -> float:
    """Return the most memory that this process was resident with."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))


def run_here(way: str, path: Path) -> None:
    """Print what one way takes as JSON."""
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        WAYS[way](path)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds[1:], "peak_mb": highest_mb()}))


def measure(path: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Return seconds and megabytes of every way, in processes of their own that take turns."""
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, results in found.items():
            command = [sys.executable, __file__, "--way", way, "--granule", str(path)]
            results.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return {
        way: {
            "seconds": statistics.median(taken for result in results for taken in result["seconds"]),
            "fastest_s": min(taken for result in results for taken in result["seconds"]),
            "peak_mb": max(result["peak_mb"] for result in results),
        }
        for way, results in found.items()
    }


def main() -> None:
    """Make the granule, measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=1280)
    parser.add_argument("--chunked", action="store_true", help="deflated chunks of 32 lines instead of one piece")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the granule is made and kept (default: a scratch folder)")
    parser.add_argument("--results", type=Path, help="JSON file for the figures")
    parser.add_argument("--way", choices=tuple(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--granule", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        run_here(asked.way, asked.granule)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch)
        path = folder / GRANULE
        if not path.exists():
            swath = Swath(asked.lines, 1242, 285, angle_deg=35.0)
            path = write_granule(folder, swath, Files(chunked=asked.chunked, chunk=(32, 1242, 16)))
        os.sync()
        before = machine()
        found = measure(path, asked.rounds)
        size = path.stat().st_size
    print(f"{before}; {size / 1e9:.2f} GB, {THREADS} threads\n")
    print("| way | s | fastest s | times bytes in blocks | times bytes into memory | peak MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    blocks, memory = found["bytes, in blocks"]["seconds"], found["bytes, into memory"]["seconds"]
    for way, row in found.items():
        took = row["seconds"]
        print(
            f"| {way} | {took:.3f} | {row['fastest_s']:.3f} | {took / blocks:.2f} | {took / memory:.2f} "
            f"| {row['peak_mb']:.0f} |"
        )
    if asked.results:
        asked.results.parent.mkdir(parents=True, exist_ok=True)
        result = {"machine": before, "bytes": size, "chunked": asked.chunked, "ways": found}
        asked.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
