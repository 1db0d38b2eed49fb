"""Percentiles of the clear observations of a season."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native, cuda
from cropcube.kernels.arguments import check_series, in_native_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_DATES = 32767
"""Counts are held in 16 bits."""


def time_percentiles(
    reflectance_TBYX: NDArray[np.uint16], valid_TYX: NDArray[np.bool_], percentiles: Sequence[float], threads: int = 1
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return percentiles of each pixel's clear observations over all dates, and how many these are.

    Between two observations by distance (definition 7 of Hyndman and Fan 1996, American Statistician 50(4); NumPy's
    `linear`), in whole numbers: exact, the same for any number of threads and on a device. The 50th is the median.

    Parameters
    ----------
    reflectance_TBYX
        uint16; only `valid_TYX` says what counts.
    valid_TYX
        bool, where an observation is clear; shared by all bands.
    percentiles
        From 0 (the least) to 100 (the largest), with at most one decimal place.
    threads
        Threads to share the pixels among: the caller's budget.

    Returns
    -------
    percentile_PBYX, clear_count_YX
        uint16. Rounded half up; 0 where nothing is clear.

    Raises
    ------
    InvalidInputError
        If a type, shape or percentile does not fit, or there are over 32,767 dates.
    """
    device = check_series(reflectance_TBYX, valid_TYX, "uint16")
    dates, bands, height, width = reflectance_TBYX.shape
    thousandths = in_thousandths(percentiles)
    if threads < 1 or dates > MAX_DATES:
        raise InvalidInputError(f"threads = {threads}, dates = {dates}; expected 1 or more, and at most {MAX_DATES}")
    if device is not None:
        return cuda.time_percentiles(device, reflectance_TBYX, valid_TYX, thousandths, sorting_network(dates))
    percentile_PBYX = np.empty((len(percentiles), bands, height, width), np.uint16)
    clear_count_YX = np.empty((height, width), np.uint16)
    held = in_native_order(reflectance_TBYX), in_native_order(valid_TYX), thousandths, sorting_network(dates)
    _native.percentiles(*held, percentile_PBYX, clear_count_YX, threads, "")
    return percentile_PBYX, clear_count_YX


def in_thousandths(percentiles: Sequence[float]) -> NDArray[np.int32]:
    """Return percentiles as thousandths of the way from the least to the largest.

    Raises
    ------
    InvalidInputError
        If there is none, or one is outside 0 to 100 or has more than one decimal place.
    """
    tenths = np.asarray(percentiles, np.float64) * 10
    if tenths.ndim != 1 or not len(tenths) or not ((tenths >= 0) & (tenths <= 1000)).all():
        raise InvalidInputError(f"percentiles = {list(percentiles)}; expected one or more from 0 to 100")
    whole = np.rint(tenths).astype(np.int32)
    if (np.abs(whole - tenths) > 1e-6).any():
        raise InvalidInputError(f"percentiles = {list(percentiles)}; expected at most one decimal place")
    return whole


def sorting_network(count: int) -> NDArray[np.int32]:
    """Return what to compare and exchange to sort so many values, (exchanges, 2): Knuth vol. 3, algorithm 5.2.2M."""
    pairs = [np.empty((0, 2), np.int64)]
    merged = 1
    while merged < count:
        apart = merged
        while apart >= 1:
            start = np.arange(apart % merged, max(apart % merged, count - apart))
            low = start[(start - apart % merged) // apart % 2 == 0]
            low = low[low // (2 * merged) == (low + apart) // (2 * merged)]
            pairs.append(np.stack([low, low + apart], axis=1))
            apart //= 2
        merged *= 2
    return np.ascontiguousarray(np.concatenate(pairs), np.int32)
