"""`train`: labels and features in, a model with its card out."""

from __future__ import annotations

import importlib.metadata
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.config import find_project
from cropcube.cube.ledger import Ledger, Record, digest
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.lattice import FINEST_M
from cropcube.domain.model_card import CLASSIFIERS, LabelSource, ModelCard, SplitRecord
from cropcube.errors import InvalidInputError, MissingError
from cropcube.features.layout import feature_spec_of
from cropcube.features.model_input import InputLayout
from cropcube.features.source import StoredFeatures, check_store
from cropcube.model.baselines import majority_accuracy
from cropcube.model.checkpoint import load_model, load_samples, save_model
from cropcube.model.classifier import FitOptions, need_torch
from cropcube.model.fit import fit_classifier
from cropcube.model.metrics import scores
from cropcube.pipeline.sources import features_command, open_source, refuse_damaged
from cropcube.run.memory import processors
from cropcube.samples.index import SETS, SampleIndex
from cropcube.samples.labels import file_digest, lay, open_labels
from cropcube.samples.legend_file import read_legend
from cropcube.samples.read import OnGrid, Samples
from cropcube.samples.split import Blocks, plan_blocks, three_sets

if TYPE_CHECKING:
    from collections.abc import Callable

    from cropcube.config import Project
    from cropcube.domain.legend import Legend
    from cropcube.model.classifier import Epoch, Fitted
    from cropcube.model.metrics import Scores
    from cropcube.run.options import RunOptions
    from cropcube.samples.labels import Laid
    from cropcube.samples.read import SampleSource

REVISION = 1
"""Raised when the same labels, features and options would give another model."""
UNOBSERVED = "without a clear observation"
"""Why samples are dropped: their features hold nothing."""


@dataclass(frozen=True)
class TrainOptions:
    """What to learn from, and how."""

    labels: Path
    "Points, polygons or a class raster."
    label_field: str | None = None
    "Field of a vector file that holds the class."
    legend: Path | None = None
    "CSV code,name[,colour]; None = the paper's six crops and other."
    feature: str = "median-5d"
    "Name of the feature store."
    classifier: str = "cropnet"
    "`cropnet` or `forest`."
    block_m: int | None = None
    "Side of the blocks that samples are split by; None = a quarter of the region's shorter side, at most 5 km."
    fit: FitOptions = field(default_factory=FitOptions)
    "Its seed deals the blocks too."
    model: Path | None = None
    "Folder to write; None = the project's own."

    def __post_init__(self) -> None:
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
            "block_m": card.split.block_m,
            "samples": card.split.counts,
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

    A model that stands there already, made of the same labels, features, options and versions, is left as it is.

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
    fitted = fit_classifier(options.classifier, options.fit, train_set, validation, progress)
    card = save_model(path, fitted.classifier, _card(project, job, fitted, options), job.samples.index)
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
    "Features of unfinished builds."


def _prepare(project: Project, options: TrainOptions) -> _Job:
    """Read and check everything but the samples' features."""
    store = open_source(project, options.feature)
    refuse_damaged(project, options.feature)
    spec = feature_spec_of(store)
    layout = InputLayout.of(spec, project.spec.season, project.spec.sensor)
    check_store(store, layout)
    legend = read_legend(options.legend)
    labels = open_labels(options.labels, legend, options.label_field)
    laid = lay(labels, legend, project.spec.grid, project.spec.region)
    blocks = plan_blocks(project.spec.region, project.spec.grid, options.block_m)
    records = _tile_records(project, spec, laid)
    features_digest = digest(*(record.content_digest for record in records))
    samples, dropped = collect_samples(OnGrid(StoredFeatures(store)), layout, legend, laid)
    samples = _split(samples, blocks, options.fit.seed)
    source = LabelSource(options.labels.name, file_digest(options.labels), labels.label_field, dropped, laid.features)
    split = SplitRecord(
        blocks.block_px * FINEST_M, options.fit.seed, dict(blocks.anchors), samples.index.counts(legend.names)
    )
    made_of = digest(
        REVISION, project.spec.digest, options.classifier, options.fit.for_card(options.classifier),
        _versions(options.classifier), spec.as_dict(), features_digest, tuple(legend.as_json()),
        asdict(source), asdict(split),
    )  # fmt: skip
    unfinished = tuple(record.key for record in records if record.details.get("unfinished_builds"))
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
        _warnings(job.samples, job.source.file, job.unfinished),
        reused=fitted is None,
    )


def collect_samples(
    source: SampleSource, layout: InputLayout, legend: Legend, laid: Laid
) -> tuple[Samples, dict[str, int]]:
    """Return the labelled pixels that have been observed, and how many were dropped, by reason.

    Raises
    ------
    InvalidInputError
        If none has been observed.
    """
    index = SampleIndex.join(SampleIndex.of(zone, *columns) for zone, columns in laid.zones.items())
    samples = Samples(source, layout, index, legend)
    seen = samples.observed()
    if not seen.any():
        raise InvalidInputError(
            f"none of the {len(samples)} labelled pixels has features in {source.name}",
            "They were never observed clear, or `cropcube build` and `cropcube features` have not reached them.",
        )
    dropped = dict(laid.dropped)
    if not seen.all():
        dropped[UNOBSERVED] = int((~seen).sum())
    return samples.select(seen), dropped


def _tile_records(project: Project, spec: FeatureSpec, laid: Laid) -> list[Record]:
    """Return the ledger's records of the features of all tiles that hold labels; refuses where one is not done."""
    side = project.spec.tile_px
    keys = []
    for zone, (rows, cols, _) in sorted(laid.zones.items()):
        for row, col in np.unique(np.column_stack([rows // side, cols // side]), axis=0).tolist():
            keys.append(f"features/{spec.name}/{zone}/r{row:04d}c{col:04d}")
    ledger = Ledger(project.ledger_path)
    records = {key: ledger.read(key) for key in keys}
    undone = [key for key, record in records.items() if record is None or record.state not in ("done", "incomplete")]
    if undone:
        raise MissingError(
            f"the features {spec.name} are not done in {len(undone)} of {len(keys)} tiles with labels ({undone[0]})",
            f"Run `{features_command(spec)}` again; it does what is missing.",
        )
    return [record for record in records.values() if record]


def _split(samples: Samples, blocks: Blocks, seed: int) -> Samples:
    index = samples.index
    block = np.zeros(len(index), np.int64)
    for zone in index.zones:
        here = index.in_zone(zone)
        block[here] = blocks.of(zone, index.row[here], index.col[here])
    part = three_sets(block, index.label, seed)
    return Samples(samples.source, samples.layout, index.with_blocks(block, part), samples.legend)


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
        options=options.fit.for_card(options.classifier) | {"best_epoch": fitted.best_epoch},
        scores=fitted.scores.as_json() if fitted.scores else {},
        region=project.spec.region.name,
        season=str(project.spec.season),
        versions=_versions(options.classifier),
        features_digest=job.features_digest,
        made_of=job.made_of,
    )


def _versions(classifier: str) -> dict[str, str]:
    packages = ("cropcube", "numpy", "torch" if classifier == "cropnet" else "scikit-learn")
    return {name: importlib.metadata.version(name) for name in packages if _installed(name)}


def _installed(package: str) -> bool:
    return next(iter(importlib.metadata.distributions(name=package)), None) is not None


def _warnings(samples: Samples, label_file: str, unfinished: tuple[str, ...]) -> tuple[str, ...]:
    counts = samples.index.counts(samples.legend.names)
    found = []
    if unfinished:
        found.append(f"{len(unfinished)} tiles with samples have features of an unfinished build ({unfinished[0]})")
    absent = [name for name in samples.legend.names if not any(counts[part][name] for part in SETS)]
    if absent:
        found.append(f"no samples in {label_file}: {', '.join(absent)}")
    for part, verb in (("train", "learnt"), ("validation", "validated"), ("test", "tested")):
        lacking = [n for n in samples.legend.names if n not in absent and not counts[part][n]]
        if lacking:
            found.append(f"too few places to be {verb}: {', '.join(lacking)}")
    return tuple(found)
