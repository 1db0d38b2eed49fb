"""How results look: one JSON object, or tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console


class Summary(Protocol):
    """What every verb returns."""

    def as_dict(self) -> Mapping[str, Any]:
        """Return the figures, JSON-ready."""


def result(summary: Summary, as_json: bool, render: Callable[[Console], None]) -> None:
    """Print a summary: as one JSON object on standard output, or as `render` draws it."""
    if as_json:
        sys.stdout.write(json.dumps(summary.as_dict(), default=str, allow_nan=False) + "\n")
    else:
        render(console())


def console() -> Console:
    """Return the console for results (standard output)."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def note(message: str) -> None:
    """Say something on standard error, so that it never mixes with results."""
    sys.stderr.write(message + "\n")


def silent(message: str) -> None:
    """Say nothing."""


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Any:
    """Return a rich table; cells are shown as they are, without markup."""
    from rich.markup import escape
    from rich.table import Table

    made = Table(title=title, title_justify="left")
    cells = [[str(cell) for cell in row] for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(cells) and all(_is_number(row[index]) for row in cells)
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        made.add_row(*(escape(cell) for cell in row))
    return made


def failed_reads(console: Console, count: int, failures: Iterable[Mapping[str, str]]) -> None:
    """Print failed reads, one entry a file with the tasks that wanted it; lines stay whole, so that they can be copied.

    Parameters
    ----------
    console
        Where to.
    count
        All of them.
    failures
        Those that are listed: `task`, `scene`, `band`, `error`.
    """
    tasks: dict[str, list[str]] = {}
    for entry in failures:
        where = f"{entry['scene']} {entry['band']}"
        why = entry["error"] if entry["error"].startswith(where) else f"{where}: {entry['error']}"
        tasks.setdefault(why, []).append(entry["task"])
    listed = sum(map(len, tasks.values()))
    console.print(f"{count} failed reads" + (f", the first {listed}:" if listed < count else ":"))
    for why, keys in tasks.items():
        more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
        line(console, f"  {why}")
        line(console, f"    in {keys[0]}{more}")


def line(console: Console, text: str) -> None:
    """Print a line as it is, however narrow the terminal: paths in it can be copied."""
    console.print(text, soft_wrap=True, markup=False)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "").replace(",", "").strip("%-+ ").isdigit()


def size(count: float) -> str:
    """Return bytes in words, such as `1.4 GB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.2f} {unit}"
        count /= 1000
    return ""
