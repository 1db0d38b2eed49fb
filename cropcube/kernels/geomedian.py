"""Geometric medians of the clear observations of each window of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native, cuda
from cropcube.kernels.arguments import check_series, check_windows, in_native_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DATES = 65535
"""Dates in one window: counts are held in 16 bits."""
MAX_BANDS = 16


def window_geomedian(
    reflectance_TBYX: NDArray[np.uint16],
    valid_TYX: NDArray[np.bool_],
    window_T: NDArray[np.integer],
    windows: int,
    threads: int = 1,
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return the geometric median of the clear observations of each window, and how many they are.

    The vector of bands whose summed distance to the observations is least (Roberts, Mueller and McIntyre 2017, IEEE
    TGRS 55(11)), searched from their mean by Weiszfeld's steps as Vardi and Zhang (2000, PNAS 97(4)) mend them,
    each prolonged by what the one before tells (Anderson 1965, J. ACM 12(4)) unless that raises the sum, in float32,
    until a step is shorter than 0.02 of an integer (100 steps at most). Of two observations it is the mean.
    The same for any number of threads, any instruction set and on a device; the global interpreter lock is released.

    Parameters
    ----------
    reflectance_TBYX
        uint16, at most 16 bands; only `valid_TYX` says what counts.
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
    geomedian_WBYX, clear_count_WYX
        uint16. Rounded half up; 0 where nothing is clear.

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit, there are too many bands, a window lies outside -1 .. `windows` - 1, or one has
        over 65,535 dates.
    """
    device = check_series(reflectance_TBYX, valid_TYX, "uint16")
    dates, bands, height, width = reflectance_TBYX.shape
    window_T = check_windows(window_T, dates, windows, threads, MAX_DATES)
    if bands > MAX_BANDS:
        raise InvalidInputError(f"reflectance_TBYX has {bands} bands; expected at most {MAX_BANDS}")
    if device is not None:
        return cuda.window_geomedian(device, reflectance_TBYX, valid_TYX, window_T, windows)
    geomedian_WBYX = np.empty((windows, bands, height, width), np.uint16)
    clear_count_WYX = np.empty((windows, height, width), np.uint16)
    held = in_native_order(reflectance_TBYX), in_native_order(valid_TYX), window_T
    _native.geomedian(*held, geomedian_WBYX, clear_count_WYX, threads, "")
    return geomedian_WBYX, clear_count_WYX
