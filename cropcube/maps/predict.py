"""The map of one tile: features in, class, confidence and number of clear observations out.

The same bytes serial or parallel, on any number of threads: pixels are taken strip by strip in row order, and a
classifier cuts them into batches of one fixed size, the last one padded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.lattice import FINEST_M, PixelBox
from cropcube.features.model_input import model_input, observed
from cropcube.model.classifier import BATCH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.lattice import Tile
    from cropcube.domain.model_card import Scaling
    from cropcube.features.model_input import InputLayout
    from cropcube.features.source import FeatureSource
    from cropcube.model.classifier import Classifier

ALGORITHM_REVISION = 1
"""Raised when the same features and model would give another map."""
STRIP_PX = 192
"""Rows that are read at once: a divisor or multiple of every tile's chunks, so that few are decoded twice."""
GROUP_PX = 16 * BATCH
"""Pixels that are gap-filled, scaled and handed to the classifier at once."""


@dataclass(frozen=True)
class MapModel:
    """A classifier with all that turns features into its inputs."""

    classifier: Classifier
    layout: InputLayout
    scaling: Scaling
    threads: int = 1
    "Thread budget; results do not depend on it."


@dataclass(frozen=True)
class TileMap:
    """What the map holds of one tile, each (y, x) at 10 m; 0 = no data."""

    crop: NDArray[np.uint8]
    "1-based rows of the legend."
    confidence: NDArray[np.uint8]
    "Percent."
    clear_count: NDArray[np.uint16]
    "Clear observations in the season; kept where too few of them gave a class."


def predict_tile(source: FeatureSource, model: MapModel, tile: Tile, counted: NDArray[np.bool_]) -> TileMap:
    """Classify the pixels of a tile.

    Parameters
    ----------
    source
        Of the features that the model was trained on.
    model
        See there.
    tile
        Which tile.
    counted
        (y, x) at 10 m: pixels inside the region that the tile's zone owns. All others are no data.
    """
    shape = tile.box(FINEST_M).shape
    made = TileMap(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8), np.zeros(shape, np.uint16))
    for first in range(0, shape[0], STRIP_PX):
        rows = slice(first, min(first + STRIP_PX, shape[0]))
        if counted[rows].any():
            strip = _strip(source, model, _rows_of(tile, rows), counted[rows])
            made.crop[rows], made.confidence[rows], made.clear_count[rows] = strip
    return made


def classify(model: MapModel, inputs_NBS: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return map values and confidence of pixels.

    Parameters
    ----------
    model
        See there.
    inputs_NBS
        float32 (N, bands, steps), scaled.

    Returns
    -------
    crop, confidence
        uint8 (N,): 1-based rows of the legend, the first of equals; percent, rounded half up, at least 1.
    """
    probability = model.classifier.probabilities(inputs_NBS, model.threads)
    crop = (probability.argmax(axis=1) + 1).astype(np.uint8)
    percent = np.floor(probability.max(axis=1).astype(np.float64) * 100 + 0.5)
    return crop, np.clip(percent, 1, 100).astype(np.uint8)


def strip_bytes(layout: InputLayout, tile_px: int) -> int:
    """Return the bytes that reading and arranging a strip takes at most: features, a group and its temporaries."""
    steps, size = len(layout.series_steps), 4 if layout.kind == "harmonic" else 2
    strip = sum(size * steps * STRIP_PX * tile_px * (FINEST_M / r) ** 2 for r in layout.resolutions_m)
    return int(2 * strip) + 64 * GROUP_PX * len(layout.bands) * steps + 16 * tile_px * tile_px


def _rows_of(tile: Tile, rows: slice) -> PixelBox:
    box = tile.box(FINEST_M)
    return PixelBox(box.lattice, FINEST_M, box.row + rows.start, box.col, rows.stop - rows.start, box.width)


def _strip(
    source: FeatureSource, model: MapModel, box: PixelBox, counted: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint16]]:
    """Return crop, confidence and clear count of some rows of a tile."""
    features, counts = source.read_counted(model.layout, box)
    clear = clear_observations(counts, box)
    seen = counted & observed(model.layout, features) & (clear > 0)
    crop, confidence = np.zeros(box.shape, np.uint8), np.zeros(box.shape, np.uint8)
    rows, cols = np.nonzero(seen)
    for first in range(0, len(rows), GROUP_PX):
        y, x = rows[first : first + GROUP_PX], cols[first : first + GROUP_PX]
        inputs_NBS = model_input(model.layout, model.scaling, features, y, x)
        crop[y, x], confidence[y, x] = classify(model, inputs_NBS)
    return crop, confidence, np.where(counted, clear, 0).astype(np.uint16)


def clear_observations(counts: NDArray[np.uint16], box: PixelBox) -> NDArray[np.uint16]:
    """Return the number of clear observations at 10 m: summed over the windows, at most 65535.

    Parameters
    ----------
    counts
        ([window,] y, x) of the box at the finest resolution that the features have; coarser pixels are repeated.
    box
        At 10 m.
    """
    total = counts.reshape(-1, *counts.shape[-2:]).sum(axis=0, dtype=np.int64).clip(0, np.iinfo(np.uint16).max)
    repeats = np.ones((box.height // total.shape[0],) * 2, np.uint16)
    repeated: NDArray[np.uint16] = np.kron(total.astype(np.uint16), repeats)
    return repeated
