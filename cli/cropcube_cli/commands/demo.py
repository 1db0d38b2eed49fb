"""`cropcube demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show
from cropcube_cli.options import ClusterOption, JsonOption, MemoryOption, QuietOption, WorkersOption, run_options

if TYPE_CHECKING:
    from rich.console import Console

    from cropcube.pipeline.demo import DemoSummary


def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder of the project.")] = Path("demo"),
    cluster: ClusterOption = "auto",
    workers: WorkersOption = None,
    memory_limit: MemoryOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the whole job on the shipped sample: a square of Flanders, 53 real dates of a season, real crop labels."""
    from cropcube.pipeline.demo import demo as run_demo

    run = run_options(cluster, workers, memory_limit, quiet)
    summary = run_demo(folder, run=run, say=None if quiet else show.note)
    show.result(summary, as_json, lambda console: _render(console, summary))


def _render(console: Console, summary: DemoSummary) -> None:
    figures = summary.as_dict()
    rows = [
        (entry["classifier"], f"{entry['overall_accuracy']:.3f}", f"{entry['macro_f1']:.3f}")
        for entry in figures["accuracies"]
    ]
    title = "On the same folds, pooled; labels of the sample"
    console.print(show.table(title, ("classifier", "overall accuracy", "macro-F1"), rows))
    for name in ("map", "cog", "report", "picture"):
        show.line(console, f"{name + ':':9}{figures[name]}")
    console.print(figures["attribution"])
