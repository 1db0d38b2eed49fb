"""Options that several commands share, and what they become."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cropcube.run.options import RunOptions

ProjectOption = Annotated[
    Path, typer.Option("--project", "-p", metavar="DIR", help="Project folder (the current one, or one above it).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
ClusterOption = Annotated[
    str,
    typer.Option(
        "--cluster",
        metavar="auto|serial|local|tcp://...",
        help="Where tasks run: worker processes here for more than a handful (auto), or a dask scheduler.",
    ),
]
WorkersOption = Annotated[int | None, typer.Option("--workers", min=1, help="Worker processes of a local cluster.")]
MemoryOption = Annotated[
    str | None, typer.Option("--memory-limit", metavar="SIZE", help="Memory of one worker, such as 6GiB.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def size_bytes(text: str) -> int:
    """Read a size such as `512MB`, `6GiB` or `1000000`."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", text.lower())
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a size such as 6GiB or 800MB")
    return int(float(found[1]) * UNITS[found[2] or ""])


def run_options(cluster: str, workers: int | None, memory_limit: str | None, quiet: bool) -> RunOptions:
    """Turn the shared options into what the pipeline takes."""
    from cropcube.run.options import RunOptions

    return RunOptions(cluster, workers, size_bytes(memory_limit) if memory_limit else None, quiet)
