"""`cropcube evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show
from cropcube_cli.options import (
    BlockOption,
    EndFieldOption,
    ErodeOption,
    JsonOption,
    LabelFieldOption,
    LabelsOption,
    MinAreaOption,
    ProjectOption,
    QuietOption,
    RadiusOption,
    RegionsOption,
    StartFieldOption,
    TableOption,
)

if TYPE_CHECKING:
    from rich.console import Console

    from cropcube.pipeline.evaluate import EvaluateSummary


def evaluate(
    labels: LabelsOption = None,
    table: TableOption = None,
    label_field: LabelFieldOption = None,
    start_field: StartFieldOption = None,
    end_field: EndFieldOption = None,
    erode: ErodeOption = 0.0,
    radius: RadiusOption = 0.0,
    min_area: MinAreaOption = 0.0,
    folds: Annotated[
        int | None,
        typer.Option("--folds", metavar="N", help="Fit anew for N folds of places and pool them (none: test set)."),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", help="Deal and fit the folds N times; means and spreads are said.")
    ] = 1,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="blocks|field|region|COLUMN", help="What folds are dealt by (as the sets)."),
    ] = None,
    block_m: BlockOption = None,
    regions: RegionsOption = None,
    classifier: Annotated[
        str | None,
        typer.Option("--classifier", metavar="cropnet|forest|boosting", help="What to score (the trained one's)."),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option("--compare", metavar="cropnet|forest|boosting", help="Another, scored on the same pixels."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="Model folder (default: the project's own, model/).")
    ] = None,
    source: Annotated[
        str,
        typer.Option("--from", metavar="features|cube", help="Where features come from: their store, or on the fly."),
    ] = "features",
    project: ProjectOption = Path("."),
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score the classifier on blocks that it has not seen, or the map on labels; write report.html and map.png."""
    from cropcube.pipeline.evaluate import EvaluateOptions
    from cropcube.pipeline.evaluate import evaluate as run_evaluate
    from cropcube.pipeline.labels import LabelFiles
    from cropcube.run.options import RunOptions
    from cropcube.samples.places import SplitRule

    rules = {
        "start_field": start_field, "end_field": end_field, "erode": erode, "radius": radius, "min_area": min_area,
        "table": table,
    }  # fmt: skip
    files = LabelFiles.if_given(labels or (), label_field or (), rules)
    asked = split is not None or block_m is not None or regions is not None
    rule = SplitRule(split or "blocks", block_m, regions) if asked else None
    options = EvaluateOptions(files, folds, seeds, rule, classifier, tuple(compare or ()), model, source)
    summary = run_evaluate(project, options, RunOptions(quiet=quiet or as_json))
    for said in (*summary.notes, *summary.accuracy.remarks()):
        show.note(f"note: {said}")
    show.result(summary, as_json, lambda console: _render(console, summary))


def _render(console: Console, summary: EvaluateSummary) -> None:
    scored = (summary.accuracy, *summary.compared)
    console.print(summary.accuracy.basis, markup=False)
    rows = [(a.classifier, str(a.overall_accuracy), str(a.macro_f1)) for a in scored]
    console.print(show.table("Accuracy", ("classifier", "overall accuracy", "macro-F1"), rows))
    if summary.differences:
        rows = [
            (f"{d.classifier} - {d.than}", f"{d.overall_accuracy:+}", f"{d.macro_f1:+}") for d in summary.differences
        ]
        console.print(show.table("Differences, seed by seed", ("pair", "overall accuracy", "macro-F1"), rows))
    for accuracy in scored:
        by_class = [
            (c.name, _score(c.precision), _score(c.recall), str(accuracy.class_f1(place) or "-"), c.support)
            for place, c in enumerate(accuracy.scores.classes)
        ]
        head = ("class", "precision", "recall", "F1", "test pixels")
        console.print(show.table(accuracy.classifier, head, by_class))
    names = [f"{number} {c.name}" for number, c in enumerate(summary.accuracy.scores.classes, 1)]
    matrix = [(name, *row) for name, row in zip(names, summary.accuracy.scores.confusion, strict=True)]
    numbers = [str(number) for number in range(1, len(names) + 1)]
    console.print(show.table("Confusion: rows are labels, columns what was said", ("", *numbers), matrix))
    if summary.files is None:
        return
    show.line(console, f"report: {summary.files.report}")
    if summary.files.picture:
        show.line(console, f"map:    {summary.files.picture}")
    else:
        show.note("there is no map yet, so no map.png: `cropcube predict` makes it")


def _score(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
