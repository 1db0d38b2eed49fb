"""What the benchmarks of kernels share: a series, the clock, the memory's own speed, a table."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BANDS, SIDE = 10, 256


def series(dates: int, side: int = SIDE, clear: float = 0.5) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Return reflectance (dates, 10, side, side) and a random mask, the hardest case for whatever reuses masks."""
    generator = np.random.default_rng(dates)
    reflectance = generator.integers(1, 10000, (dates, BANDS, side, side), dtype=np.uint16)
    return reflectance, generator.random((dates, side, side)) < clear


def median_seconds(work: Callable[[], Any], repeats: int = 5, at_most: float = 20.0) -> float:
    """Return the median time of some repeats after one to warm up; fewer repeats where one takes long."""
    taken: list[float] = []
    began = time.perf_counter()
    for number in range(repeats + 1):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
        if number and time.perf_counter() - began > at_most:
            break
    return statistics.median(taken[1:] if len(taken) > 1 else taken)


def read_speed(threads: int) -> float:
    """Return GB/s at which `threads` threads sum 1 GB of float64: what a kernel that only reads could reach."""
    from concurrent.futures import ThreadPoolExecutor

    parts = np.array_split(np.ones(1 << 27), threads)
    with ThreadPoolExecutor(threads) as pool:
        seconds = median_seconds(lambda: list(pool.map(np.sum, parts)))
    return (1 << 30) / seconds / 1e9


def machine() -> str:
    """Return processor, number of processors and how busy they are."""
    text = Path("/proc/cpuinfo").read_text(encoding="ascii") if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} processors, {load}, numpy {np.__version__}"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"### {title}", "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


def speed_row(name: str, rate: float, ours: float, limit: float) -> list[str]:
    """Return name, GB/s of input, how many times faster ours is, share of the memory's speed."""
    return [name, f"{rate:.3f}", f"{ours / rate:.1f}", f"{100 * rate / limit:.1f} %"]
