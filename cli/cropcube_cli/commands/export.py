"""`cropcube export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show
from cropcube_cli.options import JsonOption, ProjectOption

if TYPE_CHECKING:
    from rich.console import Console


def export(
    cog: Annotated[Path, typer.Option("--cog", metavar="FILE", help="Cloud-optimised GeoTIFF to write.")],
    layer: Annotated[
        str,
        typer.Option(
            "--layer",
            metavar="crop|confidence|margin|clear-count|probability",
            help="Which layer of the map; probability has a band for each class.",
        ),
    ] = "crop",
    project: ProjectOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Write the map as a cloud-optimised GeoTIFF with its colours, one file a UTM zone."""
    from cropcube.pipeline.export import ExportOptions
    from cropcube.pipeline.export import export as run_export

    summary = run_export(project, ExportOptions(cog, layer))

    def render(console: Console) -> None:
        for file in summary.files:
            figures = f"{file.crs}, {file.width} x {file.height} pixels, {show.size(file.size_bytes)}"
            show.line(console, f"{summary.layer}: {file.path} ({figures})")

    show.result(summary, as_json, render)
    if len(summary.files) > 1:
        show.note(f"the region lies in {len(summary.files)} zones: one file each, named after its zone")
    if summary.other_model:
        show.note("the map was made by another model than the one in the project; `cropcube predict` renews it")
    if summary.partial_tiles:
        show.note(f"of {summary.partial_tiles} of {summary.tiles} tiles only boxes are mapped; the rest is no data")
    if summary.missing_tiles:
        show.note(
            f"{summary.missing_tiles} of {summary.tiles} tiles are not in the map yet and are no data in the file; "
            "`cropcube predict` makes them"
        )
