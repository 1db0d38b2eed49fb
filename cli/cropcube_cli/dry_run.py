"""How a dry run looks, and the options that it has in the commands with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from cropcube.pipeline.dry_run import DryRun

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")]
RatesOption = Annotated[
    Path | None, typer.Option("--rates", metavar="FILE", help="Of a dry run: prices and speeds, TOML.")
]
PlannedRegionOption = Annotated[
    str | None,
    typer.Option("--region", "-r", help="Of a dry run where no project stands: as for build."),
]
PlannedSeasonOption = Annotated[
    str | None, typer.Option("--season", help="Of a dry run where no project stands: as for build.")
]
WHAT = ("what", "value")


def tables(summary: DryRun) -> Callable[[Console], None]:
    """Return what draws a dry run: figures, tiles, cost, and what they rest on."""
    figures = summary.as_dict()

    def render(console: Console) -> None:
        title = f"Dry run of {summary.verb}: nothing was written"
        console.print(show.table(title, WHAT, _rows(summary)))
        console.print(show.table("Tiles", ("zone", "tiles"), figures["tiles"].items()))
        cost = [(name, *_ends(cost.low, cost.high)) for name, cost in summary.cost.items() if cost.high]
        console.print(show.table("Cost in USD", ("of", "low", "high"), cost))
        rates = [
            (name, f"{rate['low']:g}", f"{rate['high']:g}", rate["unit"], rate["source"])
            for name, rate in summary.rests_on.items()
        ]
        console.print(
            show.table("What that rests on (--rates FILE changes it)", ("rate", "low", "high", "in", "from"), rates)
        )
        for said in (f"From {figures['source']}.", *(f"Note: {note}." for note in figures["notes"])):
            show.line(console, said)

    return render


def _rows(summary: DryRun) -> Sequence[tuple[str, object]]:
    figures = summary.as_dict()
    hours, total = summary.hours, summary.cost["all"]
    workers = f"{summary.have.workers} workers" if summary.have.workers > 1 else "1 worker"
    threads = f", {summary.have.threads} threads each" if summary.have.threads > 1 else ""
    scenes = [] if figures["scenes"] is None else [("scenes", f"{figures['scenes']:,}")]
    return [
        ("tiles", f"{sum(figures['tiles'].values()):,} in {len(figures['tiles'])} zones"),
        *scenes,
        ("tasks to do", f"{figures['tasks']:,}"),
        ("tasks done already", f"{figures['reused']:,}"),
        ("to read", show.size(figures["bytes_to_read"])),
        ("to store", show.size(figures["bytes_to_store"])),
        ("free on the disk", "no end" if figures["free_bytes"] is None else show.size(figures["free_bytes"])),
        ("memory per task", show.size(figures["task_memory_bytes"])),
        ("memory per worker", show.size(figures["worker_memory_bytes"])),
        ("fits", "yes" if figures["fits"] else "no"),
        (f"hours on {workers}{threads}", " to ".join(_ends(hours.low, hours.high))),
        ("cost", f"{' to '.join(_ends(total.low, total.high))} USD"),
    ]


def _ends(low: float, high: float) -> tuple[str, str]:
    """Return both ends of a range with about three digits: no projection has more."""
    return _rounded(low), _rounded(high)


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
