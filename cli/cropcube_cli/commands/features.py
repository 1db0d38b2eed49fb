"""`cropcube features`."""

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

SHOWN = 5


def features(
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="median, annual-median, geomedian, percentiles, statistics, harmonic or emit.",
        ),
    ] = "median",
    window: Annotated[
        int | None, typer.Option("--window", metavar="DAYS", help="Of median, geomedian: days in a window (5).")
    ] = None,
    order: Annotated[
        int | None, typer.Option("--order", metavar="K", help="Of harmonic: number of harmonics (2).")
    ] = None,
    ridge: Annotated[
        float | None, typer.Option("--ridge", metavar="WEIGHT", help="Of harmonic: of the squared coefficients (0).")
    ] = None,
    mask: Annotated[
        str, typer.Option("--mask", metavar="scl:CLASSES", help="Scene classes that count as clear.")
    ] = "scl:4,5,6,7",
    dilate: Annotated[
        int, typer.Option("--dilate", metavar="METRES", help="Distrust pixels this near to any other class.")
    ] = 0,
    index: Annotated[
        list[str] | None,
        typer.Option(
            "--index",
            metavar="NAME",
            help="Spectral index, repeatable: of medians one more array, of statistics what they are of (NDVI).",
        ),
    ] = None,
    percentiles: Annotated[
        str | None,
        typer.Option("--percentiles", metavar="P,P,...", help="Of percentiles: which (10,25,50,75,90)."),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option("--view", metavar="VIEW", help="Of emit: best, median or mean of a season's acquisitions (best)."),
    ] = None,
    resample: Annotated[
        str | None,
        typer.Option("--resample", metavar="BANDS", help="Of emit: sentinel-2, or a number of broader bands."),
    ] = None,
    continuum: Annotated[
        bool, typer.Option("--continuum", help="Of emit: spectra divided by their continuum.")
    ] = False,
    join: Annotated[
        str | None,
        typer.Option("--join", metavar="NAME", help="Of emit: features of Sentinel-2 beside it, median-15d say."),
    ] = None,
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
    """Reduce the cube's time axis to features of the clear observations: medians, percentiles, statistics, fits."""
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.pipeline.features import FeaturesOptions
    from cropcube.pipeline.features import features as run_features
    from cropcube.pipeline.features_estimate import dry_run_features
    from cropcube.pipeline.planning import Planning

    own = {
        "window": window, "order": order, "ridge": ridge, "index": index or None, "percentiles": percentiles,
        "view": view, "resample": resample, "continuum": continuum or None,
        "join": join,
    }  # fmt: skip
    spec = FeatureSpec.of_words(kind, mask, dilate, own)
    run = run_options(cluster, workers, memory_limit, quiet, device)
    planning = Planning.of_words(dry_run, region, season, rates)
    if planning is not None:
        planned = dry_run_features(project, spec, planning, run, show.silent if quiet else show.note)
        show.result(planned, as_json, tables(planned))
        return
    summary = run_features(project, FeaturesOptions(spec), run)
    figures = summary.as_dict()

    def render(console: Console) -> None:
        rows = [
            ("features", summary.spec.name),
            ("tiles done, reused", f"{figures['done']}, {figures['reused']}"),
            ("clear observations", f"{100 * summary.clear_share:.1f} %"),
            ("pixels never clear", f"{summary.pixels_never_clear:,}"),
            ("read, written", f"{show.size(figures['bytes_read'])}, {show.size(figures['bytes_written'])}"),
            ("peak memory", show.size(figures["peak_memory_bytes"])),
            ("seconds", f"{figures['seconds']:.1f}"),
        ]
        console.print(show.table("Features", ("what", "value"), rows))
        show.line(console, f"store: {summary.path}")

    for said in summary.notes:
        show.note(f"note: {said}")
    show.result(summary, as_json, render)
    if summary.incomplete_builds:
        listed = ", ".join(summary.incomplete_builds[:SHOWN])
        more = ", ..." if len(summary.incomplete_builds) > SHOWN else ""
        show.note(
            f"warning: {len(summary.incomplete_builds)} build tasks are incomplete ({listed}{more}); run "
            "`cropcube build` again, then this again: only the tiles concerned are redone"
        )
    if summary.tiles_unobserved:
        show.note(f"{summary.tiles_unobserved} tiles have no observation in the whole season")
