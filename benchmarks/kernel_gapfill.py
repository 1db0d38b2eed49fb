"""Gaps of a series filled linearly, beside NumPy and xarray (which fills one dimension by np.interp)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from kernel_timing import SIDE, THREADS, Case, series, speeds
from numpy.typing import NDArray

from cropcube.kernels import gap_fill

NAME = "gap fill"


def by_numpy(values_TBYX: NDArray[np.uint16], valid_TYX: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Return the same by whole arrays: the steps before and after each gap, and what lies between."""
    steps = len(valid_TYX)
    order = np.arange(steps, dtype=np.int32)[:, None, None]
    before = np.maximum.accumulate(np.where(valid_TYX, order, np.int32(-1)), axis=0)
    after = np.minimum.accumulate(np.where(valid_TYX, order, np.int32(steps))[::-1], axis=0)[::-1]
    before, after = np.where(before < 0, after, before), np.where(after == steps, before, after)
    before, after = (place.clip(0, steps - 1)[:, None] for place in (before, after))
    start, stop = (np.take_along_axis(values_TBYX, place, axis=0).astype(np.float64) for place in (before, after))
    since, span = order[:, None] - before, np.maximum(after - before, 1)
    return np.floor(start + (stop - start) * since / span + 0.5).astype(np.uint16)


def by_xarray(values_TBYX: NDArray[np.uint16], valid_TYX: NDArray[np.bool_]) -> Callable[[], Any]:
    """Return the work of xarray's interpolation, ends held."""
    import xarray as xr

    values = np.where(valid_TYX[:, None], values_TBYX, np.nan).astype(np.float32)
    cube = xr.DataArray(values, dims=("time", "band", "y", "x"))
    return lambda: cube.interpolate_na("time", fill_value="extrapolate")


def cases() -> Iterator[Case]:
    """Yield one table."""
    reflectance, valid = series(73)
    few = slice(0, SIDE // 16)
    part = np.ascontiguousarray(reflectance[:, :, few]), np.ascontiguousarray(valid[:, few])
    np.testing.assert_array_equal(by_numpy(*part), gap_fill(*part))
    ways: list[tuple[str, Callable[[], Any] | None]] = [
        (f"cropcube, {THREADS} threads", partial(gap_fill, reflectance, valid, None, THREADS)),
        ("cropcube, 1 thread", partial(gap_fill, reflectance, valid, None, 1)),
        ("", None),
        ("NumPy", partial(by_numpy, *part)),
        ("xarray interpolate_na", by_xarray(*part)),
    ]
    yield Case(NAME, f"73 steps, 10 bands, {SIDE} x {SIDE}, half of them gaps", speeds(reflectance.nbytes, ways))
