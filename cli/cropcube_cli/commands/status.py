"""`cropcube status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show
from cropcube_cli.options import JsonOption, ProjectOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from cropcube.pipeline.provenance import Provenance


def status(
    tile: Annotated[
        str | None,
        typer.Option("--tile", metavar="NAME", help="Of the map, r0573c0074 say: which scenes it rests on instead."),
    ] = None,
    project: ProjectOption = Path("."),
    as_json: JsonOption = False,
) -> None:
    """What of a project is done, what is missing, and why; or what a tile of the map rests on."""
    from cropcube.pipeline.provenance import provenance
    from cropcube.pipeline.status import status as look

    if tile is not None:
        found = provenance(project, tile)
        show.result(found, as_json, lambda console: _render_tile(console, found))
        return

    summary = look(project)

    def render(console: Console) -> None:
        figures = summary.as_dict()
        spec, catalog = figures["specification"], figures["catalog"]
        console.print(f"{figures['project']}: {spec['region']}, {spec['season']}, {' '.join(spec['bands'])}")
        if catalog is None:
            console.print("No catalogue was searched yet.")
        else:
            span = f"{catalog['first']} to {catalog['last']}, {catalog['days']} days"
            console.print(f"{catalog['scenes']} scenes of {catalog['catalog']}, {span}")
        rows = [(stage["stage"], stage["tasks"], _states(stage)) for stage in figures["stages"]]
        console.print(show.table("Stages", ("stage", "tasks", "state"), rows))
        for stage in figures["stages"]:
            for line in stage["unfinished"]:
                console.print(f"  {line}")
        for stage in figures["stages"]:
            if stage["stage"].startswith("build"):
                _render_build(console, stage)
        model = figures["model"]
        console.print("No usable model." if model is None else f"Model: {model['classifier']} on {model['features']}")
        for problem in figures["problems"]:
            show.line(console, f"Problem: {problem}")

    show.result(summary, as_json, render)


def _states(stage: Mapping[str, int]) -> str:
    """Return the states that occur, with their counts."""
    from cropcube.pipeline.status import STATES

    return ", ".join(f"{stage[state]} {state}" for state in STATES if stage[state])


def _render_tile(console: Console, found: Provenance) -> None:
    baselines = ", ".join(f"{name or 'unknown'} ({count} scenes)" for name, count in found.baselines.items())
    console.print(f"{found.key}: {found.state}, made from {found.origin}")
    console.print(f"{len(found.scenes)} scenes on {len(found.days)} days; processing baselines: {baselines or 'none'}")
    for scene in found.scenes:
        show.line(console, f"  {scene.day}  {scene.baseline or '-':6} {scene.id}")
    if found.details.get("failed"):
        failures = [{"task": found.key, **failure} for failure in found.details["failed"]]
        show.failed_reads(console, found.details["failed_reads"], failures)
    for note in found.notes:
        console.print(f"note: {note}", markup=False)


def _render_build(console: Console, build: dict[str, object]) -> None:
    clear = build["clear_observations"]
    if isinstance(clear, dict):
        of = "EMIT: clear" if "seen" in build else "Clear"
        console.print(
            f"{of} observations per pixel, tile means: {clear['least']} to {clear['most']}, median {clear['median']} "
            f"({clear['tiles']} tiles)"
        )
    seen = build.get("seen")
    if isinstance(seen, dict) and seen:
        days = ", ".join(f"{day} {share:.0%}" for day, share in seen.items())
        console.print(f"EMIT saw of the region: {days}")
    failures = build["failures"]
    if isinstance(failures, list) and failures:
        show.failed_reads(console, int(str(build["failed_reads"])), failures)
