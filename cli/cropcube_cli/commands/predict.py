"""`cropcube predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show
from cropcube_cli.options import (
    ClusterOption,
    JsonOption,
    MemoryOption,
    ProjectOption,
    QuietOption,
    WorkersOption,
    run_options,
)

if TYPE_CHECKING:
    from rich.console import Console


def predict(
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="Model folder (default: the project's own, model/).")
    ] = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild",
            help="Make every tile anew; the map that stands is removed first. Needed where its legend is another.",
        ),
    ] = False,
    project: ProjectOption = Path("."),
    cluster: ClusterOption = "auto",
    workers: WorkersOption = None,
    memory_limit: MemoryOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the wall-to-wall crop-type map, tile by tile."""
    from cropcube.pipeline.predict import PredictOptions
    from cropcube.pipeline.predict import predict as run_predict

    options = PredictOptions(model, rebuild)
    summary = run_predict(project, options, run_options(cluster, workers, memory_limit, quiet))

    def render(console: Console) -> None:
        figures = summary.as_dict()
        rows = [
            ("classifier", f"{summary.classifier} on {summary.feature}"),
            ("tiles done, reused", f"{figures['done']}, {figures['reused']}"),
            ("pixels without a class", f"{summary.areas.unclassified:,}"),
            ("written", show.size(figures["bytes_written"])),
            ("peak memory", show.size(figures["peak_memory_bytes"])),
            ("seconds", f"{figures['seconds']:.1f}"),
        ]
        console.print(show.table("Map", ("what", "value"), rows))
        console.print(show.table("Mapped area (counted pixels)", ("class", "hectares", "share"), summary.areas.rows()))
        show.line(console, f"map: {summary.map_path}")

    show.result(summary, as_json, render)
    if summary.tiles_without_features:
        show.note(
            f"{summary.tiles_without_features} tiles have no features yet and are not in the map; "
            "run `cropcube features`, then this again"
        )
