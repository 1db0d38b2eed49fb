"""The meaning of each kernel, short and slow, in the array-API standard: the oracle of every dialect.

Runs on NumPy, array-api-strict and CuPy alike. Written for clarity and by other methods than the kernels themselves
(a full sort, a singular value decomposition, shifts); arguments are not checked.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cropcube.domain.sensor import NOT_ACQUIRED, READ_FAILED
from cropcube.kernels.harmonic import MAX_CONDITION, PERIOD_DAYS
from cropcube.kernels.indices import find_index
from cropcube.xp import namespace

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST = 65535


def window_median(reflectance_TBYX: Any, valid_TYX: Any, window_T: Any, windows: int) -> tuple[Any, Any]:
    """Return what `cropcube.kernels.window_median` returns, by sorting every window whole."""
    xp = namespace(reflectance_TBYX, valid_TYX, window_T)
    _, bands, height, width = reflectance_TBYX.shape
    medians = [xp.zeros((0, bands, height, width), dtype=xp.uint16)]
    counts = [xp.zeros((0, height, width), dtype=xp.uint16)]
    for window in range(windows):
        clear_TYX = valid_TYX & (window_T == window)[:, None, None]
        count_YX = xp.sum(xp.astype(clear_TYX, xp.int64), axis=0)
        largest = xp.full(reflectance_TBYX.shape, LARGEST, dtype=xp.uint16)
        filled_TBYX = xp.where(clear_TYX[:, None, :, :], reflectance_TBYX, largest)
        # One more date that is never clear, so that there is something to sort in a season without dates.
        filled_TBYX = xp.concat([filled_TBYX, xp.full((1, bands, height, width), LARGEST, dtype=xp.uint16)], axis=0)
        sorted_TBYX = xp.astype(xp.sort(filled_TBYX, axis=0), xp.int64)
        low_BYX = _at_rank(xp, sorted_TBYX, (count_YX - 1) // 2)
        high_BYX = _at_rank(xp, sorted_TBYX, count_YX // 2)
        seen_BYX = xp.broadcast_to((count_YX > 0)[None, :, :], low_BYX.shape)
        median_BYX = xp.where(seen_BYX, (low_BYX + high_BYX + 1) // 2, xp.zeros_like(low_BYX))
        medians.append(xp.astype(median_BYX, xp.uint16)[None, ...])
        counts.append(xp.astype(count_YX, xp.uint16)[None, ...])
    return xp.concat(medians, axis=0), xp.concat(counts, axis=0)


def _at_rank(xp: Any, sorted_TBYX: Any, rank_YX: Any) -> Any:
    place_T = xp.arange(sorted_TBYX.shape[0])[:, None, None]
    wanted_TYX = place_T == xp.where(rank_YX < 0, xp.zeros_like(rank_YX), rank_YX)[None, :, :]
    return xp.sum(sorted_TBYX * xp.astype(wanted_TYX, xp.int64)[:, None, :, :], axis=0)


def harmonic_fit(
    reflectance_TBYX: Any, valid_TYX: Any, days_T: Any, order: int, ridge: float = 0.0
) -> tuple[Any, Any, Any]:
    """Return what `cropcube.kernels.harmonic_fit` returns, by a singular value decomposition of each pixel's design."""
    xp = namespace(reflectance_TBYX, valid_TYX, days_T)
    dates, bands, height, width = reflectance_TBYX.shape
    clear_PT = xp.permute_dims(xp.reshape(valid_TYX, (dates, height * width)), (1, 0))
    series_PTB = xp.permute_dims(
        xp.reshape(xp.astype(reflectance_TBYX, xp.float64), (dates, bands, height * width)), (2, 0, 1)
    )
    series_PTB = xp.where(clear_PT[:, :, None], series_PTB, xp.zeros_like(series_PTB))
    design_TK = _design(xp, xp.astype(days_T, xp.float64), order)
    weighted_PTK = xp.astype(clear_PT, xp.float64)[:, :, None] * design_TK[None, :, :]
    coefficient_PKB, condition_P = _least_squares(xp, weighted_PTK, series_PTB, ridge)
    residual_PTB = series_PTB - xp.matmul(weighted_PTK, coefficient_PKB)
    count_P = xp.sum(xp.astype(clear_PT, xp.float64), axis=1)
    squares_PB = xp.sum(residual_PTB**2, axis=1)
    rmse_PB = xp.sqrt(squares_PB / xp.where(count_P < 1, xp.ones_like(count_P), count_P)[:, None])
    lost_P = count_P < design_TK.shape[1]
    if ridge == 0:
        lost_P = lost_P | (condition_P > MAX_CONDITION)
    nothing = xp.asarray(math.nan, dtype=xp.float64)
    coefficient_PKB = xp.where(lost_P[:, None, None], nothing, coefficient_PKB)
    rmse_PB = xp.where(lost_P[:, None], nothing, rmse_PB)
    shape = (design_TK.shape[1], bands, height, width)
    return (
        xp.astype(xp.reshape(xp.permute_dims(coefficient_PKB, (1, 2, 0)), shape), xp.float32),
        xp.astype(xp.reshape(xp.permute_dims(rmse_PB, (1, 0)), shape[1:]), xp.float32),
        xp.astype(xp.reshape(count_P, shape[2:]), xp.uint16),
    )


def _design(xp: Any, days_T: Any, order: int) -> Any:
    columns = [xp.ones_like(days_T)]
    for n in range(1, order + 1):
        phase_T = days_T * (2 * math.pi * n / PERIOD_DAYS)
        columns += [xp.cos(phase_T), xp.sin(phase_T)]
    return xp.stack(columns, axis=1)


def _least_squares(xp: Any, design_PTK: Any, series_PTB: Any, ridge: float) -> tuple[Any, Any]:
    """Return coefficients and the condition number of each design; a ridge is K more observations of zero."""
    pixels, _, terms = design_PTK.shape
    weights = xp.asarray([0.0] + [math.sqrt(ridge)] * (terms - 1), dtype=xp.float64)
    extra_PKK = xp.broadcast_to((xp.eye(terms, dtype=xp.float64) * weights)[None, ...], (pixels, terms, terms))
    nothing_PKB = xp.zeros((pixels, terms, series_PTB.shape[2]), dtype=xp.float64)
    left_PTK, values_PK, right_PKK = xp.linalg.svd(xp.concat([design_PTK, extra_PKK], axis=1), full_matrices=False)
    smallest = xp.asarray(1e-300, dtype=xp.float64)
    safe_PK = xp.where(values_PK < smallest, smallest, values_PK)
    projected_PKB = xp.matmul(xp.matrix_transpose(left_PTK), xp.concat([series_PTB, nothing_PKB], axis=1))
    projected_PKB = xp.where(values_PK[:, :, None] < smallest, xp.zeros_like(projected_PKB), projected_PKB)
    return (
        xp.matmul(xp.matrix_transpose(right_PKK), projected_PKB / safe_PK[:, :, None]),
        safe_PK[:, 0] / safe_PK[:, -1],
    )


def clear_mask(quality_TYX: Any, classes: Iterable[int], dilate_px: int = 0) -> Any:
    """Return what `cropcube.kernels.clear_mask` returns, by shifting the mask to every offset within the distance."""
    xp = namespace(quality_TYX)
    clear_TYX = xp.zeros_like(quality_TYX, dtype=xp.bool)
    for kept in classes:
        clear_TYX = clear_TYX | (quality_TYX == kept)
    clear_TYX = clear_TYX & (quality_TYX != NOT_ACQUIRED) & (quality_TYX != READ_FAILED)
    spreading_TYX = ~clear_TYX & (quality_TYX != NOT_ACQUIRED) & (quality_TYX != READ_FAILED)
    for dy in range(-dilate_px, dilate_px + 1):
        for dx in range(-dilate_px, dilate_px + 1):
            if 0 < dy * dy + dx * dx <= dilate_px * dilate_px:
                clear_TYX = clear_TYX & ~_shifted(xp, spreading_TYX, dy, dx)
    return clear_TYX


def _shifted(xp: Any, mask_TYX: Any, dy: int, dx: int) -> Any:
    dates, height, width = mask_TYX.shape
    rows, cols = min(abs(dy), height), min(abs(dx), width)
    moved = xp.roll(mask_TYX, (dy, dx), axis=(1, 2))
    y, x = xp.arange(height)[None, :, None], xp.arange(width)[None, None, :]
    from_within_y = (y >= rows) if dy > 0 else (y < height - rows)
    from_within_x = (x >= cols) if dx > 0 else (x < width - cols)
    return moved & xp.broadcast_to(from_within_y & from_within_x, (dates, height, width))


def gap_fill(values_T: Any, valid_T: Any, positions_T: Any) -> Any:
    """Return what `cropcube.kernels.gap_fill` returns for arrays of one shape, by searching both ways from each gap."""
    xp = namespace(values_T, valid_T, positions_T)
    steps = values_T.shape[0]
    number = xp.astype(values_T, xp.float64)
    filled = []
    for step in range(steps):
        before, before_at = _nearest(xp, number, valid_T, positions_T, range(step, -1, -1))
        after, after_at = _nearest(xp, number, valid_T, positions_T, range(step, steps))
        before, before_at = xp.where(xp.isnan(before), after, before), xp.where(xp.isnan(before), after_at, before_at)
        after, after_at = xp.where(xp.isnan(after), before, after), xp.where(xp.isnan(after), before_at, after_at)
        span = after_at - before_at
        since = xp.astype(positions_T, xp.float64)[step] - before_at
        value = before + (after - before) * since / xp.where(span > 0, span, xp.ones_like(span))
        value = xp.where(span > 0, value, before)
        value = xp.where(xp.isnan(value), xp.zeros_like(value), value)
        filled.append(xp.floor(value + 0.5) if xp.isdtype(values_T.dtype, "integral") else value)
    return xp.where(valid_T, values_T, xp.astype(xp.stack(filled, axis=0), values_T.dtype))


def _nearest(xp: Any, number: Any, valid_T: Any, positions_T: Any, steps: range) -> tuple[Any, Any]:
    value = xp.full(number.shape[1:], math.nan, dtype=xp.float64)
    place = xp.full(number.shape[1:], math.nan, dtype=xp.float64)
    for step in steps:
        first = xp.isnan(place) & valid_T[step, ...]
        value = xp.where(first, number[step, ...], value)
        place = xp.where(first, xp.astype(positions_T, xp.float64)[step], place)
    return value, place


def spectral_indices(names: Iterable[str], of: Iterable[Any]) -> Any:
    """Return what `cropcube.kernels.spectral_indices` returns, in float64."""
    parts = list(of)
    height, width = min(part.values_SBYX.shape[2:] for part in parts)
    bands: dict[str, Any] = {}
    for part in parts:
        xp = namespace(part.values_SBYX)
        steps, count, rows, cols = part.values_SBYX.shape
        values = xp.astype(part.values_SBYX, xp.float64)
        seen = values != 0 if part.seen_SYX is None else xp.broadcast_to(part.seen_SYX[:, None, :, :], values.shape)
        squares = (steps, count, height, rows // height, width, cols // width)
        number = xp.sum(xp.reshape(xp.astype(seen, xp.float64), squares), axis=(3, 5))
        total = xp.sum(xp.reshape(xp.where(seen, values, xp.zeros_like(values)), squares), axis=(3, 5))
        mean = xp.where(number > 0, total, xp.asarray(math.nan, dtype=xp.float64)) / xp.where(
            number > 0, number, xp.ones_like(number)
        )
        bands |= {name: mean[:, n, :, :] / 10000 for n, name in enumerate(part.bands)}
    made = []
    for index in map(find_index, names):
        above = sum((bands[b] * weight for b, weight in zip(index.bands, index.above, strict=False)), index.above[-1])
        below = sum((bands[b] * weight for b, weight in zip(index.bands, index.below, strict=False)), index.below[-1])
        safe = xp.where(below == 0, xp.ones_like(below), below)
        made.append(xp.where(below == 0, xp.full_like(below, math.nan), above / safe))
    return xp.stack(made, axis=1)


def time_percentiles(reflectance_TBYX: Any, valid_TYX: Any, percentiles: Iterable[float]) -> Any:
    """Return the first of what `cropcube.kernels.time_percentiles` returns, by sorting every series whole."""
    xp = namespace(reflectance_TBYX, valid_TYX)
    _, bands, height, width = reflectance_TBYX.shape
    count_YX = xp.sum(xp.astype(valid_TYX, xp.int64), axis=0)
    largest = xp.full(reflectance_TBYX.shape, LARGEST, dtype=xp.uint16)
    filled_TBYX = xp.where(valid_TYX[:, None, :, :], reflectance_TBYX, largest)
    filled_TBYX = xp.concat([filled_TBYX, xp.full((1, bands, height, width), LARGEST, dtype=xp.uint16)], axis=0)
    sorted_TBYX = xp.astype(xp.sort(filled_TBYX, axis=0), xp.int64)
    found = []
    for percentile in percentiles:
        way_YX = (count_YX - 1) * round(10 * percentile)
        low_BYX = _at_rank(xp, sorted_TBYX, way_YX // 1000)
        high_BYX = _at_rank(xp, sorted_TBYX, (way_YX + 999) // 1000)
        value_BYX = (low_BYX * (1000 - way_YX % 1000) + high_BYX * (way_YX % 1000) + 500) // 1000
        seen_BYX = xp.broadcast_to((count_YX > 0)[None, :, :], value_BYX.shape)
        found.append(xp.astype(xp.where(seen_BYX, value_BYX, xp.zeros_like(value_BYX)), xp.uint16))
    return xp.stack(found, axis=0)


def geomedian(reflectance_TBYX: Any, valid_TYX: Any, steps: int = 2000) -> tuple[Any, Any]:
    """Return the geometric median over all dates in float64, and the sum of distances to it.

    Many plain steps of Weiszfeld's from the mean, and then, where one is better, the best of the observations.
    """
    xp = namespace(reflectance_TBYX, valid_TYX)
    values = xp.astype(reflectance_TBYX, xp.float64)
    clear = xp.astype(valid_TYX, xp.float64)
    number = xp.sum(clear, axis=0)
    centre = xp.sum(values * clear[:, None, :, :], axis=0) / xp.where(number > 0, number, xp.ones_like(number))
    for _ in range(steps):
        distance = xp.sqrt(xp.sum((values - centre) ** 2, axis=1))
        weight = clear / xp.where(distance > 1e-9, distance, xp.full_like(distance, 1e-9))
        whole = xp.sum(weight, axis=0)
        moved = xp.sum(values * weight[:, None, :, :], axis=0) / xp.where(whole > 0, whole, xp.ones_like(whole))
        centre = xp.where(number > 0, moved, centre)
    least = distances(values, clear, centre)
    for date in range(values.shape[0]):
        here = distances(values, clear, values[date, ...])
        better = (here < least) & valid_TYX[date, ...]
        centre, least = xp.where(better, values[date, ...], centre), xp.where(better, here, least)
    return centre, least


def distances(values_TBYX: Any, clear_TYX: Any, centre_BYX: Any) -> Any:
    """Return the sum of distances of clear observations to a point, (y, x)."""
    xp = namespace(values_TBYX)
    return xp.sum(xp.sqrt(xp.sum((values_TBYX - centre_BYX) ** 2, axis=1)) * clear_TYX, axis=0)
