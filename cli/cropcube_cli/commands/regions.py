"""`cropcube regions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show
from cropcube_cli.options import JsonOption

if TYPE_CHECKING:
    from rich.console import Console


def regions(
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="Part of a name, country or continent, or an ISO code.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Countries and states that `build --region` knows by name."""
    from cropcube.pipeline.regions import regions as collect

    summary = collect(text)

    def render(console: Console) -> None:
        if not summary.outlines:
            console.print(f"no country or state matches {text!r}. {summary.advice}")
            return
        rows = [
            (found.name, found.kind, found.code, found.continent, f"{found.area_km2:,.0f}")
            for found in summary.outlines
        ]
        console.print(show.table("", ("name", "kind", "code", "continent", "area km2"), rows))

    show.result(summary, as_json, render)
