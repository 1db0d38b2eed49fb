"""Another place: what is learnt on one square of Flanders is mapped on another, 70 km away; a table in Markdown.

Usage: python benchmarks/compare_transfer.py [--seeds 5] [--classifiers cropnet:default,cropnet:local,forest]
       [--windows all,growing] [--features median-15d] [--folder DIR]

Both shipped squares are projects of their 20 m bands, season 2018-12 to 2019-11. `cropcube train` learns on one with
what it deals to the training set (blocks of 160 m), `cropcube predict --model` maps the other, and the map is scored on
its labels of maize and grass, the two classes that both squares name alike; what is mapped as any other class is wrong.
`home` is the overall accuracy on the test blocks of the square that was learnt on. Every seed deals and fits anew.
What stands in the folder is used again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from compare_classifiers import BLOCK_M, Square, built

import cropcube
from cropcube.demo.sample import COARSE_PATCH, PATCH
from cropcube.report.accuracy import Spread

SQUARES = {"A": Square("A", PATCH, 20), "B": Square("B", COARSE_PATCH, 20)}
SCORED = ("maize", "grass")


@dataclass(frozen=True)
class Place:
    """A square that is built."""

    root: Path
    labels: Path
    legend: Path
    "Of both squares, so that a model of one can be scored on labels of the other."


@dataclass(frozen=True)
class Attempt:
    """What is learnt with."""

    classifier: str
    recipe: str | None
    window: str
    features: str

    @classmethod
    def parse(cls, word: str, window: str, features: str) -> Attempt:
        """Read `forest` or `cropnet:local`."""
        classifier, _, recipe = word.partition(":")
        return cls(classifier, recipe or None, window, features)

    def model(self, place: Place, folder: Path, seed: int) -> Path:
        """Learn on a place; return the model's folder."""
        path = folder / f"{self.classifier}-{self.recipe}-{self.window.replace('/', '_')}-{self.features}-{seed}"
        cropcube.train(
            place.root, labels=place.labels, legend=place.legend, features=self.features,
            classifier=self.classifier, recipe=self.recipe, model_window=self.window, block_m=BLOCK_M, seed=seed,
            model=path, quiet=True,
        )  # fmt: skip
        return path


def carried(place: Place, model: Path) -> float:
    """Map a place with a model of the other and return which part of its maize and grass is mapped as such."""
    cropcube.predict(place.root, model=model, rebuild=True, cluster="serial", quiet=True)
    scores = cropcube.evaluate(place.root, labels=place.labels, model=model, quiet=True).accuracy.scores
    right = total = 0
    for number, one in enumerate(scores.classes):
        if any(word in one.name.lower() for word in SCORED):
            right += int(scores.confusion[number][number])
            total += int(np.sum(scores.confusion[number]))
    return right / total


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--classifiers", default="cropnet:default,cropnet:local,forest,boosting")
    parser.add_argument("--windows", default="all,growing")
    parser.add_argument("--features", default="median-15d")
    parser.add_argument("--folder", type=Path, help="where projects are made and kept (default: a scratch folder)")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = said.folder or Path(scratch)
        places = made(folder, said.features)
        print("| model sees | classifier | A to B | B to A | least of both | home A | home B |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for window in said.windows.split(","):
            for word in said.classifiers.split(","):
                attempt = Attempt.parse(word, window, said.features)
                print(row(attempt, word, places, folder, said.seeds), flush=True)
    print(f"\nMean ± standard deviation over {said.seeds} seeds, features {said.features}.", file=sys.stderr)


def made(folder: Path, features: str) -> dict[str, Place]:
    """Build both squares."""
    both = {name: built(square, folder / name, features) for name, square in SQUARES.items()}
    lines = [scenes.legend.read_text(encoding="utf-8").splitlines() for _, scenes in both.values()]
    legend = folder / "legend.csv"
    legend.write_text("\n".join(dict.fromkeys(line for part in lines for line in part)) + "\n", encoding="utf-8")
    return {name: Place(root, scenes.labels, legend) for name, (root, scenes) in both.items()}


def row(attempt: Attempt, word: str, places: dict[str, Place], folder: Path, seeds: int) -> str:
    """Return the scores of one way of learning as a row of the table."""
    found: dict[str, list[float]] = {"AB": [], "BA": [], "A": [], "B": []}
    for seed in range(seeds):
        for here, there in (("A", "B"), ("B", "A")):
            model = attempt.model(places[here], folder / here / "models", seed)
            found[here].append(home(places[here], model))
            found[here + there].append(carried(places[there], model))
    least = min(found["AB"] + found["BA"])
    ab, ba, a, b = (Spread(tuple(values)) for values in found.values())
    return f"| {attempt.window} | {word} | {ab} | {ba} | {least:.2f} | {a} | {b} |"


def home(place: Place, model: Path) -> float:
    """Return the overall accuracy on the test blocks of the place that a model was learnt on."""
    return cropcube.evaluate(place.root, model=model, quiet=True).accuracy.scores.overall_accuracy


if __name__ == "__main__":
    main()
