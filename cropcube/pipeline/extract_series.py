"""What a store holds at some pixels: a value for each day or window, column by column."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.lattice import Tile
from cropcube.domain.sensor import NOT_ACQUIRED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from cropcube.cube.layout import ArraySpec
    from cropcube.cube.store import Store
    from cropcube.pipeline.extract_places import Pixels

LONG = ("time", "window")
"""Dimensions along which a place has one row each; all others become columns."""
LABELLED_BY_BAND = ("reflectance", "median", "geomedian", "percentile", "statistic", "coefficient", "index")
"""Arrays whose columns need no name of their own: `B02`, `NDVI`, and with the band first `B02_cos1`, `B02_p10`,
`NDVI_mean`."""
BLOCK_BYTES = 256 * 2**20
"""Of pixels held at a time."""


@dataclass(frozen=True)
class Columns:
    """How the arrays of a store become columns."""

    long: str | None
    "`time`, `window` or None."
    steps: tuple[Any, ...]
    "Labels of the long dimension."
    names: Mapping[tuple[str, int], tuple[str, ...]]
    "Column names by array and resolution, in the order of its other dimensions."
    dtypes: Mapping[str, str]
    "By column."
    fills: Mapping[str, float]
    "No-data value by column; columns without one are left out."

    @classmethod
    def of(cls, store: Store) -> Columns:
        """Return the columns of a store."""
        long = next((d for spec in store.arrays.values() for d, _ in spec.leading if d in LONG), None)
        names, dtypes, fills = {}, {}, {}
        for key, spec in store.arrays.items():
            names[key] = tuple(_names(store, spec, long))
            for name in names[key]:
                dtypes[name] = spec.dtype
                if not spec.name.startswith("clear_count"):
                    fills[name] = spec.fill_value
        return cls(long, store.labels(long, 0) if long else (None,), names, dtypes, fills)


def read_series(store: Store, columns: Columns, pixels: Pixels, steps: list[int]) -> dict[str, NDArray[Any]]:
    """Read pixels on some steps; coarser arrays are repeated.

    Returns
    -------
    series
        (step, pixel) by column, in the array's own dtype.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, resolution_m in store.arrays:
        box = pixels.box.at(resolution_m)
        factor = resolution_m // pixels.box.resolution_m
        rows = (pixels.box.row + pixels.rows) // factor - box.row
        cols = (pixels.box.col + pixels.cols) // factor - box.col
        leading: tuple[Any, ...] = (steps,) if columns.long else ()
        values = store.read(box.lattice.name, name, box, leading)[..., rows, cols]
        flat = values.reshape(len(steps), len(columns.names[name, resolution_m]), rows.size)
        for place, column in enumerate(columns.names[name, resolution_m]):
            found[column] = flat[:, place]
    return found


def steps_of(store: Store, columns: Columns, parts: list[Pixels]) -> list[int]:
    """Return the steps that may hold anything at some pixels: of a cube, the days present in their tiles."""
    if store.kind != "cube":
        return list(range(len(columns.steps)))
    days: set[int] = set()
    for part in parts:
        tile_px = store.zone(part.box.lattice.name).tile_px
        tiles = np.unique((np.stack([part.box.row + part.rows, part.box.col + part.cols]) // tile_px), axis=1)
        for row, col in tiles.T.tolist():
            days.update(store.days_present(Tile(part.box.lattice, tile_px, row, col)).tolist())
    return sorted(days)


def blocks_of_steps(store: Store, parts: list[Pixels], steps: list[int]) -> Iterator[list[int]]:
    """Cut steps so that what is read at a time stays below BLOCK_BYTES."""
    pixels = sum(part.box.height * part.box.width for part in parts)
    depth = sum(
        np.dtype(spec.dtype).itemsize * int(np.prod([n for d, n in spec.leading if d not in LONG], initial=1))
        for spec in store.arrays.values()
    )
    size = max(1, BLOCK_BYTES // max(1, pixels * depth))
    for start in range(0, len(steps), size):
        yield steps[start : start + size]


def clear_of(columns: Columns, series: Mapping[str, NDArray[Any]], classes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where a pixel of the cube is clear: its class is kept and no band is zero."""
    clear: NDArray[np.bool_] = np.isin(series["quality"], classes)
    for (name, _), bands in columns.names.items():
        if name == "reflectance":
            for band in bands:
                clear = clear & (series[band] != 0)
    return clear


def acquired_of(series: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return where a scene has the pixel of the cube, readable or not."""
    acquired: NDArray[np.bool_] = series["quality"] != NOT_ACQUIRED
    return acquired


def valid_of(columns: Columns, name: str, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where a column of features holds something."""
    if name not in columns.fills:
        return np.ones(values.shape, bool)
    fill = columns.fills[name]
    valid: NDArray[np.bool_] = ~np.isnan(values) if fill != fill else values != fill
    return valid


def statistics(values: NDArray[Any], valid: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and median over the valid pixels of each step; NaN where there is none.

    Parameters
    ----------
    values
        (column, step, pixel).
    valid
        (step, pixel).

    Returns
    -------
    mean, median
        (column, step).
    """
    mean, median = np.full((2, *values.shape[:2]), np.nan, np.float32)
    whole = valid.all(axis=1)
    if whole.any():
        mean[:, whole] = values[:, whole].mean(axis=2, dtype=np.float64)
        median[:, whole] = np.median(values[:, whole], axis=2)
    for step in np.flatnonzero(valid.any(axis=1) & ~whole):
        kept = values[:, step, valid[step]]
        mean[:, step], median[:, step] = kept.mean(axis=1, dtype=np.float64), np.median(kept, axis=1)
    return mean, median


def _word(dimension: str, label: Any) -> str:
    if isinstance(label, float):
        return f"{label:g}nm" if dimension == "wavelength" else f"p{label:g}"
    return str(label)


def _names(store: Store, spec: ArraySpec, long: str | None) -> Iterator[str]:
    """Yield the column names of an array."""
    dimensions = [name for name, _ in spec.leading if name != long]
    if not dimensions:
        counted = spec.name == "clear_count" and sum(name == "clear_count" for name, _ in store.arrays) > 1
        yield f"{spec.name}_{spec.resolution_m}m" if counted else spec.name
        return
    for labels in itertools.product(*(store.labels(name, spec.resolution_m) for name in dimensions)):
        named = zip(dimensions, labels, strict=True)
        words = [_word(name, label) for name, label in reversed(list(named))]
        yield "_".join(words if spec.name in LABELLED_BY_BAND else [*words, spec.name])
