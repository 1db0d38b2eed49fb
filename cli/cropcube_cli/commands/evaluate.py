"""`cropcube evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show
from cropcube_cli.options import JsonOption, ProjectOption, QuietOption

if TYPE_CHECKING:
    from rich.console import Console

    from cropcube.pipeline.evaluate import EvaluateSummary


def evaluate(
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="Labels of their own to score the map on (none: the model's)."),
    ] = None,
    label_field: Annotated[
        str | None, typer.Option("--label-field", metavar="F", help="Field of a vector file that holds the class.")
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option("--folds", metavar="N", help="Fit anew for N folds of blocks and pool them (none: test blocks)."),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option("--classifier", metavar="cropnet|forest", help="Classifier to score (none: the trained one's)."),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option("--compare", metavar="cropnet|forest", help="Another classifier, scored on the same pixels."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="Model folder (default: the project's own, model/).")
    ] = None,
    project: ProjectOption = Path("."),
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score the classifier on blocks that it has not seen, or the map on labels; write report.html and map.png."""
    from cropcube.pipeline.evaluate import EvaluateOptions
    from cropcube.pipeline.evaluate import evaluate as run_evaluate
    from cropcube.run.options import RunOptions

    options = EvaluateOptions(labels, label_field, folds, classifier, tuple(compare or ()), model)
    summary = run_evaluate(project, options, RunOptions(quiet=quiet or as_json))
    for said in (*summary.notes, *summary.accuracy.remarks()):
        show.note(f"note: {said}")
    show.result(summary, as_json, lambda console: _render(console, summary))


def _render(console: Console, summary: EvaluateSummary) -> None:
    scored = (summary.accuracy, *summary.compared)
    console.print(summary.accuracy.basis, markup=False)
    rows = [(a.classifier, _score(a.scores.overall_accuracy), _score(a.scores.macro_f1)) for a in scored]
    console.print(show.table("Accuracy", ("classifier", "overall accuracy", "macro-F1"), rows))
    for accuracy in scored:
        by_class = [
            (c.name, _score(c.precision), _score(c.recall), _score(c.f1), c.support) for c in accuracy.scores.classes
        ]
        head = ("class", "precision", "recall", "F1", "test pixels")
        console.print(show.table(accuracy.classifier, head, by_class))
    names = [f"{number} {c.name}" for number, c in enumerate(summary.accuracy.scores.classes, 1)]
    matrix = [(name, *row) for name, row in zip(names, summary.accuracy.scores.confusion, strict=True)]
    numbers = [str(number) for number in range(1, len(names) + 1)]
    console.print(show.table("Confusion: rows are labels, columns what was said", ("", *numbers), matrix))
    show.line(console, f"report: {summary.files.report}")
    if summary.files.picture:
        show.line(console, f"map:    {summary.files.picture}")
    else:
        show.note("there is no map yet, so no map.png: `cropcube predict` makes it")


def _score(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
