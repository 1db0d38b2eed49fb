"""`cropcube build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show
from cropcube_cli.dry_run import DryRunOption, RatesOption, tables
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
    from collections.abc import Callable

    from rich.console import Console

    from cropcube.pipeline.build_summary import BuildSummary

LEFT_OUT_SHOWN = 20


def build(
    project: ProjectOption = Path("."),
    region: Annotated[
        str | None, typer.Option("--region", "-r", help="Country or state, vector file, or west,south,east,north.")
    ] = None,
    season: Annotated[
        str | None, typer.Option("--season", help="START/STOP (half-open) or YEAR; default: the last complete year.")
    ] = None,
    sensor: Annotated[
        str, typer.Option("--sensor", help="sentinel-2, or emit: a cube of its own in the same project.")
    ] = "sentinel-2",
    catalog: Annotated[
        str | None,
        typer.Option("--catalog", "-c", help="Known name, URL of a STAC API, a file, or a folder of EMIT granules."),
    ] = None,
    collection: Annotated[str | None, typer.Option("--collection", help="Collection of the catalogue.")] = None,
    max_cloud: Annotated[
        float | None, typer.Option("--max-cloud", min=0, max=100, help="Leave out scenes with more cloud (percent).")
    ] = None,
    bands: Annotated[str | None, typer.Option("--bands", help="Labels such as B02,B03,B04; default: all ten.")] = None,
    resolution: Annotated[
        int | None, typer.Option("--resolution", metavar="M", help="Only bands measured at M metres, such as 20.")
    ] = None,
    tile_px: Annotated[int | None, typer.Option("--tile-px", help="Side of a tile at 10 m (multiple of 96).")] = None,
    crs: Annotated[str | None, typer.Option("--crs", help="One CRS, EPSG:3035 say; default: UTM zones.")] = None,
    dry_run: DryRunOption = False,
    rates: RatesOption = None,
    search: Annotated[bool, typer.Option("--search", help="Ask the catalogue again.")] = False,
    scenes_only: Annotated[
        bool,
        typer.Option("--scenes-only", help="Search and freeze the scenes, read none (for predict --from catalog)."),
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check the checksums of remote files too.")] = False,
    max_failed_reads: Annotated[
        int, typer.Option("--max-failed-reads", min=0, help="Failed reads that still count as success.")
    ] = 0,
    cluster: ClusterOption = "auto",
    workers: WorkersOption = None,
    memory_limit: MemoryOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Build a region's cube of observations, or go on with the build that stands."""
    from cropcube.pipeline.build import build as run_build
    from cropcube.pipeline.build_options import BuildOptions
    from cropcube.pipeline.dry_run import DryRun

    options = BuildOptions(
        region=region,
        season=season,
        sensor=sensor,
        catalog=catalog,
        collection=collection,
        max_cloud=max_cloud,
        bands=tuple(bands.replace(",", " ").split()) if bands is not None else None,
        resolution_m=resolution,
        tile_px=tile_px,
        crs=crs,
        dry_run=dry_run,
        search=search,
        scenes_only=scenes_only,
        verify=verify,
        max_failed_reads=max_failed_reads,
        rates=rates,
    )
    run = run_options(cluster, workers, memory_limit, quiet)
    summary = run_build(project, options, run, show.silent if quiet else show.note)
    if isinstance(summary, DryRun):
        show.result(summary, as_json, tables(summary))
    else:
        show.result(summary, as_json, _closing_table(summary))
    summary.check()


def _closing_table(summary: BuildSummary) -> Callable[[Console], None]:
    def render(console: Console) -> None:
        figures = summary.as_dict()
        amplification = figures["decode_amplification"]
        rows = [
            ("tasks done", figures["done"]),
            ("tasks reused", figures["reused"]),
            ("tasks incomplete", figures["incomplete"]),
            ("tasks failed", figures["failed"]),
            ("scenes", figures["scenes"]),
            ("observations (tiles x days)", figures["observations"]),
            ("read", show.size(figures["bytes_read"])),
            ("written", show.size(figures["bytes_written"])),
            ("decode amplification", "-" if amplification is None else f"{amplification:.2f}"),
            ("peak memory of a worker", show.size(figures["peak_memory_bytes"])),
            ("time", f"{figures['seconds']:.1f} s"),
        ]
        console.print(show.table(f"Build of {summary.project}", ("what", "value"), rows))
        for what, _ in summary.catalog.get("refusals", ())[:LEFT_OUT_SHOWN]:
            show.line(console, f"left out: {what}")
        if figures["failures"]:
            show.failed_reads(console, figures["failed_reads"], figures["failures"])

    return render
