"""`cropcube status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cropcube_cli import show
from cropcube_cli.options import JsonOption, ProjectOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

STATES = ("done", "incomplete", "interrupted", "outdated", "damaged", "missing")


def status(project: ProjectOption = Path("."), as_json: JsonOption = False) -> None:
    """What of a project is done, what is missing, and why."""
    from cropcube.pipeline.status import status as look

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
        _render_build(console, figures["stages"][0])
        model = figures["model"]
        console.print("No model yet." if model is None else f"Model: {model['classifier']} on {model['features']}")
        for problem in figures["problems"]:
            show.line(console, f"Problem: {problem}")

    show.result(summary, as_json, render)


def _states(stage: Mapping[str, int]) -> str:
    """Return the states that occur, with their counts."""
    return ", ".join(f"{stage[state]} {state}" for state in STATES if stage[state])


def _render_build(console: Console, build: dict[str, object]) -> None:
    clear = build["clear_observations"]
    if isinstance(clear, dict):
        console.print(
            f"Clear observations per pixel, tile means: {clear['least']} to {clear['most']}, median {clear['median']} "
            f"({clear['tiles']} tiles)"
        )
    failures = build["failures"]
    if isinstance(failures, list) and failures:
        show.failed_reads(console, int(str(build["failed_reads"])), failures)
