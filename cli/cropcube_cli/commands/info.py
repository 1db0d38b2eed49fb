"""`cropcube info`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropcube_cli import show
from cropcube_cli.options import JsonOption

if TYPE_CHECKING:
    from rich.console import Console


def info(as_json: JsonOption = False) -> None:
    """Versions, processor, memory, GPU and GDAL of this machine."""
    from cropcube.pipeline.info import info as collect

    summary = collect()

    def render(console: Console) -> None:
        rows = [(key.replace("_", " "), _text(value)) for key, value in summary.as_dict().items() if key != "packages"]
        console.print(show.table("This machine", ("what", "value"), rows))
        console.print(show.table("Packages", ("package", "version"), summary.packages.items()))

    show.result(summary, as_json, render)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
