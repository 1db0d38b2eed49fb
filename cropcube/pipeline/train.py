"""`train`: labels and features in, a model with its card out."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.config import find_project
from cropcube.cube.ledger import digest
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.lattice import FINEST_M
from cropcube.domain.model_card import CLASSIFIERS, LabelSource, ModelCard, SplitRecord
from cropcube.domain.model_window import ModelWindow
from cropcube.errors import InvalidInputError, MissingError
from cropcube.features.layout import feature_spec_of
from cropcube.features.model_input import InputLayout
from cropcube.features.source import StoredFeatures, check_store
from cropcube.model.baselines import majority_accuracy
from cropcube.model.calibration import calibrate
from cropcube.model.checkpoint import load_model, load_samples, save_model
from cropcube.model.classifier import classify, need_torch
from cropcube.model.diary import Diary
from cropcube.model.fit import fit_classifier
from cropcube.model.fit_options import FitOptions, recipe_of
from cropcube.model.metrics import scores
from cropcube.pipeline.commands import command
from cropcube.pipeline.feature_sources import FEATURES, contents_under, whole_source
from cropcube.pipeline.labels import WITHOUT_PLACE, LabelFiles, grouped, read_labels
from cropcube.pipeline.sources import CUBE, open_source, refuse_damaged
from cropcube.run.memory import processors
from cropcube.samples.index import SETS
from cropcube.samples.legend_file import read_legend
from cropcube.samples.places import BLOCKS, SplitRule
from cropcube.samples.read import OnGrid, Samples
from cropcube.samples.split import LEFT_OUT, places, three_sets

if TYPE_CHECKING:
    from collections.abc import Callable

    from cropcube.config import Project
    from cropcube.domain.model_card import Calibration
    from cropcube.features.source import FeatureSource
    from cropcube.model.classifier import Epoch, Fitted
    from cropcube.model.metrics import Scores
    from cropcube.run.options import RunOptions
    from cropcube.samples.split import Blocks

REVISION = 1
"""Raised when the same labels, features and options would give another model."""
UNOBSERVED, SHARED_FIELD = "without a clear observation", "in a field that another set uses"
"""Why samples are dropped: their features hold nothing; a field that reaches over blocks is used by one set."""


@dataclass(frozen=True)
class TrainOptions:
    """What to learn from, and how."""

    labels: LabelFiles
    "Points, polygons or class rasters."
    legend: Path | None = None
    "CSV code,name[,colour]; None = the paper's six crops and other."
    feature: str = "median-5d"
    "Name of the features."
    classifier: str = "cropnet"
    "`cropnet`, `forest` or `boosting`."
    split: SplitRule = field(default_factory=SplitRule)
    "What is dealt as a whole to training, validation and test."
    fit: FitOptions = field(default_factory=FitOptions)
    "Its seed deals the samples too."
    model: Path | None = None
    "Folder to write; None = the project's own."
    model_window: ModelWindow | None = None
    "Part of the season that the model sees; None for all of it."
    tensorboard: bool = False
    "Whether TensorBoard's files are written beside the model."
    origin: str = FEATURES
    "Where features come from: their store (`features`), or made on the fly of the `cube`. The model is the same."

    def __post_init__(self) -> None:
        if self.origin not in (FEATURES, CUBE):
            raise InvalidInputError(f"samples cannot be taken from {self.origin!r}", f"Use one of: {FEATURES}, {CUBE}.")
        if self.classifier not in CLASSIFIERS:
            raise InvalidInputError(
                f"classifier {self.classifier!r} is not known", f"Use one of: {', '.join(CLASSIFIERS)}."
            )


@dataclass(frozen=True)
class TrainSummary:
    """What came of it."""

    card: ModelCard
    path: Path
    scores: Scores | None
    "On the validation blocks."
    majority_accuracy: float | None
    "What mapping everything as the commonest training class would score there."
    history: tuple[Epoch, ...]
    best_epoch: int
    warnings: tuple[str, ...]
    reused: bool = False
    "Whether the model stood already, made of the same; `history` is then empty."

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        card = self.card
        return {
            "model": str(self.path),
            "classifier": card.classifier,
            "features": card.feature,
            "bands": list(card.bands),
            "steps": len(card.steps),
            "options": card.options,
            "split": {"by": card.split.by, "block_m": card.split.block_m, "groups": card.split.groups},
            "samples": card.split.counts,
            "untestable": list(card.split.untestable),
            "label_features": card.labels.features,
            "dropped": card.labels.dropped,
            "reused": self.reused,
            "best_epoch": self.best_epoch,
            "epochs": [{"epoch": e.number, "loss": e.loss, "macro_f1": e.macro_f1} for e in self.history],
            "validation": self.scores.as_json() if self.scores else None,
            "majority_accuracy": self.majority_accuracy,
            "warnings": list(self.warnings),
        }


def train(
    project_root: Path,
    options: TrainOptions,
    run: RunOptions | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> TrainSummary:
    """Fit a classifier to labels and write it with its card, its legend and its samples.

    A model that stands there already, made of the same labels, features, options and versions, is left as it is. A fit
    of CropNet that was killed goes on after its last whole epoch. `log.csv` beside the model has a row for every epoch.

    Parameters
    ----------
    project_root
        The project's folder, or one below it.
    options
        See there.
    run
        Taken so that all verbs are called alike; training runs in this process, on `options.fit.threads` threads.
    progress
        Called after every epoch of CropNet.

    Raises
    ------
    MissingError
        If a file or the features are not there; the message names the verb that makes them.
    InvalidInputError
        If the labels or the legend cannot be used.
    MissingExtraError
        For CropNet without PyTorch.
    ResourceError
        If the model cannot be written, or a forest's samples do not fit the memory.
    """
    del run
    if options.classifier == "cropnet":
        need_torch()
    # said in the card, since CropNet's weights depend on the number of threads
    options = replace(options, fit=replace(options.fit, threads=options.fit.threads or processors()))
    project = find_project(project_root)
    job = _prepare(project, options)
    path = (options.model or project.model_path).resolve()
    standing = _standing(path, job.made_of)
    if standing is not None:
        return _summary(job, standing, path, None)
    train_set, validation = job.samples.of_set("train"), job.samples.of_set("validation")
    diary = Diary(progress, path, job.made_of, options.tensorboard)
    fitted = fit_classifier(options.classifier, options.fit, train_set, validation, diary)
    card = save_model(path, fitted.classifier, _card(project, job, fitted, options), job.samples.index)
    diary.end()
    return _summary(job, card, path, fitted)


@dataclass(frozen=True)
class _Job:
    """What a model is made of."""

    spec: FeatureSpec
    samples: Samples
    "Dealt to the three sets."
    source: LabelSource
    split: SplitRecord
    features_digest: str
    made_of: str
    unfinished: tuple[str, ...]
    "Tiles with samples on unfinished builds."


def _prepare(project: Project, options: TrainOptions) -> _Job:
    """Read and check everything but the samples' features."""
    spec, features = _features(project, options)
    layout = InputLayout.of(spec, project.spec.season, project.spec.sensor, options.model_window)
    if isinstance(features, StoredFeatures):
        check_store(features.store, layout)
    legend = read_legend(options.legend)
    labels = read_labels(options.labels, legend, project.spec)
    tiles = contents_under(project, spec, options.origin, labels.laid.zones)
    features_digest = digest(*(tile.digest for tile in tiles.values()))
    index, blocks = grouped(labels.index, options.split, project.spec, labels)
    samples, dropped = observed_samples(Samples(OnGrid(features), layout, index, legend))
    samples, split, away = dealt(samples, blocks, options.split, options.fit.seed)
    source = LabelSource(
        options.labels.name, options.labels.digest, labels.label_fields, {**labels.laid.dropped, **dropped, **away},
        labels.laid.features, options.labels.rules.as_dict(),
    )  # fmt: skip
    made_of = digest(
        REVISION, project.spec.digest, options.classifier, options.fit.for_card(options.classifier),
        _versions(options.classifier), spec.as_dict(), features_digest, tuple(legend.as_json()),
        asdict(source), asdict(split), _said(options.model_window),
    )  # fmt: skip
    unfinished = tuple(place for place, tile in tiles.items() if tile.unfinished)
    return _Job(spec, samples, source, split, features_digest, made_of, unfinished)


def _standing(path: Path, made_of: str) -> ModelCard | None:
    """Return the card of a whole model that stands and is made of the same."""
    try:
        _, card = load_model(path)
        load_samples(path, card)
    except (MissingError, InvalidInputError):
        return None  # none, or a damaged one: it is made anew
    return card if card.made_of == made_of else None


def _summary(job: _Job, card: ModelCard, path: Path, fitted: Fitted | None) -> TrainSummary:
    counts = job.samples.of_set("train").counts(), job.samples.of_set("validation").counts()
    found = scores(np.array(card.scores["confusion"], dtype=np.int64), card.class_names) if card.scores else None
    return TrainSummary(
        card,
        path,
        found,
        majority_accuracy(*counts),
        fitted.history if fitted else (),
        int(card.options["best_epoch"]),
        (*_warnings(job.samples, job), *_augmented(fitted)),
        reused=fitted is None,
    )


def observed_samples(samples: Samples) -> tuple[Samples, dict[str, int]]:
    """Return the samples that have been observed, and how many have not, by reason.

    Raises
    ------
    InvalidInputError
        If none has been observed.
    """
    seen = samples.observed()
    if not seen.any():
        raise InvalidInputError(
            f"none of the {len(samples)} labelled pixels has features in {samples.source.name}",
            "They were never observed clear, or `cropcube build` and `cropcube features` have not reached them.",
        )
    return samples.select(seen), {} if seen.all() else {UNOBSERVED: int((~seen).sum())}


def dealt(samples: Samples, blocks: Blocks, rule: SplitRule, seed: int) -> tuple[Samples, SplitRecord, dict[str, int]]:
    """Return samples dealt to the three sets, how that was done, and how many samples are in none, by reason.

    Raises
    ------
    InvalidInputError
        If there are too few groups.
    """
    placed = samples.select(samples.index.block >= 0)
    dropped = {WITHOUT_PLACE: len(samples) - len(placed)}
    index = placed.index
    groups = len(np.unique(index.block))
    if rule.by != BLOCKS and groups < len(SETS):
        raise InvalidInputError(
            f"the samples lie in {groups} groups by {rule.by}, which cannot be dealt into {len(SETS)} sets",
            f"Split by smaller places (--split {BLOCKS}), or give labels of more.",
        )
    part = three_sets(index.block, index.label, seed, index.field)
    used = part != LEFT_OUT
    dropped[SHARED_FIELD] = int((~used).sum())
    lone = np.unique(index.label)[places(index.block, index.field, index.label) == 1]
    index = index.with_blocks(index.block, part).select(used)
    record = SplitRecord(
        blocks.block_px * FINEST_M, seed, dict(blocks.anchors), index.counts(samples.legend.names), rule.by, groups,
        tuple(samples.legend.names[row - 1] for row in lone.tolist()),
    )  # fmt: skip
    return replace(placed, index=index), record, {why: count for why, count in dropped.items() if count}


def _features(project: Project, options: TrainOptions) -> tuple[FeatureSpec, FeatureSource]:
    """Return what the features are, and where they come from."""
    if options.origin == FEATURES:
        refuse_damaged(project, options.feature)
        store = open_source(project, options.feature)
        return feature_spec_of(store), StoredFeatures(store)
    path = project.features_path(options.feature)
    spec = feature_spec_of(Store.open(path)) if Store.exists(path) else FeatureSpec.parse(options.feature)
    return spec, whole_source(project, spec, options.origin, options.fit.threads)


def _calibrated(fitted: Fitted, validation: Samples, threads: int) -> Calibration | None:
    """Return the calibration on the validation samples; None without any."""
    if not len(validation):
        return None
    said = classify(fitted.classifier, validation, fitted.scaling, max(1, threads))
    return calibrate(said, validation.classes)


def _card(project: Project, job: _Job, fitted: Fitted, options: TrainOptions) -> ModelCard:
    layout = job.samples.layout
    return ModelCard(
        classifier=options.classifier,
        feature=job.spec.name,
        feature_spec=job.spec.as_dict(),
        sensor=project.spec.sensor.name,
        bands=layout.bands,
        steps=layout.steps,
        scaling=fitted.scaling,
        gap_fill=layout.gap_rule,
        legend=job.samples.legend,
        labels=job.source,
        split=job.split,
        options=fitted.options.for_card(options.classifier) | {"best_epoch": fitted.best_epoch},
        scores=fitted.scores.as_json() if fitted.scores else {},
        region=project.spec.region.name,
        season=str(project.spec.season),
        versions=_versions(options.classifier),
        calibration=_calibrated(fitted, job.samples.of_set("validation"), options.fit.threads),
        features_digest=job.features_digest,
        made_of=job.made_of,
        model_window=_said(options.model_window),
        command=command("train", replace(options, model=None), usual_options(options.classifier)),
    )


def window_of_words(model_window: str | None, recipe: str | None) -> ModelWindow | None:
    """Return the part of the season that is said, or the recipe's; None for all of it (`all`)."""
    said = model_window or recipe_of(recipe).model_window
    return None if said in (None, "all") else ModelWindow.parse(said)


def _said(window: ModelWindow | None) -> str:
    return str(window) if window else ""


def usual_options(classifier: str) -> TrainOptions:
    """Return the options of a command that says no more than its labels and the kind of classifier."""
    return TrainOptions(LabelFiles((Path("FILE"),)), fit=FitOptions.of_words(classifier, {}))


def _versions(classifier: str) -> dict[str, str]:
    packages = ("cropcube", "numpy", "torch" if classifier == "cropnet" else "scikit-learn")
    return {name: importlib.metadata.version(name) for name in packages if _installed(name)}


def _installed(package: str) -> bool:
    return next(iter(importlib.metadata.distributions(name=package)), None) is not None


def _augmented(fitted: Fitted | None) -> tuple[str, ...]:
    """Say how much of what augmentation asked for lay outside the data."""
    held = max((epoch.held for epoch in fitted.history), default=0.0) if fitted else 0.0
    if not held:
        return ()
    return (f"{held:.1%} of what augmentation asked for lay outside the season and was held at its ends",)


def _warnings(samples: Samples, job: _Job) -> tuple[str, ...]:
    counts = samples.index.counts(samples.legend.names)
    found = []
    label_file, unfinished, untestable = job.source.file, job.unfinished, job.split.untestable
    if unfinished:
        found.append(f"{len(unfinished)} tiles with samples have features of an unfinished build ({unfinished[0]})")
    absent = [name for name in samples.legend.names if not any(counts[part][name] for part in SETS)]
    if absent:
        found.append(f"no samples in {label_file}: {', '.join(absent)}")
    if untestable:
        found.append(f"in a single place, so learnt but not tested: {', '.join(untestable)}")
    absent += untestable
    for part, verb in (("train", "learnt"), ("validation", "validated"), ("test", "tested")):
        lacking = [n for n in samples.legend.names if n not in absent and not counts[part][n]]
        if lacking:
            found.append(f"too few places to be {verb}: {', '.join(lacking)}")
    return tuple(found)
