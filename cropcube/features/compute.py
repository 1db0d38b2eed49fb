"""Features of one tile from its observations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.feature_spec import EMIT_KIND, IN_WINDOWS
from cropcube.errors import InvalidInputError
from cropcube.features.on_device import reduce_on_device
from cropcube.features.spectra import SPECTRUM
from cropcube.kernels import (
    Reflectance,
    clear_pixels,
    harmonic_fit,
    index_statistics,
    spectral_indices,
    time_percentiles,
    window_geomedian,
    window_median,
)
from cropcube.kernels.device import CPU, worker_device
from cropcube.kernels.indices import find_index

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.season import Season
    from cropcube.kernels.device import Device
    from cropcube.observations.tile import TileObservations

MEDIAN, GEOMEDIAN, PERCENTILE, STATISTIC = "median", "geomedian", "percentile", "statistic"
COEFFICIENT, RMSE, CLEAR_COUNT, INDEX = "coefficient", "rmse", "clear_count", "index"
ARRAY_OF = {
    "median": MEDIAN,
    "annual-median": MEDIAN,
    "geomedian": GEOMEDIAN,
    "percentiles": PERCENTILE,
    "statistics": STATISTIC,
    "harmonic": COEFFICIENT,
    EMIT_KIND: SPECTRUM,
}
"""The array that a classifier reads, by the features' kind."""
REVISION = 5
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
        Medians of either kind: `median` or `geomedian` (window, band, y, x) uint16, `clear_count` (window, y, x) uint16
        and, if asked for, `index` (window, index_name, y, x) float32. Others have `clear_count` (y, x) uint16 and,
        percentiles: `percentile` (percent, band, y, x) uint16; statistics: `statistic` (statistic_name, index_name, y,
        x) float32; harmonics: `coefficient` (term, band, y, x) and `rmse` (band, y, x), float32.

    Raises
    ------
    InvalidInputError
        If an index needs a band that is not there.
    """
    resolutions_m = resolutions_of(spec, observations.bands)
    reduced = {m: reduce_time(spec, observations, m, season, threads) for m in resolutions_m}
    composites = {m: arrays.get(ARRAY_OF[spec.kind]) for m, arrays in reduced.items()}
    indices = compute_indices(spec, observations.bands, composites, threads)
    return {m: {**arrays, **({INDEX: indices[m]} if m in indices else {})} for m, arrays in reduced.items()}


def reduce_time(
    spec: FeatureSpec,
    observations: TileObservations,
    resolution_m: int,
    season: Season,
    threads: int = 1,
    device: str = CPU,
) -> dict[str, NDArray[Any]]:
    """Return the features of one resolution, indices of medians excepted; see `compute`.

    Statistics take the observations of all resolutions that `resolutions_read` names. Reduced on a GPU if `device` says
    so (see `kernels.device.worker_device`); the bytes are the same.
    """
    gpu = worker_device(device)
    if spec.kind == "statistics":
        return _reduce_to_statistics(spec, observations, resolution_m, threads, gpu)
    reflectance_TBYX = observations.reflectance[resolution_m]
    clear_TYX = clear_observations(spec, observations, resolution_m, threads)
    names = (COEFFICIENT, RMSE, CLEAR_COUNT) if spec.kind == "harmonic" else (ARRAY_OF[spec.kind], CLEAR_COUNT)
    days = observations.days

    def kernel(reflectance_TBYX: Any, clear_TYX: Any) -> tuple[Any, ...]:
        """Reduce rows that lie anywhere."""
        if spec.kind == "harmonic":
            return harmonic_fit(reflectance_TBYX, clear_TYX, days, spec.order, spec.ridge, threads)
        if spec.kind == "percentiles":
            return time_percentiles(reflectance_TBYX, clear_TYX, spec.percentiles, threads)
        window_T = (days // (spec.window_days if spec.kind in IN_WINDOWS else season.days)).astype(np.int32)
        middle = window_geomedian if spec.kind == "geomedian" else window_median
        return middle(reflectance_TBYX, clear_TYX, window_T, spec.windows(season), threads)

    series = reflectance_TBYX, clear_TYX
    made = kernel(*series) if gpu is None else reduce_on_device(gpu, kernel, series, clear_TYX.shape[1], threads)
    return dict(zip(names, made, strict=True))


def _reduce_to_statistics(
    spec: FeatureSpec, observations: TileObservations, resolution_m: int, threads: int, gpu: Device | None
) -> dict[str, NDArray[Any]]:
    """Return the statistics of the indices that live at one resolution, and the clear observations."""
    clear = {resolution_m: clear_observations(spec, observations, resolution_m, threads)}
    made: dict[str, NDArray[Any]] = {CLEAR_COUNT: clear[resolution_m].sum(axis=0, dtype=np.uint16)}
    here = indices_at(spec, observations.bands, resolution_m)
    if not here:
        return made
    read = resolutions_read(spec, observations.bands, resolution_m)
    clear |= {m: clear_observations(spec, observations, m, threads) for m in read if m != resolution_m}
    series = [array for m in read for array in (observations.reflectance[m], clear[m])]

    def kernel(*arrays: Any) -> tuple[Any, ...]:
        """Reduce rows of every resolution that lie anywhere."""
        each = zip(read, arrays[::2], arrays[1::2], strict=True)
        of = [Reflectance(values, observations.bands[m], seen) for m, values, seen in each]
        return (index_statistics(here, of, observations.days, threads),)

    height = clear[resolution_m].shape[1]
    (made[STATISTIC],) = kernel(*series) if gpu is None else reduce_on_device(gpu, kernel, series, height, threads)
    return made


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


def indices_at(spec: FeatureSpec, bands: Mapping[int, tuple[str, ...]], resolution_m: int) -> tuple[str, ...]:
    """Return the indices that live at a resolution, of those whose bands are all there; see `index_resolutions`."""
    known = {name for names in bands.values() for name in names}
    whole = tuple(name for name in spec.indices if known.issuperset(find_index(name).bands))
    return index_resolutions(replace(spec, indices=whole), bands).get(resolution_m, ()) if whole else ()


def resolutions_of(spec: FeatureSpec, bands: Mapping[int, tuple[str, ...]]) -> tuple[int, ...]:
    """Return the resolutions that features have arrays at: all; statistics have those of indices, and the finest."""
    held = tuple(sorted(m for m, names in bands.items() if names))
    if spec.kind != "statistics":
        return held
    return tuple(sorted({held[0], *index_resolutions(spec, bands)}))


def resolutions_read(spec: FeatureSpec, bands: Mapping[int, tuple[str, ...]], resolution_m: int) -> tuple[int, ...]:
    """Return the resolutions that the features at one are made of: its own, and of statistics those of its bands."""
    if spec.kind != "statistics":
        return (resolution_m,)
    wanted = {band for name in indices_at(spec, bands, resolution_m) for band in find_index(name).bands}
    return tuple(sorted({resolution_m, *(m for m, names in bands.items() if wanted.intersection(names))}))


def compute_indices(
    spec: FeatureSpec,
    bands: Mapping[int, tuple[str, ...]],
    composites: Mapping[int, NDArray[np.uint16] | None],
    threads: int = 1,
) -> dict[int, NDArray[np.float32]]:
    """Return the indices of medians of either kind, (window, index, y, x) by resolution in metres.

    An index that mixes resolutions is at the coarsest of its bands: finer medians are averaged over the pixels of a
    coarse one that have a value. NaN where a median is missing. None of other kinds.
    """
    if spec.kind == "statistics":
        return {}
    made = {}
    for resolution_m, names in index_resolutions(spec, bands).items():
        wanted = {band for name in names for band in find_index(name).bands}
        of = []
        for m, labels in bands.items():
            values = composites.get(m)
            if values is not None and wanted.intersection(labels):
                of.append(Reflectance(values, labels))
        made[resolution_m] = spectral_indices(names, of, threads)
    return made
