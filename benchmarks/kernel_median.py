"""Medians of windows, beside np.nanmedian, bottleneck, numbagg, torch and xarray with flox.

Every contender gets what it takes best (float32 with NaN, laid out before the clock starts); ours gets the integers and
the mask as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from kernel_timing import SIDE, THREADS, Case, series, speeds
from numpy.typing import NDArray

from cropcube.kernels import _native, window_median

NAME = "window median"
WINDOWS = ((12, 2), (146, 2), (144, 6), (144, 12), (12, 12), (36, 36), (73, 73), (146, 146), (365, 365))
"""Dates and dates in a window."""
Reduce = Callable[[NDArray[np.float32]], Any]


def contenders() -> dict[str, Reduce]:
    """Return what reduces the first axis of floats with NaN, by name."""
    import bottleneck
    import numbagg
    import torch

    return {
        "np.nanmedian": lambda block: np.nanmedian(block, axis=0),
        "bottleneck": lambda block: bottleneck.nanmedian(block, axis=0),
        "numbagg": lambda block: numbagg.nanmedian(block, axis=0),
        "torch.nanquantile": lambda block: torch.nanquantile(torch.from_numpy(block), 0.5, dim=0),
    }


def by_flox(values_TBYX: NDArray[np.float32], window_T: NDArray[np.int32]) -> Callable[[], Any]:
    """Return xarray's groupby over the windows, which flox does."""
    import xarray as xr

    cube = xr.DataArray(values_TBYX, dims=("time", "band", "y", "x"), coords={"window": ("time", window_T)})
    return lambda: cube.groupby("window").median(skipna=True)


def ours(
    dates: int, length: int, side: int, threads: int = THREADS, variant: str = ""
) -> tuple[int, Callable[[], Any]]:
    """Return the bytes of a series and the work of its medians."""
    reflectance, valid = series(dates, side)
    window = (np.arange(dates) // length).astype(np.int32)
    windows = int(window[-1]) + 1
    if not variant:
        return reflectance.nbytes, lambda: window_median(reflectance, valid, window, windows, threads)
    median, count = window_median(reflectance, valid, window, windows)
    return reflectance.nbytes, lambda: _native.window_median(
        reflectance, valid, window, median, count, threads, variant
    )


def beside_others(dates: int, length: int) -> Case:
    """Return one length of window: ours, its other instruction sets and one thread, and every contender."""
    size, work = ours(dates, length, SIDE)
    few = slice(0, SIDE // 16)  # the others are so slow that a sixteenth of the pixels must do
    reflectance, valid = series(dates, SIDE)
    window = (np.arange(dates) // length).astype(np.int32)
    values = np.where(valid[:, None, few], reflectance[:, :, few], np.nan).astype(np.float32)
    blocks = [np.ascontiguousarray(values[window == w]) for w in range(int(window[-1]) + 1)]

    def over_blocks(reduce: Reduce) -> Callable[[], Any]:
        return lambda: [reduce(block) for block in blocks]

    ways: list[tuple[str, Callable[[], Any] | None]] = [
        (f"cropcube, {THREADS} threads", work),
        ("cropcube, 1 thread", ours(dates, length, SIDE, 1)[1]),
        (f"cropcube, {THREADS} threads, without AVX2", ours(dates, length, SIDE, variant="portable")[1]),
        ("", None),
        *((name, over_blocks(reduce)) for name, reduce in contenders().items()),
        ("xarray + flox", by_flox(values, window)),
    ]
    title = f"{dates} dates in windows of {length}, 10 bands, {SIDE} x {SIDE}, half clear"
    return Case(NAME, title, speeds(size, ways))


def cases() -> Iterator[Case]:
    """Yield one table for each length of window, and one over sizes of tile."""
    warnings.filterwarnings("ignore", "All-NaN slice|Warning: 'partition' will ignore", RuntimeWarning)
    for dates, length in WINDOWS:
        yield beside_others(dates, length)
    for dates, length in ((73, 6), (73, 73)):
        found: dict[str, float] = {}
        for side in (64, 128, 256, 512):
            size, work = ours(dates, length, side)
            found |= speeds(size, [(f"cropcube, {side} x {side}", work)])
        yield Case(NAME, f"{dates} dates in windows of {length}, by size of tile, {THREADS} threads", found)
