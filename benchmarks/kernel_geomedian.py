"""Geometric medians of windows, beside hdstats (where it is installed) and NumPy.

hdstats gets what it takes best: float32 (y, x, band, date) with NaN, laid out before the clock starts, and stops at
steps of 0.02 as ours does. What each finds is compared by the sum of distances that it leaves.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from kernel_timing import SIDE, THREADS, Case, series, speeds
from numpy.typing import NDArray

from cropcube.kernels import window_geomedian

NAME = "geometric median"
WINDOWS = ((144, 6, 4), (144, 12, 6), (73, 73, 4), (73, 73, 10))
"""Dates, dates in a window, bands."""
STEP, MOST = 0.02, 100


def seasonal(dates: int, bands: int) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Return reflectance like fields' (a level, a course and noise), not of independent numbers."""
    _, valid = series(dates)
    generator = np.random.default_rng(dates)
    course = 1500 * np.sin(np.linspace(0, 3, dates))[:, None, None, None]
    level = generator.uniform(800, 4000, (1, bands, SIDE, SIDE))
    values = level + course + generator.normal(0, 150, (dates, bands, SIDE, SIDE))
    return values.clip(1, 65535).astype(np.uint16), valid


def by_numpy(values_TBYX: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return Weiszfeld's steps over whole arrays, all until the last pixel settles."""
    centre = np.nanmean(values_TBYX, axis=0)
    for _ in range(MOST):
        distance = np.sqrt(((values_TBYX - centre) ** 2).sum(axis=1))
        weight = 1 / np.maximum(distance, 1e-6)
        moved = np.nansum(values_TBYX * weight[:, None], axis=0) / np.nansum(weight, axis=0)
        step = np.nanmax(np.abs(moved - centre))
        centre = moved
        if step < STEP:
            break
    return centre


def by_hdstats(values_YXBT: NDArray[np.float32]) -> Any:
    """Return what hdstats finds."""
    return importlib.import_module("hdstats").nangeomedian_pcm(
        values_YXBT, num_threads=THREADS, eps=STEP, maxiters=MOST
    )


def excess(values_TBYX: NDArray[np.float32], found_BYX: NDArray[Any], least_YX: NDArray[Any]) -> float:
    """Return by how much sums of distances are over the least, as a share, of the worst of a thousand pixels."""
    summed = np.nansum(np.sqrt(((values_TBYX.astype(np.float64) - found_BYX) ** 2).sum(axis=1)), axis=0)
    return float(np.nanpercentile(summed / np.maximum(least_YX, 1) - 1, 99.9))


def compare(values_TBYX: NDArray[np.float32], ways: dict[str, NDArray[Any]]) -> None:
    """Print what each way leaves of the way to the least sum that any of them found."""
    sums = [
        np.nansum(np.sqrt(((values_TBYX.astype(np.float64) - found) ** 2).sum(axis=1)), axis=0)
        for found in ways.values()
    ]
    least = np.min(sums, axis=0)
    said = ", ".join(f"{name} {excess(values_TBYX, found, least):.1e}" for name, found in ways.items())
    sys.stdout.write(f"sum of distances over the least found, worst of a thousand pixels: {said}\n")


def cases() -> Iterator[Case]:
    """Yield one table for each length of window and number of bands."""
    warnings.filterwarnings("ignore", "Mean of empty slice|invalid value", RuntimeWarning)
    if importlib.util.find_spec("hdstats"):
        signal: Any = importlib.import_module("scipy.signal")
        signal.cwt = signal.ricker = None  # hdstats imports both, which SciPy no longer has, for other things
    for dates, length, bands in WINDOWS:
        reflectance, valid = seasonal(dates, bands)
        window = (np.arange(dates) // length).astype(np.int32)
        windows = int(window[-1]) + 1
        few = slice(0, SIDE // 16)
        values = np.where(valid[:, None, few], reflectance[:, :, few], np.nan).astype(np.float32)
        blocks = [np.ascontiguousarray(values[window == w]) for w in range(windows)]
        turned = [np.ascontiguousarray(block.transpose(2, 3, 1, 0)) for block in blocks]
        ours = partial(window_geomedian, reflectance, valid, window, windows)
        ways: list[tuple[str, Callable[[], Any] | None]] = [
            (f"cropcube, {THREADS} threads", partial(ours, THREADS)),
            ("cropcube, 1 thread", partial(ours, 1)),
            ("", None),
            ("NumPy", lambda blocks=blocks: [by_numpy(block) for block in blocks]),
        ]
        found = {"cropcube": ours(THREADS)[0][0, :, few], "NumPy": by_numpy(blocks[0])}
        if importlib.util.find_spec("hdstats"):
            ways.append((f"hdstats, {THREADS} threads", lambda turned=turned: [by_hdstats(block) for block in turned]))
            found["hdstats"] = by_hdstats(turned[0]).transpose(2, 0, 1)
        compare(blocks[0], found)
        title = f"{dates} dates in windows of {length}, {bands} bands, {SIDE} x {SIDE}, half clear"
        yield Case(NAME, title, speeds(reflectance.nbytes, ways))
