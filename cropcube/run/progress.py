"""The progress bar of a stage, on standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def note(line: str, quiet: bool) -> None:
    """Show one line on standard error, unless `quiet`."""
    if not quiet:
        print(line, file=sys.stderr)


@contextlib.contextmanager
def progress_bar(title: str, total: int, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show tasks done, MB/s and the time left; the yielded function reports one task and its bytes.

    Nothing is shown when `quiet`, or when standard error is not a terminal.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda _bytes: None
        return
    speed = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with speed:
        bar = speed.add_task(title, total=total, rate="")
        moved = 0

        def advance(count: int) -> None:
            """Count one task and its bytes."""
            nonlocal moved
            moved += count
            elapsed = speed.tasks[bar].elapsed or 0.0
            rate = f"{moved / 1e6 / elapsed:.0f} MB/s" if elapsed > 0 and moved else ""
            speed.update(bar, advance=1, rate=rate)

        yield advance
