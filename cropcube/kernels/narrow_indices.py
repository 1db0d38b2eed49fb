"""Indices of narrow bands: a table of formulas on reflectance (0 to 1) at single wavelengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels.arguments import check_host

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.kernels.spectral_bands import SpectralBands

    Parts = tuple[NDArray[np.float64], NDArray[np.float64], float | NDArray[np.float64]]

NEAR_NM = 10.0
"""How far the band that stands for a wavelength may lie from it."""


@dataclass(frozen=True)
class NarrowIndex:
    """One index of narrow bands: above / below, and something that is added."""

    name: str
    wavelengths_nm: tuple[float, ...]
    "In the order in which `parts` takes them."
    formula: str
    source: str
    parts: Callable[[Any, Any], Parts]
    "Of the reflectances and the wavelengths of the bands that stand for them: above, below (> 0) and what is added."


def _contrast(name: str, one: float, other: float, source: str) -> NarrowIndex:
    def parts(r: Any, _: Any) -> Parts:
        return r[0] - r[1], r[0] + r[1], 0.0

    formula = f"(R{one:g} - R{other:g}) / (R{one:g} + R{other:g})"
    return NarrowIndex(name, (one, other), formula, source, parts)


def _log_contrast(name: str, one: float, other: float, source: str) -> NarrowIndex:
    def parts(r: Any, _: Any) -> Parts:
        a, b = -np.log(r[0]), -np.log(r[1])
        return a - b, a + b, 0.0

    formula = f"(log(1/R{one:g}) - log(1/R{other:g})) / (log(1/R{one:g}) + log(1/R{other:g}))"
    return NarrowIndex(name, (one, other), formula, source, parts)


def _cellulose(r: Any, _: Any) -> Parts:
    return 100 * (0.5 * (r[0] + r[2]) - r[1]), np.ones_like(r[0]), 0.0


def _chlorophyll(r: Any, _: Any) -> Parts:
    return ((r[2] - r[1]) - 0.2 * (r[2] - r[0])) * r[2], r[1], 0.0


def _red_edge(r: Any, nm: Any) -> Parts:
    middle = 0.5 * (r[0] + r[3])
    return (nm[2] - nm[1]) * (middle - r[1]), r[2] - r[1], nm[1]


NARROW_INDICES: Mapping[str, NarrowIndex] = {
    index.name: index
    for index in (
        _contrast("NDRE", 790, 720, "Barnes et al. 2000, 5th ICPA"),
        _log_contrast("NDNI", 1510, 1680, "Serrano et al. 2002, RSE 81(2-3)"),
        _log_contrast("NDLI", 1754, 1680, "Serrano et al. 2002, RSE 81(2-3)"),
        NarrowIndex(
            "CAI", (2000, 2100, 2200), "100 (0.5 (R2000 + R2200) - R2100), in percent of reflectance",
            "Daughtry 2001, Agronomy Journal 93(1)", _cellulose,
        ),
        _contrast("NDWI", 860, 1240, "Gao 1996, RSE 58(3)"),
        _contrast("PRI", 531, 570, "Gamon et al. 1997, Oecologia 112(4)"),
        NarrowIndex(
            "MCARI", (550, 670, 700), "((R700 - R670) - 0.2 (R700 - R550)) R700 / R670",
            "Daughtry et al. 2000, RSE 74(2)", _chlorophyll,
        ),
        NarrowIndex(
            "REP", (670, 700, 740, 780), "700 + 40 ((R670 + R780) / 2 - R700) / (R740 - R700), in nm; 700 and 740 are "
            "the wavelengths of the bands that stand for them", "Guyot & Baret 1988, ESA SP-287", _red_edge,
        ),
    )
}  # fmt: skip
"""By name."""


def narrow_indices(
    names: Sequence[str], spectrum_WYX: NDArray[np.float32], bands: SpectralBands
) -> NDArray[np.float32]:
    """Return indices of narrow bands, each wavelength being that of the nearest good band.

    Parameters
    ----------
    names
        Of `NARROW_INDICES`, in any case.
    spectrum_WYX
        float32, reflectance as a fraction.
    bands
        What it is measured in.

    Returns
    -------
    index_IYX
        float32, computed in float64. NaN where a band has no value, what is below the line is not above 0, or a
        logarithm is of what is not above 0.

    Raises
    ------
    InvalidInputError
        If an index is unknown, the band nearest to one of its wavelengths is bad or more than 10 nm away, or a type or
        shape does not fit.
    """
    check_host("spectrum_WYX", spectrum_WYX, "float32", 3)
    if len(spectrum_WYX) != len(bands.good_W) or not names:
        raise InvalidInputError(
            f"{len(names)} indices of spectrum_WYX of shape {spectrum_WYX.shape}; expected one or more, of "
            f"{len(bands.good_W)} bands"
        )
    chosen = [bands_of(find_narrow_index(name), bands) for name in names]
    found_IYX = np.empty((len(names), *spectrum_WYX.shape[1:]), np.float32)
    for place, (name, numbers) in enumerate(zip(names, chosen, strict=True)):
        reflectance = spectrum_WYX[list(numbers)].astype(np.float64)
        reflectance[~np.isfinite(reflectance)] = np.nan
        centres = [float(bands.centre_nm_W[number]) for number in numbers]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            above, below, added = find_narrow_index(name).parts(reflectance, centres)
            value = above / np.where(below > 0, below, np.nan) + added
            found_IYX[place] = np.where(np.isfinite(value), value, np.nan)
    return found_IYX


def find_narrow_index(name: str) -> NarrowIndex:
    """Return an index of narrow bands by its name, in any case.

    Raises
    ------
    InvalidInputError
        If there is none of that name.
    """
    try:
        return NARROW_INDICES[name.upper()]
    except KeyError:
        raise InvalidInputError(f"unknown index {name!r}", f"Known: {' '.join(NARROW_INDICES)}") from None


def bands_of(index: NarrowIndex, bands: SpectralBands) -> tuple[int, ...]:
    """Return the places of the bands that stand for the wavelengths of an index.

    Raises
    ------
    InvalidInputError
        If the nearest is bad, or more than 10 nm away.
    """
    found = []
    for wavelength in index.wavelengths_nm:
        number = int(np.abs(bands.centre_nm_W - wavelength).argmin())
        nearest = float(bands.centre_nm_W[number])
        if abs(nearest - wavelength) > NEAR_NM or not bands.good_W[number]:
            what = "which is a bad one" if abs(nearest - wavelength) <= NEAR_NM else f"over {NEAR_NM:g} nm away"
            raise InvalidInputError(
                f"index {index.name} needs {wavelength:g} nm; the nearest band is at {nearest:.1f} nm, {what}",
                f"{index.name} = {index.formula}",
            )
        found.append(number)
    return tuple(found)
