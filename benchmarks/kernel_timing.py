"""What the benchmarks of kernels share: a series, the clock, the memory's own speed, a table of contenders."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BANDS, SIDE, THREADS = 10, 256, 2


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


@dataclass(frozen=True)
class Limits:
    """What the memory of this machine does, in GB/s; measured beside the kernels, in the same process."""

    read: float
    "Bytes read by `THREADS` threads that sum 1 GB of float64: what a kernel that only reads could reach."
    copy: float
    "Bytes read by `THREADS` threads that copy 0.5 GB into memory that is there."

    @classmethod
    def measured(cls) -> Limits:
        """Return both."""
        source = np.ones(1 << 27)
        parts = np.array_split(source, THREADS)
        halves, into = np.array_split(source[: 1 << 26], THREADS), np.array_split(source[1 << 26 :], THREADS)
        with ThreadPoolExecutor(THREADS) as pool:
            read = (1 << 30) / median_seconds(lambda: list(pool.map(np.sum, parts)))
            copy = (1 << 29) / median_seconds(lambda: list(pool.map(np.copyto, into, halves)))
        return cls(read / 1e9, copy / 1e9)


@dataclass(frozen=True)
class Case:
    """One table: ways of doing the same, in GB/s of input; the first is ours."""

    kernel: str
    title: str
    gb_per_s: Mapping[str, float]

    def table(self, limits: Limits) -> str:
        """Return a Markdown table: each way, how many times faster ours is, and its share of the memory's speed."""
        ours = next(iter(self.gb_per_s.values()))
        rows = [
            f"| {name} | {rate:.3f} | {ours / rate:.1f} | {100 * rate / limits.read:.1f} % |"
            for name, rate in self.gb_per_s.items()
        ]
        rows += [f"| memory, {way} | {rate:.1f} | | |" for way, rate in (("copy", limits.copy), ("read", limits.read))]
        head = ["| | GB/s of input | ours is faster by | of memory reads |", "| --- | --- | --- | --- |"]
        return "\n".join([f"#### {self.title}", "", *head, *rows, ""])


def speeds(
    size: int, ways: Iterable[tuple[str, Callable[[], Any] | None]], part: int | None = None
) -> dict[str, float]:
    """Return GB/s by name: of ways over `size` bytes, of the slow ones (after a None) over `part` of them.

    Parameters
    ----------
    size
        Bytes of input.
    ways
        Name and work; ("", None) stands before the slow ones.
    part
        Bytes of the part that the slow ones take; a sixteenth if left out.
    """
    found, bytes_read, repeats = {}, size, 5
    for name, work in ways:
        if work is None:
            bytes_read, repeats = part or size // 16, 3
            continue
        found[name] = bytes_read / 1e9 / median_seconds(work, repeats)
    return found


def machine() -> str:
    """Return processor, number of processors and how busy they are."""
    text = Path("/proc/cpuinfo").read_text(encoding="ascii") if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} processors, {load}, numpy {np.__version__}"
