"""The CUDA kernels on the GPU of this machine, beside a copy on the device and what CuPy and torch offer.

Usage: python benchmarks/bench_cuda.py [--side N] [--results FILE]

Prints GB/s of input, the bytes that must be moved (input, mask and result) and their rate as a share of a copy's on the
device, all in one process. Arrays are on the device before the clock starts. Needs a GPU and CuPy; without, it says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels import (
    Reflectance,
    clear_pixels,
    gap_fill,
    harmonic_fit,
    index_statistics,
    spectral_indices,
    time_percentiles,
    window_geomedian,
    window_median,
)
from cropcube.kernels.device import cupy_device

BANDS = 10
MEDIANS = ((12, 2), (72, 3), (72, 6), (144, 12), (36, 36), (73, 73), (146, 146), (365, 365))
GEOMEDIANS = ((12, 2), (72, 6), (144, 12), (73, 73))
PERCENTILES_OF = ((36, 36), (73, 73), (146, 146))
PERCENTILES = (10, 50, 90)
FITS = ((12, 1), (73, 1), (73, 2), (73, 3), (146, 2), (73, 5))
FEW_ROWS = (..., slice(0, 8), slice(None))


class Timer:
    """Times work on the device by its own events: the median of some repeats after one to warm up."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy

    def seconds(self, work: Callable[[], Any], repeats: int = 7) -> float:
        """Return seconds."""
        event, taken = self.cupy.cuda.Event, []
        work()
        for _ in range(repeats):
            start, stop = event(), event()
            start.record()
            work()
            stop.record()
            stop.synchronize()
            taken.append(self.cupy.cuda.get_elapsed_time(start, stop) / 1e3)
        return statistics.median(taken)


def series(cupy: Any, dates: int, side: int, bands: int = BANDS) -> tuple[Any, Any]:
    """Return reflectance and a random mask on the device."""
    cupy.random.seed(dates)
    reflectance = cupy.empty((dates, bands, side, side), np.uint16)
    for date in reflectance:
        date[...] = cupy.random.randint(1, 10000, date.shape, np.uint16)
    return reflectance, cupy.random.random((dates, side, side), np.float32) < 0.5


def check(name: str, found: tuple[Any, ...], expected: tuple[Any, ...], cupy: Any) -> None:
    """Compare what the device made with what the processor makes of it."""
    for array, wanted in zip(found, expected, strict=True):
        if cupy.asnumpy(array).tobytes() != wanted.tobytes():
            raise SystemExit(f"{name}: the device's bytes are not the processor's")


class Table:
    """Rows of the printed table, and what the device's memory does."""

    def __init__(self, cupy: Any, side: int) -> None:
        self.cupy, self.side, self.timer, self.rows = cupy, side, Timer(cupy), []
        self.copy = self._copy_rate()

    def _copy_rate(self) -> float:
        source = self.cupy.zeros(1 << 29, np.uint64)
        into = self.cupy.empty_like(source)
        return float(2 * source.nbytes / self.timer.seconds(partial(self.cupy.copyto, into, source)))

    def upload_rate(self) -> float:
        """Return bytes a second from pinned memory of the host."""
        pinned = np.frombuffer(self.cupy.cuda.alloc_pinned_memory(1 << 30), np.uint8, 1 << 30)
        into = self.cupy.empty(1 << 30, np.uint8)
        return float((1 << 30) / self.timer.seconds(partial(into.set, pinned)))

    def add(self, what: str, work: Callable[[], Any], read: int, moved: int, repeats: int = 7) -> None:
        """Time some work and print its row: bytes of reflectance read, and all bytes that must be moved."""
        seconds = self.timer.seconds(work, repeats)
        row = {"kernel": what, "ms": 1e3 * seconds, "input_gb_per_s": read / seconds / 1e9}
        self.rows.append(row | {"moved_gb_per_s": moved / seconds / 1e9, "of_copy": moved / seconds / self.copy})
        sys.stdout.write(
            f"| {what} | {1e3 * seconds:.2f} | {read / seconds / 1e9:.0f} | {moved / seconds / 1e9:.0f} "
            f"| {100 * moved / seconds / self.copy:.0f} % |\n"
        )
        sys.stdout.flush()

    def run(self, what: str, kernel: Callable[..., Any], arrays: tuple[Any, ...], part: Any = FEW_ROWS) -> None:
        """Add a kernel's row over the first of these arrays, once a part of its result is what the processor makes."""
        found = kernel(*arrays)
        found = found if isinstance(found, tuple) else (found,)
        expected = kernel(*(self.cupy.asnumpy(array[part]) for array in arrays))
        expected = expected if isinstance(expected, tuple) else (expected,)
        check(what, tuple(array[part] for array in found), expected, self.cupy)
        moved = sum(array.nbytes for array in (*arrays, *found))
        self.add(what, partial(kernel, *arrays), arrays[0].nbytes, moved)
        del found
        self.cupy.get_default_memory_pool().free_all_blocks()


def peers(cupy: Any, values: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what else takes medians along the first axis of floats with NaN (of percentiles there is nothing)."""
    yield "cupy.nanmedian", partial(cupy.nanmedian, values, axis=0)
    if importlib.util.find_spec("torch"):
        import torch

        tensor = torch.from_dlpack(values)

        def work() -> None:
            torch.nanmedian(tensor, dim=0)
            torch.cuda.synchronize()  # it has a stream of its own, which the events do not see

        yield "torch.nanmedian (the lower one)", work


def run_reductions(table: Table) -> None:
    """Time what reduces a season."""
    for dates, length in MEDIANS:
        window = (np.arange(dates) // length).astype(np.int32)
        named = f"{dates} dates in windows of {length}"
        drawn, windows = series(table.cupy, dates, table.side), int(window[-1]) + 1
        table.run(f"median, {named}", partial(window_median, window_T=window, windows=windows), drawn)
        if (dates, length) in GEOMEDIANS:
            table.run(f"geometric median, {named}", partial(window_geomedian, window_T=window, windows=windows), drawn)
        if (dates, length) in PERCENTILES_OF:
            table.run(f"percentiles, {dates} dates", partial(time_percentiles, percentiles=PERCENTILES), drawn)
    for dates, order in FITS:
        fit = partial(harmonic_fit, days_T=np.linspace(0, 360, dates), order=order)
        table.run(f"harmonic fit, {dates} dates, order {order}", fit, series(table.cupy, dates, table.side))


def run_others(table: Table) -> None:
    """Time masks, indices and gaps of a season of 73 dates, and what else takes medians there."""
    cupy, side = table.cupy, table.side
    reflectance, valid = series(cupy, 73, side)
    quality = cupy.random.choice(cupy.asarray([4, 5, 9, 254], np.uint8), (73, side // 2, side // 2))

    def mask(reflectance: Any, quality: Any) -> Any:
        whole = slice(0, side // 2), slice(0, side // 2)
        return clear_pixels(quality, (4, 5), 3, whole, 2, reflectance)

    table.run("masks, 73 dates, dilated by 3", mask, (reflectance, quality), slice(0, 2))
    table.run("gap filling, 73 dates", gap_fill, (reflectance, valid))

    def index(of: Callable[..., Any], values: Any, seen: Any) -> Any:
        return of(("NDVI",), [Reflectance(values, ("B04", "B08"), seen)])

    two = series(cupy, 73, side, 2)
    table.run("index of two bands, 73 dates", partial(index, spectral_indices), two)
    statistics_of = partial(index_statistics, days_S=np.arange(73) * 5)
    table.run("statistics of an index of two bands, 73 dates", partial(index, statistics_of), two)
    rows = side // 16
    values = cupy.where(valid[:, None, :rows], reflectance[:, :, :rows], cupy.nan).astype(np.float32)
    read, moved = reflectance.nbytes // 16, (reflectance.nbytes + valid.nbytes) // 16
    for peer, work in peers(cupy, values):
        table.add(f"{peer}, a sixteenth of 73 dates, float32", work, read, moved, 3)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=768, help="pixels of a tile's side")
    parser.add_argument("--results", type=Path, help="JSON file for the figures")
    asked = parser.parse_args()
    try:
        cupy_device()
    except InvalidInputError as error:
        sys.stdout.write(f"not measured: {error}\n")
        return
    cupy: Any = importlib.import_module("cupy")
    table = Table(cupy, asked.side)
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    machine = (
        f"{name}, cupy {cupy.__version__}; a copy on the device moves {table.copy / 1e9:.0f} GB/s (read and written), "
        f"one from pinned memory {table.upload_rate() / 1e9:.1f} GB/s; {BANDS} bands, {asked.side} x {asked.side} "
        "pixels, half clear"
    )
    sys.stdout.write(f"{machine}\n\n| kernel | ms | GB/s of input | GB/s moved | of a copy |\n{'| --- ' * 5}|\n")
    run_reductions(table)
    run_others(table)
    if asked.results:
        text = json.dumps({"machine": machine, "rows": table.rows}, indent=1)
        asked.results.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
