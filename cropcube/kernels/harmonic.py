"""Least-squares fits of a constant and yearly harmonics to the clear observations of each pixel.

The mask is shared by all bands of a pixel, so one small normal matrix per pixel serves every band; pixels with the
same mask share it too, and clouds make that common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels.arguments import check_array, check_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

PERIOD_DAYS = 365.25
MAX_CONDITION = 1e6
"""Condition number of a pixel's design beyond which a fit without ridge is noise."""
BLOCK_VALUES = 1 << 19
"""Observations that are turned into float64 at once: four megabytes, near the cache's size."""


def harmonic_design(days_T: NDArray[Any], order: int) -> NDArray[np.float64]:
    """Return the design (dates, terms): 1, cos1, sin1, cos2, sin2, ... of days since the season's start."""
    phase_TK = 2 * np.pi / PERIOD_DAYS * np.asarray(days_T, np.float64)[:, None] * np.arange(1, order + 1)
    design_TK = np.ones((len(days_T), 2 * order + 1))
    design_TK[:, 1::2], design_TK[:, 2::2] = np.cos(phase_TK), np.sin(phase_TK)
    return design_TK


def harmonic_fit(
    reflectance_TBYX: NDArray[Any],
    valid_TYX: NDArray[np.bool_],
    days_T: NDArray[Any],
    order: int,
    ridge: float = 0.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]:
    """Fit a constant and `order` harmonics of the year to each pixel's clear observations.

    Minimises the sum of squared residuals plus `ridge` times the squared coefficients without the constant. Solved in
    float64 by the normal equations about each pixel's mean, whose error is the square of the condition number times
    1e-16: far below 1e-3 up to the limit.

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

    Returns
    -------
    coefficient_KBYX
        float32; terms 1, cos1, sin1, cos2, sin2, ... with period 365.25 days. NaN where fewer than 2 x `order` + 1
        dates are clear, and, without ridge, where the condition number of the pixel's design is over 1e6.
    rmse_BYX
        float32, root of the mean squared residual; NaN where the coefficients are.
    clear_count_YX
        uint16, number of clear dates.

    Raises
    ------
    InvalidInputError
        If a type, shape or value does not fit.
    """
    check_series(reflectance_TBYX, valid_TYX, "integer floating")
    _check_model(days_T, reflectance_TBYX.shape[0], order, ridge)
    dates, bands, height, width = reflectance_TBYX.shape
    design_TK = harmonic_design(days_T, order)
    coefficient_KBP = np.empty((2 * order + 1, bands, height * width), np.float32)
    rmse_BP = np.empty((bands, height * width), np.float32)
    reflectance_TBP = reflectance_TBYX.reshape(dates, bands, height * width)
    valid_TP = valid_TYX.reshape(dates, height * width)
    step = max(64, BLOCK_VALUES // max(1, dates * bands))
    for first in range(0, height * width, step):
        block = slice(first, first + step)
        coefficient_KBP[:, :, block], rmse_BP[:, block] = _fit_block(
            reflectance_TBP[:, :, block], valid_TP[:, block], design_TK, ridge
        )
    clear_count_YX = np.count_nonzero(valid_TYX, axis=0).astype(np.uint16)
    return (
        coefficient_KBP.reshape(2 * order + 1, bands, height, width),
        rmse_BP.reshape(bands, height, width),
        clear_count_YX,
    )


def _check_model(days_T: NDArray[Any], dates: int, order: int, ridge: float) -> None:
    check_array("days_T", days_T, "integer floating", 1)
    if days_T.shape != (dates,):
        raise InvalidInputError(f"days_T has shape {days_T.shape}; expected ({dates},), one day for each date")
    if not np.isfinite(days_T).all():
        raise InvalidInputError(f"days_T of shape {days_T.shape} holds NaN or infinity; expected days")
    if order < 1:
        raise InvalidInputError(f"order = {order}; expected at least 1 harmonic")
    if not (np.isfinite(ridge) and ridge >= 0):
        raise InvalidInputError(f"ridge = {ridge}; expected 0 or more")


def _fit_block(
    reflectance_TBP: NDArray[Any], valid_TP: NDArray[np.bool_], design_TK: NDArray[np.float64], ridge: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return coefficients (K, B, P) and root mean squared residuals (B, P) of a block of pixels."""
    pattern_P, first_U = _patterns(valid_TP)
    solver_KKU, sums_KU = _solvers(valid_TP[:, first_U], design_TK, ridge)
    sums_KP = sums_KU[:, pattern_P]
    clear_P = np.maximum(sums_KP[0], 1)
    if np.issubdtype(reflectance_TBP.dtype, np.integer):
        value_TBP = reflectance_TBP * valid_TP[:, None].astype(np.float64)
    else:  # values that are not clear may be NaN
        value_TBP = np.where(valid_TP[:, None], reflectance_TBP, 0.0).astype(np.float64)
    rhs_KBP = np.tensordot(design_TK, value_TBP, (0, 0))
    sum_BP = rhs_KBP[0].copy()
    mean_BP = sum_BP / clear_P
    rhs_KBP -= sums_KP[:, None] * mean_BP
    spread_BP = np.einsum("tbp,tbp->bp", value_TBP, value_TBP) - sum_BP * mean_BP
    coefficient_KBP = np.einsum("klp,lbp->kbp", solver_KKU[:, :, pattern_P], rhs_KBP)
    explained_BP = np.einsum("kbp,kbp->bp", coefficient_KBP, rhs_KBP)
    penalty_BP = ridge * np.einsum("kbp,kbp->bp", coefficient_KBP[1:], coefficient_KBP[1:])
    squares_BP = np.maximum(spread_BP - explained_BP - penalty_BP, 0.0)
    coefficient_KBP[0] += mean_BP
    return coefficient_KBP, np.sqrt(squares_BP / clear_P)


def _patterns(valid_TP: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return each pixel's number among the distinct masks, and one pixel that has each."""
    packed_PM = np.ascontiguousarray(np.packbits(valid_TP, axis=0).T)
    if packed_PM.shape[1] == 0:
        return np.zeros(len(packed_PM), np.intp), np.zeros(min(1, len(packed_PM)), np.intp)
    keys_P = packed_PM.view(np.dtype((np.void, packed_PM.shape[1])))[:, 0]
    _, first_U, pattern_P = np.unique(keys_P, return_index=True, return_inverse=True)
    return pattern_P, first_U


def _solvers(
    valid_TU: NDArray[np.bool_], design_TK: NDArray[np.float64], ridge: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return inverted normal matrices (K, K, U), NaN where there is no answer, and sums of the terms (K, U)."""
    dates, terms = design_TK.shape
    products_TJ = (design_TK[:, :, None] * design_TK[:, None, :]).reshape(dates, terms**2)
    normal_KKU = (products_TJ.T @ valid_TU.astype(np.float64)).reshape(terms, terms, -1)
    sums_KU = normal_KKU[0].copy()
    normal_KKU[range(1, terms), range(1, terms)] += ridge
    enough_U = np.rint(sums_KU[0]) >= terms
    # The normal matrix has the square of the design's condition number; a ridge need only beat the rounding.
    limit = MAX_CONDITION**2 if ridge == 0 else 1 / (terms * np.finfo(np.float64).eps)
    inverse_KKU = _inverse(normal_KKU)
    # The product of the Frobenius norms is at least the condition number: only what it does not clear is looked at.
    bound_U = np.einsum("klu,klu->u", normal_KKU, normal_KKU) * np.einsum("klu,klu->u", inverse_KKU, inverse_KKU)
    doubtful_U = enough_U & ~(bound_U < limit**2)
    if doubtful_U.any():
        inverse_KKU[:, :, doubtful_U] = _inverse_within(normal_KKU[:, :, doubtful_U], limit)
    inverse_KKU[:, :, ~enough_U] = np.nan
    return inverse_KKU, sums_KU


def _inverse(normal_KKU: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverses of symmetric positive definite matrices by Gauss-Jordan elimination, all at once.

    No pivoting is needed for these; a pivot that vanishes gives NaN.
    """
    work_KKU = normal_KKU.copy()
    terms = len(work_KKU)
    for k in range(terms):
        pivot_U = np.where(work_KKU[k, k] > 1e-15 * normal_KKU[k, k], work_KKU[k, k], np.nan)
        row_KU = work_KKU[k] / pivot_U
        row_KU[k] = 1 / pivot_U
        column_KU = work_KKU[:, k].copy()
        column_KU[k] = 0
        work_KKU[:, k] = 0
        work_KKU[k] = 0
        work_KKU -= column_KU[:, None] * row_KU
        work_KKU[k] = row_KU
    return work_KKU


def _inverse_within(normal_KKU: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Return inverses by eigenvalues, NaN where the condition number is over the limit."""
    values_UK, vectors_UKK = np.linalg.eigh(np.moveaxis(normal_KKU, -1, 0))
    sound_U = values_UK[:, 0] * limit > values_UK[:, -1]
    inverse_UK = 1 / np.where(sound_U[:, None], values_UK, np.nan)
    return np.moveaxis((vectors_UKK * inverse_UK[:, None]) @ vectors_UKK.swapaxes(1, 2), 0, -1)
