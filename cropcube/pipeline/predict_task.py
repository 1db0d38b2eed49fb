"""One tile of the map on a worker."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.config import find_project
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.grid import inside, owned
from cropcube.domain.lattice import FINEST_M, Tile
from cropcube.domain.map_product import CROP, legend_of
from cropcube.errors import ModelMismatchError
from cropcube.kernels.device import CPU
from cropcube.maps.crop_mask import CropMask
from cropcube.maps.predict import MapModel, TileMap, predict_tile
from cropcube.model.checkpoint import load_model
from cropcube.observations.extent import touched
from cropcube.pipeline.feature_sources import TileContent, TileSource, tile_source
from cropcube.pipeline.map_records import PARTS
from cropcube.pipeline.model_check import check_fit, digest_of
from cropcube.pipeline.provenance import ORIGIN
from cropcube.pipeline.stage import DONE, INCOMPLETE, StageTask, TaskResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.config import Project
    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.region import Region
    from cropcube.location import Location


@dataclass(frozen=True)
class MapWanted:
    """What all tiles of a map share."""

    model_path: Location
    "Folder of the model."
    model_digest: str
    "Of what the map depends on; the folder must still hold it."
    classifier: str
    feature_spec: FeatureSpec
    origin: str
    "`features`, `cube` or `catalog`: decides no byte."
    layers: int = 0
    "Classes whose probability is wanted; 0 for none."
    crop_mask: CropMask | None = None
    inference: str = CPU
    "What CropNet classifies on: `cuda` gives other last digits, so a map is of one of them throughout."

    @property
    def probabilities(self) -> bool:
        """Whether the map holds the probability of every class."""
        return self.layers > 0


@dataclass(frozen=True)
class TilePayload:
    """What a worker needs to know to map one tile."""

    tile: Tile
    wanted: MapWanted
    content: TileContent
    "What its features are."
    part: Region | None = None
    "Only pixels that this touches; None for the whole tile."
    parts: tuple[str, ...] = ()
    "Boxes of the tile that are of this content when the task is done."


def counted_pixels(project: Project, box: PixelBox, crop_mask: CropMask | None) -> NDArray[np.bool_]:
    """Return which pixels the map is of: inside the region, owned by the zone, and not ruled out."""
    counted = inside(project.spec.region, box) & owned(box)
    return counted & crop_mask.on(box) if crop_mask is not None and counted.any() else counted


def erase(project: Project, task: StageTask) -> None:
    """Remove what the map holds of the tile; where only a part is wanted, the rest stays."""
    if task.payload.part is not None:
        return
    store = Store.open(project.map_path, writable=True)
    tile: Tile = task.payload.tile
    for name, _ in store.arrays:
        store.erase(tile.lattice.name, name, tile.box(FINEST_M))


def write(project: Project, task: StageTask) -> TaskResult:
    """Map one tile."""
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # may hold signed URLs
    payload: TilePayload = task.payload
    wanted, box = payload.wanted, payload.tile.box(FINEST_M)
    loaded = _load(project.root, wanted.model_path, wanted.model_digest, wanted.inference)
    model = replace(loaded, threads=task.threads)
    counted = counted_pixels(project, box, wanted.crop_mask)
    part = None if payload.part is None else touched([payload.part.geometry], box)
    here = counted if part is None else counted & part
    source: TileSource | None = None
    made = TileMap.empty(box.shape, wanted.layers)
    if here.any():
        where = (payload.tile, payload.content)
        source = tile_source(project, wanted.feature_spec, wanted.origin, where, task.threads, task.device)
        made = predict_tile(source.features, model, payload.tile, here, wanted.probabilities)
    store = Store.open(project.map_path, writable=True, threads=task.threads)
    crop = _put(store, payload.tile, made, part)
    pixels = np.bincount(crop[counted], minlength=1 + 255)
    classes = len(legend_of(store.array(CROP, FINEST_M).attrs))
    details: dict[str, Any] = {"pixels": pixels[: classes + 1].tolist(), ORIGIN: wanted.origin}
    if payload.parts:
        details[PARTS] = list(payload.parts)
    state = INCOMPLETE if source and source.failed_reads else DONE
    return TaskResult(
        state, details | dict(source.details if source else {}), source.bytes_read if source else 0, store.written
    )


def _put(store: Store, tile: Tile, made: TileMap, part: NDArray[np.bool_] | None) -> NDArray[np.integer[Any]]:
    """Write the arrays of a tile, or of a part over those that stand; return the class of every pixel."""
    zone, box = tile.lattice.name, tile.box(FINEST_M)
    arrays: dict[str, NDArray[Any]] = dict(made.arrays())
    if part is not None:
        arrays = {name: np.where(part, values, store.read(zone, name, box)) for name, values in arrays.items()}
    for name, values in arrays.items():
        store.write(zone, name, box, values)
    return arrays[CROP]


@lru_cache(maxsize=1)
def _load(root: Location, model_path: Location, model_digest: str, inference: str) -> MapModel:
    """Read the model once for all tiles of a worker; refused if it was trained again since the verb began."""
    classifier, card = load_model(model_path, inference)
    if digest_of(card) != model_digest:
        raise ModelMismatchError(
            f"the model in {model_path} was replaced while the map was made", "Run `cropcube predict` again."
        )
    layout = check_fit(find_project(root), card, model_path)
    return MapModel(classifier, layout, card.scaling, card.temperature)
