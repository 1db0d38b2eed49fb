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
from cropcube.kernels import harmonic_fit, window_median
from cropcube.kernels.device import cupy_device

BANDS = 10
MEDIANS = ((12, 2), (72, 3), (72, 6), (144, 12), (36, 36), (73, 73), (146, 146), (365, 365))
FITS = ((12, 1), (73, 1), (73, 2), (73, 3), (146, 2), (73, 5))


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


def series(cupy: Any, dates: int, side: int) -> tuple[Any, Any]:
    """Return reflectance and a random mask on the device."""
    cupy.random.seed(dates)
    reflectance = cupy.empty((dates, BANDS, side, side), np.uint16)
    for date in reflectance:
        date[...] = cupy.random.randint(1, 10000, date.shape, np.uint16)
    return reflectance, cupy.random.random((dates, side, side), np.float32) < 0.5


def check(name: str, found: tuple[Any, ...], expected: tuple[Any, ...], cupy: Any) -> None:
    """Compare the first rows with what the processor makes of them."""
    for array, wanted in zip(found, expected, strict=True):
        if cupy.asnumpy(array[..., : wanted.shape[-2], :]).tobytes() != wanted.tobytes():
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

    def run(self, what: str, kernel: Callable[..., Any], dates: int, *arguments: Any) -> None:
        """Add a kernel's row over a series, once the first rows of pixels are the processor's."""
        reflectance, valid = series(self.cupy, dates, self.side)
        found = kernel(reflectance, valid, *arguments)
        few = self.cupy.asnumpy(reflectance[:, :, :8]), self.cupy.asnumpy(valid[:, :8])
        check(what, found, kernel(*few, *arguments), self.cupy)
        moved = sum(array.nbytes for array in (reflectance, valid, *found))
        self.add(what, partial(kernel, reflectance, valid, *arguments), reflectance.nbytes, moved)
        if what == "median, 73 dates in windows of 73":
            rows = self.side // 16
            values = self.cupy.where(valid[:, None, :rows], reflectance[:, :, :rows], self.cupy.nan).astype(np.float32)
            for peer, work in peers(self.cupy, values):
                self.add(f"{peer}, float32", work, reflectance.nbytes // 16, moved // 16, 3)
        del reflectance, valid, found
        self.cupy.get_default_memory_pool().free_all_blocks()


def peers(cupy: Any, values: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what else takes medians along the first axis of floats with NaN."""
    yield "cupy.nanmedian", partial(cupy.nanmedian, values, axis=0)
    if importlib.util.find_spec("torch"):
        import torch

        tensor = torch.from_dlpack(values)

        def work() -> None:
            torch.nanmedian(tensor, dim=0)
            torch.cuda.synchronize()  # it has a stream of its own, which the events do not see

        yield "torch.nanmedian (the lower one)", work


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
    for dates, length in MEDIANS:
        window = (np.arange(dates) // length).astype(np.int32)
        table.run(f"median, {dates} dates in windows of {length}", window_median, dates, window, int(window[-1]) + 1)
    for dates, order in FITS:
        table.run(f"harmonic fit, {dates} dates, order {order}", harmonic_fit, dates, np.linspace(0, 360, dates), order)
    if asked.results:
        text = json.dumps({"machine": machine, "rows": table.rows}, indent=1)
        asked.results.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
