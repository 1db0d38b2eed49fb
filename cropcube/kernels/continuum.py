"""The continuum of spectra, and absorptions relative to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native
from cropcube.kernels.arguments import check_host, in_native_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.kernels.spectral_bands import SpectralBands


def continuum(spectrum_WYX: NDArray[np.float32], bands: SpectralBands, threads: int = 1) -> NDArray[np.float32]:
    """Return the upper convex hull of each spectrum over all good bands, straight across the bad ones.

    Clark and Roush (1984, JGR 89(B7) 6329), by the monotone chain of Andrew (1979, Inf. Proc. Letters 9(5)), in
    float64. The same bits for any number of threads and any instruction set; the global interpreter lock is released.

    Parameters
    ----------
    spectrum_WYX
        float32, reflectance.
    bands
        What it is measured in.
    threads
        Threads to share the cells among: the caller's budget.

    Returns
    -------
    hull_WYX
        float32, never below the spectrum. NaN in bands that do not count, and in all bands of a cell where one that
        counts has no value, or the hull is not above 0 everywhere.

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit.
    """
    return _hull(spectrum_WYX, bands, False, threads)


def continuum_removed(spectrum_WYX: NDArray[np.float32], bands: SpectralBands, threads: int = 1) -> NDArray[np.float32]:
    """Return each spectrum divided by its continuum: 1 at the points of the hull, less in absorptions.

    Parameters
    ----------
    spectrum_WYX, bands, threads
        See `continuum`.

    Returns
    -------
    removed_WYX
        float32, at most 1; NaN as of `continuum`.

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit.
    """
    return _hull(spectrum_WYX, bands, True, threads)


def _hull(
    spectrum_WYX: NDArray[np.float32], bands: SpectralBands, divides: bool, threads: int, variant: str = ""
) -> NDArray[np.float32]:
    """Check spectra; see the functions above."""
    check_host("spectrum_WYX", spectrum_WYX, "float32", 3)
    if len(spectrum_WYX) != len(bands.good_W) or threads < 1:
        raise InvalidInputError(
            f"spectrum_WYX has shape {spectrum_WYX.shape}, threads = {threads}; expected {len(bands.good_W)} bands, "
            "and one thread or more"
        )
    found_WYX = np.empty(spectrum_WYX.shape, np.float32)
    found_WYX[~bands.good_W] = np.nan
    good = np.flatnonzero(bands.good_W)
    centre = np.ascontiguousarray(bands.centre_nm_W[good], np.float64)
    held = in_native_order(spectrum_WYX), good.astype(np.int32), centre
    _native.continuum(*held, divides, found_WYX, threads, variant)
    return found_WYX
