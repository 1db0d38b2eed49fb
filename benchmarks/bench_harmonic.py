"""Harmonic fits: ours beside batched NumPy and lstsq per pixel, in GB/s of uint16 input, in one process.

Usage: python benchmarks/bench_harmonic.py [SIDE]     (pixels of a side; default 256)

Two masks: random per pixel (no two pixels alike), and clouds of 16 x 16 pixels, as real ones are at least.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from kernel_timing import machine, median_seconds, read_speed, series, speed_row, table
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cropcube.kernels import harmonic_design, harmonic_fit

ORDER, CLOUD_PX = 2, 16
Inputs = tuple[NDArray[np.uint16], NDArray[np.bool_], NDArray[np.int32]]


def batched(inputs: Inputs) -> NDArray[np.float64]:
    """Return coefficients by one matrix product for all normal matrices and one batched solve."""
    reflectance, valid, days = inputs
    design = harmonic_design(days, ORDER)
    terms, dates = design.shape[1], len(days)
    clear = valid.reshape(dates, -1).T.astype(np.float64)
    normal = (clear @ (design[:, :, None] * design[:, None]).reshape(dates, -1)).reshape(-1, terms, terms)
    values = reflectance.reshape(dates, reflectance.shape[1], -1) * valid.reshape(dates, 1, -1).astype(np.float64)
    right = np.tensordot(values, design, (0, 0))  # (bands, pixels, terms)
    return np.linalg.solve(normal, right.transpose(1, 2, 0))


def one_by_one(inputs: Inputs) -> None:
    """Fit each pixel by `np.linalg.lstsq`."""
    reflectance, valid, days = inputs
    design = harmonic_design(days, ORDER)
    for y, x in np.ndindex(valid.shape[1:]):
        seen = valid[:, y, x]
        np.linalg.lstsq(design[seen], reflectance[seen, :, y, x].astype(np.float64), rcond=None)


def measure(inputs: Inputs, limit: float) -> list[list[str]]:
    """Return one row for each way."""
    reflectance, valid, days = inputs
    size = reflectance.nbytes / 1e9
    ours = size / median_seconds(lambda: harmonic_fit(reflectance, valid, days, ORDER))
    rows = [speed_row("cropcube", ours, ours, limit)]
    some = slice(0, max(2, reflectance.shape[2] // 8))
    few = reflectance[:, :, some], valid[:, some], days
    ways: dict[str, Callable[[], object]] = {
        "NumPy, batched solve": lambda: batched(few),
        "np.linalg.lstsq per pixel": lambda: one_by_one((few[0][:, :, :2], few[1][:, :2], days)),
    }
    for name, work in ways.items():
        part = few[0].nbytes if "batched" in name else few[0][:, :, :2].nbytes
        rows.append(speed_row(name, part / 1e9 / median_seconds(work, repeats=3), ours, limit))
    return rows


def main() -> None:
    """Print a table for each number of dates and kind of mask."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    limit = read_speed(1)
    sys.stdout.write(f"{machine()}\nmemory reads at {limit:.1f} GB/s with 1 thread; all ways run on 1 thread\n\n")
    columns = ("", "GB/s of input", "ours is faster by", "of memory reads")
    for dates in (36, 73, 146):
        reflectance, random_mask = series(dates, side)
        days = np.linspace(0, 361, dates).astype(np.int32)
        clouds = np.kron(random_mask[:, ::CLOUD_PX, ::CLOUD_PX], np.ones((CLOUD_PX, CLOUD_PX), bool))
        for name, valid in (("random mask", random_mask), (f"clouds of {CLOUD_PX} px", clouds.astype(bool))):
            title = f"{dates} dates, order {ORDER}, 10 bands, {side} x {side}, half clear, {name}"
            with threadpool_limits(1, "blas"):
                rows = measure((reflectance, valid, days), limit)
            sys.stdout.write(table(title, columns, rows) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
