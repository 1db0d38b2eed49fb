"""The figures of the page as HTML: headline, scores with their intervals, confusion matrix. Every text is escaped."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cropcube.report.accuracy import Accuracy, Spread

DASH = "–"


def percent(share: float) -> str:
    """Return a share between 0 and 1 as `91.5 %`, or a dash where it is not defined (nan)."""
    return DASH if math.isnan(share) else f"{100 * share:.1f} %"


def headline(accuracy: Accuracy) -> str:
    """Return the figures that are read first."""
    found = accuracy.intervals
    overall, macro = (found.overall_accuracy, found.macro_f1) if found else (None, None)
    within = [f"95 % interval {100 * overall.low:.0f} to {100 * overall.high:.0f} %"] if overall else []
    macro_within = [f"95 % interval {macro}"] if macro else []
    if (spread := accuracy.overall_accuracy.deviation) is not None:
        within.insert(0, f"± {100 * spread:.1f} over the seeds")
    if (spread := accuracy.macro_f1.deviation) is not None:
        macro_within.insert(0, f"± {spread:.3f} over the seeds")
    cells = (
        (percent(accuracy.scores.overall_accuracy), "overall accuracy", "; ".join(within)),
        (_score(accuracy.scores.macro_f1), "macro-F1", "; ".join(macro_within)),
        (f"{accuracy.scores.samples:,}", "pixels tested", ""),
        (f"{accuracy.tested_classes} of {len(accuracy.scores.classes)}", "classes tested", ""),
    )  # fmt: skip
    items = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(name)}<small>{escape(within)}</small></span></div>"
        for value, name, within in cells
    )
    basis = f"<p class=basis>{escape(accuracy.basis)}</p>"
    return f"<section class=headline>{items}</section><p class=plain>{escape(_plainly(accuracy))}</p>{basis}"


def accuracy_section(accuracies: Sequence[Accuracy]) -> str:
    """Return all scores: classifiers side by side, then each with its classes and its confusion matrix."""
    parts = ["<section><h2>Accuracy</h2>"]
    if len(accuracies) > 1:
        parts.append(_comparison(accuracies))
    for accuracy in accuracies:
        if len(accuracies) > 1:
            parts.append(f"<h3>{escape(accuracy.classifier)}</h3><p>{escape(accuracy.basis)}</p>")
        parts += [_class_table(accuracy), _about_intervals(accuracy), _matrix(accuracy)]
    return "".join([*parts, "</section>"])


def table(head: Iterable[str], rows: Iterable[Iterable[str]], caption: str) -> str:
    """Return a table whose first column names the rows."""
    columns = "".join(f"<th scope=col>{escape(name)}</th>" for name in head)
    lines = []
    for row in rows:
        first, *others = row
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
        lines.append(f"<tr><th scope=row>{escape(first)}</th>{cells}</tr>")
    return (
        f"<div class=scroll><table><caption>{escape(caption)}</caption><thead><tr>{columns}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _plainly(accuracy: Accuracy) -> str:
    """Return the headline in words for those who do not know its terms."""
    right = accuracy.scores.overall_accuracy
    if math.isnan(right):
        return "Nothing was tested."
    return (
        f"Of 100 labelled pixels {round(100 * right)} get the right class. Macro-F1 is the mean over the crops, "
        "where a rare one counts as much as a common one; 1 is without error."
    )


def _comparison(accuracies: Sequence[Accuracy]) -> str:
    """Return classifiers side by side, tested on the same pixels."""
    rows = [
        (
            a.classifier,
            percent(a.scores.overall_accuracy),
            _score(a.scores.macro_f1),
            *(_score(c.f1) for c in a.scores.classes),
        )
        for a in accuracies
    ]
    head = ("Classifier", "Overall accuracy", "Macro-F1", *(f"F1 {c.name}" for c in accuracies[0].scores.classes))
    found = table(head, rows, "The same test pixels for every classifier")
    return found + _over_seeds(accuracies)


def _over_seeds(accuracies: Sequence[Accuracy]) -> str:
    """Return means and standard deviations over the seeds, where there are several."""
    seeds = len(accuracies[0].repeats)
    if seeds < 2:
        return ""
    rows = [(a.classifier, str(a.overall_accuracy), str(a.macro_f1)) for a in accuracies]
    head = ("Classifier", "Overall accuracy", "Macro-F1")
    return table(head, rows, f"Over {seeds} seeds, each with another deal of the places: mean ± standard deviation")


def _class_table(accuracy: Accuracy) -> str:
    found = accuracy.intervals
    between = [str(each) if each else DASH for each in found.f1] if found else []
    rows = [
        (c.name, _score(c.precision), _score(c.recall), _spread(c.f1, accuracy.class_f1(place)),
         *between[place : place + 1], f"{c.support:,}")
        for place, c in enumerate(accuracy.scores.classes)
    ]  # fmt: skip
    macro = [str(found.macro_f1 or DASH)] if found else []
    mean = _spread(accuracy.scores.macro_f1, accuracy.macro_f1)
    rows.append(("Mean of the tested classes (macro)", "", "", mean, *macro, ""))
    column = ["95 % interval"] if found else []
    head = ("Class", "Precision (user’s)", "Recall (producer’s)", "F1", *column, "Test pixels")
    over = f", means over {seeds} seeds ± standard deviation" if (seeds := accuracy.scores.repeats) > 1 else ""
    overall = percent(accuracy.scores.overall_accuracy)
    return table(head, rows, f"Scores by class{over}; overall accuracy {overall}")


def _spread(mean: float, spread: Spread | None) -> str:
    """Return a score with its standard deviation over the seeds, where there are several."""
    deviation = spread.deviation if spread else None
    return _score(mean) if deviation is None else f"{_score(mean)} ± {deviation:.3f}"


def _about_intervals(accuracy: Accuracy) -> str:
    """Return how the intervals were made and what they do not tell."""
    found = accuracy.intervals
    if not found or not found.macro_f1:
        return ""
    macro = found.macro_f1
    said = (
        f"Scores are of all folds pooled. Intervals are about the mean of the {len(macro.values)} folds' own scores "
        f"(macro-F1 {macro.mean:.3f}, standard deviation {macro.deviation:.3f}, from {min(macro.values):.3f} to "
        f"{max(macro.values):.3f}) by Student's t, widened because folds are learnt from mostly the same samples. They "
        "tell how the scores change from place to place within this region, not how they would be in another."
    )
    return f"<p class=basis>{escape(said)}</p>"


def _matrix(accuracy: Accuracy) -> str:
    """Return the confusion matrix, rows = labels, shaded by the share of the row."""
    names = [c.name for c in accuracy.scores.classes]
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in names)
    rows = []
    for name, counts in zip(names, accuracy.scores.confusion, strict=True):
        total = max(sum(counts), 1)
        cells = "".join(_matrix_cell(count / total, count) for count in counts)
        rows.append(f"<tr><th scope=row>{escape(name)}</th>{cells}</tr>")
    over = f" summed over {seeds} seeds" if (seeds := accuracy.scores.repeats) > 1 else ""
    return (
        "<div class=scroll><table class=matrix><caption>Confusion matrix: rows are the labels, columns what the "
        f"classifier said; pixels{over}, shaded by their share of the row</caption>"
        f"<thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _matrix_cell(share: float, count: int) -> str:
    """Return one cell: white to dark blue, which every kind of colour vision tells apart."""
    low, high = (255, 255, 255), (8, 69, 148)
    red, green, blue = (round(a + (b - a) * share**0.7) for a, b in zip(low, high, strict=True))
    ink = "#fff" if share > 0.45 else "#1b1f23"
    quiet = " class=zero" if count == 0 else ""
    return f'<td{quiet} style="background:rgb({red},{green},{blue});color:{ink}">{count:,}</td>'


def _score(value: float) -> str:
    return DASH if math.isnan(value) else f"{value:.3f}"
