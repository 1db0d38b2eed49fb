"""How far a score may be from what it would be elsewhere in the region, judged by the folds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cropcube.model.metrics import Scores

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A score over folds: its mean, its spread, and the interval that the mean of other folds would lie in."""

    values: tuple[float, ...]
    "One of each fold that tested it; folds of several seeds follow one another."
    mean: float
    deviation: float
    "Standard deviation of the values (n - 1)."
    low: float
    high: float
    "Of the interval, within 0 and 1."

    def __str__(self) -> str:
        return f"{self.low:.2f} to {self.high:.2f}"

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "low": self.low,
            "high": self.high,
            "values": list(self.values),
        }


@dataclass(frozen=True)
class Intervals:
    """Intervals of all scores of a classifier."""

    folds: int
    "In one deal of the places."
    overall_accuracy: Interval | None
    macro_f1: Interval | None
    f1: tuple[Interval | None, ...]
    "Of each class of the legend; None where fewer than two folds tested it."

    def as_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the figures, JSON-ready; `names` are the classes."""
        return {
            "confidence": CONFIDENCE,
            "folds": self.folds,
            "overall_accuracy": _json(self.overall_accuracy),
            "macro_f1": _json(self.macro_f1),
            "f1": {name: _json(found) for name, found in zip(names, self.f1, strict=True)},
        }


def interval(values: Sequence[float], folds: int) -> Interval | None:
    """Return the 95 % interval of a score over folds; None of fewer than two values that are numbers.

    Student's t about the mean. The folds' scores are not independent, since any two folds are learnt from mostly the
    same samples, so that the variance of the mean is not s²/n but s² (1/n + 1/(folds - 1)): Nadeau and Bengio,
    Machine Learning 52 (2003), for cross-validation where a fold is tested against `folds - 1` that are learnt from.

    Parameters
    ----------
    values
        Of all folds of all seeds; nan where a fold did not test it.
    folds
        In one deal of the places.
    """
    from scipy.stats import t as student

    known = tuple(value for value in values if not math.isnan(value))
    if len(known) < 2:
        return None
    mean, deviation = fmean(known), stdev(known)
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(known) - 1)) * deviation
    half *= math.sqrt(1 / len(known) + 1 / (folds - 1))
    return Interval(known, mean, deviation, max(0.0, mean - half), min(1.0, mean + half))


def intervals_of(scores: Sequence[Scores], folds: int) -> Intervals | None:
    """Return the intervals of all scores, from those of each fold (of each seed); None of fewer than two folds."""
    if len(scores) < 2:
        return None
    classes = range(len(scores[0].classes))
    return Intervals(
        folds,
        interval([found.overall_accuracy for found in scores], folds),
        interval([found.macro_f1 for found in scores], folds),
        tuple(interval([found.classes[place].f1 for found in scores], folds) for place in classes),
    )


def _json(found: Interval | None) -> dict[str, Any] | None:
    return found.as_dict() if found else None
