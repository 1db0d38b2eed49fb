"""One spectrum of several acquisitions of a season: composites of imaging spectrometer data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native
from cropcube.kernels.arguments import check_good, check_host, in_native_order
from cropcube.kernels.percentiles import sorting_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ACQUISITIONS = 32767
"""Their places are held in 16 bits."""


@dataclass(frozen=True)
class Acquisitions:
    """What a season's acquisitions saw of one tile, in the order of their dates.

    A reflectance that is not finite is missing. An uncertainty is stated where it is finite and above 0; one of 0 would
    claim what no instrument does, and outweigh all others.
    """

    reflectance_TWYX: NDArray[np.float32]
    "Surface reflectance as a fraction; NaN = none."
    uncertainty_TWYX: NDArray[np.float32]
    "Its standard deviation, in the same unit; NaN = not stated."
    clear_TYX: NDArray[np.bool_]
    "Observations to be believed."
    good_W: NDArray[np.bool_]
    "Bands that count; what the others hold is never looked at."


@dataclass(frozen=True)
class Composite:
    """One spectrum a cell."""

    spectrum_WYX: NDArray[np.float32]
    "Reflectance; NaN where no clear acquisition has a value, and in bands that do not count."
    uncertainty_WYX: NDArray[np.float32]
    "Its standard deviation; NaN where it is not known."
    acquisition_YX: NDArray[np.int16]
    "Place of the acquisition that stands for the cell; -1 = none."
    clear_count_YX: NDArray[np.uint16]
    "Clear acquisitions that have a value in some band that counts."


def best_view(seen: Acquisitions, threads: int = 1) -> Composite:
    """Return the clear acquisition with the least mean uncertainty of each cell, whole: a spectrum that was measured.

    The mean is over the bands that count and have a value and an uncertainty. Of equal ones the first is taken; those
    without any uncertainty come after all others.

    Parameters
    ----------
    seen
        See there.
    threads
        Threads to share the cells among: the caller's budget. Any number gives the same bits, as does any instruction
        set; the global interpreter lock is released.

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit, no band counts, or there are over 32,767 acquisitions.
    """
    return _composite("best", seen, threads)


def median_view(seen: Acquisitions, threads: int = 1) -> Composite:
    """Return the median of the clear acquisitions, each band for itself.

    Its uncertainty is that of the value in the middle, s_m, or sqrt(s_a**2 + s_b**2) / 2 of the two in the middle: the
    law of propagation (JCGM 100:2008, 5.1.2), since the median has the slope 1 (or 1/2 and 1/2) in these and 0 in all
    others. Errors of acquisitions count as independent. It is exact for one and two acquisitions and too large for more
    (of n equal normal errors s the median's is nearly 1.25 s / sqrt(n)), as it does not know that others might have
    come to lie in the middle. Where one of the values in the middle states none it is NaN.

    Parameters
    ----------
    seen, threads
        See `best_view`.

    Returns
    -------
    Composite
        `acquisition_YX` is the middle one in time of those that are counted, the earlier of two.

    Raises
    ------
    InvalidInputError
        See `best_view`.
    """
    return _composite("median", seen, threads)


def weighted_mean(seen: Acquisitions, threads: int = 1) -> Composite:
    """Return the mean of the clear acquisitions weighted by the inverse of their variance, each band for itself.

    With weights w = 1 / s**2 its uncertainty is 1 / sqrt(sum of w) (Bevington and Robinson 2003, Data Reduction and
    Error Analysis, 4.1), errors of acquisitions counting as independent. A value whose uncertainty is not stated has no
    weight where another's is; where none is, the mean is plain and its uncertainty NaN. Sums are float64 in the order
    of the acquisitions, so another order changes no more than a last digit.

    Parameters
    ----------
    seen, threads
        See `best_view`.

    Returns
    -------
    Composite
        `acquisition_YX` as of `median_view`.

    Raises
    ------
    InvalidInputError
        See `best_view`.
    """
    return _composite("mean", seen, threads)


def _composite(way: str, seen: Acquisitions, threads: int, variant: str = "") -> Composite:
    """Check and reduce acquisitions; see the functions above."""
    _check(seen, threads)
    dates, *shape = seen.reflectance_TWYX.shape
    made = Composite(
        np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape[1:], np.int16),
        np.empty(shape[1:], np.uint16),
    )  # fmt: skip
    made.spectrum_WYX[~seen.good_W] = np.nan
    made.uncertainty_WYX[~seen.good_W] = np.nan
    held = [in_native_order(array) for array in (seen.reflectance_TWYX, seen.uncertainty_TWYX, seen.clear_TYX)]
    good = np.flatnonzero(seen.good_W).astype(np.int32)
    found = made.spectrum_WYX, made.uncertainty_WYX, made.acquisition_YX, made.clear_count_YX
    network = sorting_network(dates if way == "median" else 0)
    _native.composite(way, held[0], held[1], held[2], good, network, *found, threads, variant)
    return made


def _check(seen: Acquisitions, threads: int) -> None:
    """Refuse arrays that do not belong together."""
    check_host("reflectance_TWYX", seen.reflectance_TWYX, "float32", 4)
    check_host("uncertainty_TWYX", seen.uncertainty_TWYX, "float32", 4)
    check_host("clear_TYX", seen.clear_TYX, "bool", 3)
    dates, bands, height, width = shape = seen.reflectance_TWYX.shape
    check_good(seen.good_W, bands)
    for name, array, expected in (
        ("uncertainty_TWYX", seen.uncertainty_TWYX, shape),
        ("clear_TYX", seen.clear_TYX, (dates, height, width)),
    ):
        if array.shape != expected:
            raise InvalidInputError(
                f"{name} has shape {array.shape}; expected {expected} for reflectance_TWYX of shape {shape}"
            )
    if threads < 1 or dates > MAX_ACQUISITIONS:
        raise InvalidInputError(
            f"threads = {threads}, acquisitions = {dates}; expected 1 or more, and at most {MAX_ACQUISITIONS}"
        )
