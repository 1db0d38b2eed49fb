"""`cropcube model show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show as shown
from cropcube_cli.options import JsonOption

if TYPE_CHECKING:
    from rich.console import Console

    from cropcube.domain.model_card import LabelSource
    from cropcube.pipeline.show_model import ShownModel


def show(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Model folder, or a project for its own model (the current one).")
    ] = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Show the card of a model: what it takes, what it learnt from, how well it did, and its limits."""
    from cropcube.pipeline.show_model import show_model

    found = show_model(folder)
    shown.result(found, as_json, lambda console: _render(console, found))


def _render(console: Console, found: ShownModel) -> None:
    from cropcube.domain.words import counted
    from cropcube.model.fit_options import settings_words

    card = found.card
    shown.line(console, f"{found.folder}")
    rows = [
        ("classifier", card.classifier),
        ("takes", f"{card.sensor}, {' '.join(card.bands)}"),
        ("features", f"{card.feature}: {counted(len(card.steps), 'step')}, {card.steps[0]} to {card.steps[-1]}"),
        ("gaps", card.gap_fill),
        ("learnt in", f"{card.region}, {card.season}"),
        ("labels", f"{card.labels.file} {card.labels.label_field}".strip()),
        *_label_rows(card.labels),
        ("split", f"{card.split.words}, seed {card.split.seed}"),
        ("settings", settings_words(card.options)),
        ("made with", ", ".join(f"{name} {version}" for name, version in sorted(card.versions.items()))),
        ("digest", found.digest[:16]),
    ]
    console.print(shown.table("Model", ("what", "value"), rows))
    classes = [
        (str(c.code), c.name, *(str(n) for n in c.samples.values()), *map(_two, (c.f1, c.precision, c.recall)))
        for c in found.classes
    ]
    heads = ("code", "class", "train", "validation", "test", "F1", "precision", "recall")
    console.print(shown.table("Classes (samples; scores on validation)", heads, classes))
    if card.scores:
        scores = card.scores
        console.print(
            f"validation: overall accuracy {scores['overall_accuracy']:.3f}, macro-F1 {scores['macro_f1']:.3f}"
        )
    if card.calibration is not None:
        fit = card.calibration
        left = "not measured (one place)" if fit.ece_after is None else f"{100 * fit.ece_after:.1f} % after"
        console.print(
            f"confidence: temperature {fit.temperature:g}, expected calibration error {100 * fit.ece_before:.1f} % "
            f"before and {left}, on {fit.samples:,} validation samples"
        )
    for limit in found.limits:
        console.print(f"limit: {limit}", markup=False)


def _label_rows(labels: LabelSource) -> list[tuple[str, str]]:
    """Return the rules that labels were taken by, and how many were read and left out."""
    rules = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in labels.rules.items())
    read = f"{labels.features['read']:,} read" if "read" in labels.features else ""
    left = [f"{count:,} {why}" for why, count in labels.features.items() if why != "read" and count]
    pixels = [f"{count:,} {why}" for why, count in labels.dropped.items() if count]
    rows = [
        ("label rules", rules),
        ("label features", "; ".join(filter(None, (read, "left out: " + ", ".join(left) if left else "")))),
        ("pixels left out", ", ".join(pixels)),
    ]
    return [(name, words) for name, words in rows if words]


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
