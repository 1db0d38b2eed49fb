"""The verbs for Python: what the command line does, in the same words.

Each takes the project's folder first and then, as keywords, the options of the command of its name, with the same
meaning and defaults (`--from` is `source`, since `from` is a word of Python's own; `--json` has none). They return
summaries with `as_dict()` and raise `cropcube.errors.CropcubeError` for everything the user can cause. What the command
says on standard error (progress, remarks) they say there too, unless `quiet`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypedDict, TypeVar, Unpack, cast

from cropcube.domain.words import names_in, size_bytes
from cropcube.location import location
from cropcube.run.options import RunOptions

if TYPE_CHECKING:
    from cropcube.pipeline.build_summary import BuildSummary
    from cropcube.pipeline.catalogs import CatalogsSummary
    from cropcube.pipeline.demo import DemoSummary
    from cropcube.pipeline.dry_run import DryRun
    from cropcube.pipeline.evaluate import EvaluateSummary
    from cropcube.pipeline.export import ExportSummary
    from cropcube.pipeline.extract import ExtractSummary
    from cropcube.pipeline.features import FeaturesSummary
    from cropcube.pipeline.info import MachineInfo
    from cropcube.pipeline.predict import PredictSummary
    from cropcube.pipeline.provenance import Provenance
    from cropcube.pipeline.regions import RegionsSummary
    from cropcube.pipeline.status import Status
    from cropcube.pipeline.train import TrainSummary

    Place = str | PathLike[str]
    "A file or folder; a project may also lie at `s3://bucket/prefix`, `az://...` or `gs://...`."

P = ParamSpec("P")
T = TypeVar("T")


class RunWords(TypedDict, total=False):
    """Where the tasks of a verb run."""

    cluster: str
    """`auto` (worker processes for more than a handful of tasks), `serial`, `local`, `cuda`, `slurm`, `pbs`,
    `kubernetes`, `tcp://...` of a scheduler, or the path of its scheduler file."""
    workers: int | tuple[int, int] | None
    "Workers to start; of slurm, pbs and kubernetes also the least and the most."
    memory_limit: str | int | None
    "Of one worker: `6GiB`, or bytes."
    quiet: bool
    "No progress bar, no remarks."


def _verb(function: Callable[P, T]) -> Callable[P, T]:
    """Let a wrong keyword be answered with those that the verb has."""
    parameters = inspect.signature(function).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    known += RunWords.__annotations__ if len(known) < len(parameters) else []

    @wraps(function)
    def called(*arguments: P.args, **keywords: P.kwargs) -> T:
        """Call the verb, or say which keywords it has."""
        wrong = [name for name in keywords if name not in known]
        if wrong:
            raise TypeError(f"{function.__name__} has no keyword {', '.join(wrong)}; it has: {', '.join(known)}")
        return function(*arguments, **keywords)

    return called


@_verb
def build(
    project: Place = ".",
    *,
    region: str | None = None,
    season: str | None = None,
    sensor: str = "sentinel-2",
    catalog: str | None = None,
    collection: str | None = None,
    max_cloud: float | None = None,
    bands: str | Iterable[str] | None = None,
    resolution: int | None = None,
    tile_px: int | None = None,
    crs: str | None = None,
    dry_run: bool = False,
    rates: Place | None = None,
    search: bool = False,
    scenes_only: bool = False,
    verify: bool = False,
    max_failed_reads: int = 0,
    **run: Unpack[RunWords],
) -> BuildSummary | DryRun:
    """Build a region's cube of observations, or go on with the build that stands."""
    from cropcube.pipeline.build import build as work
    from cropcube.pipeline.build_options import BuildOptions

    options = BuildOptions(
        region=region,
        season=season,
        sensor=sensor,
        catalog=catalog,
        collection=collection,
        max_cloud=max_cloud,
        bands=None if bands is None else names_in(bands),
        resolution_m=resolution,
        tile_px=tile_px,
        crs=crs,
        dry_run=dry_run,
        search=search,
        scenes_only=scenes_only,
        verify=verify,
        max_failed_reads=max_failed_reads,
        rates=_path(rates),
    )
    where = _run(run)
    summary = work(location(project), options, where, _voice(where.quiet))
    summary.check()
    return summary


@_verb
def status(project: Place = ".", *, tile: str | None = None) -> Status | Provenance:
    """Say what of a project is done, and what is missing; or what a tile of the map rests on."""
    from cropcube.pipeline.provenance import provenance
    from cropcube.pipeline.status import status as work

    return work(location(project)) if tile is None else provenance(location(project), tile)


@_verb
def features(
    project: Place = ".",
    *,
    kind: str = "median",
    window: int | None = None,
    order: int | None = None,
    ridge: float | None = None,
    mask: str = "scl:4,5,6,7",
    dilate: int = 0,
    index: str | Iterable[str] | None = None,
    percentiles: str | Iterable[float] | None = None,
    view: str | None = None,
    resample: str | None = None,
    continuum: bool = False,
    join: str | None = None,
    dry_run: bool = False,
    region: str | None = None,
    season: str | None = None,
    rates: Place | None = None,
    device: str = "auto",
    **run: Unpack[RunWords],
) -> FeaturesSummary | DryRun:
    """Reduce the cube's time axis to features of a kind; see `domain.feature_spec.KINDS`."""
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.pipeline.features import FeaturesOptions
    from cropcube.pipeline.features import features as work
    from cropcube.pipeline.features_estimate import dry_run_features
    from cropcube.pipeline.planning import Planning

    own = {
        "window": window, "order": order, "ridge": ridge, "index": index, "percentiles": percentiles,
        "view": view, "resample": resample, "continuum": continuum or None,
        "join": join,
    }  # fmt: skip
    spec, where = FeatureSpec.of_words(kind, mask, dilate, own), _run(run, device)
    planning = Planning.of_words(dry_run, region, season, _path(rates))
    if planning is not None:
        return dry_run_features(location(project), spec, planning, where, _voice(where.quiet))
    return work(location(project), FeaturesOptions(spec), where)


@_verb
def train(
    project: Place = ".",
    *,
    labels: Place | Iterable[Place] | None = None,
    table: Place | None = None,
    label_field: str | Iterable[str] | None = None,
    start_field: str | None = None,
    end_field: str | None = None,
    erode: float = 0.0,
    radius: float = 0.0,
    min_area: float = 0.0,
    legend: Place | None = None,
    features: str = "median-5d",
    source: str = "features",
    classifier: str = "cropnet",
    recipe: str | None = None,
    model_window: str | None = None,
    augment: str | None = None,
    width: int | None = None,
    epochs: int | None = None,
    patience: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    class_weights: str | None = None,
    label_smoothing: float | None = None,
    average: float | None = None,
    trees: int | None = None,
    iterations: int | None = None,
    split: str = "blocks",
    block_m: int | None = None,
    regions: Place | None = None,
    seed: int = 0,
    threads: int = 0,
    model: Place | None = None,
    tensorboard: bool = False,
    quiet: bool = False,
) -> TrainSummary:
    """Fit a classifier to labels, and write it with its card."""
    from cropcube.model.fit_options import FitOptions
    from cropcube.pipeline.labels import LabelFiles
    from cropcube.pipeline.train import TrainOptions, window_of_words
    from cropcube.pipeline.train import train as work
    from cropcube.samples.places import SplitRule

    said = {
        "recipe": recipe, "augment": augment, "width": width, "epochs": epochs, "patience": patience, "batch": batch,
        "learning_rate": learning_rate, "weight_decay": weight_decay, "class_weights": class_weights,
        "label_smoothing": label_smoothing, "average": average, "trees": trees, "iterations": iterations, "seed": seed,
        "threads": threads,
    }  # fmt: skip
    fit = FitOptions.of_words(classifier, said)
    rules = {
        "start_field": start_field, "end_field": end_field, "erode": erode, "radius": radius, "min_area": min_area,
        "table": table,
    }  # fmt: skip
    files = LabelFiles.of_words(_several(labels), _several(label_field), rules)
    rule = SplitRule(split, block_m, _path(regions))
    window = window_of_words(model_window, recipe, classifier)
    options = TrainOptions(
        files,
        _path(legend),
        features,
        classifier,
        rule,
        fit,
        _path(model),
        window,
        tensorboard=tensorboard,
        origin=source,
    )
    say = _voice(quiet)
    return work(location(project), options, progress=lambda epoch: say(str(epoch)))


@_verb
def predict(
    project: Place = ".",
    *,
    model: Place | None = None,
    rebuild: bool = False,
    source: str = "features",
    probabilities: bool = False,
    crop_mask: Place | None = None,
    box: str | None = None,
    max_failed_reads: int = 0,
    dry_run: bool = False,
    region: str | None = None,
    season: str | None = None,
    rates: Place | None = None,
    device: str = "auto",
    **run: Unpack[RunWords],
) -> PredictSummary | DryRun:
    """Make the wall-to-wall map."""
    from cropcube.pipeline.planning import Planning
    from cropcube.pipeline.predict import PredictOptions
    from cropcube.pipeline.predict import predict as work
    from cropcube.pipeline.predict_estimate import dry_run_predict

    options = PredictOptions(_path(model), rebuild, source, probabilities, _path(crop_mask), box, max_failed_reads)
    where, planning = _run(run, device), Planning.of_words(dry_run, region, season, _path(rates))
    if planning is not None:
        return dry_run_predict(location(project), options, planning, where, _voice(where.quiet))
    summary = work(location(project), options, where)
    summary.check()
    return summary


@_verb
def evaluate(
    project: Place = ".",
    *,
    labels: Place | Iterable[Place] | None = None,
    table: Place | None = None,
    label_field: str | Iterable[str] | None = None,
    start_field: str | None = None,
    end_field: str | None = None,
    erode: float = 0.0,
    radius: float = 0.0,
    min_area: float = 0.0,
    folds: int | None = None,
    seeds: int = 1,
    split: str | None = None,
    block_m: int | None = None,
    regions: Place | None = None,
    classifier: str | None = None,
    compare: str | Iterable[str] | None = None,
    model: Place | None = None,
    source: str = "features",
    quiet: bool = False,
) -> EvaluateSummary:
    """State the accuracy, and write the report."""
    from cropcube.pipeline.evaluate import EvaluateOptions
    from cropcube.pipeline.evaluate import evaluate as work
    from cropcube.pipeline.labels import LabelFiles
    from cropcube.samples.places import SplitRule

    rules = {
        "start_field": start_field, "end_field": end_field, "erode": erode, "radius": radius, "min_area": min_area,
        "table": table,
    }  # fmt: skip
    files = LabelFiles.if_given(_several(labels), _several(label_field), rules)
    asked = split is not None or block_m is not None or regions is not None
    rule = SplitRule(split or "blocks", block_m, _path(regions)) if asked else None
    options = EvaluateOptions(files, folds, seeds, rule, classifier, names_in(compare or ()), _path(model), source)
    return work(location(project), options, RunOptions(quiet=quiet))


@_verb
def export(project: Place = ".", *, cog: Place, layer: str = "crop") -> ExportSummary:
    """Write a layer of the map as cloud-optimised GeoTIFF."""
    from cropcube.pipeline.export import ExportOptions
    from cropcube.pipeline.export import export as work

    return work(location(project), ExportOptions(Path(cog), layer))


@_verb
def extract(
    project: Place = ".",
    *,
    points: Place | None = None,
    polygons: Place | None = None,
    source: str = "cube",
    output: Place | None = None,
    mask: str = "scl:4,5,6,7",
    **run: Unpack[RunWords],
) -> ExtractSummary:
    """Write the series of a source (`cube`, `map` or features by name) at places, to GeoParquet."""
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.pipeline.extract import ExtractOptions
    from cropcube.pipeline.extract import extract as work

    classes = FeatureSpec.parse_mask(mask)
    return work(
        location(project), ExtractOptions(_path(points), _path(polygons), source, _path(output), classes), _run(run)
    )


@_verb
def regions(text: str = "") -> RegionsSummary:
    """List the regions known by name."""
    from cropcube.pipeline.regions import regions as work

    return work(text)


@_verb
def catalogs() -> CatalogsSummary:
    """List the catalogues known by name."""
    from cropcube.pipeline.catalogs import catalogs as work

    return work()


@_verb
def demo(folder: Place = "demo", **run: Unpack[RunWords]) -> DemoSummary:
    """Run the whole job on the shipped sample."""
    from cropcube.pipeline.demo import demo as work

    where = _run(run)
    return work(Path(folder), run=where, say=_voice(where.quiet))


@_verb
def info() -> MachineInfo:
    """Say what this machine has."""
    from cropcube.pipeline.info import info as work

    return work()


def _path(said: Place | None) -> Path | None:
    return None if said is None else Path(said)


def _several(said: T | Iterable[T] | None) -> tuple[T, ...]:
    """Return one thing or several as several; text and paths are one."""
    if said is None:
        return ()
    several = isinstance(said, Iterable) and not isinstance(said, str | PathLike)
    return tuple(cast("Iterable[T]", said)) if several else (cast("T", said),)


def _run(words: RunWords, device: str = "auto") -> RunOptions:
    limit = words.get("memory_limit")
    size = None if limit is None else size_bytes(limit)
    workers = words.get("workers")
    least, most = workers if isinstance(workers, tuple) else (workers, None)
    return RunOptions(words.get("cluster", "auto"), least, size, words.get("quiet", False), device, most)


def _voice(quiet: bool) -> Callable[[str], None]:
    """Return what says a line on standard error, or nothing."""

    def say(line: str) -> None:
        if not quiet:
            print(line, file=sys.stderr)

    return say
