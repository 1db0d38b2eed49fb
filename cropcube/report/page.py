"""The report: one plain HTML page that needs nothing beside itself."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from cropcube.report.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cropcube.report.accuracy import Accuracy


@dataclass(frozen=True)
class Illustration:
    """A picture with its words."""

    png: bytes
    "The picture."
    caption: str
    "Under the picture."
    alt: str
    "For those who do not see it."


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it: text, pictures, facts."""

    heading: str
    "One line."
    text: tuple[str, ...] = ()
    "Paragraphs."
    illustrations: tuple[Illustration, ...] = ()
    "Pictures, full width."
    facts: tuple[tuple[str, str], ...] = ()
    "Name and value, one a line."


@dataclass(frozen=True)
class Page:
    """All that the report says."""

    title: str
    "What was mapped."
    subtitle: str
    "Where and when."
    remarks: tuple[str, ...]
    "What a reader must know before believing the figures."
    accuracies: tuple[Accuracy, ...]
    "The first is the map's or the model's own; others are set beside it."
    opening: tuple[Section, ...]
    "Above the accuracy: the map."
    closing: tuple[Section, ...]
    "Below it: how it was made."
    credit: str
    "At the foot."


def render(page: Page) -> str:
    """Return the page as HTML; every text is escaped, nothing is loaded from elsewhere."""
    body = "\n".join(
        [
            f"<header><h1>{escape(page.title)}</h1><p class=sub>{escape(page.subtitle)}</p></header>",
            _headline(page.accuracies[0]),
            _remarks(page.remarks),
            *(_section(section) for section in page.opening),
            _accuracy(page.accuracies),
            *(_section(section) for section in page.closing),
            f"<footer>{escape(page.credit)}</footer>",
        ]
    )
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{STYLE}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n'


def data_uri(png: bytes) -> str:
    """Return a PNG as a URI that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def percent(share: float) -> str:
    """Return a share between 0 and 1 as `91.5 %`, or a dash where it is not defined (nan)."""
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"


def _headline(accuracy: Accuracy) -> str:
    """Return the figures that are read first."""
    cells = (
        (percent(accuracy.scores.overall_accuracy), "overall accuracy"),
        (_score(accuracy.scores.macro_f1), "macro-F1"),
        (f"{accuracy.scores.samples:,}", "pixels tested"),
        (f"{accuracy.tested_classes} of {len(accuracy.scores.classes)}", "classes tested"),
    )
    items = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in cells)
    return f"<section class=headline>{items}</section><p class=basis>{escape(accuracy.basis)}</p>"


def words(text: str) -> str:
    """Return a text as HTML: escaped, and what stands between backticks set as a command."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _remarks(remarks: Sequence[str]) -> str:
    if not remarks:
        return ""
    lines = "".join(f"<li>{words(remark)}</li>" for remark in remarks)
    return f"<aside><h2>Before you rely on these figures</h2><ul>{lines}</ul></aside>"


def _section(section: Section) -> str:
    parts = [f"<section><h2>{escape(section.heading)}</h2>"]
    parts += [f"<p>{words(paragraph)}</p>" for paragraph in section.text]
    for picture in section.illustrations:
        image = f'<img src="{data_uri(picture.png)}" alt="{escape(picture.alt)}">'
        parts.append(f"<figure>{image}<figcaption>{escape(picture.caption)}</figcaption></figure>")
    if section.facts:
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in section.facts)
        parts.append(f"<dl>{rows}</dl>")
    return "".join([*parts, "</section>"])


def _accuracy(accuracies: Sequence[Accuracy]) -> str:
    parts = ["<section><h2>Accuracy</h2>"]
    if len(accuracies) > 1:
        parts.append(_comparison(accuracies))
    for accuracy in accuracies:
        if len(accuracies) > 1:
            parts.append(f"<h3>{escape(accuracy.classifier)}</h3><p>{escape(accuracy.basis)}</p>")
        parts += [_class_table(accuracy), _matrix(accuracy)]
    return "".join([*parts, "</section>"])


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
    return _table(head, rows, "The same test pixels for every classifier")


def _class_table(accuracy: Accuracy) -> str:
    rows = [
        (c.name, _score(c.precision), _score(c.recall), _score(c.f1), f"{c.support:,}") for c in accuracy.scores.classes
    ]
    rows.append(("Mean of the tested classes (macro)", "", "", _score(accuracy.scores.macro_f1), ""))
    head = ("Class", "Precision (user’s)", "Recall (producer’s)", "F1", "Test pixels")
    return _table(head, rows, f"Scores by class; overall accuracy {percent(accuracy.scores.overall_accuracy)}")


def _matrix(accuracy: Accuracy) -> str:
    """Return the confusion matrix, rows = labels, shaded by the share of the row."""
    names = [c.name for c in accuracy.scores.classes]
    head = "".join(f"<th scope=col class=tilt><span>{escape(name)}</span></th>" for name in names)
    rows = []
    for name, counts in zip(names, accuracy.scores.confusion, strict=True):
        total = max(sum(counts), 1)
        cells = "".join(_matrix_cell(count / total, count) for count in counts)
        rows.append(f"<tr><th scope=row>{escape(name)}</th>{cells}</tr>")
    return (
        "<div class=scroll><table class=matrix><caption>Confusion matrix: rows are the labels, columns what the "
        f"classifier said; pixels, shaded by their share of the row</caption><thead><tr><td></td>{head}</tr></thead>"
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
    return "–" if math.isnan(value) else f"{value:.3f}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], caption: str) -> str:
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
