"""Bands of spectrometers, and broader bands made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.emit import WATER_VAPOUR_NM
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError
from cropcube.kernels import _native
from cropcube.kernels.arguments import check_good, check_host, in_native_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_SHARE = 0.5
"""Of a target's response that bands with values must hold."""
_NEGLIGIBLE = 1e-4
_WIDTH_OF_SIGMA = math.sqrt(8 * math.log(2))


@dataclass(frozen=True)
class SpectralBands:
    """The bands that a spectrum is measured in, as the product states them."""

    centre_nm_W: NDArray[np.float64]
    "Wavelengths of the centres, ascending."
    fwhm_nm_W: NDArray[np.float64]
    "Full widths at half maximum of responses like Gauss's curve."
    good_W: NDArray[np.bool_]
    "Bands that count."

    def __post_init__(self) -> None:
        """Refuse what is no list of bands.

        Raises
        ------
        InvalidInputError
            If a type or length does not fit, wavelengths do not ascend, a width is not above 0 or no band counts.
        """
        check_host("centre_nm_W", self.centre_nm_W, "floating", 1)
        check_host("fwhm_nm_W", self.fwhm_nm_W, "floating", 1)
        bands = len(self.centre_nm_W)
        check_good(self.good_W, bands)
        if not np.isfinite(self.centre_nm_W).all() or not (np.diff(self.centre_nm_W) > 0).all():
            raise InvalidInputError(f"centre_nm_W of {bands} bands does not ascend", "Sort the bands by wavelength.")
        if self.fwhm_nm_W.shape != (bands,) or not (self.fwhm_nm_W > 0).all():
            raise InvalidInputError(f"fwhm_nm_W = {self.fwhm_nm_W}; expected {bands} widths above 0")


@dataclass(frozen=True)
class TargetBands:
    """Bands to be made."""

    names: tuple[str, ...]
    centre_nm: tuple[float, ...]
    width_nm: tuple[float, ...]
    "Full widths at half maximum."


_SENTINEL2_WIDTH_NM = {
    "B02": 66, "B03": 36, "B04": 31, "B05": 15, "B06": 15, "B07": 20, "B08": 106, "B8A": 21, "B11": 91, "B12": 175,
}  # fmt: skip
SENTINEL2_TARGETS = TargetBands(
    tuple(band.name for band in SENTINEL2.bands),
    tuple(band.wavelength_nm for band in SENTINEL2.bands),
    tuple(float(_SENTINEL2_WIDTH_NM[band.name]) for band in SENTINEL2.bands),
)
"""Sentinel-2A's centres and bandwidths (ESA, Sentinel-2 MSI user guide, spectral resolution). The true responses are no
Gaussian curves but flatter on top and steeper, and Sentinel-2B's differ by a few nm. What is made with these is like
Sentinel-2, not a simulation of it; that needs ESA's measured responses (COPE-GSEG-EOPG-TN-15-0007)."""


def broad_bands(count: int, from_nm: float = 400.0, to_nm: float = 2450.0) -> TargetBands:
    """Return so many bands of one width side by side outside the water vapour windows.

    The width is the largest with which as many fit the pieces between the windows; in each piece they are put in the
    middle, so that less than a width is left over at its ends. With fewer than four a short piece may get none.

    Parameters
    ----------
    count
        Number of bands.
    from_nm, to_nm
        Wavelengths that they lie between.

    Raises
    ------
    InvalidInputError
        If there is nothing to make, or nothing to make it of.
    """
    edges = [from_nm, *(min(max(edge, from_nm), to_nm) for window in WATER_VAPOUR_NM for edge in window), to_nm]
    pieces = [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if high > low]
    if count < 1 or not pieces:
        raise InvalidInputError(
            f"{count} bands between {from_nm:g} and {to_nm:g} nm; expected one or more, in wavelengths that ascend"
        )
    widths = sorted(((high - low) / n for low, high in pieces for n in range(1, count + 1)), reverse=True)
    width = widths[count - 1]
    centres: list[float] = []
    for low, high in pieces:
        fit = math.floor((high - low) / width * (1 + 1e-12))
        first = (low + high - width * (fit - 1)) / 2
        centres += [first + n * width for n in range(fit)]
    centres = centres[:count]  # two pieces that take one more at the same width would give one too many
    return TargetBands(tuple(f"w{round(centre):04d}" for centre in centres), tuple(centres), (width,) * count)


@dataclass(frozen=True)
class Resampling:
    """How targets are made of bands; see `resampling`."""

    targets: TargetBands
    weight_NW: NDArray[np.float64]
    "Weights; 0 in bands that do not count. The sum of a row is the share of its response that the good bands hold."
    span_N2: NDArray[np.int32]
    "First band with weight, and the one after the last."


def resampling(bands: SpectralBands, targets: TargetBands) -> Resampling:
    """Return the weights of bands in targets, so that these respond like Gauss's curve of their centre and width.

    A band is itself a Gaussian of its own width f, and a sum of bands with Gaussian weights responds as the convolution
    of both. Weights of width sqrt(w**2 - f**2), at least the distance of bands, therefore give a response of width w
    (variances of convolved curves add). Each is multiplied by the distance of bands and divided by the curve's whole
    integral; weights under 1e-4 of the highest are left out.

    Raises
    ------
    InvalidInputError
        If the lengths of the targets differ, one is narrower than the bands, or the good bands hold less than half of
        its response.
    """
    if not targets.names or not len(targets.names) == len(targets.centre_nm) == len(targets.width_nm):
        raise InvalidInputError(
            f"targets have {len(targets.names)} names, {len(targets.centre_nm)} centres and {len(targets.width_nm)} "
            "widths; expected as many of each, and one at least"
        )
    each = zip(targets.names, targets.centre_nm, targets.width_nm, strict=True)
    weight_NW = np.stack([_weights(bands, *target) for target in each])
    some_NW = weight_NW > 0
    first, last = some_NW.argmax(axis=1), some_NW.shape[1] - some_NW[:, ::-1].argmax(axis=1)
    return Resampling(targets, weight_NW, np.stack([first, last], axis=1).astype(np.int32))


def _weights(bands: SpectralBands, name: str, centre: float, width: float) -> NDArray[np.float64]:
    """Return the weights of bands in one target; see `resampling`."""
    centre_W = np.asarray(bands.centre_nm_W, np.float64)
    apart_W = np.gradient(centre_W) if len(centre_W) > 1 else np.asarray(bands.fwhm_nm_W, np.float64)
    nearest = np.abs(centre_W - centre).argmin()
    fwhm, apart = float(bands.fwhm_nm_W[nearest]), float(apart_W[nearest])
    if not width >= fwhm:
        raise InvalidInputError(f"{name} at {centre:g} nm is {width:g} nm wide; the bands there are {fwhm:.1f} nm")
    sigma = math.sqrt(max(width**2 - fwhm**2, apart**2)) / _WIDTH_OF_SIGMA
    curve_W = np.exp(-0.5 * ((centre_W - centre) / sigma) ** 2)
    curve_W[(curve_W < _NEGLIGIBLE) | ~bands.good_W] = 0
    weight_W: NDArray[np.float64] = curve_W * apart_W / (sigma * math.sqrt(2 * math.pi))
    share = float(weight_W.sum())
    if share < LEAST_SHARE:
        raise InvalidInputError(
            f"{name} at {centre:g} nm, {width:g} nm wide: good bands hold {100 * share:.0f} % of its response; "
            f"expected {100 * LEAST_SHARE:.0f} % or more",
            "Leave it out, or ask for bands outside the water vapour windows.",
        )
    return weight_W


def resample(
    spectrum_WYX: NDArray[np.float32], uncertainty_WYX: NDArray[np.float32], by: Resampling, threads: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return broader bands and their uncertainty.

    A target is sum(w r) / sum(w) over the bands that have a value, its uncertainty sqrt(sum((w s)**2)) / sum(w): errors
    of bands count as independent. Those of EMIT's reflectance are not (atmosphere and calibration err alike in
    neighbouring bands), so that of a broad band is larger than what this says. Sums are float64; the same bits for any
    number of threads and any instruction set; the global interpreter lock is released.

    Parameters
    ----------
    spectrum_WYX
        float32, reflectance; what is not finite is missing.
    uncertainty_WYX
        float32, standard deviation; not stated where it is not finite or not above 0.
    by
        What `resampling` returns for these bands.
    threads
        Threads to share the cells among: the caller's budget.

    Returns
    -------
    spectrum_NYX, uncertainty_NYX
        float32. NaN where bands with values hold less than half of the target's response; the uncertainty also where
        one of these bands does not state its own.

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit.
    """
    check_host("spectrum_WYX", spectrum_WYX, "float32", 3)
    check_host("uncertainty_WYX", uncertainty_WYX, "float32", 3)
    bands = by.weight_NW.shape[1]
    if uncertainty_WYX.shape != spectrum_WYX.shape or len(spectrum_WYX) != bands or threads < 1:
        raise InvalidInputError(
            f"spectrum_WYX has shape {spectrum_WYX.shape}, uncertainty_WYX {uncertainty_WYX.shape}, threads = "
            f"{threads}; expected the same shape, {bands} bands, and one thread or more"
        )
    return _resample(in_native_order(spectrum_WYX), in_native_order(uncertainty_WYX), by, threads)


def _resample(
    spectrum_WYX: NDArray[np.float32], uncertainty_WYX: NDArray[np.float32], by: Resampling, threads: int,
    variant: str = "",
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    """Resample arrays that were checked."""
    found_NYX = np.empty((len(by.weight_NW), *spectrum_WYX.shape[1:]), np.float32)
    spread_NYX = np.empty_like(found_NYX)
    _native.resample_bands(
        spectrum_WYX, uncertainty_WYX, by.weight_NW, by.span_N2, LEAST_SHARE, found_NYX, spread_NYX, threads, variant
    )
    return found_NYX, spread_NYX
