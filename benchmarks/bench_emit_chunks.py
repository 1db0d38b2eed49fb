"""Which inner chunks the cube of EMIT should have: a pixel's spectrum and a band's map, read from one shard.

Usage: python benchmarks/bench_emit_chunks.py [--results FILE]

One day of a tile (285 bands, 128 x 128 cells of 60 m) of real spectra, each scaled and noisy by itself, as
`cube-emit.zarr` packs it. Milliseconds of one processor to read all bands of one cell and all cells of one band, best
of five, from the page cache; bytes of the shard; and writing it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from kernel_timing import machine

from cropcube.cube.layout import ArraySpec
from cropcube.cube.shards import pack, read_selection

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.emit import real_spectra

if TYPE_CHECKING:
    from numpy.typing import NDArray

BANDS, SIDE_PX = 285, 128
CHUNKS = ((285, 8), (285, 16), (285, 32), (285, 64), (57, 32), (57, 64), (19, 64), (19, 128), (1, 128))
"""Bands and side of the chunks."""
TRIES = 5


def spectra() -> NDArray[np.float32]:
    """Return one day of a tile, (1, band, y, x)."""
    random = np.random.default_rng(7)
    library = real_spectra()
    fields = random.integers(0, len(library), (SIDE_PX // 8, SIDE_PX // 8)).repeat(8, 0).repeat(8, 1)
    values = library[fields] * random.normal(1, 0.05, (SIDE_PX, SIDE_PX, 1)) + random.normal(
        0, 0.002, (SIDE_PX, SIDE_PX, BANDS)
    )
    return np.ascontiguousarray(values.astype(np.float32).transpose(2, 0, 1))[None]


def best_ms(work: Any) -> float:
    """Return the shortest time of a few tries."""
    found = []
    for _ in range(TRIES):
        began = time.perf_counter()
        work()
        found.append(1000 * (time.perf_counter() - began))
    return round(min(found), 2)


def measure(values: NDArray[np.float32], bands: int, side: int) -> dict[str, Any]:
    """Write the tile in chunks of a size and read it in both ways."""
    shard = (1, BANDS, SIDE_PX, SIDE_PX)
    leading = (("time", 1), ("wavelength", BANDS))
    spec = ArraySpec("reflectance", 60, leading, "float32", np.nan, (1, bands, side, side), shard)
    whole = tuple(slice(0, length) for length in shard)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "c", "0", "0", "0", "0")
        file.parent.mkdir(parents=True)
        writing = best_ms(lambda: file.write_bytes(b"".join(pack(spec, values, whole, 1))))
        every, rows = list(range(BANDS)), list(range(SIDE_PX))
        spectrum = best_ms(lambda: read_selection(Path(folder), spec, ([0], every, [61], [77]), 1))
        band = best_ms(lambda: read_selection(Path(folder), spec, ([0], [140], rows, rows), 1))
        return {
            "bands": bands, "side_px": side, "spectrum_ms": spectrum, "map_ms": band, "write_ms": writing,
            "mb": round(file.stat().st_size / 1e6, 2),
        }  # fmt: skip


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    values, found = spectra(), []
    print(f"one shard: {values.nbytes / 1e6:.1f} MB before compression")
    print("bands  side   spectrum    map of a band    write    stored")
    for bands, side in CHUNKS:
        made = measure(values, bands, side)
        found.append(made)
        print(
            f"{bands:5d} {side:5d} {made['spectrum_ms']:8.2f} ms {made['map_ms']:13.2f} ms {made['write_ms']:5.0f} ms "
            f"{made['mb']:6.2f} MB"
        )
    if options.results:
        options.results.write_text(json.dumps({"machine": machine(), "chunks": found}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
