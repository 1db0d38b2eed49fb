"""Scores of a classification, from its confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class; nan where the denominator is empty."""

    name: str
    precision: float
    "Right among those mapped as the class; 0 where none was mapped as it but some are it."
    recall: float
    "Right among those that are the class; nan where the truth has none."
    f1: float
    "Harmonic mean of both; nan where the truth has none."
    support: int
    "Samples of the class in the truth."


@dataclass(frozen=True)
class Scores:
    """Scores over all classes."""

    confusion: tuple[tuple[int, ...], ...]
    "[truth][predicted], rows and columns in the legend's order; summed over the repeats."
    overall_accuracy: float
    macro_f1: float
    "Mean F1 over the classes present in the truth."
    classes: tuple[ClassScore, ...]
    repeats: int = 1
    "How often the same samples were scored; the other figures are means over them."

    @property
    def samples(self) -> int:
        """Number of samples scored."""
        return sum(map(sum, self.confusion)) // self.repeats

    def as_json(self) -> dict[str, Any]:
        """Return a JSON-ready record; nan becomes None."""
        return {
            "overall_accuracy": _number(self.overall_accuracy),
            "macro_f1": _number(self.macro_f1),
            "samples": self.samples,
            "classes": [
                {
                    "name": c.name,
                    "precision": _number(c.precision),
                    "recall": _number(c.recall),
                    "f1": _number(c.f1),
                    "support": c.support,
                }
                for c in self.classes
            ],
            "confusion": [list(row) for row in self.confusion],
        }


def confusion(truth: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], classes: int) -> NDArray[np.int64]:
    """Count samples by true class (rows) and predicted class (columns).

    Parameters
    ----------
    truth, predicted
        Classes from 0 to `classes` - 1, (N,).
    classes
        Number of classes.

    Raises
    ------
    InvalidInputError
        If lengths differ or a class lies outside the range.
    """
    truth, predicted = np.asarray(truth).astype(np.int64), np.asarray(predicted).astype(np.int64)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise InvalidInputError(f"{truth.shape} true classes against {predicted.shape} predicted ones")
    for values in (truth, predicted):
        if values.size and not 0 <= int(values.min()) <= int(values.max()) < classes:
            raise InvalidInputError(f"classes {values.min()} to {values.max()} do not fit a legend of {classes}")
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def scores(counts: NDArray[np.int64], names: tuple[str, ...]) -> Scores:
    """Return the scores of a confusion matrix [truth, predicted] whose rows are called `names`."""
    right, support, mapped = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    recall = _ratio(right, support)
    f1 = np.where(support > 0, _ratio(2 * right, support + mapped), np.nan)
    precision = np.where((mapped == 0) & (support > 0), 0.0, _ratio(right, mapped))
    rows = zip(names, precision, recall, f1, support, strict=True)
    total = int(support.sum())
    return Scores(
        confusion=tuple(tuple(int(count) for count in row) for row in counts),
        overall_accuracy=int(right.sum()) / total if total else float("nan"),
        macro_f1=float(f1[support > 0].mean()) if total else float("nan"),
        classes=tuple(ClassScore(name, float(p), float(r), float(f), int(n)) for name, p, r, f, n in rows),
    )


def score(truth: NDArray[np.integer[Any]], predicted: NDArray[np.integer[Any]], names: tuple[str, ...]) -> Scores:
    """Return the scores of predicted against true classes (from 0), (N,)."""
    return scores(confusion(truth, predicted, len(names)), names)


def mean_of(repeats: Sequence[Scores]) -> Scores:
    """Return the means of scores of the same samples, with the sum of their confusion matrices.

    A precision that is not defined in some of them is the mean over the others.
    """
    classes = []
    for of_class in zip(*(found.classes for found in repeats), strict=True):
        precision = [entry.precision for entry in of_class if not np.isnan(entry.precision)]
        recall, f1 = (float(np.mean([getattr(entry, name) for entry in of_class])) for name in ("recall", "f1"))
        mean = float(np.mean(precision)) if precision else float("nan")
        classes.append(ClassScore(of_class[0].name, mean, recall, f1, of_class[0].support))
    total = np.sum([found.confusion for found in repeats], axis=0)
    return Scores(
        confusion=tuple(tuple(int(count) for count in row) for row in total),
        overall_accuracy=float(np.mean([found.overall_accuracy for found in repeats])),
        macro_f1=float(np.mean([found.macro_f1 for found in repeats])),
        classes=tuple(classes),
        repeats=len(repeats),
    )


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    ratio: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
