"""A legend: the ordered classes of a map. Map values are 1-based rows of it, 0 is no data."""

from __future__ import annotations

import colorsys
import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

MAX_CLASSES = 254
"""Rows that fit uint8 beside 0 (no data), with 255 left free."""
COLOUR = re.compile(r"#[0-9a-f]{6}")
_FORMAT = "A legend is CSV with one line a class: code,name[,colour]; 1200,maize,#f5c542 for example."


@dataclass(frozen=True)
class LegendClass:
    """One class."""

    code: int
    "Code in the labels, positive (0 means unlabelled)."
    name: str
    "Name for people, unique in its legend."
    colour: str
    "`#rrggbb`."

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green, blue, each 0 to 255."""
        red, green, blue = bytes.fromhex(self.colour[1:])
        return red, green, blue


@dataclass(frozen=True)
class Legend:
    """Ordered classes; class i (from 0) is stored as i + 1 in maps and sample indices.

    Raises
    ------
    InvalidInputError
        If it is empty, has over 254 classes, repeats a code or a name, or has a bad code, name or colour.
    """

    classes: tuple[LegendClass, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise InvalidInputError(
                f"the legend has {len(self.classes)} classes", f"It needs 1 to {MAX_CLASSES}. {_FORMAT}"
            )
        for entry in self.classes:
            _check_class(entry)
        self._refuse_repeated("code", self.codes, "A code stands for one class; give each line its own")
        names = [plain(name) for name in self.names]
        self._refuse_repeated("name", names, "Names are compared without case, blanks, hyphens and underscores")

    def _refuse_repeated(self, what: str, values: Sequence[object], rule: str) -> None:
        repeated = [entry for entry, value in zip(self.classes, values, strict=True) if list(values).count(value) > 1]
        if repeated:
            raise InvalidInputError(
                f"the legend has a {what} more than once: {', '.join(f'{c.code} {c.name}' for c in repeated)}",
                f"{rule}; remove or rename the others.",
            )

    @classmethod
    def default(cls) -> Legend:
        """Return the six crops of the paper (arXiv 2509.03497) and `other`, codes 1 to 7."""
        return cls(tuple(LegendClass(i + 1, name, colour) for i, (name, colour) in enumerate(_PAPER)))

    @classmethod
    def parse(cls, text: str, source: str = "legend") -> Legend:
        """Read CSV lines `code,name[,colour]`; a heading line is allowed, missing colours are chosen distinct.

        Parameters
        ----------
        text
            Content of the file.
        source
            Its name, for messages.

        Raises
        ------
        InvalidInputError
            Naming the line that cannot be used.
        """
        lines = [(i, row) for i, row in enumerate(csv.reader(io.StringIO(text.removeprefix("\ufeff"))), 1) if any(row)]
        lines = [(i, [cell.strip() for cell in row]) for i, row in lines if not row[0].lstrip().startswith("#")]
        if lines and [cell.lower() for cell in lines[0][1]][:2] == ["code", "name"]:
            lines = lines[1:]
        if not lines:
            raise InvalidInputError(f"{source} holds no class", _FORMAT)
        try:
            return cls.of([_parse_line(number, row, source) for number, row in lines])
        except InvalidInputError as error:
            where = "" if error.what.startswith(source) else f"{source}: "
            raise InvalidInputError(where + error.what, error.next_step) from None

    @classmethod
    def of(cls, rows: Iterable[tuple[int, str, str]]) -> Legend:
        """Return a legend of (code, name, colour) rows; an empty colour is chosen distinct from all others."""
        rows = list(rows)
        taken = {colour.lower() for _, _, colour in rows if colour}
        fresh = (colour for colour in _distinct_colours() if colour not in taken)
        return cls(tuple(LegendClass(code, name, (colour or next(fresh)).lower()) for code, name, colour in rows))

    @classmethod
    def from_json(cls, rows: Sequence[Mapping[str, Any]]) -> Legend:
        """Return the legend that `as_json` wrote."""
        return cls(tuple(LegendClass(int(row["code"]), str(row["name"]), str(row["colour"])) for row in rows))

    def as_json(self) -> list[dict[str, Any]]:
        """Return the classes as JSON-ready records."""
        return [{"code": c.code, "name": c.name, "colour": c.colour} for c in self.classes]

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def codes(self) -> tuple[int, ...]:
        """Codes in order."""
        return tuple(entry.code for entry in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(entry.name for entry in self.classes)

    def row_of(self, value: object) -> int:
        """Return the 1-based row that a label value means by code or by name, or 0 for none.

        Whole numbers (also as text, `1200` or `1200.0`) are codes; other text is a name, compared without case and
        with blanks, hyphens and underscores alike.
        """
        code = _as_code(value)
        if code is not None and code in self.codes:
            return self.codes.index(code) + 1
        names = [plain(name) for name in self.names]
        return names.index(plain(str(value))) + 1 if plain(str(value)) in names else 0

    def rows_of(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return `row_of` every element of an array of any shape, as uint8."""
        distinct, inverse = np.unique(values, return_inverse=True)
        rows = np.array([self.row_of(value) for value in distinct.tolist()], dtype=np.uint8)
        return rows[inverse].reshape(np.shape(values))


def plain(name: str) -> str:
    """Return a name as it is compared: casefolded, blanks, hyphens and underscores as one blank."""
    return re.sub(r"[\s_\-]+", " ", name).strip().casefold()


def _as_code(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    text = str(value).strip()
    return int(text.split(".")[0]) if re.fullmatch(r"\d{1,18}(\.0+)?", text) else None


def _check_class(entry: LegendClass) -> None:
    if not 1 <= entry.code < 2**63:
        raise InvalidInputError(
            f"the legend has the code {entry.code}", "Codes are positive whole numbers; 0 means unlabelled."
        )
    if not entry.name.strip():
        raise InvalidInputError(f"the legend class {entry.code} has no name", _FORMAT)
    if not COLOUR.fullmatch(entry.colour):
        raise InvalidInputError(
            f"the legend class {entry.code} {entry.name} has the colour {entry.colour!r}",
            "Colours are #rrggbb; leave the column out and one is chosen.",
        )


def _parse_line(number: int, row: list[str], source: str) -> tuple[int, str, str]:
    if not 2 <= len(row) <= 3:
        raise InvalidInputError(f"{source} line {number} has {len(row)} columns", _FORMAT)
    code = _as_code(row[0])
    if code is None:
        raise InvalidInputError(f"{source} line {number}: code {row[0]!r} is not a positive whole number", _FORMAT)
    return code, row[1], row[2].lower() if len(row) == 3 else ""


def _distinct_colours() -> Iterable[str]:
    yield from _CHOSEN
    for turn in range(10 * MAX_CLASSES):  # golden-angle hues, three brightnesses
        red, green, blue = colorsys.hsv_to_rgb(
            turn * 0.61803398875 % 1, 0.55 + 0.15 * (turn % 3), 0.9 - 0.2 * (turn % 3)
        )
        yield f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


# Colours of both lists are chosen to stay apart for protanopes and deuteranopes too; a test measures it.
_PAPER = (
    ("maize", "#f5c542"),
    ("soybean", "#5fae52"),
    ("rice", "#0aa4f5"),
    ("wheat", "#a5500a"),
    ("sugarcane", "#6e28a0"),
    ("cotton", "#e3cfd8"),
    ("other", "#828c96"),
)
_CHOSEN = (
    "#dc9600",
    "#3c6e96",
    "#00a096",
    "#f0e632",
    "#8c1e0a",
    "#8c5ae6",
    "#e62846",
    "#a0befa",
    "#d2c896",
    "#324664",
    "#0000be",
    "#968cf0",
    "#460082",
    "#dcc814",
    "#328264",
    "#be140a",
)
