"""CropNet against a random forest and gradient boosting, on the same pixels, folds and seeds; a table in Markdown.

Usage: python benchmarks/compare_classifiers.py [--seeds 5] [--folds 4] [--recipe local] [--model-window growing]
       [--classifiers cropnet,forest,boosting] [--features median-15d] [--folder DIR] [--output TABLE.md]

Two squares of Flanders in 2019 that are shipped: one with all ten bands, one as a project of its 20 m bands. Four folds
of blocks of 160 m, and four folds of fields (connected patches of one class), dealt anew and fitted anew with every
seed; the pixels of all folds are pooled. All classifiers see the same part of the season (`--model-window all`: all of
it). CropNet has the recipe that is said, the others the settings that `cropcube train` gives them. Differences are
taken seed by seed. What stands in the folder is used again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import cropcube
from cropcube.demo.sample import COARSE_PATCH, PATCH
from cropcube.demo.scenes import DemoScenes, write_scenes
from cropcube.report.accuracy import Accuracy, Spread

if TYPE_CHECKING:
    from cropcube.pipeline.evaluate import EvaluateSummary

SEASON = "2018-12-01/2019-11-28"
BLOCK_M = 160
SPLITS = {"blocks": f"blocks of {BLOCK_M} m", "field": "fields"}


@dataclass(frozen=True)
class Square:
    """One of the shipped squares."""

    name: str
    patch: str
    resolution: int | None
    "None = all bands."


SQUARES = (Square("ten bands", PATCH, None), Square("20 m bands", COARSE_PATCH, 20))


def built(square: Square, folder: Path, features: str) -> tuple[Path, DemoScenes]:
    """Build a square's project with its features; what stands is left as it is."""
    scenes = write_scenes(folder / "scenes", patch=square.patch)
    root = folder / "project"
    run = {"cluster": "serial", "quiet": True}
    cropcube.build(
        root, region=str(scenes.outline), season=SEASON, catalog=str(scenes.catalog), resolution=square.resolution,
        tile_px=96, **run,
    )  # fmt: skip
    window = int(features.removeprefix("median-").removesuffix("d"))
    cropcube.features(root, kind="median", window=window, **run)
    return root, scenes


def compared(square: Square, folder: Path, said: argparse.Namespace) -> dict[str, EvaluateSummary]:
    """Return the scores of all classifiers, by split."""
    root, scenes = built(square, folder / square.patch, said.features)
    first, *others = said.classifiers.split(",")
    # legend, features, window and CropNet's recipe come with a model; every kind is fitted anew
    cropcube.train(
        root, labels=scenes.labels, legend=scenes.legend, features=said.features, classifier=first,
        recipe=said.recipe if first == "cropnet" else None, model_window=said.model_window, block_m=BLOCK_M, quiet=True,
    )  # fmt: skip
    found = {}
    for split in SPLITS:
        print(f"{square.name}, {SPLITS[split]}", file=sys.stderr)
        block_m = BLOCK_M if split == "blocks" else None
        found[split] = cropcube.evaluate(
            root, labels=scenes.labels, folds=said.folds, seeds=said.seeds, split=split, block_m=block_m,
            classifier=first, compare=others, quiet=True,
        )  # fmt: skip
    return found


def testable_f1(accuracy: Accuracy) -> Spread:
    """Return the mean F1 of the classes that lie in more than one place: the others cannot but be missed in folds."""
    return Spread(
        tuple(
            fmean(c.f1 for c in scores.classes if c.support and c.name not in accuracy.untestable)
            for scores in accuracy.repeats
        )
    )


def table(results: dict[str, dict[str, EvaluateSummary]], said: argparse.Namespace) -> str:
    """Return the table in Markdown."""
    lines = [
        "| square | folds of | classifier | overall accuracy | macro-F1 | of testable classes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    notes = []
    for square, by_split in results.items():
        for split, summary in by_split.items():
            for accuracy in (summary.accuracy, *summary.compared):
                row = (square, SPLITS[split], accuracy.classifier, accuracy.overall_accuracy, accuracy.macro_f1)
                lines.append(f"| {' | '.join(map(str, (*row, testable_f1(accuracy))))} |")
            for found, other in zip(summary.differences, summary.compared, strict=True):
                name = f"*{found.classifier} - {found.than}*"
                pairs = zip(testable_f1(summary.accuracy).values, testable_f1(other).values, strict=True)
                fairly = Spread(tuple(one - two for one, two in pairs))
                figures = (f"*{spread:+}*" for spread in (found.overall_accuracy, found.macro_f1, fairly))
                lines.append(f"| {' | '.join((square, SPLITS[split], name, *figures))} |")
            scores = summary.accuracy.scores
            left_out = ", ".join(summary.accuracy.untestable) or "none"
            notes.append(f"{square}, {SPLITS[split]}: {scores.samples:,} pixels; in one place only: {left_out}.")
    head = (
        f"Mean ± standard deviation over {said.seeds} seeds, {said.folds} folds pooled, features {said.features}, "
        f"model window {said.model_window}, CropNet with --recipe {said.recipe}."
    )
    return "\n".join([head, "", *lines, "", *notes]) + "\n"


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--recipe", default="local")
    parser.add_argument("--model-window", default="growing")
    parser.add_argument("--classifiers", default="cropnet,forest,boosting")
    parser.add_argument("--features", default="median-15d")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--output", type=Path)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = said.folder or Path(scratch)
        results = {square.name: compared(square, folder, said) for square in SQUARES}
    text = table(results, said)
    print(text)
    if said.output:
        said.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
