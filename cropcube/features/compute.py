"""Features of one tile from its observations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.sensor import REFLECTANCE_SCALE
from cropcube.errors import InvalidInputError
from cropcube.features.on_device import reduce_on_device
from cropcube.kernels import clear_pixels, harmonic_fit, spectral_index, window_median
from cropcube.kernels.device import CPU, worker_device
from cropcube.kernels.indices import find_index

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.season import Season
    from cropcube.observations.tile import TileObservations

MEDIAN, COEFFICIENT, RMSE, CLEAR_COUNT, INDEX = "median", "coefficient", "rmse", "clear_count", "index"
REVISION = 3
"""Of everything that turns observations into features: raise it when the same observations would give others."""


def compute(
    spec: FeatureSpec, observations: TileObservations, season: Season, threads: int = 1
) -> dict[int, dict[str, NDArray[Any]]]:
    """Return the features of one tile, by resolution in metres and name.

    Parameters
    ----------
    spec
        What to compute.
    observations
        Of the tile, with a halo of the quality of at least `spec.dilate_m` where there is any.
    season
        Gives day 0 and the number of windows.
    threads
        Thread budget of the kernels.

    Returns
    -------
    dict
        Medians: `median` (window, band, y, x) uint16, `clear_count` (window, y, x) uint16 and, if asked for, `index`
        (window, index_name, y, x) float32. Harmonics: `coefficient` (term, band, y, x) float32, `rmse` (band, y, x)
        float32, `clear_count` (y, x) uint16.

    Raises
    ------
    InvalidInputError
        If an index needs a band that is not there.
    """
    reduced = {m: reduce_time(spec, observations, m, season, threads) for m in observations.reflectance}
    indices = compute_indices(spec, observations.bands, {m: arrays.get(MEDIAN) for m, arrays in reduced.items()})
    return {m: {**arrays, **({INDEX: indices[m]} if m in indices else {})} for m, arrays in reduced.items()}


def reduce_time(
    spec: FeatureSpec,
    observations: TileObservations,
    resolution_m: int,
    season: Season,
    threads: int = 1,
    device: str = CPU,
) -> dict[str, NDArray[Any]]:
    """Return the features of all bands of one resolution, indices excepted; see `compute`.

    Reduced on a GPU if `device` says so (see `kernels.device.worker_device`); the bytes are the same.
    """
    reflectance_TBYX = observations.reflectance[resolution_m]
    clear_TYX = clear_observations(spec, observations, resolution_m, threads)
    names = (COEFFICIENT, RMSE, CLEAR_COUNT) if spec.kind == "harmonic" else (MEDIAN, CLEAR_COUNT)

    def kernel(reflectance_TBYX: Any, clear_TYX: Any) -> tuple[Any, ...]:
        if spec.kind == "harmonic":
            return harmonic_fit(reflectance_TBYX, clear_TYX, observations.days, spec.order, spec.ridge, threads)
        step = spec.window_days if spec.kind == "median" else season.days
        window_T = (observations.days // step).astype(np.int32)
        return window_median(reflectance_TBYX, clear_TYX, window_T, spec.windows(season), threads)

    gpu = worker_device(device)
    if gpu is None:
        return dict(zip(names, kernel(reflectance_TBYX, clear_TYX), strict=True))
    return dict(zip(names, reduce_on_device(gpu, kernel, reflectance_TBYX, clear_TYX, threads), strict=True))


def clear_observations(
    spec: FeatureSpec, observations: TileObservations, resolution_m: int, threads: int = 1
) -> NDArray[np.bool_]:
    """Return where the tile is clear on each day, (day, y, x) at one resolution.

    A pixel is clear if the class of the quality pixel it lies in is kept and no such pixel with another class lies
    within `spec.dilate_m` (see `kernels.clear_mask`), and no band of its own resolution is zero.
    """
    box = observations.quality_box
    tile_box = observations.tile.box(box.resolution_m)
    if tile_box.intersection(box) != tile_box:
        raise InvalidInputError(f"the quality of tile {observations.tile.name} does not cover it: {box}")
    dilate_px = -(-spec.dilate_m // box.resolution_m)
    repeats, reflectance_TBYX = box.resolution_m // resolution_m, observations.reflectance[resolution_m]
    part = tile_box.slices_in(box)
    return clear_pixels(observations.quality, spec.classes, dilate_px, part, repeats, reflectance_TBYX, threads)


def index_resolutions(spec: FeatureSpec, bands: Mapping[int, tuple[str, ...]]) -> dict[int, tuple[str, ...]]:
    """Return the indices that live at each resolution: the coarsest of the bands each one takes.

    Parameters
    ----------
    spec
        Names the indices.
    bands
        Band labels by resolution in metres.

    Raises
    ------
    InvalidInputError
        If an index is unknown or needs a band that is not there.
    """
    resolution_of = {name: m for m, names in bands.items() for name in names}
    found: dict[int, tuple[str, ...]] = {}
    for name in spec.indices:
        index = find_index(name)
        missing = [band for band in index.bands if band not in resolution_of]
        if missing:
            raise InvalidInputError(
                f"index {index.name} = {index.formula} needs {' '.join(missing)}, which the cube does not hold",
                f"It holds: {' '.join(sorted(resolution_of))}. Leave the index out, or build with these bands.",
            )
        coarsest_m = max(resolution_of[band] for band in index.bands)
        found[coarsest_m] = (*found.get(coarsest_m, ()), index.name)
    return found


def compute_indices(
    spec: FeatureSpec, bands: Mapping[int, tuple[str, ...]], medians: Mapping[int, NDArray[np.uint16] | None]
) -> dict[int, NDArray[np.float32]]:
    """Return the indices of the medians, (window, index, y, x) by resolution in metres.

    An index that mixes resolutions is at the coarsest of its bands: finer medians are averaged over the pixels of a
    coarse one that have a value. NaN where a median is missing.
    """
    made = {}
    for resolution_m, names in index_resolutions(spec, bands).items():
        layers = []
        for name in names:
            wanted = find_index(name).bands
            layers.append(spectral_index(name, {b: _band_at(b, resolution_m, bands, medians) for b in wanted}))
        made[resolution_m] = np.stack(layers, axis=1)
    return made


def _band_at(
    band: str, resolution_m: int, bands: Mapping[int, tuple[str, ...]], medians: Mapping[int, NDArray[np.uint16] | None]
) -> NDArray[np.float32]:
    """Return the reflectance (window, y, x) of one band at its own or a coarser resolution; NaN = missing."""
    own_m = next(m for m, names in bands.items() if band in names)
    median_WBYX = medians[own_m]
    if median_WBYX is None:
        raise InvalidInputError(f"there is no median of {band} to compute an index from")
    values_WYX = median_WBYX[:, bands[own_m].index(band)]
    return average_seen(values_WYX, resolution_m // own_m)


def average_seen(values_WYX: NDArray[np.uint16], factor: int) -> NDArray[np.float32]:
    """Return reflectance (0 to 1), averaged over the pixels with a value in squares of `factor`; NaN where none has.

    Parameters
    ----------
    values_WYX
        uint16 in units of 1e-4, 0 = missing.
    factor
        Divides rows and columns.
    """
    offsets = [(dy, dx) for dy in range(factor) for dx in range(factor)]
    parts = [values_WYX[:, dy::factor, dx::factor] for dy, dx in offsets]
    total = np.zeros(parts[0].shape, np.float32)
    seen = np.zeros(parts[0].shape, np.float32)
    for part in parts:
        total += part
        seen += part != 0
    result = np.full(total.shape, np.nan, np.float32)
    np.divide(total * np.float32(REFLECTANCE_SCALE), seen, out=result, where=seen > 0)
    return result
