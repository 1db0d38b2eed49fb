"""What `predict` would come to: by the model that stands or a usual one, of features that stand or are expected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import shapely
from pyproj import Geod

from cropcube.cube.ledger import Ledger
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import REAL_VALUED, FeatureSpec
from cropcube.domain.lattice import FINEST_M
from cropcube.domain.legend import Legend
from cropcube.domain.words import counted
from cropcube.errors import MissingError
from cropcube.features.model_input import InputLayout
from cropcube.model.checkpoint import check_files, read_card
from cropcube.model.fit_options import FitOptions
from cropcube.pipeline.dry_run import MB, DryRun, Estimate, tiles_of
from cropcube.pipeline.feature_sources import CATALOG, FEATURES
from cropcube.pipeline.features_estimate import GPU
from cropcube.pipeline.features_memory import feature_compression
from cropcube.pipeline.map_records import STAGE
from cropcube.pipeline.model_check import check_fit, digest_of
from cropcube.pipeline.predict import crop_mask_of, inference_of, is_anew
from cropcube.pipeline.predict_plan import MapPlan, map_memory_bytes, map_spec, plan_map, tiles_touched
from cropcube.pipeline.predict_task import MapWanted
from cropcube.pipeline.rates import read_rates
from cropcube.pipeline.scene_sizes import COMPRESSION, bytes_per_pixel
from cropcube.pipeline.season_volume import SeasonVolume, season_volume
from cropcube.pipeline.sources import CUBE
from cropcube.pipeline.stage import not_done

if TYPE_CHECKING:
    from collections.abc import Callable

    from cropcube.config import Project
    from cropcube.cube.ledger import Record
    from cropcube.domain.model_card import ModelCard
    from cropcube.location import Location
    from cropcube.pipeline.planning import Planning
    from cropcube.pipeline.predict import PredictOptions
    from cropcube.run.options import RunOptions

MAP_BYTES_PER_PIXEL = 4.0
"""On the disk, of five before: crop, confidence, margin, clear observations. Measured on the demo's map, which is
small and of much texture; larger maps take less."""
CATALOG_READS = 5
"""A tile from the catalogue reads blocks that its neighbours read too: about so many times what a build reads."""
USUAL = "no model stands: CropNet of width {width} on {feature} of the whole season is taken for granted"
MASKED = "the crop mask is not looked at: what it leaves out is counted"


@dataclass(frozen=True)
class _Asked:
    """The map that would be made."""

    wanted: MapWanted
    layout: InputLayout
    speed: str
    "Of `Rates`, that the classifier works at."
    work_per_pixel: float
    notes: tuple[str, ...]


def dry_run_predict(
    project_root: Location, options: PredictOptions, planning: Planning, run: RunOptions, say: Callable[[str], None]
) -> DryRun:
    """Say what `predict` would be, from what is on this machine; write nothing.

    Parameters
    ----------
    project_root
        The project's folder, or one below it; with a region, one that need not stand.
    options
        Which model, of what.
    planning
        Of what, and at which rates.
    run
        What the run would have.
    say
        Gets one line for each thing the user should know on the way.

    Raises
    ------
    MissingError
        If no project stands and no region is given, or the model that is named is not there.
    ModelMismatchError
        If the model does not fit the project or its map.
    InvalidInputError
        If a box or a rate cannot be used.
    """
    rates, project = read_rates(planning.rates), planning.project(project_root, say)
    run = run.or_else(project.cluster)
    model_path = (options.model or project.model_path).resolve()
    if options.model is None and not model_path.exists():
        estimate = _expected(project, options, _usual(project, options))
    else:
        estimate = _of_model(project, options, model_path, run)
    return DryRun.of(STAGE, estimate, project.root, run, rates)


def _usual(project: Project, options: PredictOptions) -> _Asked:
    """Return a map by the classifier that `train` fits where nothing is said."""
    spec, fit = FeatureSpec(), FitOptions()
    layout = InputLayout.of(spec, project.spec.season, project.spec.sensor)
    layers = len(Legend.default()) if options.probabilities else 0
    wanted = MapWanted(Path(), "", "cropnet", spec, options.origin, layers)
    said = USUAL.format(width=fit.width, feature=spec.name)
    return _Asked(wanted, layout, "cropnet_gmac_s", cropnet_products(layout, fit.width) / 1e9, (said, GPU))


def _of_model(project: Project, options: PredictOptions, model_path: Location, run: RunOptions) -> Estimate:
    """Return the estimate of a model that stands, by the plan of its map where the features can be had."""
    card = read_card(model_path)
    check_files(model_path, card)
    layout = check_fit(project, card, model_path)
    spec = FeatureSpec.from_dict(card.feature_spec)
    mask = crop_mask_of(project, options)
    layers = len(card.legend) if options.probabilities else 0
    inference = inference_of(card, run)
    wanted = MapWanted(model_path, digest_of(card), card.classifier, spec, options.origin, layers, mask, inference)
    speed, work = _classifying(card, layout)
    notes = (*((MASKED,) if mask is not None else ()), GPU)
    asked = _Asked(wanted, layout, speed, work, notes)
    anew = is_anew(project, card, map_spec(project, card, wanted), options)
    records = {} if anew else {record.key: record for record in Ledger(project.ledger_path).records(STAGE)}
    try:
        if options.origin == FEATURES and not Store.exists(project.features_path(spec.name)):
            return _expected(project, options, asked)
        plan = plan_map(project, layout, wanted, options.part, records)
    except MissingError:  # nothing is built or searched yet
        return _expected(project, options, asked)
    return _planned(project, asked, plan, {} if options.rebuild else records)


def _planned(project: Project, asked: _Asked, plan: MapPlan, records: dict[str, Record]) -> Estimate:
    """Return the estimate of planned tiles; those whose features are not made yet count as to be done."""
    todo = not_done(plan.tasks, records, project.map_path)
    days = [task.payload.content.days for task in todo]
    tasks, origin, spec = len(todo) + plan.without, asked.wanted.origin, project.spec
    if origin == CUBE:
        observed = sum(days) * spec.tile_px**2 * bytes_per_pixel(spec.sensor)
        volume = SeasonVolume("the days that the cube holds", 0, 0.0, 0.0, observed, max(days, default=0))
    elif origin == CATALOG:
        volume = season_volume(project).share(tasks / len(spec.grid))
    else:
        volume = _stored(asked)
    lacking = (
        f"{counted(plan.without, 'tile')} without features yet {'counts' if plan.without == 1 else 'count'} as to do"
    )
    notes = (lacking,) if plan.without else ()
    return _estimate(project, asked, volume, (tasks, len(plan.tasks) - len(todo)), notes)


def _expected(project: Project, options: PredictOptions, asked: _Asked) -> Estimate:
    """Return the estimate of a map of features that are not made, or observations that are not read yet."""
    tasks = sum(1 for _ in tiles_touched(project, options.part))
    volume = _stored(asked) if asked.wanted.origin == FEATURES else season_volume(project)
    share = tasks / len(project.spec.grid)
    return _estimate(project, asked, volume.share(share), (tasks, 0), ())


def _stored(asked: _Asked) -> SeasonVolume:
    """Return that no observations are read."""
    return SeasonVolume(f"{len(asked.layout.series_steps)} steps of {asked.layout.feature}", 0, 0.0, 0.0, 0.0, 0)


def _estimate(
    project: Project, asked: _Asked, volume: SeasonVolume, tasks: tuple[int, int], notes: tuple[str, ...]
) -> Estimate:
    """Return the estimate of tiles to do and reused, from the observations that they read."""
    todo, reused = tasks
    grid, wanted = project.spec.grid, asked.wanted
    pixels = min(todo * project.spec.tile_px**2, region_pixels(project) * todo / len(grid))
    arranged = todo * _arranged_bytes(asked, project.spec.tile_px)
    work, read, fetched = {asked.speed: pixels * asked.work_per_pixel, "arrange_mb_s": arranged / MB}, 0.0, 0.0
    if wanted.origin == FEATURES:
        read = arranged / feature_compression(wanted.feature_spec)
    else:
        work["features_mb_s"] = volume.observed_bytes / MB
        read = volume.observed_bytes / COMPRESSION
    if wanted.origin == CATALOG:
        work["build_mb_s"] = CATALOG_READS * volume.observed_bytes / MB
        read, fetched = CATALOG_READS * volume.file_bytes, CATALOG_READS * volume.fetched_bytes
    memory = map_memory_bytes(project, asked.layout, wanted, next(grid.tiles()), volume.days)
    return Estimate(
        source=volume.source,
        tiles=tiles_of(grid),
        tasks=todo,
        reused=reused,
        read_bytes=round(read),
        store_bytes=round(pixels * (MAP_BYTES_PER_PIXEL + wanted.layers)),
        task_memory_bytes=memory if todo else 0,
        work=work if todo else {},
        fetched_bytes=round(fetched),
        scenes=volume.scenes if wanted.origin == CATALOG else None,
        notes=(*notes, *asked.notes),
    )


def _arranged_bytes(asked: _Asked, tile_px: int) -> float:
    """Return the bytes of the features of one tile that a classifier takes, before compression."""
    size = 4 if asked.layout.kind in REAL_VALUED else 2
    of_pixel = sum((FINEST_M / resolution_m) ** 2 for resolution_m in asked.layout.resolutions_m)
    return size * len(asked.layout.series_steps) * tile_px**2 * of_pixel


def region_pixels(project: Project) -> float:
    """Return the area of a region in pixels of 10 m, on the WGS 84 ellipsoid."""
    parts = shapely.get_parts(shapely.orient_polygons(project.spec.region.geometry))
    geod = Geod(ellps="WGS84")
    return float(sum(geod.geometry_area_perimeter(part)[0] for part in parts)) / FINEST_M**2


def cropnet_products(layout: InputLayout, width: int) -> int:
    """Return the multiply-adds that CropNet takes for a pixel: eight convolutions of 3 x 3, the first halving."""
    places = -(-len(layout.bands) // 2) * -(-len(layout.steps) // 2)
    return places * 9 * width * (1 + 7 * width)


def _classifying(card: ModelCard, layout: InputLayout) -> tuple[str, float]:
    """Return the speed that a model's classifier works at, and its work for one pixel."""
    if card.classifier == "cropnet":
        return "cropnet_gmac_s", cropnet_products(layout, int(card.options["width"])) / 1e9
    if card.classifier == "forest":
        return "forest_trees_s", float(card.options["trees"])
    return "boosting_trees_s", float(card.options["iterations"] * len(card.legend))
