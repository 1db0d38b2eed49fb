"""`cropcube extract`."""

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

SHOWN = 10


def extract(
    points: Annotated[
        Path | None, typer.Option("--points", metavar="FILE", help="Points: GeoPackage, GeoJSON, GeoParquet, CSV.")
    ] = None,
    polygons: Annotated[
        Path | None, typer.Option("--polygons", metavar="FILE", help="Polygons: mean and median of the pixels inside.")
    ] = None,
    source: Annotated[
        str, typer.Option("--from", metavar="cube|map|FEATURES", help="Product: cube, map, or features by name.")
    ] = "cube",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="GeoParquet file (default: NAME-PRODUCT.parquet)."),
    ] = None,
    mask: Annotated[
        str, typer.Option("--mask", metavar="scl:CLASSES", help="Scene classes that count as clear.")
    ] = "scl:4,5,6,7",
    project: ProjectOption = Path("."),
    cluster: ClusterOption = "auto",
    workers: WorkersOption = None,
    memory_limit: MemoryOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Series of the cube, features or the map at points or over polygons, to GeoParquet."""
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.pipeline.extract import ExtractOptions
    from cropcube.pipeline.extract import extract as run_extract

    options = ExtractOptions(points, polygons, source, output, FeatureSpec.parse_mask(mask))
    summary = run_extract(project, options, run_options(cluster, workers, memory_limit, quiet))
    missing = {
        "places lie off the project's tiles and have no row": summary.outside,
        "places were never acquired and have no row": summary.unobserved,
        "polygons hold no pixel centre and have no row": summary.without_pixels,
        "polygons lie partly off the project's tiles": summary.partly_outside,
        "points lie outside the region, but in a tile of it": summary.outside_region,
    }

    def render(console: Console) -> None:
        rows = [
            ("product", summary.source),
            ("places", f"{summary.places:,}"),
            ("rows", f"{summary.rows:,}"),
        ]
        console.print(show.table("Extracted", ("what", "value"), rows))
        show.line(console, f"file: {summary.output}")

    show.result(summary, as_json, render)
    for words, places in missing.items():
        if places:
            listed = ", ".join(map(str, places[:SHOWN])) + (", ..." if len(places) > SHOWN else "")
            show.note(f"{len(places)} {words} (number {listed}, counted from 0)")
    if summary.without_geometry:
        show.note(f"{summary.without_geometry} features of the file have no geometry and were left out")
    if summary.unfinished_tasks:
        show.note(
            f"warning: {summary.unfinished_tasks} tasks of {summary.source} are incomplete; the series may be too"
        )
