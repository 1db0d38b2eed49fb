"""The store of one product of features."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.cube.layout import ArraySpec, StoreSpec, feature_array
from cropcube.domain.feature_spec import EMIT_KIND, STATISTICS, FeatureSpec
from cropcube.domain.sensor import REFLECTANCE_SCALE
from cropcube.errors import InvalidInputError
from cropcube.features.compute import (
    ARRAY_OF,
    CLEAR_COUNT,
    COEFFICIENT,
    GEOMEDIAN,
    INDEX,
    MEDIAN,
    PERCENTILE,
    RMSE,
    STATISTIC,
    index_resolutions,
    resolutions_of,
)
from cropcube.features.spectra import spectra_store_spec

if TYPE_CHECKING:
    from datetime import date

    from cropcube.cube.layout import JSON
    from cropcube.cube.store import Store
    from cropcube.domain.season import Season
    from cropcube.domain.sensor import Sensor

SPEC_ATTR = "features"
INDEX_NAME = "index_name"
"""Dimension of the array `index`: an array named as one of its own dimensions could not have labels along it, and
xarray would take it for a coordinate."""
PERCENT, STATISTIC_NAME = "percent", "statistic_name"
"""Leading dimensions of `percentile` and `statistic`."""
UNIT: dict[str, JSON] = {"units": "1", "reflectance_scale": REFLECTANCE_SCALE}


def feature_store_spec(spec: FeatureSpec, season: Season, sensor: Sensor, tile_px: int) -> StoreSpec:
    """Return the layout of a store of features; it carries the specification, for `feature_spec_of`.

    Raises
    ------
    InvalidInputError
        If an index is unknown or needs a band that the sensor does not have.
    """
    if spec.kind == EMIT_KIND:
        made = spectra_store_spec(spec, season, sensor, tile_px)
        return replace(made, attrs={**made.attrs, SPEC_ATTR: spec.as_dict()})
    bands = {m: sensor.bands_at(m) for m in sensor.resolutions if sensor.bands_at(m)}
    indices = index_resolutions(spec, bands)
    arrays: list[ArraySpec] = []
    coordinates: dict[str, tuple[str | int | float | date, ...]] = {}
    for resolution_m in resolutions_of(spec, bands):
        names = bands[resolution_m]
        if spec.kind != "statistics":
            coordinates[f"band@{resolution_m}"] = names
        for name, leading, dtype, fill in _arrays(spec, season, len(names), len(indices.get(resolution_m, ()))):
            array = feature_array(name, resolution_m, leading, dtype, tile_px)
            arrays.append(
                ArraySpec(
                    name, resolution_m, leading, dtype, fill, array.chunk, array.shard,
                    {**array.attrs, **_attrs(spec, name)},
                )
            )  # fmt: skip
        if resolution_m in indices:
            coordinates[f"{INDEX_NAME}@{resolution_m}"] = indices[resolution_m]
    if spec.kind == "harmonic":
        coordinates["term"] = spec.terms
    elif spec.kind == "percentiles":
        coordinates[PERCENT] = spec.percentiles
    elif spec.kind == "statistics":
        coordinates[STATISTIC_NAME] = STATISTICS
    else:
        coordinates["window"] = spec.window_starts(season)
    return StoreSpec(
        "features",
        tuple(arrays),
        coordinates,
        {"season": str(season), "sensor": sensor.name, SPEC_ATTR: spec.as_dict()},
    )


def feature_spec_of(store: Store) -> FeatureSpec:
    """Return the specification that a store of features was made with.

    Raises
    ------
    InvalidInputError
        If the store holds none.
    """
    values: Any = store.attrs.get(SPEC_ATTR)
    if not isinstance(values, dict):
        raise InvalidInputError(f"{store.path} is not a store of features", "`cropcube features` makes one.")
    return FeatureSpec.from_dict(values)


def _arrays(
    spec: FeatureSpec, season: Season, bands: int, indices: int
) -> list[tuple[str, tuple[tuple[str, int], ...], str, float]]:
    """Return name, leading dimensions, type and fill value of each array of one resolution."""
    band = ("band", bands)
    if spec.kind == "harmonic":
        return [
            (COEFFICIENT, (("term", len(spec.terms)), band), "float32", np.nan),
            (RMSE, (band,), "float32", np.nan),
            (CLEAR_COUNT, (), "uint16", 0),
        ]
    if spec.kind == "percentiles":
        return [(PERCENTILE, ((PERCENT, len(spec.percentiles)), band), "uint16", 0), (CLEAR_COUNT, (), "uint16", 0)]
    if spec.kind == "statistics":
        leading = ((STATISTIC_NAME, len(STATISTICS)), (INDEX_NAME, indices))
        return [*([(STATISTIC, leading, "float32", np.nan)] if indices else []), (CLEAR_COUNT, (), "uint16", 0)]
    window = ("window", spec.windows(season))
    arrays: list[tuple[str, tuple[tuple[str, int], ...], str, float]] = [
        (ARRAY_OF[spec.kind], (window, band), "uint16", 0),
        (CLEAR_COUNT, (window,), "uint16", 0),
    ]
    return [*arrays, (INDEX, (window, (INDEX_NAME, indices)), "float32", np.nan)] if indices else arrays


def _attrs(spec: FeatureSpec, name: str) -> dict[str, JSON]:
    long_names = {
        MEDIAN: "median of the clear observations; 0 = none",
        GEOMEDIAN: "geometric median of the clear observations, of the bands of this resolution together; 0 = none",
        PERCENTILE: "percentiles of the clear observations of the season; 0 = none",
        STATISTIC: "statistics of spectral indices over the clear observations of the season; days from its start",
        CLEAR_COUNT: "number of clear observations",
        COEFFICIENT: f"harmonic fit of order {spec.order}, days from the season's start, period 365.25 days",
        RMSE: "root of the mean squared residual of the fit",
        INDEX: "spectral index of the medians",
    }
    scaled = name in (MEDIAN, GEOMEDIAN, PERCENTILE, COEFFICIENT, RMSE)
    return {"long_name": long_names[name], **(UNIT if scaled else {"units": "1"})}
