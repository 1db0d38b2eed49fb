"""Spectral indices: a table of formulas on surface reflectance (0 to 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.feature_spec import STATISTICS
from cropcube.errors import InvalidInputError
from cropcube.kernels import _native, cuda
from cropcube.kernels.arguments import check_array, in_native_order
from cropcube.kernels.device import device_of, on_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cropcube.kernels.device import Device


@dataclass(frozen=True)
class Index:
    """One spectral index: a quotient of sums of reflectances."""

    name: str
    bands: tuple[str, ...]
    formula: str
    source: str
    above: tuple[float, ...]
    "What each band is multiplied by above the line, and a constant."
    below: tuple[float, ...]
    "The same below it."


def _contrast(name: str, one: str, other: str, source: str) -> Index:
    formula = f"({one} - {other}) / ({one} + {other})"
    return Index(name, (one, other), formula, source, (1, -1, 0), (1, 1, 0))


INDICES: Mapping[str, Index] = {
    index.name: index
    for index in (
        _contrast("NDVI", "B08", "B04", "Rouse et al. 1974, NASA SP-351"),
        Index("GCVI", ("B08", "B03"), "B08 / B03 - 1", "Gitelson et al. 2003, GRL 30(5) 1248", (1, -1, 0), (0, 1, 0)),
        _contrast("NDWI", "B03", "B08", "McFeeters 1996, IJRS 17(7)"),
        Index(
            "EVI", ("B08", "B04", "B02"), "2.5 (B08 - B04) / (B08 + 6 B04 - 7.5 B02 + 1)",
            "Huete et al. 2002, RSE 83(1-2)", (2.5, -2.5, 0, 0), (1, 6, -7.5, 1),
        ),
        Index(
            "SAVI", ("B08", "B04"), "1.5 (B08 - B04) / (B08 + B04 + 0.5)", "Huete 1988, RSE 25(3)",
            (1.5, -1.5, 0), (1, 1, 0.5),
        ),
        _contrast("GNDVI", "B08", "B03", "Gitelson et al. 1996, RSE 58(3)"),
        _contrast("LSWI", "B08", "B11", "Xiao et al. 2004, RSE 89(4)"),
        _contrast("MNDWI", "B03", "B11", "Xu 2006, IJRS 27(14)"),
        _contrast("NBR", "B08", "B12", "Key & Benson 2006, RMRS-GTR-164"),
        Index(
            "BSI", ("B11", "B04", "B08", "B02"), "((B11 + B04) - (B08 + B02)) / ((B11 + B04) + (B08 + B02))",
            "Rikimaru et al. 2002, Tropical Ecology 43(1)", (1, 1, -1, -1, 0), (1, 1, 1, 1, 0),
        ),
        Index(
            "PSRI", ("B04", "B02", "B06"), "(B04 - B02) / B06", "Merzlyak et al. 1999, Phys. Plant. 106(1)",
            (1, -1, 0, 0), (0, 0, 1, 0),
        ),
        _contrast("NDRE", "B8A", "B05", "Barnes et al. 2000, 5th ICPA"),
        _contrast("NDTI", "B11", "B12", "van Deventer et al. 1997, PE&RS 63(1)"),
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


MOST_STEPS = 65535


@dataclass(frozen=True)
class Reflectance:
    """What indices are computed from: the bands of one resolution, of NumPy or CuPy."""

    values_SBYX: Any
    "uint16 in units of 1e-4."
    bands: tuple[str, ...]
    "Labels."
    seen_SYX: Any = None
    "bool, what counts; where it is left out, what is not 0."


def spectral_indices(names: Sequence[str], of: Sequence[Reflectance], threads: int = 1) -> NDArray[np.float32]:
    """Return indices of every step, at the coarsest of the resolutions given.

    Bands of finer resolutions are averaged over the pixels of a coarse one that count. float32, the same for any number
    of threads, any instruction set and on a device; the global interpreter lock is released.

    Parameters
    ----------
    names
        Such as `NDVI`.
    of
        One entry for each resolution. Rows and columns are whole multiples of the coarsest's.
    threads
        Threads to share the rows among: the caller's budget.

    Returns
    -------
    index_SIYX
        float32; NaN where a band is missing or the denominator is 0. Of CuPy where the reflectance is.

    Raises
    ------
    InvalidInputError
        If an index is unknown, a band is not given, or a type or shape does not fit.
    """
    asked = _Asked.of(names, of, threads)
    steps, (height, width) = asked.steps, asked.shape
    found_SIYX: NDArray[np.float32]
    if asked.device is not None:
        found_SIYX = cuda.spectral_index(asked.device, *asked.terms, asked.sources, (steps, height, width), None)
        return found_SIYX
    found_SIYX = np.empty((steps, len(names), height, width), np.float32)
    _native.spectral_index(asked.sources, *asked.terms, found_SIYX, threads, "")
    return found_SIYX


def index_statistics(
    names: Sequence[str], of: Sequence[Reflectance], days_S: NDArray[Any], threads: int = 1
) -> NDArray[np.float32]:
    """Return statistics of indices over all steps that have a value, at the coarsest of the resolutions given.

    In float32, mean and deviations by Welford's sums (1962, Technometrics 4(3)), whose error is of a few roundings of
    the largest value. The same for any number of threads, any instruction set and on a device.

    Parameters
    ----------
    names, of, threads
        See `spectral_indices`.
    days_S
        Day of each step, finite, in any order.

    Returns
    -------
    statistic_KIYX
        float32, as `STATISTICS` names them: mean, standard deviation (of the population), least, largest, their
        difference, and the first day of the largest. NaN where no step has a value.

    Raises
    ------
    InvalidInputError
        If an index is unknown, a band is not given, or a type, shape or day does not fit.
    """
    asked = _Asked.of(names, of, threads)
    steps, (height, width) = asked.steps, asked.shape
    check_array("days_S", days_S, "integer floating", 1)
    days_S = on_host(days_S)
    if days_S.shape != (steps,) or not np.isfinite(days_S).all():
        raise InvalidInputError(f"days_S has shape {days_S.shape}; expected ({steps},) finite days, one for each step")
    in_time = np.argsort(days_S, kind="stable").astype(np.int32), days_S.astype(np.float32)
    found_KIYX: NDArray[np.float32]
    if asked.device is not None:
        found_KIYX = cuda.spectral_index(asked.device, *asked.terms, asked.sources, (steps, height, width), in_time)
        return found_KIYX
    found_KIYX = np.empty((len(STATISTICS), len(names), height, width), np.float32)
    _native.index_statistics(asked.sources, *asked.terms, *in_time, found_KIYX, threads, "")
    return found_KIYX


@dataclass(frozen=True)
class _Asked:
    """Arguments of both functions, as the kernels take them."""

    device: Device | None
    sources: list[tuple[Any, Any]]
    terms: tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]
    "Of each term its source and band, and its weights; where each index's begin; each index's constants."
    steps: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, names: Sequence[str], of: Sequence[Reflectance], threads: int) -> _Asked:
        """Check the arguments; see `spectral_indices`."""
        indices = [find_index(name) for name in names]
        if not indices or not of or threads < 1:
            raise InvalidInputError(
                f"{len(indices)} indices of {len(of)} resolutions on {threads} threads; expected at least one of each"
            )
        place = {band: (n, part.bands.index(band)) for n, part in enumerate(of) for band in part.bands}
        for index in indices:
            missing = [band for band in index.bands if band not in place]
            if missing:
                raise InvalidInputError(
                    f"index {index.name} = {index.formula} needs {' '.join(missing)}, which is not there"
                )
        steps, shape = _check_shapes(of)
        bands = [(index, n) for index in indices for n in range(len(index.bands))]
        terms = (
            np.array([place[index.bands[n]] for index, n in bands], np.int32),
            np.array([(index.above[n], index.below[n]) for index, n in bands], np.float32),
            np.cumsum([0, *(len(index.bands) for index in indices)]).astype(np.int32),
            np.array([(index.above[-1], index.below[-1]) for index in indices], np.float32),
        )
        arrays = [array for part in of for array in (part.values_SBYX, part.seen_SYX) if array is not None]
        device = device_of(*arrays)

        def in_order(array: Any) -> Any:
            if array is None:
                return None
            return in_native_order(array) if device is None else device.in_order(array, array.dtype)

        return cls(device, [(in_order(p.values_SBYX), in_order(p.seen_SYX)) for p in of], terms, steps, shape)


def _check_shapes(of: Sequence[Reflectance]) -> tuple[int, tuple[int, int]]:
    """Refuse reflectances that do not belong together; return their steps and the shape of the coarsest."""
    for part in of:
        check_array("values_SBYX", part.values_SBYX, "uint16", 4)
        steps, bands, height, width = part.values_SBYX.shape
        if bands != len(part.bands):
            raise InvalidInputError(f"values_SBYX has shape {part.values_SBYX.shape}; expected {len(part.bands)} bands")
        if part.seen_SYX is not None:
            check_array("seen_SYX", part.seen_SYX, "bool", 3)
            if part.seen_SYX.shape != (steps, height, width):
                raise InvalidInputError(
                    f"seen_SYX has shape {part.seen_SYX.shape}; expected {(steps, height, width)} "
                    f"for values_SBYX of shape {part.values_SBYX.shape}"
                )
    shapes = [part.values_SBYX.shape for part in of]
    steps, (height, width) = shapes[0][0], min(shape[2:] for shape in shapes)
    for shape in shapes:
        factor = shape[2] // height if height else shape[3] // width if width else 1
        if shape[0] != steps or shape[2:] != (height * factor, width * factor):
            raise InvalidInputError(
                f"values_SBYX have the shapes {', '.join(map(str, shapes))}; expected as many steps, and rows and "
                "columns that are multiples of the coarsest's"
            )
    if steps > MOST_STEPS:
        raise InvalidInputError(f"values_SBYX has {steps} steps; expected at most {MOST_STEPS}")
    return steps, (height, width)
