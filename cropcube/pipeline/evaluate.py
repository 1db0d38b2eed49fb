"""`evaluate`: how good the classifier or the map is, on blocks that it has not seen or on labels of its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cropcube.config import find_project
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.lattice import FINEST_M
from cropcube.domain.map_product import CROP, legend_of
from cropcube.domain.model_card import CLASSIFIERS
from cropcube.errors import InvalidInputError, ModelMismatchError, UsageError
from cropcube.features.source import stored_source
from cropcube.model.checkpoint import load_model, load_samples, read_card
from cropcube.pipeline.commands import command
from cropcube.pipeline.evaluate_notes import PIXELS, of_files
from cropcube.pipeline.evaluate_table import evaluate_table
from cropcube.pipeline.evaluate_unseen import is_of_training, unseen_labels
from cropcube.pipeline.feature_sources import FEATURES, check_samples_origin, whole_source
from cropcube.pipeline.labels import LabelFiles, grouped, read_labels
from cropcube.pipeline.model_check import check_fit, digest_of, is_of_other_model, open_model_features
from cropcube.pipeline.report_files import OTHER_MODEL, ReportFiles, ReportInput, write_report
from cropcube.pipeline.scoring import Contest, cut_patches, fold_rule, of_map, on_test_blocks, over_folds, rivals
from cropcube.pipeline.sources import MAP, open_source, refuse_damaged
from cropcube.pipeline.training_set import SHARED_FIELD, observed_samples
from cropcube.report.accuracy import Accuracy, Difference, differences
from cropcube.run.memory import processors
from cropcube.run.options import RunOptions
from cropcube.run.progress import progress_bar
from cropcube.samples.index import SETS
from cropcube.samples.places import SplitRule
from cropcube.samples.read import OnGrid, Samples
from cropcube.samples.split import plan_blocks

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.domain.model_card import ModelCard
    from cropcube.features.model_input import InputLayout
    from cropcube.location import Location
    from cropcube.samples.index import SampleIndex

MAX_FOLDS = 100


@dataclass(frozen=True)
class EvaluateOptions:
    """What is scored, and on what."""

    labels: LabelFiles | None = None
    "Labels of their own: the map is scored on them, or with `folds` the classifier is fitted to them."
    folds: int | None = None
    "Fit anew for each of so many folds of places; None scores the trained classifier on its test set."
    seeds: int = 1
    "How often the folds are dealt and fitted, each time with another seed."
    split: SplitRule | None = None
    "What the folds are dealt by; None as the model's sets were, by blocks if that was a column or regions."
    classifier: str | None = None
    "`cropnet`, `forest` or `boosting`; None for the trained model's own kind."
    compare: tuple[str, ...] = ()
    "Other kinds of classifier, scored on the same pixels and set beside it."
    model: Location | None = None
    "Model folder; None for the project's own."
    origin: str = FEATURES
    "What the samples' features are taken from: their store (`features`), or made from the `cube`."

    def __post_init__(self) -> None:
        check_samples_origin(self.origin, self.labels is not None and self.labels.table is not None)
        wrong = [kind for kind in (self.classifier, *self.compare) if kind is not None and kind not in CLASSIFIERS]
        if wrong:
            raise InvalidInputError(f"classifier {wrong[0]!r} is not known", f"Use one of: {', '.join(CLASSIFIERS)}.")
        if self.folds is not None and not 2 <= self.folds <= MAX_FOLDS:
            raise InvalidInputError(f"{self.folds} folds cannot be made", f"Give --folds 2 to {MAX_FOLDS}.")
        if not 1 <= self.seeds <= MAX_FOLDS:
            raise InvalidInputError(f"--seeds {self.seeds} cannot be used", f"Give 1 to {MAX_FOLDS}.")
        if self.folds is None and (self.seeds > 1 or self.split is not None):
            raise UsageError(
                f"--{'seeds' if self.seeds > 1 else 'split'} goes with folds, which fit anew", "Add --folds 4."
            )
        own = self.labels is not None and self.labels.table is None
        if own and self.folds is None and (self.classifier or self.compare):
            raise UsageError(
                "--labels scores the map, which is of one classifier; --classifier and --compare say otherwise",
                "Add --folds 4 to fit classifiers to these labels, or leave --classifier and --compare out.",
            )


@dataclass(frozen=True)
class EvaluateSummary:
    """What came of it."""

    accuracy: Accuracy
    compared: tuple[Accuracy, ...]
    "Other classifiers on the same pixels."
    files: ReportFiles | None
    "None of a table, which has no map."
    folds: int | None
    notes: tuple[str, ...] = field(default=())
    "What was decided on the way, in sentences."

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What the classifier scores above each of the compared ones."""
        return differences(self.accuracy, self.compared)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready; `classes` are the rows (labels) and columns (said) of `confusion`."""
        return {
            **self.accuracy.as_dict(),
            "folds": self.folds,
            "compared": [accuracy.as_dict() for accuracy in self.compared],
            "differences": [found.as_dict() for found in self.differences],
            "report": str(self.files.report) if self.files else None,
            "picture": str(self.files.picture) if self.files and self.files.picture else None,
            "notes": list(self.notes),
        }


def evaluate(
    project_root: Location, options: EvaluateOptions | None = None, run: RunOptions | None = None
) -> EvaluateSummary:
    """Score the classifier or the map, and write `report.html` and `map.png`; of a table, only score.

    Labels, legend, split and classifier come with the model. The training and validation sets are never scored.

    Parameters
    ----------
    project_root
        The project's folder, or one below it.
    options
        What is scored, and on what.
    run
        Only whether progress is shown: one process does the work.

    Raises
    ------
    MissingError
        If there is no model, no features for it, or (with `labels`) no map; the message names the verb that makes it.
    ModelMismatchError
        If the model does not fit the project.
    InvalidInputError
        If labels cannot be used, or no labelled pixel is left to score.
    """
    options, run = options or EvaluateOptions(), run or RunOptions()
    if options.labels is not None and options.labels.table is not None:
        accuracies, said_of_table = evaluate_table(project_root, options, options.labels, run)
        return EvaluateSummary(accuracies[0], accuracies[1:], None, options.folds, said_of_table)
    judged = _judge(find_project(project_root), options)
    project, card = judged.project, judged.card
    notes: list[str] = []
    if options.labels is not None and options.folds is None:
        index, accuracies = _score_map(judged, options.labels, notes)
        legend = legend_of(Store.open(project.map_path).array(CROP, FINEST_M).attrs)
    else:
        index = _own_labels(judged, options, notes) if options.labels else _trained_samples(judged)
        if options.folds is not None and not options.labels:
            index = grouped(index, fold_rule(options.split, card.split), project.spec)[0]
            notes += _left_by_training(card)
        accuracies = _score_classifiers(judged, index, options, run)
        legend = card.legend
    if Store.exists(project.map_path):
        refuse_damaged(project, MAP)
    if is_of_other_model(project, digest_of(card)):
        notes.append(OTHER_MODEL)
    digests = (("Model", digest_of(card)), ("Labels", card.labels.digest), ("Project", project.spec.digest))
    said, source = command("evaluate", options), judged.source_if_any
    name = options.model.name if options.model else ""
    content = ReportInput(project, card, index, legend, accuracies, digests, judged.layout, source, said, name)
    files = write_report(content)
    return EvaluateSummary(accuracies[0], accuracies[1:], files, options.folds, tuple(notes))


@dataclass(frozen=True)
class _Judged:
    """The model that is judged, in its project."""

    project: Project
    folder: Location
    card: ModelCard
    layout: InputLayout
    origin: str

    @cached_property
    def source(self) -> OnGrid:
        """The features that it takes."""
        if self.origin == FEATURES:
            return OnGrid(stored_source(open_model_features(self.project, self.card)))
        spec = FeatureSpec.from_dict(self.card.feature_spec)
        return OnGrid(whole_source(self.project, spec, self.origin, processors()))

    @property
    def source_if_any(self) -> OnGrid | None:
        """The same; None if they are not there, as after the map was made from the catalogue."""
        there = self.project.features_path(self.card.feature) if self.origin == FEATURES else self.project.cube_path
        return self.source if Store.exists(there) else None


def _judge(project: Project, options: EvaluateOptions) -> _Judged:
    folder = (options.model or project.model_path).resolve()
    card = read_card(folder)
    return _Judged(project, folder, card, check_fit(project, card, folder), options.origin)


def _trained_samples(judged: _Judged) -> SampleIndex:
    """Return the samples that the model was trained with, refused where they are of another place or season."""
    project, card = judged.project, judged.card
    here = plan_blocks(project.spec.region, project.spec.grid, card.split.block_m).anchors
    if dict(here) != dict(card.split.anchors) or card.season != str(project.spec.season):
        raise ModelMismatchError(
            f"{judged.folder} was trained in another project ({card.region}, {card.season}): "
            "its test blocks are not in this one",
            "Give labels of this project: `cropcube evaluate --labels FILE`.",
        )
    return load_samples(judged.folder, card)


def _left_by_training(card: ModelCard) -> list[str]:
    """Return what is to be said of pixels that training left out of its samples, which are no part of folds either."""
    count = card.labels.dropped.get(SHARED_FIELD, 0)
    said = f"{count:,} {PIXELS} left out, as in training: {SHARED_FIELD}; --labels {card.labels.file} takes them too"
    return [said] if count else []


def _score_map(judged: _Judged, files: LabelFiles, notes: list[str]) -> tuple[SampleIndex, tuple[Accuracy, ...]]:
    """Score the map on a label file, and never in places that the model learnt from."""
    project, card = judged.project, judged.card
    store = open_source(project, MAP)
    if is_of_other_model(project, digest_of(card)):
        raise ModelMismatchError(
            f"{project.map_path} was made by another model than {judged.folder}: what it has learnt from is not known",
            "Give its own model with --model, or run `cropcube predict` to map with this one.",
        )
    legend = legend_of(store.array(CROP, FINEST_M).attrs)
    cut = 0
    if is_of_training(files, card):
        trained = _trained_samples(judged)
        tested = trained.part == SETS.index("test")
        index, cut = trained.select(tested), cut_patches(trained, tested)
        notes.append(f"the model was trained with {files.name}: only its test set is scored")
        basis = f"The map against {files.name}, on the test set only: {len(index):,} labelled pixels."
    else:
        index, basis, said = unseen_labels(project, (judged.folder, card), files, legend)
        notes += said
    return index, (replace(of_map(store, index, legend.names, basis), cut=cut),)


def _score_classifiers(
    judged: _Judged, index: SampleIndex, options: EvaluateOptions, run: RunOptions
) -> tuple[Accuracy, ...]:
    """Score the wanted classifier and those to compare it with, on the same pixels."""
    kinds = rivals(judged.card, options.classifier, options.compare)
    samples = Samples(judged.source, judged.layout, index, judged.card.legend)
    with progress_bar("evaluate", len(kinds) * (options.folds or 1) * options.seeds, run.quiet) as advance:
        contest = Contest(judged.card, samples, _words(judged, options), processors(), lambda: advance(0))
        if options.folds is not None:
            return tuple(over_folds(contest, kind, options.folds, options.seeds) for kind in kinds)
        trained, _ = load_model(judged.folder)
        return tuple(on_test_blocks(contest, kind, trained) for kind in kinds)


def _words(judged: _Judged, options: EvaluateOptions) -> str:
    """Return what the scored samples are dealt by."""
    split, rule = judged.card.split, fold_rule(options.split, judged.card.split)
    if options.folds is None:
        return split.words
    return replace(split, by=rule.by, block_m=rule.block_m or split.block_m).words


def _own_labels(judged: _Judged, options: EvaluateOptions, notes: list[str]) -> SampleIndex:
    """Return the observed pixels of label files, with the groups that folds are dealt by."""
    project, card = judged.project, judged.card
    labels = read_labels(options.labels or LabelFiles(()), card.legend, project.spec, known_only=True)
    index, _ = grouped(labels.index, fold_rule(options.split, card.split), project.spec, labels)
    samples, dropped = observed_samples(Samples(judged.source, judged.layout, index, card.legend))
    samples = samples.select(samples.index.block >= 0)
    notes += of_files(labels.laid, {**labels.laid.dropped, **dropped})
    return samples.index
