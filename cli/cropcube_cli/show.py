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


def _is_number(text: str) -> bool:
    return text.replace(".", "").replace(",", "").strip("%-+ ").isdigit()


def size(count: float) -> str:
    """Return bytes in words, such as `1.4 GB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.2f} {unit}"
        count /= 1000
    return ""
