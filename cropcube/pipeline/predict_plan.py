"""The tasks of a map: one for each tile whose features can be had, and what they need in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import shapely

from cropcube.cube.layout import StoreSpec, map_array
from cropcube.cube.ledger import digest
from cropcube.cube.objects import sizes_of
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.lattice import FINEST_M, Tile, grown
from cropcube.domain.map_product import (
    CLASS,
    CLEAR_COUNT,
    CONFIDENCE,
    CROP,
    DTYPES,
    MARGIN,
    PROBABILITY,
    clear_count_attrs,
    confidence_attrs,
    crop_attrs,
    margin_attrs,
    probability_attrs,
)
from cropcube.errors import MissingError
from cropcube.features.cells import cell_px
from cropcube.kernels.device import CPU
from cropcube.maps.predict import ALGORITHM_REVISION, STRIP_PX, features_bytes, strip_bytes
from cropcube.observations.extent import footprints_in, touched
from cropcube.pipeline.build_memory import BANDS_IN_FLIGHT, day_bytes
from cropcube.pipeline.feature_sources import CATALOG, FEATURES, contents
from cropcube.pipeline.map_records import STAGE, Mapped, part_digest
from cropcube.pipeline.predict_task import MapWanted, TilePayload, counted_pixels
from cropcube.pipeline.provenance import ORIGIN
from cropcube.pipeline.stage import StageTask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cropcube.config import Project
    from cropcube.cube.layout import JSON, ArraySpec
    from cropcube.cube.ledger import Record
    from cropcube.domain.model_card import ModelCard
    from cropcube.domain.region import Region
    from cropcube.features.model_input import InputLayout

BASELINE_BYTES = {"cropnet": 500 * 2**20}
"""What a worker holds beside the strip: libraries, model, a batch on its way. Measured on a tile of 768 px with 73
windows of ten bands, strip included: 588 MiB for CropNet of width 128, 464 MiB for 100 trees; projected 917 and 767."""
USUAL_BASELINE_BYTES = 350 * 2**20
"""The same for every other kind of classifier, which needs no torch."""


@dataclass(frozen=True)
class MapPlan:
    """What is to be done."""

    tasks: tuple[StageTask, ...]
    without: int
    "Tiles that were asked for and whose features cannot be had."


def map_spec(project: Project, card: ModelCard, wanted: MapWanted) -> StoreSpec:
    """Return the layout of a map, and in its attributes what all of it is made of."""
    legend, tile_px = card.legend, project.spec.tile_px
    attrs: dict[str, Mapping[str, Any]] = {
        CROP: crop_attrs(legend), CONFIDENCE: confidence_attrs(), MARGIN: margin_attrs(),
        CLEAR_COUNT: clear_count_attrs(),
    }  # fmt: skip
    arrays: list[ArraySpec] = [map_array(name, kind, tile_px, attrs[name]) for name, kind in DTYPES.items()]
    coordinates: dict[str, tuple[int, ...]] = {}
    if wanted.probabilities:
        layers = ((CLASS, len(legend)),)
        arrays.append(map_array(PROBABILITY, "uint8", tile_px, probability_attrs(legend), layers))
        coordinates[CLASS] = tuple(range(1, len(legend) + 1))
    made: dict[str, JSON] = {
        "classifier": card.classifier,
        "features": card.feature,
        "feature_spec": card.feature_spec,
        "model_digest": wanted.model_digest,
        "season": str(project.spec.season),
        "algorithm_revision": ALGORITHM_REVISION,
    }
    if wanted.crop_mask is not None:
        made["crop_mask"] = wanted.crop_mask.digest
    if wanted.inference != CPU:
        made["inference"] = wanted.inference
    return StoreSpec("map", tuple(arrays), coordinates, made)


def tile_digest(project: Project, content: str, made: Mapping[str, Any], probabilities: bool) -> str:
    """Return the digest of a tile of the map.

    Parameters
    ----------
    project
        Its region counts.
    content
        Digest of the tile's features.
    made
        Attributes of the map: model, crop mask, and what CropNet classified on where it is not the processor.
    probabilities
        Whether the map has them.
    """
    return digest(
        content, made["model_digest"], project.spec.region.digest, ALGORITHM_REVISION, made.get("crop_mask"),
        probabilities, *([made["inference"]] if "inference" in made else []),
    )  # fmt: skip


def wanted_digests(
    project: Project, made: Mapping[str, Any], records: Mapping[str, Record], probabilities: bool
) -> dict[str, str]:
    """Return the digests that the tiles of a map would have now, from the sources that they were made from.

    Parameters
    ----------
    project
        Whose map.
    made
        Attributes of the map.
    records
        Of its tiles, by key.
    probabilities
        Whether the map has them.
    """
    spec = FeatureSpec.from_dict(made["feature_spec"])
    wanted: dict[str, str] = {}
    origins = {key: str(record.details.get(ORIGIN, FEATURES)) for key, record in records.items()}
    for origin in sorted(set(origins.values())):
        try:
            had = contents(project, spec, origin)
        except MissingError:
            continue  # what it was made from is gone: the tiles are as their records say
        for place, content in had.items():
            if origins.get(f"{STAGE}/{place}") == origin:
                wanted[f"{STAGE}/{place}"] = tile_digest(project, content.digest, made, probabilities)
    return wanted


def plan_map(
    project: Project, layout: InputLayout, wanted: MapWanted, part: Region | None, standing: Mapping[str, Record]
) -> MapPlan:
    """Return one task for each tile that is asked for and can be had.

    Parameters
    ----------
    project, layout, wanted
        What is mapped, and how.
    part
        Only tiles that this touches.
    standing
        The map's records by key: a part joins those that the tile has already.
    """
    had = contents(project, wanted.feature_spec, wanted.origin)
    made = {"model_digest": wanted.model_digest, "crop_mask": wanted.crop_mask and wanted.crop_mask.digest}
    made |= {"inference": wanted.inference} if wanted.inference != CPU else {}
    size_of = sizes_of(project.map_path)
    tasks, without = [], 0
    for tile in tiles_touched(project, part):
        place = f"{tile.lattice.name}/{tile.name}"
        content = had.get(place)
        if content is None:
            without += 1
            continue
        whole = tile_digest(project, content.digest, made, wanted.probabilities)
        memory = map_memory_bytes(project, layout, wanted, tile, content.days)
        task = StageTask(f"{STAGE}/{place}", whole, TilePayload(tile, wanted, content), memory)
        if part is not None and not _covers(project, part, task.payload):
            task = _partial(task, part, Mapped.of(standing.get(task.key), size_of))
        tasks.append(task)
    return MapPlan(tuple(tasks), without)


def tiles_touched(project: Project, part: Region | None) -> Iterator[Tile]:
    """Yield the tiles that a part touches."""
    for zone in project.spec.grid.zones:
        shape = None if part is None else footprints_in([part.geometry], zone.lattice)[0]
        for tile in zone.tiles():
            if shape is None or shapely.intersects(shape, shapely.box(*tile.box(FINEST_M).bounds)):
                yield tile


def _covers(project: Project, part: Region, payload: TilePayload) -> bool:
    """Return whether a part touches every pixel of a tile that counts."""
    box = payload.tile.box(FINEST_M)
    inner = touched([part.geometry], box)
    return bool(inner.all() or (inner | ~counted_pixels(project, box, payload.wanted.crop_mask)).all())


def _partial(task: StageTask, part: Region, stood: Mapped) -> StageTask:
    """Return the task that maps a part of a tile: what stands of the same content is kept, also when it is killed."""
    if stood.digest == task.digest:
        parts: tuple[str, ...] = ()  # the rest is of the same content: it stays a whole tile
    elif stood.digest == part_digest(task.digest, stood.parts):
        parts = tuple(sorted({*stood.parts, part.name}))
    else:
        parts, stood = (part.name,), Mapped("")
    payload = replace(task.payload, part=part, parts=parts)
    return replace(task, digest=part_digest(task.digest, parts), payload=payload, kept=stood.as_details())


def map_memory_bytes(project: Project, layout: InputLayout, wanted: MapWanted, tile: Tile, days: int) -> int:
    """Return the projected peak of one tile, of whose observations so many days are in memory at once."""
    kind = wanted.classifier
    needed = BASELINE_BYTES.get(kind, USUAL_BASELINE_BYTES) + strip_bytes(layout, tile.tile_px)
    needed += tile.tile_px**2 * 2 * wanted.layers
    if wanted.origin == FEATURES or not days:
        return needed
    sensor = project.spec.sensor
    cell = cell_px(tile.tile_px)
    block = min(tile.tile_px, math.lcm(STRIP_PX, cell))
    needed += features_bytes(layout, block * tile.tile_px)
    cell_box = Tile(tile.lattice, cell, 0, 0).box(FINEST_M)
    # Observations, masks repeated and compared, and running sums where the mask is dilated.
    needed += days * (day_bytes(sensor, cell_box) + cell * cell * (4 + (8 if wanted.feature_spec.dilate_m else 0)))
    if wanted.origin == CATALOG:
        box = grown(tile.box(FINEST_M), wanted.feature_spec.dilate_m)
        needed += (days + 1) * day_bytes(sensor, box) + BANDS_IN_FLIGHT * 2 * box.height * box.width
    return needed
