"""How well a classifier or a map did, with what a reader must know before believing the figures."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from cropcube.report.intervals import Intervals, intervals_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cropcube.model.metrics import Scores

FEW_PIXELS = 100
"""Test pixels of a class below which its scores say little."""
FEW_BLOCKS = 10
"""Test blocks below which neighbouring pixels stand for each other."""


@dataclass(frozen=True)
class Spread:
    """A figure that was measured several times."""

    values: tuple[float, ...]
    "One of each seed."

    @property
    def mean(self) -> float:
        """Mean of the values."""
        return fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the values (n - 1); None of one."""
        return stdev(self.values) if len(self.values) > 1 else None

    def __str__(self) -> str:
        return format(self)

    def __format__(self, sign: str) -> str:
        return f"{self.mean:{sign}.3f}" + ("" if self.deviation is None else f" ± {self.deviation:.3f}")

    def as_dict(self) -> dict[str, Any]:
        """Return mean, deviation and values, JSON-ready."""
        return {"mean": self.mean, "deviation": self.deviation, "values": list(self.values)}


@dataclass(frozen=True)
class Accuracy:
    """Scores, and what they are scores of."""

    classifier: str
    "What is scored: `CropNet`, `random forest`, `the map`."
    basis: str
    "On which pixels, in a sentence."
    scores: Scores
    "Over the classes of the legend; of several seeds their means."
    blocks: int = 0
    "Places that the test pixels lie in; 0 where they were not split by places."
    place_words: str = ""
    "What the places are, in words: `blocks of 160 m`."
    unmapped: int = 0
    "Labelled pixels where the map has no data: not scored."
    unlearnt: tuple[str, ...] = ()
    "Classes that were tested, in one fold at least, when not one pixel of them was left to learn from."
    untestable: tuple[str, ...] = ()
    "Classes that lie in a single place: learnt there, or tested there, never both."
    cut: int = 0
    "Scored pixels in a connected patch of their class that was learnt from as well, where no fields are known."
    repeats: tuple[Scores, ...] = ()
    "Scores of every seed; empty where nothing was repeated."
    folds: tuple[Scores, ...] = ()
    "Scores of every fold that was tested, those of several seeds one after another; empty without folds."

    @property
    def intervals(self) -> Intervals | None:
        """How far the scores may be off, judged by the folds; None without folds."""
        return intervals_of(self.folds, len(self.folds) // max(1, len(self.repeats)))

    @property
    def overall_accuracy(self) -> Spread:
        """Overall accuracy over the seeds."""
        return Spread(tuple(found.overall_accuracy for found in self.repeats or (self.scores,)))

    @property
    def macro_f1(self) -> Spread:
        """Macro-F1 over the seeds."""
        return Spread(tuple(found.macro_f1 for found in self.repeats or (self.scores,)))

    def class_f1(self, place: int) -> Spread | None:
        """Return the F1 of a class over the seeds; None where it was not tested."""
        values = tuple(found.classes[place].f1 for found in self.repeats or (self.scores,))
        return None if any(value != value for value in values) else Spread(values)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready; `classes` are the rows and columns of `confusion`."""
        return {
            "classifier": self.classifier,
            "basis": self.basis,
            "blocks": self.blocks,
            "unmapped": self.unmapped,
            "unlearnt": list(self.unlearnt),
            "untestable": list(self.untestable),
            "cut": self.cut,
            "seeds": max(1, len(self.repeats)),
            "spread": self._spread(),
            "intervals": found.as_dict([c.name for c in self.scores.classes]) if (found := self.intervals) else None,
            **self.scores.as_json(),
            "remarks": list(self.remarks()),
        }

    def _spread(self) -> dict[str, Any]:
        by_class = {entry.name: self.class_f1(place) for place, entry in enumerate(self.scores.classes)}
        return {
            "overall_accuracy": self.overall_accuracy.as_dict(),
            "macro_f1": self.macro_f1.as_dict(),
            "f1": {name: spread.as_dict() if spread else None for name, spread in by_class.items()},
        }

    @property
    def tested_classes(self) -> int:
        """Number of classes with at least one test pixel."""
        return sum(entry.support > 0 for entry in self.scores.classes)

    def remarks(self) -> tuple[str, ...]:
        """Return, in sentences, what limits these figures."""
        said = []
        unscored = [c.name for c in self.scores.classes if c.support == 0]
        lone = [name for name in unscored if name in self.untestable]
        absent = [name for name in unscored if name not in self.untestable]
        if lone:
            said.append(
                f"In a single place only: {', '.join(lone)}. What is learnt there cannot be tested "
                "elsewhere, so how well they do is not known, and they are in no score."
            )
        few = [f"{c.name} ({c.support})" for c in self.scores.classes if 0 < c.support < FEW_PIXELS]
        if absent:
            said.append(f"No test pixel at all for: {', '.join(absent)}. Nothing is known about how well they do.")
        if self.unlearnt:
            said.append(
                f"Tested where not one pixel of the class was left to learn from: {', '.join(self.unlearnt)}. What was "
                "missed there tells of the labels, not of the classifier."
            )
        if few:
            said.append(
                f"Fewer than {FEW_PIXELS} test pixels for: {', '.join(few)}. Their scores are little more than a guess."
            )
        if 0 < self.blocks < FEW_BLOCKS:
            said.append(
                f"The {self.scores.samples:,} test pixels lie in only {self.blocks} "
                f"{'place' if self.blocks == 1 else 'places'} ({self.place_words}): neighbouring pixels are alike, so "
                "the figures are less certain than their number suggests."
            )
        if self.cut:
            said.append(
                f"The labels do not say where fields end, and {self.cut:,} of the {self.scores.samples:,} test pixels "
                "lie in a connected patch of their class whose other pixels were learnt from: other fields may be "
                "mapped less well. Splitting by field (--split field, in training or with --folds) keeps patches whole."
            )
        if self.unmapped:
            said.append(f"{self.unmapped:,} labelled pixels have no data in the map and are not scored.")
        return tuple(said)


@dataclass(frozen=True)
class Difference:
    """What one classifier scores above another on the same pixels, folds and seeds."""

    classifier: str
    than: str
    overall_accuracy: Spread
    macro_f1: Spread

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {
            "classifier": self.classifier,
            "than": self.than,
            "overall_accuracy": self.overall_accuracy.as_dict(),
            "macro_f1": self.macro_f1.as_dict(),
        }


def differences(first: Accuracy, others: Sequence[Accuracy]) -> tuple[Difference, ...]:
    """Return how the first differs from each of the others, seed by seed."""

    def paired(one: Spread, other: Spread) -> Spread:
        return Spread(tuple(a - b for a, b in zip(one.values, other.values, strict=True)))

    return tuple(
        Difference(
            first.classifier, other.classifier,
            paired(first.overall_accuracy, other.overall_accuracy), paired(first.macro_f1, other.macro_f1),
        )
        for other in others
    )  # fmt: skip
