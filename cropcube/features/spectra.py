"""Features of EMIT: one spectrum a cell of 60 m, of all that was seen of it in a season."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.cube.layout import SPECTRA_CHUNK_PX, Along, ArraySpec, StoreSpec, largest_divisor, tile_side
from cropcube.domain.emit import EMIT, FWHM_NM, GOOD, RESOLUTION_M, UNBELIEVED, WAVELENGTHS_NM, Seen
from cropcube.domain.feature_spec import LIKE_SENTINEL2
from cropcube.domain.sensor import READ_FAILED, REFLECTANCE_SCALE
from cropcube.kernels import (
    SENTINEL2_TARGETS,
    Acquisitions,
    SpectralBands,
    TargetBands,
    best_view,
    broad_bands,
    continuum_removed,
    gap_fill,
    median_view,
    narrow_indices,
    resample,
    resampling,
    weighted_mean,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.cube.layout import JSON
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.season import Season
    from cropcube.domain.sensor import Sensor

SPECTRUM, UNCERTAINTY, DAY, COUNT, NARROW_INDEX = "spectrum", "uncertainty", "day", "clear_count", "index"
INDEX_NAME, WAVELENGTH = "index_name", "wavelength"
JOINED, JOINED_STEP = "joined", "joined_step"
NO_DAY = -1
VIEW_OF = {"best": best_view, "median": median_view, "mean": weighted_mean}
LONG_NAMES = {
    SPECTRUM: "surface reflectance of the clear acquisitions of the season; NaN = none",
    UNCERTAINTY: "uncertainty of the spectrum (one standard deviation); NaN where it is not known",
    DAY: "days from the season's start of the acquisition that stands for the cell; -1 = none",
    COUNT: "number of clear acquisitions",
    NARROW_INDEX: "indices of narrow bands",
    JOINED: "features of Sentinel-2, mean of the pixels in a cell of 60 m; NaN = none",
}


@lru_cache(maxsize=1)
def emit_bands() -> SpectralBands:
    """Return EMIT's bands."""
    return SpectralBands(np.array(WAVELENGTHS_NM), np.array(FWHM_NM), np.array(GOOD))


def targets_of(spec: FeatureSpec) -> TargetBands | None:
    """Return the bands that spectra are resampled to, None where they keep their own."""
    if not spec.resample:
        return None
    return SENTINEL2_TARGETS if spec.resample == LIKE_SENTINEL2 else broad_bands(int(spec.resample))


def spectra_store_spec(spec: FeatureSpec, season: Season, sensor: Sensor, tile_px: int) -> StoreSpec:
    """Return the layout of a store of spectra; `sensor` is that of what lies beside them.

    Raises
    ------
    InvalidInputError
        If an index is unknown.
    """
    targets, good = targets_of(spec), np.array(GOOD)
    centres = targets.centre_nm if targets else tuple(np.array(WAVELENGTHS_NM)[good].tolist())
    widths = targets.width_nm if targets else tuple(np.array(FWHM_NM)[good].tolist())
    bands = ((WAVELENGTH, len(centres)),)
    arrays = [
        _array(SPECTRUM, bands, "float32", math.nan, tile_px), _array(UNCERTAINTY, bands, "float32", math.nan, tile_px),
        _array(DAY, (), "int16", NO_DAY, tile_px), _array(COUNT, (), "uint16", 0, tile_px),
    ]  # fmt: skip
    if spec.indices:
        narrow_indices(spec.indices, np.zeros((len(GOOD), 1, 1), np.float32), emit_bands())  # refuses unknown ones
        arrays.append(_array(NARROW_INDEX, ((INDEX_NAME, len(spec.indices)),), "float32", math.nan, tile_px))
    along = {
        name: Along(WAVELENGTH, values, {"units": "nm", "long_name": words})
        for name, values, words in (
            (WAVELENGTH, centres, "band centre"), ("wavelength_nm", centres, "band centre"),
            ("fwhm_nm", widths, "full width at half maximum"),
        )
    }  # fmt: skip
    labels = {INDEX_NAME: spec.indices} if spec.indices else {}
    if spec.join:
        labels[JOINED_STEP] = spec.joined_steps(season, sensor)
        arrays.append(_array(JOINED, ((JOINED_STEP, len(labels[JOINED_STEP])),), "float32", math.nan, tile_px))
    return StoreSpec("features", tuple(arrays), labels, {"season": str(season), "sensor": EMIT.name}, along)


def _array(name: str, leading: tuple[tuple[str, int], ...], dtype: str, fill: float, tile_px: int) -> ArraySpec:
    side = tile_side(tile_px, RESOLUTION_M)
    inner = largest_divisor(side, SPECTRA_CHUNK_PX) if leading else side
    lengths = tuple(length for _, length in leading)
    attrs: dict[str, JSON] = {"long_name": LONG_NAMES[name], "units": "1"}
    return ArraySpec(
        name, RESOLUTION_M, leading, dtype, fill, (*lengths, inner, inner), (*lengths, side, side), attrs
    )  # fmt: skip


def is_clear(quality: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where an observation is to be believed: no cloud, cirrus, their surroundings, or the station itself."""
    return np.asarray(((quality & (Seen.OBSERVED | UNBELIEVED)) == Seen.OBSERVED) & (quality != READ_FAILED))


def reduce_spectra(
    spec: FeatureSpec, seen: dict[str, NDArray[Any]], days: NDArray[np.int32], threads: int = 1
) -> dict[str, NDArray[Any]]:
    """Return the features of some cells.

    Parameters
    ----------
    spec
        Of kind `emit`.
    seen
        `reflectance` and `uncertainty` (day, wavelength, y, x) float32 and `quality` (day, y, x), as in the cube.
    days
        Days since the season's start, (day,).
    threads
        Thread budget; the numbers do not depend on it.

    Returns
    -------
    arrays
        By name: `spectrum` and `uncertainty` (wavelength, y, x) float32, `day` (y, x) int16, `clear_count` (y, x)
        uint16 and, if asked for, `index` (index_name, y, x) float32. A band that the detectors did not see is
        interpolated between its neighbours; its uncertainty is not known.
    """
    bands = emit_bands()
    clear = is_clear(seen["quality"])
    made = VIEW_OF[spec.view](Acquisitions(seen["reflectance"], seen["uncertainty"], clear, bands.good_W), threads)
    spectrum = bridged(made.spectrum_WYX, bands)
    found: dict[str, NDArray[Any]] = {
        DAY: np.where(made.acquisition_YX < 0, NO_DAY, np.append(days, NO_DAY)[made.acquisition_YX]).astype(np.int16),
        COUNT: made.clear_count_YX,
    }
    if spec.indices:
        found[NARROW_INDEX] = narrow_indices(spec.indices, spectrum, bands)
    targets = targets_of(spec)
    if targets is not None:
        broader = resample(spectrum, made.uncertainty_WYX, resampling(bands, targets), threads)
        return found | dict(zip((SPECTRUM, UNCERTAINTY), broader, strict=True))
    uncertainty = made.uncertainty_WYX
    if spec.continuum:
        removed = continuum_removed(spectrum, bands, threads)
        uncertainty = uncertainty * removed / spectrum  # of the spectrum alone, the continuum counts as exact
        spectrum = removed
    return found | {SPECTRUM: spectrum[bands.good_W], UNCERTAINTY: uncertainty[bands.good_W].astype(np.float32)}


def bridged(spectrum_WYX: NDArray[np.float32], bands: SpectralBands) -> NDArray[np.float32]:
    """Return spectra with single missing bands interpolated between the nearest good ones that have a value.

    Those at the ends take the value of the nearest. Spectra without half of their bands stay as they are.
    """
    good = np.flatnonzero(bands.good_W)
    values = spectrum_WYX[good]
    there = np.isfinite(values)
    count = there.sum(axis=0)
    wanted = (count < len(good)) & (2 * count >= len(good))
    if not wanted.any():
        return spectrum_WYX
    nm = bands.centre_nm_W[good]
    for row, col in np.argwhere(wanted):
        known = there[:, row, col]
        values[~known, row, col] = np.interp(nm[~known], nm[known], values[known, row, col])
    made = spectrum_WYX.copy()
    made[good] = values
    return made


def means_of_cells(values_SBYX: NDArray[np.uint16], factor: int) -> NDArray[np.float32]:
    """Return reflectance of cells of `factor` x `factor` pixels, (steps, bands, y, x): means of those with a value.

    Steps without any are filled linearly in time, ends held; a cell that never has one is NaN.
    """
    steps, bands, height, width = values_SBYX.shape
    blocks = values_SBYX.reshape(steps, bands, height // factor, factor, width // factor, factor)
    count = np.count_nonzero(blocks, axis=(3, 5))
    total = blocks.sum(axis=(3, 5), dtype=np.uint32)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (total / count * REFLECTANCE_SCALE).astype(np.float32)
    there = count > 0
    filled: NDArray[np.float32] = gap_fill(np.where(there, means, np.float32(0)), there)
    filled[:, ~there.any(axis=0)] = np.nan
    return filled
