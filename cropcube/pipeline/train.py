"""`train`: labels and features in, a model with its card out."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.config import find_project
from cropcube.cube.ledger import digest
from cropcube.domain.model_card import CLASSIFIERS, ModelCard
from cropcube.domain.model_window import ALL, GROWING, ModelWindow
from cropcube.domain.words import counted
from cropcube.errors import InvalidInputError, MissingError, UsageError
from cropcube.model.augment import AUGMENTATIONS, TimeSpan, suited
from cropcube.model.baselines import majority_accuracy
from cropcube.model.calibration import calibrate
from cropcube.model.checkpoint import load_model, load_samples, save_model
from cropcube.model.classifier import classify, need_torch
from cropcube.model.diary import Diary
from cropcube.model.fit import fit_classifier
from cropcube.model.fit_options import RECIPES, FitOptions, recipe_of
from cropcube.model.metrics import scores
from cropcube.pipeline.commands import command
from cropcube.pipeline.feature_sources import FEATURES, check_samples_origin
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.training_set import of_project, of_table, warnings_of
from cropcube.run.memory import processors
from cropcube.samples.index import SampleIndex
from cropcube.samples.places import SplitRule
from cropcube.samples.read import Samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from cropcube.domain.model_card import Calibration
    from cropcube.location import Location
    from cropcube.model.classifier import Epoch, Fitted
    from cropcube.model.metrics import Scores
    from cropcube.pipeline.training_set import TrainingSet
    from cropcube.run.options import RunOptions

REVISION = 3
"""Raised when the same labels, features and options would give another model."""
LAST_GOOD = "last-good"
"""Folder beside the weights where the best epoch of a fit that broke down is kept, as a model of its own."""
MODEL_FOLDER = "model"
"""Where a model trained on a table is written, if there is no project and nothing else is said."""


@dataclass(frozen=True)
class TrainOptions:
    """What to learn from, and how."""

    labels: LabelFiles
    "Points, polygons or class rasters; or a table of series with labels, which needs no project."
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
    model: Location | None = None
    "Folder to write; None = the project's own."
    model_window: str = ALL
    "Part of the season that the model sees: `all`, MM-DD/MM-DD, or its `growing` season (see `growing_season`)."
    tensorboard: bool = False
    "Whether TensorBoard's files are written beside the model."
    origin: str = FEATURES
    "Where features come from: their store (`features`), or made on the fly of the `cube`. The model is the same."

    def __post_init__(self) -> None:
        check_samples_origin(self.origin, self.labels.table is not None)
        if self.tensorboard and self.classifier != "cropnet":
            raise UsageError(
                f"--tensorboard shows CropNet's epochs; a {self.classifier} has none", "Leave --tensorboard out."
            )
        if self.classifier not in CLASSIFIERS:
            raise InvalidInputError(
                f"classifier {self.classifier!r} is not known", f"Use one of: {', '.join(CLASSIFIERS)}."
            )
        if self.model_window not in (ALL, GROWING):
            ModelWindow.parse(self.model_window)


@dataclass(frozen=True)
class TrainSummary:
    """What came of it."""

    card: ModelCard
    path: Location
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
            "model_window": card.model_window or None,
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
    project_root: Location,
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
        The project's folder, or one below it; with a table the folder in which a model may be written.
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
    table = options.labels.table
    project = None if table else find_project(project_root)
    job = of_project(project, options) if project else of_table(table or Path(), options)
    if table and options.feature not in (job.spec.name, TrainOptions.feature):
        raise UsageError(
            f"{table} has steps of its own, those of {job.spec.name}; --features {options.feature} says otherwise",
            "Leave --features out.",
        )
    made_of = _made_of(job, options)
    path = (options.model or model_folder(project_root)).resolve()
    standing = _standing(path, made_of)
    if standing is not None:
        return _summary(job, options, standing, path, None)
    index = SampleIndex.join([job.samples.index, job.left_out])
    train_set, validation = job.samples.of_set("train"), job.samples.of_set("validation")

    def save(fitted: Fitted, folder: Location) -> ModelCard:
        return save_model(folder, fitted.classifier, _card(job, fitted, options), index)

    def rescue(fitted: Fitted) -> Location:
        save(fitted, path / LAST_GOOD)
        return path / LAST_GOOD

    diary = Diary(progress, path, made_of, options.tensorboard, rescue)
    fitted = fit_classifier(options.classifier, options.fit, train_set, validation, diary)
    card = save(fitted, path)
    diary.end()
    return _summary(job, options, card, path, fitted)


def model_folder(root: Location) -> Location:
    """Return the model folder of the project that a folder belongs to; without a project, one in the folder itself."""
    try:
        return find_project(root).model_path
    except MissingError:
        return root / MODEL_FOLDER


def _made_of(job: TrainingSet, options: TrainOptions) -> str:
    """Return the digest of all that decides the model."""
    return digest(
        REVISION, job.origin.digest, options.classifier, options.fit.for_card(options.classifier),
        _versions(options.classifier), job.spec.as_dict(), job.features_digest,
        tuple(job.samples.legend.as_json()), asdict(job.source), asdict(job.split), str(job.model_window or ""),
    )  # fmt: skip


def _standing(path: Location, made_of: str) -> ModelCard | None:
    """Return the card of a whole model that stands and is made of the same."""
    try:
        _, card = load_model(path)
        load_samples(path, card)
    except (MissingError, InvalidInputError):
        return None  # none, or a damaged one: it is made anew
    return card if card.made_of == made_of else None


def _summary(
    job: TrainingSet, options: TrainOptions, card: ModelCard, path: Location, fitted: Fitted | None
) -> TrainSummary:
    counts = job.samples.of_set("train").counts(), job.samples.of_set("validation").counts()
    found = scores(np.array(card.scores["confusion"], dtype=np.int64), card.class_names) if card.scores else None
    return TrainSummary(
        card,
        path,
        found,
        majority_accuracy(*counts),
        fitted.history if fitted else (),
        int(card.options["best_epoch"]),
        (
            *warnings_of(job),
            *notes_of_settings(job, options),
            *_augmented(fitted),
            *_useless(card.classifier, found, majority_accuracy(*counts)),
        ),
        reused=fitted is None,
    )


def _calibrated(fitted: Fitted, validation: Samples, threads: int) -> Calibration | None:
    """Return the calibration on the validation samples; None without any."""
    if not len(validation):
        return None
    said = classify(fitted.classifier, validation, fitted.scaling, max(1, threads))
    return calibrate(said, validation.classes, validation.index.block)


def _card(job: TrainingSet, fitted: Fitted, options: TrainOptions) -> ModelCard:
    layout = job.samples.layout
    return ModelCard(
        classifier=options.classifier,
        feature=job.spec.name,
        feature_spec=job.spec.as_dict(),
        sensor=job.origin.sensor,
        bands=layout.bands,
        steps=layout.steps,
        scaling=fitted.scaling,
        gap_fill=layout.gap_rule,
        legend=job.samples.legend,
        labels=job.source,
        split=job.split,
        options=fitted.options.for_card(options.classifier) | {"best_epoch": fitted.best_epoch},
        scores=fitted.scores.as_json() if fitted.scores else {},
        region=job.origin.region,
        season=job.origin.season,
        versions=_versions(options.classifier),
        calibration=_calibrated(fitted, job.samples.of_set("validation"), options.fit.threads),
        features_digest=job.features_digest,
        made_of=_made_of(job, options),
        model_window=str(job.model_window or ""),
        command=command("train", replace(options, model=None), usual_options(options.classifier)),
    )


def window_of_words(model_window: str | None, recipe: str | None, classifier: str) -> str:
    """Return the part of the season that is said, else CropNet's recipe's, else all of it."""
    return model_window or (recipe_of(recipe).model_window if classifier == "cropnet" else ALL)


def usual_options(classifier: str) -> TrainOptions:
    """Return the options of a command that says no more than its labels and the kind of classifier."""
    window = window_of_words(None, None, classifier)
    return TrainOptions(LabelFiles((Path("FILE"),)), fit=FitOptions.of_words(classifier, {}), model_window=window)


def _versions(classifier: str) -> dict[str, str]:
    packages = ("cropcube", "numpy", "torch" if classifier == "cropnet" else "scikit-learn")
    return {name: importlib.metadata.version(name) for name in packages if _installed(name)}


def _installed(package: str) -> bool:
    return next(iter(importlib.metadata.distributions(name=package)), None) is not None


def _useless(classifier: str, found: Scores | None, majority: float | None) -> tuple[str, ...]:
    """Say that a classifier is no better than none."""
    if found is None or majority is None or found.overall_accuracy > majority:
        return ()
    advice = "look at the labels, or give more of them"
    if classifier == "cropnet":
        advice = "try a smaller --learning-rate, more --epochs, or look at the labels"
    said = (
        f"the validation accuracy, {found.overall_accuracy:.3f}, is no better than that of mapping everything as one "
        f"class, {majority:.3f}: {advice}"
    )
    return (said,)


def notes_of_settings(job: TrainingSet, options: TrainOptions) -> tuple[str, ...]:
    """Say which settings of CropNet do not do with these features what they are known for."""
    if options.classifier != "cropnet":
        return ()
    said, feature, steps = [], job.spec.name, len(job.samples.layout.steps)
    changes = options.fit.augment
    if changes not in (None, AUGMENTATIONS["default"]) and TimeSpan.of(job.samples.layout) is None:
        said.append(f"what the model sees of {feature} is no series in time, so --augment changes nothing")
    span = TimeSpan.of(job.samples.layout)
    allowed = suited(changes, span)
    if changes and allowed and allowed.scale_days < changes.scale_days:
        said.append(
            f"the ends of samples are moved by at most {counted(allowed.scale_days, 'day')}, not "
            f"{changes.scale_days}: a quarter of the model's window of {span.days if span else 0:.0f} days"
        )
    published = all(getattr(options.fit, name) == value for name, value in RECIPES["paper"].fit.items())
    if published and (job.spec.kind != "median" or (job.spec.window_days, steps) != (5, 43)):
        said.append(
            f"the recipe paper is published for 43 steps of median-5d; {counted(steps, 'step')} of {feature} make "
            "another model"
        )
    return tuple(said)


def _augmented(fitted: Fitted | None) -> tuple[str, ...]:
    """Say how much of what augmentation asked for lay outside the data."""
    held = max((epoch.held for epoch in fitted.history), default=0.0) if fitted else 0.0
    if not held:
        return ()
    return (f"{held:.1%} of what augmentation asked for lay outside the season and was held at its ends",)
