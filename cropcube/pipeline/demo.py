"""`demo`: the whole job on the shipped sample, from scenes to map, report and scores."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropcube.config import find_project
from cropcube.cube.ledger import Ledger, digest
from cropcube.demo.scenes import ATTRIBUTION, DemoScenes, write_scenes
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.model_window import GROWING
from cropcube.errors import IncompleteError, InvalidInputError
from cropcube.model.classifier import need_torch
from cropcube.model.fit_options import FitOptions
from cropcube.pipeline.build import build
from cropcube.pipeline.build_options import BuildOptions
from cropcube.pipeline.dry_run import DryRun
from cropcube.pipeline.evaluate import EvaluateOptions, evaluate
from cropcube.pipeline.export import ExportOptions, export
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.train import TrainOptions, train
from cropcube.run.options import RunOptions
from cropcube.samples.places import SplitRule

if TYPE_CHECKING:
    from collections.abc import Callable

SEASON = "2018-12-01/2019-11-28"
DATES = 53
"""Acquisitions of the sample in the season."""
TILE_PX = 96
"""The smallest tile: the sample is 64 pixels wide."""
MODEL_FEATURES = FeatureSpec("median", window_days=15)
OTHER_FEATURES = (FeatureSpec("harmonic"),)
"""Made to be looked at; the model does not use them."""
RECORD_NAME = "demo.json"


@dataclass(frozen=True)
class DemoOptions:
    """What the demo fits and how it is scored."""

    width: int = 48
    "Channels of CropNet; 128 as published."
    epochs: int = 10
    seed: int = 0
    block_m: int = 160
    "16 pixels of 10 m."
    folds: int = 4

    @property
    def fit(self) -> FitOptions:
        """Settings of the classifier: the recipe for a map of the place that the labels are from."""
        said = {"recipe": "local", "seed": self.seed, "width": self.width, "epochs": self.epochs}
        return FitOptions.of_words("cropnet", said)


@dataclass(frozen=True)
class DemoFiles:
    """What the demo leaves."""

    root: Path

    @property
    def map(self) -> Path:
        """The map's store."""
        return self.root / "map.zarr"

    @property
    def cog(self) -> Path:
        """The map as desktop GIS opens it."""
        return self.root / "map.tif"

    @property
    def report(self) -> Path:
        """The page."""
        return self.root / "report.html"

    @property
    def picture(self) -> Path:
        """The map as a picture."""
        return self.root / "map.png"

    @property
    def record(self) -> Path:
        """What was scored, and of what; written last."""
        return self.root / RECORD_NAME

    def all_stand(self) -> bool:
        """Return whether nothing is missing."""
        return all(path.exists() for path in (self.map, self.cog, self.report, self.picture, self.record))


@dataclass(frozen=True)
class DemoSummary:
    """What came of it."""

    files: DemoFiles
    accuracies: tuple[dict[str, Any], ...]
    "Of CropNet and of the forest, on the same folds; as `evaluate` gives them."
    reused: bool
    "Whether everything stood already."
    seconds: dict[str, float]
    "By step."

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        paths = {name: str(getattr(self.files, name)) for name in ("map", "cog", "report", "picture")}
        seconds = {step: round(value, 1) for step, value in self.seconds.items()}
        return {
            "project": str(self.files.root),
            **paths,
            "accuracies": list(self.accuracies),
            "reused": self.reused,
            "seconds": seconds,
            "attribution": ATTRIBUTION,
        }


@dataclass(frozen=True)
class _Job:
    """What the steps share."""

    files: DemoFiles
    scenes: DemoScenes
    options: DemoOptions
    run: RunOptions
    say: Callable[[str], None]


def demo(
    folder: Path,
    options: DemoOptions | None = None,
    run: RunOptions | None = None,
    say: Callable[[str], None] | None = None,
) -> DemoSummary:
    """Run the whole job on the shipped sample.

    Parameters
    ----------
    folder
        The project's folder; made if needed. What stands there already is not done again.
    options
        How to fit and score.
    run
        Where tasks run.
    say
        Gets a line for each step.

    Raises
    ------
    MissingExtraError
        Without PyTorch.
    ConflictError
        If the folder holds another project.
    """
    need_torch()
    root = folder.resolve()
    job = _Job(
        DemoFiles(root), DemoScenes(root / "scenes"), options or DemoOptions(), run or RunOptions(), say or _silent
    )
    seconds: dict[str, float] = {}
    for name, step in (("scenes", _scenes), ("build", _build), ("features", _features)):
        began = time.perf_counter()
        step(job)
        seconds[name] = time.perf_counter() - began
    wanted = _digest(job)
    standing = _standing(job.files, wanted)
    if standing is not None:
        job.say("model, map and report stand already")
        return DemoSummary(job.files, standing, True, seconds)
    for name, step in (("train", _train), ("predict", _predict), ("export", _export)):
        began = time.perf_counter()
        step(job)
        seconds[name] = time.perf_counter() - began
    began = time.perf_counter()
    accuracies = _evaluate(job)
    seconds["evaluate"] = time.perf_counter() - began
    _write_record(job.files.record, {"digest": wanted, "accuracies": accuracies})
    return DemoSummary(job.files, accuracies, False, seconds)


def _silent(line: str) -> None:
    """Say nothing."""


def _scenes(job: _Job) -> None:
    write_scenes(job.scenes.folder, job.say)


def _build(job: _Job) -> None:
    job.say("build: the cube of observations")
    options = BuildOptions(
        region=str(job.scenes.outline), season=SEASON, catalog=str(job.scenes.catalog), tile_px=TILE_PX
    )
    summary = build(job.files.root, options, job.run, job.say)
    if isinstance(summary, DryRun):
        return
    summary.check()
    found = summary.as_dict()["scenes"]
    if found != DATES:
        raise IncompleteError(
            f"the cube has {found} dates, not {DATES}", "Remove the folder and run `cropcube demo` again."
        )


def _features(job: _Job) -> None:
    for spec in (MODEL_FEATURES, *OTHER_FEATURES):
        job.say(f"features: {spec.name}")
        features(job.files.root, FeaturesOptions(spec), job.run).stage.raise_failed()


def _train(job: _Job) -> None:
    job.say(f"train: CropNet of width {job.options.width}, {job.options.epochs} epochs")
    options = TrainOptions(
        LabelFiles.of(job.scenes.labels),
        legend=job.scenes.legend,
        feature=MODEL_FEATURES.name,
        classifier="cropnet",
        split=SplitRule(block_m=job.options.block_m),
        fit=job.options.fit,
        model_window=GROWING,
    )
    train(job.files.root, options, job.run)


def _predict(job: _Job) -> None:
    job.say("predict: the map")
    predict(job.files.root, PredictOptions(), job.run).stage.raise_failed()


def _export(job: _Job) -> None:
    export(job.files.root, ExportOptions(job.files.cog))


def _evaluate(job: _Job) -> tuple[dict[str, Any], ...]:
    job.say(f"evaluate: CropNet and the random forest on the same {job.options.folds} folds of blocks")
    summary = evaluate(job.files.root, EvaluateOptions(folds=job.options.folds, compare=("forest",)), job.run)
    return tuple(accuracy.as_dict() for accuracy in (summary.accuracy, *summary.compared))


def _digest(job: _Job) -> str:
    """Return what model, map and scores depend on: the features' records, the labels, the options, the program."""
    project = find_project(job.files.root)
    prefix = f"features/{MODEL_FEATURES.name}"
    records = sorted(record.content_digest for record in Ledger(project.ledger_path).records(prefix))
    labels = [path.read_bytes().hex() for path in (job.scenes.labels, job.scenes.legend)]
    return digest(version("cropcube"), asdict(job.options), tuple(records), tuple(labels))


def _standing(files: DemoFiles, wanted: str) -> tuple[dict[str, Any], ...] | None:
    """Return the scores of an earlier run if they are of the same inputs and all its files stand."""
    if not files.all_stand():
        return None
    try:
        record = json.loads(files.record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInputError(f"{files.record} is damaged ({error})", "Remove it and run the demo again.") from None
    return tuple(record["accuracies"]) if record["digest"] == wanted else None


def _write_record(path: Path, content: dict[str, Any]) -> None:
    """Write whole or not at all."""
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(beside, path)
