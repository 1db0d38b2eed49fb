"""Kernels of spectra beside NumPy and SciPy, in one process: GB/s of input, times faster, share of memory's speed.

Usage: python benchmarks/bench_spectra.py

A tile of 128 x 128 cells and EMIT's 285 bands, of which 244 are good and counted as input. Each spectrum is a mixture
of two real ones (tests/data/emit), so that their hulls have about as many points: 14 to 42.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from kernel_timing import THREADS, Case, Limits, machine, speeds
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from threadpoolctl import threadpool_limits

from cropcube.domain.emit import WAVELENGTHS_NM
from cropcube.kernels import (
    SENTINEL2_TARGETS,
    Acquisitions,
    Resampling,
    SpectralBands,
    best_view,
    broad_bands,
    continuum_removed,
    median_view,
    resample,
    resampling,
    weighted_mean,
)
from cropcube.kernels.spectral_bands import WATER_VAPOUR_NM

SIDE, DATES = 128, 4
FEW = slice(0, SIDE // 16)
CENTRE_NM = np.array(WAVELENGTHS_NM)
REAL = Path(__file__).parents[1] / "tests/data/emit/emit20250324t221005_jpl_unmix_ex"
Ways = list[tuple[str, Callable[[], Any] | None]]


def emit_bands() -> SpectralBands:
    """Return EMIT's bands, those inside the water vapour windows bad."""
    bad = [(low < CENTRE_NM) & (high > CENTRE_NM) for low, high in WATER_VAPOUR_NM]
    return SpectralBands(CENTRE_NM, np.full(len(CENTRE_NM), 8.6), ~np.any(bad, axis=0))


def spectra(dates: int) -> NDArray[np.float32]:
    """Return mixtures of two real spectra, brighter or darker, (dates, bands, 128, 128)."""
    generator = np.random.default_rng(dates)
    real = np.fromfile(REAL, "<f4").reshape(10, len(CENTRE_NM), 10).transpose(1, 0, 2).reshape(len(CENTRE_NM), -1)
    shape = (dates, SIDE, SIDE)
    one, other = (real[:, generator.integers(0, real.shape[1], shape)] for _ in range(2))
    share = generator.uniform(0, 1, shape).astype(np.float32)
    made = (one * share + other * (1 - share)) * generator.uniform(0.8, 1.2, shape).astype(np.float32)
    return np.ascontiguousarray(made.transpose(1, 0, 2, 3))


def season(dates: int) -> Acquisitions:
    """Return acquisitions with uncertainties, two thirds of them clear."""
    generator = np.random.default_rng(1)
    values = spectra(dates)
    spreads = generator.uniform(0.002, 0.02, values.shape).astype(np.float32)
    return Acquisitions(values, spreads, generator.random((dates, SIDE, SIDE)) < 0.67, emit_bands().good_W)


def hulls_by_scipy(values_WYX: NDArray[np.float32], x: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return spectra divided by Qhull's hull, cell by cell."""
    removed = np.empty_like(values_WYX)
    floor = np.array([(x[0], -10.0), (x[-1], -10.0)])
    for row, column in np.ndindex(values_WYX.shape[1:]):
        values = values_WYX[:, row, column].astype(np.float64)
        corners = ConvexHull(np.concatenate([np.stack([x, values], axis=1), floor])).vertices
        corners = np.sort(corners[corners < len(x)])
        removed[:, row, column] = values / np.interp(x, x[corners], values[corners])
    return removed


def hulls_by_numpy(values_WYX: NDArray[np.float32], x: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the same of all cells at once: from each point of the hull to that of the steepest way on."""
    values = values_WYX.reshape(len(x), -1).astype(np.float64)
    at, hull, cells = np.zeros(values.shape[1], np.intp), np.empty_like(values), np.arange(values.shape[1])
    place = np.arange(len(x))[:, None]
    while (left := at < len(x) - 1).any():
        rows, of = at[left], values[:, left]
        begin, apart = values[rows, cells[left]], x[:, None] - x[rows]
        slope = np.where(place > rows, (of - begin) / np.where(apart > 0, apart, 1), -np.inf)
        following = slope.argmax(axis=0)
        line = begin + slope[following, np.arange(len(rows))] * apart
        hull[:, left] = np.where((place >= rows) & (place <= following), line, hull[:, left])
        at[left] = following
    return (values / hull).reshape(values_WYX.shape).astype(np.float32)


def medians_by_numpy(values_TWYX: NDArray[np.float32], spreads_TWYX: NDArray[np.float32]) -> Any:
    """Return the median and its uncertainty by sorting; values are NaN where they do not count."""
    order = np.argsort(values_TWYX, axis=0)  # NaN last
    values, spreads = np.take_along_axis(values_TWYX, order, 0), np.take_along_axis(spreads_TWYX, order, 0)
    count = np.isfinite(values).sum(axis=0)
    low, high = np.maximum((count - 1) // 2, 0)[None], np.minimum(count // 2, len(values) - 1)[None]
    a, b = np.take_along_axis(spreads, low, 0)[0], np.take_along_axis(spreads, high, 0)[0]
    median = (np.take_along_axis(values, low, 0) + np.take_along_axis(values, high, 0))[0] / 2
    return median, np.where(low[0] == high[0], a, np.hypot(a, b) / 2)


def means_by_numpy(values_TWYX: NDArray[np.float32], spreads_TWYX: NDArray[np.float32]) -> Any:
    """Return the weighted mean and its uncertainty."""
    weights = np.where(np.isfinite(values_TWYX), spreads_TWYX**-2, 0)
    whole = weights.sum(axis=0)
    return np.nansum(values_TWYX * weights, axis=0) / whole, whole**-0.5


def best_by_numpy(values_TWYX: NDArray[np.float32], spreads_TWYX: NDArray[np.float32]) -> Any:
    """Return the acquisition of the least mean uncertainty, and its own."""
    known = np.isfinite(values_TWYX)
    mean = np.where(known, spreads_TWYX, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    best = np.where(known.any(axis=1), mean, np.inf).argmin(axis=0)[None, None]
    return np.take_along_axis(values_TWYX, best, 0)[0], np.take_along_axis(spreads_TWYX, best, 0)[0]


def targets_by_matmul(
    values_WYX: NDArray[np.float32], spreads_WYX: NDArray[np.float32], weight_NW: NDArray[np.float32]
) -> Any:
    """Return the same as `resample` by four products of matrices."""
    values, spreads = (of.reshape(len(of), -1) for of in (values_WYX, spreads_WYX))
    known = np.isfinite(values)
    there = weight_NW @ known.astype(np.float32)
    spread = np.sqrt(weight_NW**2 @ np.where(known, spreads, 0) ** 2) / there
    return np.where(there >= 0.5, weight_NW @ np.where(known, values, 0) / there, np.nan), spread


def ours(work: Callable[..., Any], *arguments: Any) -> Ways:
    """Return our ways, before the slow ones."""
    return [
        (f"cropcube, {THREADS} threads", partial(work, *arguments, THREADS)),
        ("cropcube, 1 thread", partial(work, *arguments, 1)),
        ("", None),
    ]


def hull_case(bands: SpectralBands) -> Case:
    """Return the table of continuum removal."""
    values, good = spectra(1)[0], bands.good_W
    few, x, size = np.ascontiguousarray(values[good][:, FEW]), CENTRE_NM[good], values[good].nbytes
    np.testing.assert_allclose(continuum_removed(values, bands)[good][:, FEW], hulls_by_numpy(few, x), rtol=1e-5)
    ways = ours(continuum_removed, values, bands)
    ways += [
        ("NumPy, steepest way on, all cells at once", partial(hulls_by_numpy, few, x)),
        ("scipy.spatial.ConvexHull, cell by cell", partial(hulls_by_scipy, few, x)),
    ]
    return Case("spectra", f"continuum removed, {SIDE} x {SIDE}", speeds(size, ways))


def composite_cases() -> Iterator[Case]:
    """Yield a table for each composite."""
    seen = season(DATES)
    good, size = seen.good_W, 2 * seen.reflectance_TWYX[:, seen.good_W].nbytes
    clear = seen.clear_TYX[:, None, FEW]
    values = np.where(clear, seen.reflectance_TWYX[:, good][:, :, FEW], np.float32(np.nan))
    spreads = np.ascontiguousarray(seen.uncertainty_TWYX[:, good][:, :, FEW])
    plain = ("np.nanmedian, without uncertainty", partial(np.nanmedian, values, axis=0))
    for title, work, peer, others in (
        ("median", median_view, medians_by_numpy, [plain]),
        ("weighted mean", weighted_mean, means_by_numpy, []),
        ("best view", best_view, best_by_numpy, []),
    ):
        np.testing.assert_allclose(work(seen).spectrum_WYX[good][:, FEW], peer(values, spreads)[0], rtol=1e-4)
        ways = [*ours(work, seen), ("NumPy", partial(peer, values, spreads)), *others]
        name = f"{title} of {DATES} acquisitions and its uncertainty, {SIDE} x {SIDE}, 67 % clear"
        yield Case("spectra", name, speeds(size, ways))


def target_case(title: str, by: Resampling, bands: SpectralBands) -> Case:
    """Return the table of one set of targets."""
    values, spreads = spectra(1)[0], np.full((len(CENTRE_NM), SIDE, SIDE), 0.01, np.float32)
    few, few_spreads = (np.ascontiguousarray(of[:, FEW]) for of in (values, spreads))
    weights = by.weight_NW.astype(np.float32)
    ways = ours(resample, values, spreads, by)
    ways.append(("NumPy, products of matrices", partial(targets_by_matmul, few, few_spreads, weights)))
    size = 2 * values[bands.good_W].nbytes
    return Case("spectra", f"{title} of 285 bands and their uncertainty, {SIDE} x {SIDE}", speeds(size, ways))


def cases() -> Iterator[Case]:
    """Yield all tables."""
    warnings.filterwarnings("ignore", "All-NaN|invalid value|divide by zero", RuntimeWarning)
    bands = emit_bands()
    yield hull_case(bands)
    yield from composite_cases()
    yield target_case("Sentinel-2's 10 bands", resampling(bands, SENTINEL2_TARGETS), bands)
    yield target_case("30 broad bands", resampling(bands, broad_bands(30)), bands)


def main() -> None:
    """Print a table for each case."""
    limits = Limits.measured()
    sys.stdout.write(f"{machine()}\nmemory: reads {limits.read:.1f}, copies {limits.copy:.1f} GB/s\n\n")
    with threadpool_limits(1):  # products of such small matrices are slower on two
        for case in cases():
            sys.stdout.write(case.table(limits) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
