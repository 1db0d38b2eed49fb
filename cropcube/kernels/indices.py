"""Spectral indices: a table of formulas on surface reflectance (0 to 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Index:
    """One spectral index."""

    name: str
    bands: tuple[str, ...]
    "Bands it takes, in the order of `terms`."
    formula: str
    source: str
    terms: Callable[..., tuple[Any, Any]]
    "Reflectances to numerator and denominator."


def _contrast(a: Any, b: Any) -> tuple[Any, Any]:
    return a - b, a + b


def _evi(nir: Any, red: Any, blue: Any) -> tuple[Any, Any]:
    return 2.5 * (nir - red), nir + 6.0 * red - 7.5 * blue + 1.0


def _savi(nir: Any, red: Any) -> tuple[Any, Any]:
    return 1.5 * (nir - red), nir + red + 0.5


def _gcvi(nir: Any, green: Any) -> tuple[Any, Any]:
    return nir - green, green


def _psri(red: Any, blue: Any, red_edge: Any) -> tuple[Any, Any]:
    return red - blue, red_edge


def _bsi(swir: Any, red: Any, nir: Any, blue: Any) -> tuple[Any, Any]:
    return (swir + red) - (nir + blue), (swir + red) + (nir + blue)


INDICES: Mapping[str, Index] = {
    index.name: index
    for index in (
        Index("NDVI", ("B08", "B04"), "(B08 - B04) / (B08 + B04)", "Rouse et al. 1974, NASA SP-351", _contrast),
        Index("GCVI", ("B08", "B03"), "B08 / B03 - 1", "Gitelson et al. 2003, GRL 30(5) 1248", _gcvi),
        Index("NDWI", ("B03", "B08"), "(B03 - B08) / (B03 + B08)", "McFeeters 1996, IJRS 17(7)", _contrast),
        Index(
            "EVI", ("B08", "B04", "B02"), "2.5 (B08 - B04) / (B08 + 6 B04 - 7.5 B02 + 1)",
            "Huete et al. 2002, RSE 83(1-2)", _evi,
        ),
        Index("SAVI", ("B08", "B04"), "1.5 (B08 - B04) / (B08 + B04 + 0.5)", "Huete 1988, RSE 25(3)", _savi),
        Index("GNDVI", ("B08", "B03"), "(B08 - B03) / (B08 + B03)", "Gitelson et al. 1996, RSE 58(3)", _contrast),
        Index("LSWI", ("B08", "B11"), "(B08 - B11) / (B08 + B11)", "Xiao et al. 2004, RSE 89(4)", _contrast),
        Index("MNDWI", ("B03", "B11"), "(B03 - B11) / (B03 + B11)", "Xu 2006, IJRS 27(14)", _contrast),
        Index("NBR", ("B08", "B12"), "(B08 - B12) / (B08 + B12)", "Key & Benson 2006, RMRS-GTR-164", _contrast),
        Index(
            "BSI", ("B11", "B04", "B08", "B02"), "((B11 + B04) - (B08 + B02)) / ((B11 + B04) + (B08 + B02))",
            "Rikimaru et al. 2002, Tropical Ecology 43(1)", _bsi,
        ),
        Index("PSRI", ("B04", "B02", "B06"), "(B04 - B02) / B06", "Merzlyak et al. 1999, Phys. Plant. 106(1)", _psri),
        Index("NDRE", ("B8A", "B05"), "(B8A - B05) / (B8A + B05)", "Barnes et al. 2000, 5th ICPA", _contrast),
        Index("NDTI", ("B11", "B12"), "(B11 - B12) / (B11 + B12)", "van Deventer et al. 1997, PE&RS 63(1)", _contrast),
    )
}  # fmt: skip
"""By name. Bands are Sentinel-2's."""


def find_index(name: str) -> Index:
    """Return an index by its name, in any case.

    Raises
    ------
    InvalidInputError
        If there is none of that name.
    """
    try:
        return INDICES[name.upper()]
    except KeyError:
        raise InvalidInputError(f"unknown index {name!r}", f"Known: {' '.join(INDICES)}") from None


def spectral_index(name: str, reflectance: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return one index.

    Parameters
    ----------
    name
        Such as `NDVI`.
    reflectance
        Surface reflectance (0 to 1, not the stored integers) by band label, all of one shape; NaN = missing.

    Returns
    -------
    NDArray[np.float32]
        NaN where a band is missing or the denominator is 0.

    Raises
    ------
    InvalidInputError
        If the index is unknown, a band is not given, or shapes differ.
    """
    index = find_index(name)
    missing = [band for band in index.bands if band not in reflectance]
    if missing:
        raise InvalidInputError(f"index {index.name} = {index.formula} needs {' '.join(missing)}, which is not there")
    bands = [np.asarray(reflectance[band], np.float32) for band in index.bands]
    if len({band.shape for band in bands}) > 1:
        shapes = ", ".join(f"{name} {band.shape}" for name, band in zip(index.bands, bands, strict=True))
        raise InvalidInputError(f"bands of index {index.name} differ in shape: {shapes}")
    above, below = index.terms(*bands)
    result = np.full(above.shape, np.nan, np.float32)
    np.divide(above, below, out=result, where=below != 0)
    return result
