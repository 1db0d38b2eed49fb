"""Medians of the clear observations of each window of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cropcube.kernels import _native, cuda
from cropcube.kernels.arguments import check_series, check_windows, in_native_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DATES = 32767
"""Dates in one window: counts are held in 16 bits."""


def window_median(
    reflectance_TBYX: NDArray[np.uint16],
    valid_TYX: NDArray[np.bool_],
    window_T: NDArray[np.integer],
    windows: int,
    threads: int = 1,
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return the median of the clear observations of each window, and how many they are.

    Exact, the same for any number of threads; the global interpreter lock is released. Arrays in C order are read in
    place, others are copied once. Arrays of CuPy are reduced on their device, to arrays of CuPy with the same values.

    Parameters
    ----------
    reflectance_TBYX
        uint16, any value (0 and 65535 too): only `valid_TYX` says what counts.
    valid_TYX
        bool, where an observation is clear; shared by all bands.
    window_T
        Integer window of each date, in any order; -1 = ignore the date.
    windows
        Number of windows; one without a clear observation gives 0.
    threads
        Threads to share the pixels among: the caller's budget.

    Returns
    -------
    median_WBYX, clear_count_WYX
        uint16. Mean of the two middle values, rounded half up; 0 where nothing is clear.

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit, a window lies outside -1 .. `windows` - 1, or one has over 32,767 dates.
    """
    device = check_series(reflectance_TBYX, valid_TYX, "uint16")
    dates, bands, height, width = reflectance_TBYX.shape
    window_T = check_windows(window_T, dates, windows, threads, MAX_DATES)
    if device is not None:
        return cuda.window_median(device, reflectance_TBYX, valid_TYX, window_T, windows)
    median_WBYX = np.empty((windows, bands, height, width), np.uint16)
    clear_count_WYX = np.empty((windows, height, width), np.uint16)
    held = in_native_order(reflectance_TBYX), in_native_order(valid_TYX), window_T
    _native.window_median(*held, median_WBYX, clear_count_WYX, threads, "")
    return median_WBYX, clear_count_WYX
