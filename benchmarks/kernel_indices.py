"""Spectral indices, and their statistics over a season, beside NumPy and xarray."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from kernel_timing import SIDE, THREADS, Case, series, speeds
from numpy.typing import NDArray

from cropcube.kernels import Reflectance, index_statistics, spectral_indices

NAME = "indices"
BANDS = ("B02", "B03", "B04", "B08")
NAMES = ("NDVI", "EVI")


def from_integers(values_TBYX: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return both indices of stored integers, 0 = none."""
    return by_numpy(np.where(values_TBYX == 0, np.float32(np.nan), values_TBYX * np.float32(1e-4)))


def by_numpy(values_TBYX: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return both indices of reflectance with NaN."""
    blue, _, red, near = (values_TBYX[:, n] for n in range(4))
    ndvi = (near - red) / (near + red)
    evi = 2.5 * (near - red) / (near + 6 * red - 7.5 * blue + 1)
    return np.stack([ndvi, evi], axis=1)


def summed_by_numpy(values_TBYX: NDArray[np.float32], days: NDArray[np.int64]) -> NDArray[Any]:
    """Return the six statistics of both."""
    index = by_numpy(values_TBYX)
    least, most = np.nanmin(index, axis=0), np.nanmax(index, axis=0)
    day = days[np.where(np.isnan(index), -np.inf, index).argmax(axis=0)]
    return np.stack([np.nanmean(index, axis=0), np.nanstd(index, axis=0), least, most, most - least, day])


def summed_by_xarray(values_TBYX: NDArray[np.float32], days: NDArray[np.int64]) -> Callable[[], Any]:
    """Return the work of the same by xarray."""
    import xarray as xr

    cube = xr.DataArray(values_TBYX, dims=("time", "band", "y", "x"), coords={"time": days, "band": list(BANDS)})

    def work() -> Any:
        near, red, blue = (cube.sel(band=band) for band in ("B08", "B04", "B02"))
        found = []
        for index in ((near - red) / (near + red), 2.5 * (near - red) / (near + 6 * red - 7.5 * blue + 1)):
            least, most = index.min("time"), index.max("time")
            found += [index.mean("time"), index.std("time"), least, most, most - least, index.idxmax("time")]
        return found

    return work


def cases() -> Iterator[Case]:
    """Yield a table for indices of medians and one for the statistics of a season."""
    warnings.filterwarnings(
        "ignore", "All-NaN|Mean of empty|Degrees of freedom|invalid value|divide by zero", RuntimeWarning
    )
    reflectance, valid = series(73)
    fine, days = np.ascontiguousarray(reflectance[:, :4]), np.arange(73) * 5
    few = slice(0, SIDE // 4)
    values = np.where(valid[:, None, few], fine[:, :, few] * np.float32(1e-4), np.nan).astype(np.float32)
    whole, part = fine.nbytes, fine.nbytes // 4
    plain, masked = [Reflectance(fine, BANDS)], [Reflectance(fine, BANDS, valid)]
    ways: list[tuple[str, Callable[[], Any] | None]] = [
        (f"cropcube, {THREADS} threads", partial(spectral_indices, NAMES, plain, THREADS)),
        ("cropcube, 1 thread", partial(spectral_indices, NAMES, plain, 1)),
        ("", None),
        ("NumPy, from the integers", partial(from_integers, fine[:, :, few])),
        ("NumPy, from float32", partial(by_numpy, values)),
    ]
    title = f"NDVI and EVI of 73 medians of 4 bands, {SIDE} x {SIDE}"
    yield Case(NAME, title, speeds(whole, ways, part))
    ways = [
        (f"cropcube, {THREADS} threads", partial(index_statistics, NAMES, masked, days, THREADS)),
        ("cropcube, 1 thread", partial(index_statistics, NAMES, masked, days, 1)),
        ("", None),
        ("NumPy", partial(summed_by_numpy, values, days)),
        ("xarray", summed_by_xarray(values, days)),
    ]
    title = f"six statistics of NDVI and EVI over 73 dates, 4 bands, {SIDE} x {SIDE}, half clear"
    yield Case(NAME, title, speeds(whole, ways, part))
