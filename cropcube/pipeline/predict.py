"""`predict`: the model meets every tile and writes the map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.config import find_project
from cropcube.cube.layout import StoreSpec, map_array
from cropcube.cube.ledger import Ledger, digest
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.grid import inside, owned
from cropcube.domain.lattice import FINEST_M, Tile
from cropcube.domain.map_product import (
    CLEAR_COUNT,
    CONFIDENCE,
    CROP,
    DTYPES,
    clear_count_attrs,
    confidence_attrs,
    crop_attrs,
    legend_of,
)
from cropcube.errors import MissingError, ModelMismatchError
from cropcube.features.source import StoredFeatures
from cropcube.maps.predict import ALGORITHM_REVISION, MapModel, predict_tile, strip_bytes
from cropcube.model.checkpoint import check_files, load_model, read_card
from cropcube.pipeline.map_records import STAGE, MappedArea, mapped_area
from cropcube.pipeline.model_check import check_fit, digest_of, open_model_features
from cropcube.pipeline.sources import features_command, stage_of
from cropcube.pipeline.stage import DONE, StageSummary, StageTask, StageWork, TaskResult, run_stage
from cropcube.run.options import RunOptions

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.cube.layout import JSON
    from cropcube.domain.model_card import ModelCard

BASELINE_BYTES = {"cropnet": 500 * 2**20, "forest": 350 * 2**20}
"""What a worker holds beside the strip: libraries, model, a batch on its way. Measured on a tile of 768 px with 73
windows of ten bands, strip included: 588 MiB for CropNet of width 128, 464 MiB for 100 trees; projected 917 and 767."""


@dataclass(frozen=True)
class PredictOptions:
    """Which model makes the map."""

    model: Path | None = None
    "Model folder; None for the project's own."
    rebuild: bool = False
    "Remove the map that stands and make all of it anew, also where it is of the same model."


@dataclass(frozen=True)
class TilePayload:
    """What a worker needs to know to map one tile."""

    tile: Tile
    "Which tile."
    model_path: Path
    "Folder of the model."
    model_digest: str
    "Of what the map depends on; the folder must still hold it."


@dataclass(frozen=True)
class _Target:
    """What all tasks share."""

    model_path: Path
    model_digest: str
    memory_bytes: int
    "Projected for one task."


@dataclass(frozen=True)
class PredictSummary:
    """What came of it."""

    stage: StageSummary
    map_path: Path
    classifier: str
    feature: str
    model_digest: str
    areas: MappedArea
    tiles_without_features: int
    "Tiles of the region that are not in the map, since their features are not made yet."

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {
            **self.stage.as_dict(),
            "map": str(self.map_path),
            "classifier": self.classifier,
            "features": self.feature,
            "model_digest": self.model_digest,
            "tiles_without_features": self.tiles_without_features,
            "area": self.areas.as_dict(),
        }


def predict(project_root: Path, options: PredictOptions, run: RunOptions | None = None) -> PredictSummary:
    """Make the map of every tile that has features.

    Parameters
    ----------
    project_root
        The project's folder, or one below it.
    options
        Which model.
    run
        Where tasks run.

    Raises
    ------
    MissingError
        If there is no model, or no features of the kind that it takes; the message names the verb that makes them.
    ModelMismatchError
        If the model's features, bands, steps or legend do not fit the project and its map.
    """
    project = find_project(project_root)
    model_path = (options.model or project.model_path).resolve()
    card = read_card(model_path)
    check_files(model_path, card)
    layout = check_fit(project, card, model_path)
    open_model_features(project, card)
    model_digest = digest_of(card)
    memory = BASELINE_BYTES[card.classifier] + strip_bytes(layout, project.spec.tile_px)
    tasks, without = _plan(project, card, _Target(model_path, model_digest, memory))
    _prepare_map(project, card, model_digest, options.rebuild)
    work = StageWork(project.map_path, _erase, _write)
    summary = run_stage(project, STAGE, tasks, work, run or RunOptions())
    summary.raise_failed()
    areas = mapped_area(project, card.legend)
    return PredictSummary(summary, project.map_path, card.classifier, card.feature, model_digest, areas, without)


def _prepare_map(project: Project, card: ModelCard, model_digest: str, rebuild: bool) -> None:
    """Make the empty map, or find it standing; one of another model is removed, its records first."""
    ledger, spec = Ledger(project.ledger_path), _map_spec(project, card, model_digest)
    if rebuild or not Store.exists(project.map_path) or _is_of_another(project, card, spec):
        ledger.withdraw_all(STAGE)
        Store.remove(project.map_path)
    Store.create(project.map_path, project.spec.grid, spec)


def _is_of_another(project: Project, card: ModelCard, spec: StoreSpec) -> bool:
    """Return whether a map stands that was made by another model; refuse one with another legend."""
    standing = Store.open(project.map_path)
    legend = legend_of(standing.array(CROP, FINEST_M).attrs)
    if (legend.codes, legend.names) != (card.legend.codes, card.legend.names):
        raise ModelMismatchError(
            f"{project.map_path} stands with another legend ({', '.join(legend.names)}) than the model's "
            f"({', '.join(card.legend.names)})",
            "`cropcube predict --rebuild` replaces the map; `cropcube train --legend FILE` makes a model that fits it.",
        )
    return standing.attrs != dict(spec.attrs)


def _map_spec(project: Project, card: ModelCard, model_digest: str) -> StoreSpec:
    attrs = {CROP: crop_attrs(card.legend), CONFIDENCE: confidence_attrs(), CLEAR_COUNT: clear_count_attrs()}
    arrays = tuple(map_array(name, kind, project.spec.tile_px, attrs[name]) for name, kind in DTYPES.items())
    made: dict[str, JSON] = {
        "classifier": card.classifier,
        "features": card.feature,
        "model_digest": model_digest,
        "season": str(project.spec.season),
        "algorithm_revision": ALGORITHM_REVISION,
    }
    return StoreSpec("map", arrays, attrs=made)


def _plan(project: Project, card: ModelCard, target: _Target) -> tuple[list[StageTask], int]:
    """Return one task for each tile with features, and how many tiles have none."""
    wanted = wanted_digests(project, card.feature, target.model_digest)
    tasks = [
        StageTask(key, wanted[key], TilePayload(tile, target.model_path, target.model_digest), target.memory_bytes)
        for tile in project.spec.grid.tiles()
        if (key := f"{STAGE}/{tile.lattice.name}/{tile.name}") in wanted
    ]
    if not tasks:
        raise MissingError(
            f"no tile of the project has the features {card.feature}",
            f"Run `{features_command(FeatureSpec.from_dict(card.feature_spec))}` first.",
        )
    return tasks, len(project.spec.grid) - len(tasks)


def wanted_digests(project: Project, feature: str, model_digest: str) -> dict[str, str]:
    """Return the digest of the map's task for each tile that has the features, by the task's key."""
    records = Ledger(project.ledger_path).records(stage_of(feature))
    region = project.spec.region.digest
    return {
        record.key.replace(stage_of(feature), STAGE, 1): digest(
            record.content_digest, model_digest, region, ALGORITHM_REVISION
        )
        for record in records
        if record.state == DONE
    }


def _erase(project: Project, task: StageTask) -> None:
    """Remove what the map holds of the tile."""
    store = Store.open(project.map_path, writable=True)
    tile: Tile = task.payload.tile
    for name in DTYPES:
        store.erase(tile.lattice.name, name, tile.box(FINEST_M))


def _write(project: Project, task: StageTask) -> TaskResult:
    """Map one tile."""
    payload: TilePayload = task.payload
    model = replace(_load(project.root, payload.model_path, payload.model_digest), threads=task.threads)
    box = payload.tile.box(FINEST_M)
    counted = inside(project.spec.region, box) & owned(box)
    features = StoredFeatures(Store.open(project.features_path(model.layout.feature)))
    made = predict_tile(features, model, payload.tile, counted)
    store = Store.open(project.map_path, writable=True)
    for name in DTYPES:
        store.write(payload.tile.lattice.name, name, box, getattr(made, name))
    pixels = np.bincount(made.crop[counted], minlength=1 + 255)
    classes = len(legend_of(store.array(CROP, FINEST_M).attrs))
    return TaskResult(DONE, {"pixels": pixels[: classes + 1].tolist()}, 0, store.written)


@lru_cache(maxsize=1)
def _load(root: Path, model_path: Path, model_digest: str) -> MapModel:
    """Read the model once for all tiles of a worker; refused if it was trained again since the verb began."""
    classifier, card = load_model(model_path)
    if digest_of(card) != model_digest:
        raise ModelMismatchError(
            f"the model in {model_path} was replaced while the map was made", "Run `cropcube predict` again."
        )
    return MapModel(classifier, check_fit(find_project(root), card, model_path), card.scaling)
