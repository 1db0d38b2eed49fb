"""Legends on disk."""

from __future__ import annotations

from pathlib import Path

from cropcube.domain.legend import Legend
from cropcube.errors import InvalidInputError, MissingError


def read_legend(path: Path | None) -> Legend:
    """Read a legend file; None gives the default (the six crops of the paper and `other`).

    Raises
    ------
    MissingError
        If there is no such file.
    InvalidInputError
        If it is not UTF-8 text, or `Legend.parse` refuses it.
    """
    if path is None:
        return Legend.default()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingError(f"there is no legend file {path}", "Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"the legend {path} cannot be read ({error})", "Give UTF-8 text.") from error
    return Legend.parse(text, str(path))
