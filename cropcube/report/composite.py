"""A colour composite, near infrared, red and green, from the features that a map was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.cube.store import Store
    from cropcube.domain.lattice import PixelBox

BANDS = ("B08", "B04", "B03")
"""Shown as red, green and blue: vegetation is red, bare soil grey to cyan."""
ARRAYS = ("median", "geomedian", "percentile", "coefficient")
ENOUGH = 0.95
"""A window counts as seen if it has this share of the pixels of the best one."""


@dataclass(frozen=True)
class Composite:
    """Three bands of one place."""

    values: NDArray[np.float32]
    "(y, x, 3) near infrared, red, green; 0 = no data."
    step: int
    "Which window (or term) most pixels are from."
    filled: float
    "Share of the pixels that come from the nearest other window, since this one has nothing there."


def composite(store: Store, zone: str, box: PixelBox) -> Composite | None:
    """Return the composite of a box at 10 m, or None where the features lack one of the bands.

    Of medians of either kind, and of percentiles, that step is shown in which the fields differ most (the standard
    deviation of NDVI) among those that saw nearly all pixels; gaps are filled from the nearest one. Of harmonics it is
    the mean term.

    Parameters
    ----------
    store
        Features with one of `ARRAYS`, (window, percent or term, band, y, x).
    zone
        Name of the zone.
    box
        A box of a few hundred pixels.
    """
    name = next((array for array in ARRAYS if (array, box.resolution_m) in store.arrays), None)
    labels = store.labels("band", box.resolution_m) if name else ()
    if name is None or any(band not in labels for band in BANDS):
        return None
    picks = sorted(labels.index(band) for band in BANDS)
    order = [picks.index(labels.index(band)) for band in BANDS]
    steps = slice(0, 1) if name == "coefficient" else slice(None)
    read = store.read(zone, name, box, (steps, picks))
    return join_windows(np.nan_to_num(read[:, order].astype(np.float32)))


def join_windows(values_WBYX: NDArray[np.float32]) -> Composite:
    """Return the telling window of three-band medians (window, 3, y, x), 0 = no data, with its gaps filled."""
    seen_WYX = np.all(values_WBYX > 0, axis=1)
    step = _telling(values_WBYX, seen_WYX)
    result = np.where(seen_WYX[step], values_WBYX[step], 0)
    missing = ~seen_WYX[step]
    wanted = int(seen_WYX.any(axis=0).sum())
    first = int(seen_WYX[step].sum())
    for other in sorted(range(len(values_WBYX)), key=lambda index: (abs(index - step), index))[1:]:
        if not missing.any():
            break
        here = missing & seen_WYX[other]
        result[:, here] = values_WBYX[other][:, here]
        missing &= ~here
    return Composite(np.moveaxis(result, 0, 2), step, (wanted - first) / wanted if wanted else 0.0)


def _telling(values_WBYX: NDArray[np.float32], seen_WYX: NDArray[np.bool_]) -> int:
    """Return the window in which NDVI differs most, among those that saw nearly everything."""
    cover = seen_WYX.reshape(len(seen_WYX), -1).mean(axis=1)
    best, spread = int(np.argmax(cover)), -1.0
    for step in np.flatnonzero((cover >= ENOUGH * cover.max()) & (cover > 0)):
        near, red = (values_WBYX[step, band][seen_WYX[step]].astype(np.float64) for band in (0, 1))
        deviation: Any = np.std((near - red) / (near + red))
        if deviation > spread:
            best, spread = int(step), float(deviation)
    return best
