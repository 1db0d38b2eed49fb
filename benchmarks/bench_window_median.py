"""Medians of windows: ours beside np.nanmedian, bottleneck and torch, in GB/s of uint16 input, in one process.

Usage: python benchmarks/bench_window_median.py [SIDE]     (pixels of a side; default 256)

Every contender gets what it takes best (float32 with NaN, laid out before the clock starts); ours gets the integers and
the mask as they are.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from kernel_timing import machine, median_seconds, read_speed, series, speed_row, table
from numpy.typing import NDArray

from cropcube.kernels import _native, window_median

THREADS = 2
CASES = ((12, 2), (146, 2), (144, 6), (144, 12), (12, 12), (36, 36), (73, 73), (146, 146), (365, 365))
"""Dates and dates in a window."""


def contenders() -> dict[str, Callable[[NDArray[np.float32]], Any]]:
    """Return what reduces the first axis of floats with NaN, by name; libraries that are not installed are left out."""
    found: dict[str, Callable[[NDArray[np.float32]], Any]] = {"np.nanmedian": lambda block: np.nanmedian(block, axis=0)}
    try:
        import bottleneck

        found["bottleneck"] = lambda block: bottleneck.nanmedian(block, axis=0)
    except ImportError:
        sys.stderr.write("bottleneck is not installed\n")
    try:
        import torch

        found["torch.nanquantile"] = lambda block: torch.nanquantile(torch.from_numpy(block), 0.5, dim=0)
    except ImportError:
        sys.stderr.write("torch is not installed\n")
    return found


def measure(dates: int, length: int, side: int, limit: float) -> list[list[str]]:
    """Return one row for ours, each of its instruction sets and thread counts, and each contender."""
    reflectance, valid = series(dates, side)
    window = (np.arange(dates) // length).astype(np.int32)
    windows = int(window[-1]) + 1
    size = reflectance.nbytes / 1e9
    ours = size / median_seconds(lambda: window_median(reflectance, valid, window, windows, THREADS))
    rows = [speed_row(f"cropcube, {THREADS} threads", ours, ours, limit)]
    one = size / median_seconds(lambda: window_median(reflectance, valid, window, windows, 1))
    rows.append(speed_row("cropcube, 1 thread", one, ours, limit))
    median, count = window_median(reflectance, valid, window, windows)
    portable = size / median_seconds(
        lambda: _native.window_median(reflectance, valid, window, median, count, THREADS, "portable")
    )
    rows.append(speed_row(f"cropcube, {THREADS} threads, without AVX2", portable, ours, limit))
    few = slice(0, max(1, side // 16))  # the others are so slow that a sixteenth of the pixels must do
    values = np.where(valid[:, None, few], reflectance[:, :, few], np.nan).astype(np.float32)
    blocks = [np.ascontiguousarray(values[window == w]) for w in range(windows)]
    part = reflectance[:, :, few].nbytes / 1e9
    for name, reduce in contenders().items():

        def work(reduce: Callable[[NDArray[np.float32]], Any] = reduce) -> None:
            for block in blocks:
                reduce(block)

        rows.append(speed_row(name, part / median_seconds(work, repeats=3), ours, limit))
    return rows


def main() -> None:
    """Print a table for each length of window."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
    limit = read_speed(THREADS)
    sys.stdout.write(f"{machine()}\nmemory reads at {limit:.1f} GB/s with {THREADS} threads\n\n")
    for dates, length in CASES:
        title = f"{dates} dates in windows of {length}, 10 bands, {side} x {side}, half clear"
        columns = ("", "GB/s of input", "ours is faster by", "of memory reads")
        sys.stdout.write(table(title, columns, measure(dates, length, side, limit)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
