"""The map of one tile: features in, class, confidence, margin and number of clear observations out.

The same bytes serial or parallel, on any number of threads and from any source of the same features: pixels are taken
strip by strip in row order, and a classifier cuts them into batches of one fixed size, the last one padded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.lattice import FINEST_M, PixelBox
from cropcube.domain.map_product import CLEAR_COUNT, CONFIDENCE, CROP, MARGIN, PROBABILITY
from cropcube.features.model_input import model_input, observed
from cropcube.model.calibration import tempered
from cropcube.model.classifier import BATCH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.lattice import Tile
    from cropcube.domain.model_card import Scaling
    from cropcube.features.model_input import Features, InputLayout
    from cropcube.features.source import FeatureSource
    from cropcube.model.classifier import Classifier

ALGORITHM_REVISION = 2
"""Raised when the same features and model would give another map."""
STRIP_PX = 192
"""Rows that are classified at once: a divisor or multiple of every tile's chunks, so that few are decoded twice."""
GROUP_PX = 16 * BATCH
"""Pixels that are gap-filled, scaled and handed to the classifier at once."""


@dataclass(frozen=True)
class MapModel:
    """A classifier with all that turns features into its inputs."""

    classifier: Classifier
    layout: InputLayout
    scaling: Scaling
    temperature: float = 1.0
    "Of the calibration; see `model.calibration`."
    threads: int = 1
    "Thread budget; results do not depend on it."


@dataclass(frozen=True)
class TileMap:
    """What the map holds of one tile, each ([class,] y, x) at 10 m; 0 = no data."""

    crop: NDArray[np.uint8]
    "1-based rows of the legend."
    confidence: NDArray[np.uint8]
    "Percent."
    margin: NDArray[np.uint8]
    "Percent between the best and the second class."
    clear_count: NDArray[np.uint16]
    "Clear observations in the season; kept where too few of them gave a class."
    probability: NDArray[np.uint8] | None = None
    "Percent of each class (class, y, x), where they are wanted."

    @classmethod
    def empty(cls, shape: tuple[int, int], classes: int = 0) -> TileMap:
        """Return a map without data; with probabilities if a number of classes is given."""
        crop, confidence, margin = (np.zeros(shape, np.uint8) for _ in range(3))
        probability = np.zeros((classes, *shape), np.uint8) if classes else None
        return cls(crop, confidence, margin, np.zeros(shape, np.uint16), probability)

    def arrays(self) -> dict[str, NDArray[np.uint8] | NDArray[np.uint16]]:
        """Return the arrays by name."""
        named: dict[str, NDArray[np.uint8] | NDArray[np.uint16]] = {
            CROP: self.crop, CONFIDENCE: self.confidence, MARGIN: self.margin, CLEAR_COUNT: self.clear_count,
        }  # fmt: skip
        return named if self.probability is None else {**named, PROBABILITY: self.probability}


def predict_tile(
    source: FeatureSource, model: MapModel, tile: Tile, counted: NDArray[np.bool_], probabilities: bool = False
) -> TileMap:
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
        (y, x) at 10 m: pixels inside the region that the tile's zone owns. All others are no data, and rows without
        any are not read.
    probabilities
        Whether the probability of every class is wanted.
    """
    shape = tile.box(FINEST_M).shape
    made = TileMap.empty(shape, model.classifier.classes if probabilities else 0)
    if not counted.any():
        return made
    block = min(shape[0], math.lcm(STRIP_PX, source.rows_px))
    for top in range(0, shape[0], block):
        rows = slice(top, min(top + block, shape[0]))
        if counted[rows].any():
            box = _rows_of(tile, rows)
            features, counts = source.read_counted(model.layout, box)
            seen = np.where(counted[rows], clear_observations(counts, box), 0).astype(np.uint16)
            made.clear_count[rows] = seen
            for first in range(0, box.height, STRIP_PX):
                strip = slice(first, min(first + STRIP_PX, box.height))
                _classify_strip(made, model, _cut(features, strip), (rows.start + first, seen[strip] > 0))
    return made


@dataclass(frozen=True)
class Said:
    """What a classifier says of some pixels, in the map's values."""

    crop: NDArray[np.uint8]
    "(N,) 1-based rows of the legend, the first of equals."
    confidence: NDArray[np.uint8]
    "(N,) percent, rounded half up, at least 1."
    margin: NDArray[np.uint8]
    "(N,) percent, rounded half up."
    probability: NDArray[np.uint8]
    "(classes, N) percent, rounded half up."


def classify(model: MapModel, inputs_NBS: NDArray[np.float32]) -> Said:
    """Return map values of pixels; inputs are float32 (N, bands, steps), scaled."""
    raw = model.classifier.probabilities(inputs_NBS, model.threads)
    probability = tempered(raw, model.temperature)
    crop = raw.argmax(axis=1)
    best = probability[np.arange(len(crop)), crop]
    others = probability.copy()
    others[np.arange(len(crop)), crop] = 0
    margin = best - others.max(axis=1, initial=0)
    confidence = np.clip(_percent(best), 1, 100).astype(np.uint8)
    return Said((crop + 1).astype(np.uint8), confidence, _percent(margin), _percent(probability).T)


def strip_bytes(layout: InputLayout, tile_px: int) -> int:
    """Return the bytes that reading and arranging a strip takes at most: features, a group and its temporaries."""
    group = 64 * GROUP_PX * len(layout.bands) * len(layout.series_steps)
    return 2 * features_bytes(layout, STRIP_PX * tile_px) + group + 20 * tile_px * tile_px


def features_bytes(layout: InputLayout, pixels: int) -> int:
    """Return the bytes of the features of so many pixels of 10 m."""
    size = layout.dtype.itemsize
    return int(sum(size * len(layout.series_steps) * pixels * (FINEST_M / r) ** 2 for r in layout.resolutions_m))


def _percent(share: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.floor(share * 100 + 0.5).astype(np.uint8)


def _rows_of(tile: Tile, rows: slice) -> PixelBox:
    box = tile.box(FINEST_M)
    return PixelBox(box.lattice, FINEST_M, box.row + rows.start, box.col, rows.stop - rows.start, box.width)


def _cut(features: Features, rows: slice) -> Features:
    """Return some rows, counted at 10 m."""
    steps = {m: m // FINEST_M for m in features}
    return {m: values[..., rows.start // step : -(-rows.stop // step), :] for (m, values), step in
            zip(features.items(), steps.values(), strict=True)}  # fmt: skip


def _classify_strip(made: TileMap, model: MapModel, features: Features, where: tuple[int, NDArray[np.bool_]]) -> None:
    """Classify the pixels of some rows of a tile that were seen clear; `where` is the first row, and which were."""
    top, clear = where
    rows, cols = np.nonzero(clear & observed(model.layout, features))
    for first in range(0, len(rows), GROUP_PX):
        y, x = rows[first : first + GROUP_PX], cols[first : first + GROUP_PX]
        said = classify(model, model_input(model.layout, model.scaling, features, y, x))
        made.crop[top + y, x], made.confidence[top + y, x] = said.crop, said.confidence
        made.margin[top + y, x] = said.margin
        if made.probability is not None:
            made.probability[:, top + y, x] = said.probability


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
