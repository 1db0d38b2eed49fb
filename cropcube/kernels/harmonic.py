"""Least-squares fits of a constant and yearly harmonics to the clear observations of each pixel.

The mask is shared by all bands of a pixel, so one small normal matrix per pixel serves every band.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native, cuda
from cropcube.kernels.arguments import check_array, check_series
from cropcube.kernels.device import on_host

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERIOD_DAYS = 365.25
MAX_CONDITION = 1e6
"""Condition number of a pixel's design beyond which a fit without ridge is noise."""
MAX_ORDER = 10
MAX_DATES = 65535
"""Counts are held in 16 bits."""
NATIVE_TYPES = (np.uint16, np.float32, np.float64)
"""What is read as it is; other types become float64."""


def harmonic_design(days_T: NDArray[Any], order: int) -> NDArray[np.float64]:
    """Return the design (dates, terms): 1, cos1, sin1, cos2, sin2, ... of days since the season's start."""
    phase_TK = 2 * np.pi / PERIOD_DAYS * np.asarray(days_T, np.float64)[:, None] * np.arange(1, order + 1)
    design_TK = np.ones((len(days_T), 2 * order + 1))
    design_TK[:, 1::2], design_TK[:, 2::2] = np.cos(phase_TK), np.sin(phase_TK)
    return design_TK


def with_products(design_TK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the terms without the constant and all products of two of them: what a normal matrix is summed from."""
    left, right = np.triu_indices(design_TK.shape[1] - 1)
    terms_TK = design_TK[:, 1:]
    return np.ascontiguousarray(np.concatenate([terms_TK, terms_TK[:, left] * terms_TK[:, right]], axis=1))


def harmonic_fit(
    reflectance_TBYX: NDArray[Any],
    valid_TYX: NDArray[np.bool_],
    days_T: NDArray[Any],
    order: int,
    ridge: float = 0.0,
    threads: int = 1,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]:
    """Fit a constant and `order` harmonics of the year to each pixel's clear observations.

    Minimises the sum of squared residuals plus `ridge` times the squared coefficients without the constant. Solved in
    float64 by the normal equations about each pixel's mean, whose error is the square of the condition number times
    1e-16: far below 1e-3 up to the limit. The same for any number of threads and any instruction set, and on a device
    for arrays of CuPy; the global interpreter lock is released.

    Parameters
    ----------
    reflectance_TBYX
        Integer or real, in any unit; only clear values are looked at.
    valid_TYX
        bool, where an observation is clear; shared by all bands.
    days_T
        Days since the season's start, finite, in any order.
    order
        Number of harmonics, at least 1.
    ridge
        At least 0.
    threads
        Threads to share the pixels among: the caller's budget.

    Returns
    -------
    coefficient_KBYX
        float32; terms 1, cos1, sin1, cos2, sin2, ... with period 365.25 days. NaN where fewer than 2 x `order` + 1
        dates are clear, and, without ridge, where the condition number of the pixel's design is over 1e6.
    rmse_BYX
        float32, root of the mean squared residual, from sums of squares: a fit without any error may show 1e-5 of the
        largest value. NaN where the coefficients are.
    clear_count_YX
        uint16, number of clear dates.

    Raises
    ------
    InvalidInputError
        If a type, shape or value does not fit.
    """
    device = check_series(reflectance_TBYX, valid_TYX, "integer floating")
    check_array("days_T", days_T, "integer floating", 1)
    days_T = on_host(days_T)
    _check_model(days_T, reflectance_TBYX.shape[0], order, ridge)
    if threads < 1:
        raise InvalidInputError(f"threads = {threads}; expected at least 1")
    design = with_products(harmonic_design(days_T, order))
    # The normal matrix has the square of the design's condition number; a ridge need only beat the rounding.
    limit = MAX_CONDITION**2 if ridge == 0 else 1 / ((2 * order + 1) * float(np.finfo(np.float64).eps))
    if device is not None:
        return cuda.harmonic_fit(device, reflectance_TBYX, valid_TYX, design, 2 * order + 1, ridge, limit)
    _, bands, height, width = reflectance_TBYX.shape
    coefficient_KBYX = np.empty((2 * order + 1, bands, height, width), np.float32)
    rmse_BYX = np.empty((bands, height, width), np.float32)
    clear_count_YX = np.empty((height, width), np.uint16)
    held = reflectance_TBYX.dtype.newbyteorder("=")
    _native.harmonic_fit(
        np.ascontiguousarray(reflectance_TBYX, held if held in NATIVE_TYPES else np.float64),
        np.ascontiguousarray(valid_TYX),
        design,
        ridge,
        limit,
        coefficient_KBYX,
        rmse_BYX,
        clear_count_YX,
        threads,
        "",
    )
    return coefficient_KBYX, rmse_BYX, clear_count_YX


def _check_model(days_T: NDArray[Any], dates: int, order: int, ridge: float) -> None:
    if days_T.shape != (dates,):
        raise InvalidInputError(f"days_T has shape {days_T.shape}; expected ({dates},), one day for each date")
    if not np.isfinite(days_T).all():
        raise InvalidInputError(f"days_T of shape {days_T.shape} holds NaN or infinity; expected days")
    if not 1 <= order <= MAX_ORDER:
        raise InvalidInputError(f"order = {order}; expected 1 to {MAX_ORDER} harmonics")
    if dates > MAX_DATES:
        raise InvalidInputError(f"reflectance_TBYX has {dates} dates; expected at most {MAX_DATES}")
    if not (np.isfinite(ridge) and ridge >= 0):
        raise InvalidInputError(f"ridge = {ridge}; expected 0 or more")
