"""The course of each crop over the season: an index of vegetation, from the features that the classifier takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.feature_spec import IN_WINDOWS
from cropcube.kernels.harmonic import harmonic_design

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.season import Season
    from cropcube.features.model_input import InputLayout
    from cropcube.samples.read import Samples

INDICES = (("NDVI", "B08", "B04"), ("NDVI", "B8A", "B04"), ("NDRE", "B8A", "B05"))
"""Name, near infrared, red (red edge, where 20 m bands are all there is); the first whose bands are there is shown."""
MOST_PIXELS = 2000
"""Of a class; of more, so many are picked, evenly spaced over the region."""
QUARTILES = (25, 50, 75)
_FIT_DAYS = 5
"""Distance of the days at which a fitted curve is drawn."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One class over the season."""

    name: str
    colour: str
    pixels: int
    "Labelled pixels of the class."
    low: NDArray[np.float64]
    middle: NDArray[np.float64]
    high: NDArray[np.float64]
    "Quartiles of the index over the pixels, one value for each of the days."


@dataclass(frozen=True, eq=False)
class Curves:
    """All classes that have pixels."""

    index: str
    "`NDVI`."
    fitted: bool
    "Whether it is that of fitted harmonics."
    days: tuple[date, ...]
    seen: tuple[date, date]
    "First and last of the days that the classifier sees."
    curves: tuple[Curve, ...]


def season_curves(samples: Samples, season: Season) -> Curves | None:
    """Return the course of each class; None where the features have no course or lack the bands.

    Gaps are filled as they are for the classifier; the whole season is shown, also where the model sees a part of it.

    Parameters
    ----------
    samples
        Labelled pixels; at most `MOST_PIXELS` of a class are read.
    season
        Of the project that they lie in.
    """
    layout = samples.layout.series
    index = next((entry for entry in INDICES if {*entry[1:]} <= {*layout.bands}), None)
    if index is None or layout.kind not in (*IN_WINDOWS, "harmonic") or len(layout.series_steps) < 2:
        return None
    days, design_TS = _days(layout, season)
    name, *bands = index
    picked = _picked(samples)
    values_NT = _index(samples, picked, tuple(layout.bands.index(band) for band in bands), design_TS)
    curves = []
    for place, (entry, count) in enumerate(zip(samples.legend.classes, samples.counts(), strict=True)):
        mine = values_NT[(samples.classes[picked] == place) & np.isfinite(values_NT).all(axis=1)]
        if len(mine):
            low, middle, high = np.percentile(mine, QUARTILES, axis=0)
            curves.append(Curve(entry.name, entry.colour, int(count), low, middle, high))
    first, stop = (0, len(days)) if design_TS is not None else samples.layout.window
    return Curves(name, design_TS is not None, days, (days[first], days[stop - 1]), tuple(curves))


def _days(layout: InputLayout, season: Season) -> tuple[tuple[date, ...], NDArray[np.float64] | None]:
    """Return the days of the curve: the middle of each window, or for harmonics the days that a design belongs to."""
    if layout.kind == "harmonic":
        offsets = np.arange(0, season.days, _FIT_DAYS)
        order = (len(layout.series_steps) - 1) // 2
        return tuple(season.date_of(int(day)) for day in offsets), harmonic_design(offsets, order)
    starts = [date.fromisoformat(step) for step in layout.series_steps]
    return tuple(start + (starts[1] - starts[0] - timedelta(1)) / 2 for start in starts), None


def _picked(samples: Samples) -> NDArray[np.int64]:
    """Return positions of the samples to read: all of a class, or so many evenly spaced ones."""
    picked = []
    for place in range(len(samples.legend)):
        mine = np.flatnonzero(samples.classes == place)
        if len(mine) > MOST_PIXELS:
            mine = mine[np.linspace(0, len(mine) - 1, MOST_PIXELS).round().astype(np.int64)]
        picked.append(mine)
    return np.sort(np.concatenate(picked))


def _index(
    samples: Samples, picked: NDArray[np.int64], bands: tuple[int, ...], design_TS: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return (near - red) / (near + red) of the picked samples on the days of the curve, (n, T); nan where unseen."""
    chosen = replace(samples, layout=samples.layout.series, index=samples.index.select(picked))
    pieces: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
    for cell in chosen.cells():
        values_NBS = chosen.read(cell)[:, bands].astype(np.float64)
        if design_TS is not None:
            values_NBS = np.maximum(values_NBS @ design_TS.T, 1.0)  # a fit may swing below zero between its dates
        near, red = values_NBS[:, 0], values_NBS[:, 1]
        with np.errstate(invalid="ignore"):
            pieces.append((cell.positions, (near - red) / (near + red)))
    index_NT = np.empty((len(picked), pieces[0][1].shape[1]))
    for positions, values in pieces:
        index_NT[positions] = values
    return index_NT
