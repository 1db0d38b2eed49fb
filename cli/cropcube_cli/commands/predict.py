"""`cropcube predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show
from cropcube_cli.dry_run import DryRunOption, PlannedRegionOption, PlannedSeasonOption, RatesOption, tables
from cropcube_cli.options import (
    ClusterOption,
    DeviceOption,
    JsonOption,
    MemoryOption,
    ProjectOption,
    QuietOption,
    WorkersOption,
    run_options,
)

if TYPE_CHECKING:
    from rich.console import Console

_FROM = {"features": "their store", "cube": "the cube", "catalog": "the catalogue's scenes"}


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
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="features|cube|catalog",
            help="Where features come from: their store, or made on the fly. The map is the same.",
        ),
    ] = "features",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write the probability of every class too (percent).")
    ] = False,
    crop_mask: Annotated[
        Path | None,
        typer.Option("--crop-mask", metavar="FILE", help="Raster (0 = no crop) or polygons; the rest is not mapped."),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option("--box", metavar="W,S,E,N", help="Map only what this touches; the rest stays as it is."),
    ] = None,
    max_failed_reads: Annotated[
        int, typer.Option("--max-failed-reads", min=0, help="Failed reads of scenes that still count as success.")
    ] = 0,
    dry_run: DryRunOption = False,
    region: PlannedRegionOption = None,
    season: PlannedSeasonOption = None,
    rates: RatesOption = None,
    project: ProjectOption = Path("."),
    cluster: ClusterOption = "auto",
    workers: WorkersOption = None,
    memory_limit: MemoryOption = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the wall-to-wall crop-type map, tile by tile."""
    from cropcube.pipeline.planning import Planning
    from cropcube.pipeline.predict import PredictOptions
    from cropcube.pipeline.predict import predict as run_predict
    from cropcube.pipeline.predict_estimate import dry_run_predict

    options = PredictOptions(model, rebuild, source, probabilities, crop_mask, box, max_failed_reads)
    run = run_options(cluster, workers, memory_limit, quiet, device)
    planning = Planning.of_words(dry_run, region, season, rates)
    if planning is not None:
        planned = dry_run_predict(project, options, planning, run, show.silent if quiet else show.note)
        show.result(planned, as_json, tables(planned))
        return
    summary = run_predict(project, options, run)

    def render(console: Console) -> None:
        figures = summary.as_dict()
        rows = [
            ("classifier", f"{summary.classifier} on {summary.feature}, from {_FROM[summary.origin]}"),
            ("tiles done, reused", f"{figures['done']}, {figures['reused']}"),
            ("tiles incomplete", figures["incomplete"]),
            ("pixels without a class", f"{summary.areas.unclassified:,}"),
            ("written", show.size(figures["bytes_written"])),
            ("peak memory", show.size(figures["peak_memory_bytes"])),
            ("seconds", f"{figures['seconds']:.1f}"),
        ]
        console.print(show.table("Map", ("what", "value"), rows))
        console.print(show.table("Mapped area (counted pixels)", ("class", "hectares", "share"), summary.areas.rows()))
        if figures["failures"]:
            show.failed_reads(console, figures["failed_reads"], figures["failures"])
        show.line(console, f"map: {summary.map_path}")

    show.result(summary, as_json, render)
    for note in summary.notes:
        show.note(f"warning: {note}")
    summary.check()
