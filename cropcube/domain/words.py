"""What users say in options, whether on the command line or as keywords: names in lists, sizes, and options that go
with some choices only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cropcube.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def names_in(said: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names in a list, or in text that separates them by commas or blanks: `B02,B03`."""
    texts = (said,) if isinstance(said, str) else said
    return tuple(name for text in texts for name in text.replace(",", " ").split())


def counted(count: int, thing: str) -> str:
    """Return `1 step`, `2 steps`."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def size_bytes(said: str | int) -> int:
    """Read a size such as `512MB`, `6GiB` or `1000000`.

    Raises
    ------
    UsageError
        If the text is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?)?b?\s*", str(said).lower())
    if found is None:
        raise UsageError(f"{said!r} is not a size", "Give one such as 6GiB or 800MB.")
    return int(float(found[1]) * UNITS[found[2] or ""])


def given_options(
    choice: tuple[str, str], owners: Mapping[str, tuple[str, ...]], said: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that were given, if they go with the choice that was made.

    Parameters
    ----------
    choice
        The option that chooses, and what it chose: `("kind", "median")`.
    owners
        The choices that an option belongs to; options that are not named here belong to all.
    said
        Every option with its value; None where it was not given.

    Raises
    ------
    UsageError
        If an option belongs to other choices.
    """
    given = {name: value for name, value in said.items() if value is not None}
    for name in given:
        kinds = owners.get(name, (choice[1],))
        if choice[1] not in kinds:
            option = f"--{name.replace('_', '-')}"
            them = " or ".join(part for part in (", ".join(kinds[:-1]), kinds[-1]) if part)
            raise UsageError(
                f"{option} belongs to --{choice[0]} {them}, not to {choice[1]}",
                f"Leave {option} out, or choose --{choice[0]} {them}.",
            )
    return given
