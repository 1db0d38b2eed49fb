"""`predict`: the model meets every tile and writes the map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropcube.catalog.outlines import find_region
from cropcube.config import find_project
from cropcube.cube.ledger import Ledger
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.lattice import FINEST_M
from cropcube.domain.map_product import CROP, legend_of
from cropcube.errors import (
    ConflictError,
    IncompleteError,
    InvalidInputError,
    MissingError,
    ModelMismatchError,
    UsageError,
)
from cropcube.kernels.device import CPU, CUDA
from cropcube.maps.crop_mask import CropMask
from cropcube.model.checkpoint import check_files, load_model, read_card
from cropcube.pipeline.build_summary import Tally, tally
from cropcube.pipeline.feature_sources import CATALOG, FEATURES, check_origin
from cropcube.pipeline.map_records import STAGE, MappedArea, mapped_area
from cropcube.pipeline.model_check import check_fit, digest_of, open_model_features
from cropcube.pipeline.predict_plan import MapPlan, map_spec, plan_map
from cropcube.pipeline.predict_task import MapWanted, erase, write
from cropcube.pipeline.stage import StageSummary, StageWork, begin, run_stage
from cropcube.run.options import RunOptions

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.cube.layout import StoreSpec
    from cropcube.domain.model_card import ModelCard
    from cropcube.domain.region import Region
    from cropcube.location import Location


@dataclass(frozen=True)
class PredictOptions:
    """Which model makes the map, of what."""

    model: Location | None = None
    "Model folder; None for the project's own."
    rebuild: bool = False
    "Make all of it anew, also where it is of the same model; with `box`, what touches the box."
    origin: str = FEATURES
    "Where features come from: `features`, `cube` or `catalog`. The map is the same."
    probabilities: bool = False
    "Whether the map holds the probability of every class."
    crop_mask: Path | None = None
    "Raster or vector file of where crops may be; None for everywhere."
    box: str | None = None
    "West,south,east,north: only pixels that it touches are mapped, the rest of the map stays as it is."
    max_failed_reads: int = 0
    "From the catalogue: failed reads up to which the map counts as good."

    def __post_init__(self) -> None:
        check_origin(self.origin)
        if self.max_failed_reads < 0:
            raise InvalidInputError(f"--max-failed-reads {self.max_failed_reads} is negative", "Give 0 or more.")
        if self.max_failed_reads and self.origin != CATALOG:
            raise UsageError(
                f"--max-failed-reads goes with --from {CATALOG}; --from {self.origin} reads no scenes",
                "Leave it out; `cropcube build` has the same option.",
            )

    @property
    def part(self) -> Region | None:
        """The region of the box."""
        if self.box is None:
            return None
        if self.box.count(",") != 3:
            raise UsageError(*_no_box(self.box))
        try:
            tuple(map(float, self.box.split(",")))
        except ValueError:
            raise UsageError(*_no_box(self.box)) from None
        return find_region(self.box)


def _no_box(text: str) -> tuple[str, str]:
    return f"--box {text!r} is not four numbers", "Give W,S,E,N in degrees: 4.05,50.74,4.06,50.75."


@dataclass(frozen=True)
class PredictSummary:
    """What came of it."""

    stage: StageSummary
    map_path: Location
    classifier: str
    feature: str
    origin: str
    model_digest: str
    areas: MappedArea
    tiles_without_features: int
    "Tiles that were asked for and are not in the map, since their features are not made yet."
    tally: Tally
    "Of the map's records: failed reads of the catalogue's scenes."
    max_failed_reads: int = 0
    notes: tuple[str, ...] = ()
    "What is odd about the map, in sentences."

    def check(self) -> None:
        """Raise what keeps the map from being whole.

        Raises
        ------
        IncompleteError
            If more reads failed than the budget allows.
        MissingError
            If tiles have no features.
        """
        if self.tally.failed_reads > self.max_failed_reads:
            raise IncompleteError(
                f"{self.tally.failed_reads} reads failed in {self.tally.incomplete} tiles "
                f"(--max-failed-reads {self.max_failed_reads})",
                "Run the same command again: it retries what failed. What is broken for good is mended in the "
                "catalogue, or let pass with --max-failed-reads; `cropcube status` shows what is missing.",
            )
        if self.tiles_without_features:
            raise MissingError(
                f"{self.tiles_without_features} tiles have no features {self.feature} yet and are not in the map; "
                "the others are",
                "Run `cropcube features`, then this again; or use --from cube or --from catalog.",
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {
            **self.stage.as_dict(),
            "map": str(self.map_path),
            "classifier": self.classifier,
            "features": self.feature,
            "from": self.origin,
            "model_digest": self.model_digest,
            "tiles_without_features": self.tiles_without_features,
            "failed_reads": self.tally.failed_reads,
            "failures": list(self.tally.failures),
            "area": self.areas.as_dict(),
            "notes": list(self.notes),
        }


def predict(project_root: Location, options: PredictOptions, run: RunOptions | None = None) -> PredictSummary:
    """Make the map of every tile that has features, or whose features can be made on the fly.

    A tile is made again only if what it rests on has changed: its features (the same from every source), the model,
    the region, the crop mask, whether probabilities are wanted.

    Parameters
    ----------
    project_root
        The project's folder, or one below it.
    options
        Which model, of what.
    run
        Where tasks run.

    Raises
    ------
    MissingError
        If there is no model, or nothing to take features from; the message names the verb that makes it.
    ModelMismatchError
        If the model's features, bands, steps or legend do not fit the project and its map.
    InvalidInputError
        If the crop mask or the box cannot be used.
    """
    project, part = find_project(project_root), options.part
    model_path = (options.model or project.model_path).resolve()
    card = read_card(model_path)
    check_files(model_path, card)
    layout = check_fit(project, card, model_path)
    run = (run or RunOptions()).or_else(project.cluster)
    inference = inference_of(card, run)
    # Nothing of a map is touched before the model was seen to be read there; what workers elsewhere have is seen there.
    load_model(model_path, CPU if run.is_elsewhere else inference)
    if options.origin == FEATURES:
        open_model_features(project, card)
    spec = FeatureSpec.from_dict(card.feature_spec)
    mask = crop_mask_of(project, options)
    layers = len(card.legend) if options.probabilities else 0
    wanted = MapWanted(model_path, digest_of(card), card.classifier, spec, options.origin, layers, mask, inference)
    target = map_spec(project, card, wanted)
    anew = is_anew(project, card, target, options)
    records = {} if anew else {record.key: record for record in Ledger(project.ledger_path).records(STAGE)}
    plan = plan_map(project, layout, wanted, part, records)
    _refuse_nothing(project, plan, options)
    clear = partial(_clear_map, project, target, plan, anew) if anew or options.rebuild else None
    work = StageWork(STAGE, project.map_path, erase, write)
    stage = run_stage(project, plan.tasks, work, run, clear)
    stage.raise_failed()
    read = tally(Ledger(project.ledger_path).records(STAGE))
    whole = part is None and not plan.without and read.failed_reads <= options.max_failed_reads
    if whole and Store.exists(project.map_before_path):
        Store.remove(project.map_before_path)
    asked = mapped_area(project, card.legend, {task.key for task in plan.tasks})
    nothing = f"the crop mask {options.crop_mask} leaves nothing to be mapped in the {len(plan.tasks)} tiles asked for"
    return PredictSummary(
        stage,
        project.map_path,
        card.classifier,
        card.feature,
        options.origin,
        wanted.model_digest,
        mapped_area(project, card.legend),
        plan.without,
        read,
        options.max_failed_reads,
        (nothing,) if mask is not None and not asked.counted else (),
    )


def inference_of(card: ModelCard, run: RunOptions) -> str:
    """Return what a model classifies on: the device is part of a tile's digest."""
    return CUDA if run.used_device == CUDA and card.classifier == "cropnet" else CPU


def crop_mask_of(project: Project, options: PredictOptions) -> CropMask | None:
    """Return the mask that is asked for; refuse one that cannot be read, or lies beside the region."""
    if options.crop_mask is None:
        return None
    mask = CropMask.open(options.crop_mask)
    mask.check_over(project.spec.region)
    return mask


def _refuse_nothing(project: Project, plan: MapPlan, options: PredictOptions) -> None:
    """Refuse a map without a single tile."""
    if plan.tasks:
        return
    if options.box is not None and not plan.without:
        west, south, east, north = project.spec.region.bounds
        raise InvalidInputError(
            f"--box {options.box} touches no tile of {project.spec.region.name}",
            f"The region spans {west:.4f},{south:.4f},{east:.4f},{north:.4f}.",
        )
    raise MissingError(
        f"no tile of the project has the features that the model takes, in {plan.without} tiles",
        "Run `cropcube features` for them first, or use --from cube or --from catalog.",
    )


def is_anew(project: Project, card: ModelCard, target: StoreSpec, options: PredictOptions) -> bool:
    """Return whether the map that may stand is to be removed; refuse one with another legend, or a part of another."""
    if not Store.exists(project.map_path):
        return True
    if options.rebuild and options.box is None:
        return True
    standing = Store.open(project.map_path)
    legend = legend_of(standing.array(CROP, FINEST_M).attrs)
    if (legend.codes, legend.names) != (card.legend.codes, card.legend.names):
        raise ModelMismatchError(
            f"{project.map_path} stands with another legend ({', '.join(legend.names)}) than the model's "
            f"({', '.join(card.legend.names)})",
            "`cropcube predict --rebuild` replaces the map; `cropcube train --legend FILE` makes a model that fits it.",
        )
    arrays = {(array.name, array.resolution_m) for array in target.arrays}
    differs = standing.attrs != dict(target.attrs) or set(standing.arrays) != arrays
    if differs and options.box is not None:
        raise ConflictError(
            f"{project.map_path} was made by another model, or with other --crop-mask, --probabilities or --device: "
            "its rest would not fit the box",
            "Give the options that it was made with, or leave --box out to make all of it anew.",
        )
    return differs


def _clear_map(project: Project, target: StoreSpec, plan: MapPlan, anew: bool) -> None:
    """Put an empty map in the place of one that may stand; or record what of it is made anew as begun.

    What stood is kept beside it until the new map is whole, so that a rebuild that fails leaves one.
    """
    ledger = Ledger(project.ledger_path)
    if anew:
        ledger.withdraw_all(STAGE)
        if Store.exists(project.map_path) and not Store.exists(project.map_before_path):
            Store.move(project.map_path, project.map_before_path)
        Store.remove(project.map_path)  # of a rebuild that did not end
        Store.create(project.map_path, project.spec.grid, target)
        return
    for task in plan.tasks:  # not withdrawn: what the tile holds beside the box would be forgotten
        begin(ledger, task)
