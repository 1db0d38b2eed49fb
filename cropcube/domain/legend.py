"""A legend: the ordered classes of a map. Map values are 1-based rows of it, 0 is no data."""

from __future__ import annotations

import colorsys
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

MAX_CLASSES = 254
"""Rows that fit uint8 beside 0 (no data), with 255 left free."""
COLOUR = re.compile(r"#[0-9a-f]{6}")
CODE_HEADINGS = ("code", "codes", "ewoc_code", "hcat_code", "hcat3_code", "hcat4_code", "ec:hcat_code", "crop:code")
NAME_HEADINGS = ("name", "class", "label", "class_name", "label_full", "hcat3_name", "ec:hcat_name", "crop:name")
COLOUR_HEADINGS = ("colour", "color")
"""Columns of a legend with a heading; all others are left alone. All code columns count, the first names the class."""
SEPARATOR = "|"
"""Between several codes in one cell."""
_WORLDCEREAL = re.compile(r"\d{2}-\d{2}-\d{2}-\d{3}-\d")
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
    also: tuple[str, ...] = ()
    "Further codes that mean the class in labels: whole numbers or words."

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
        self._refuse_repeated("code", [(entry.code, *map(_key, entry.also)) for entry in self.classes], _ONE_CLASS)
        names = [(plain(entry.name),) for entry in self.classes]
        self._refuse_repeated("name", names, "Names are compared without case, blanks, hyphens and underscores")

    def _refuse_repeated(self, what: str, keys: Sequence[tuple[object, ...]], rule: str) -> None:
        uses = Counter(key for mine in keys for key in set(mine))
        pairs = zip(self.classes, keys, strict=True)
        repeated = [entry for entry, mine in pairs if any(uses[key] > 1 for key in mine)]
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
        """Read CSV lines `code,name[,colour]`; missing colours are chosen distinct.

        With a heading line the columns may come in any order, with others among them, and codes may be words. Several
        codes mean one class where they stand in one cell (`1101|1102`), in several columns of codes, or on several
        lines with the same name; the first is the one that the map keeps.

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
        try:
            return cls(_classes(_lines(text, source)))
        except InvalidInputError as error:
            where = "" if error.what.startswith(source) else f"{source}: "
            raise InvalidInputError(where + error.what, error.next_step) from None

    @classmethod
    def of(cls, rows: Iterable[tuple[int, str, str]]) -> Legend:
        """Return a legend of (code, name, colour) rows; an empty colour is chosen distinct from all others."""
        return cls(_classes([_Line((code,), name, colour.lower()) for code, name, colour in rows]))

    @classmethod
    def from_json(cls, rows: Sequence[Mapping[str, Any]]) -> Legend:
        """Return the legend that `as_json` wrote."""
        return cls(
            tuple(
                LegendClass(int(row["code"]), str(row["name"]), str(row["colour"]), tuple(row.get("also", ())))
                for row in rows
            )
        )

    def as_json(self) -> list[dict[str, Any]]:
        """Return the classes as JSON-ready records."""
        rows: list[dict[str, Any]] = [{"code": c.code, "name": c.name, "colour": c.colour} for c in self.classes]
        for row, entry in zip(rows, self.classes, strict=True):
            if entry.also:
                row["also"] = list(entry.also)
        return rows

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

        Whole numbers (also as text, `1200` or `1200.0`, and WorldCereal's `11-01-06-000-0`) are codes; other text is a
        code in words or a name, compared without case and with blanks, hyphens and underscores alike.
        """
        code = _as_code(value)
        if code is not None and code in self._rows:
            return self._rows[code]
        return self._rows.get(plain(str(value)), 0)

    @cached_property
    def _rows(self) -> dict[int | str, int]:
        """Row by code and by plain name; codes come first."""
        rows: dict[int | str, int] = {}
        for row, entry in enumerate(self.classes, 1):
            rows |= dict.fromkeys((entry.code, *map(_key, entry.also)), row)
        for row, name in enumerate(self.names, 1):
            rows.setdefault(plain(name), row)
        return rows

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
    if _WORLDCEREAL.fullmatch(text):
        return int(text.replace("-", ""))
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


@dataclass(frozen=True)
class _Line:
    """One line of a legend file."""

    codes: tuple[int | str, ...]
    "Whole numbers, or words."
    name: str
    colour: str
    "Empty if none is given."


def _lines(text: str, source: str) -> list[_Line]:
    """Return the lines of a legend file that hold classes."""
    text = text.removeprefix("\ufeff")
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    delimiter = max(",;\t", key=first.count)
    found = [(i, row) for i, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), 1) if any(row)]
    rows = [(i, [cell.strip() for cell in row]) for i, row in found if not row[0].lstrip().startswith("#")]
    columns = _columns(rows[0][1]) if rows else None
    if columns is not None:
        rows = rows[1:]
    if not rows:
        raise InvalidInputError(f"{source} holds no class", _FORMAT)
    return [_parse_line(row, columns, f"{source} line {number}") for number, row in rows]


def _columns(row: list[str]) -> tuple[list[int], int, int | None] | None:
    """Return where codes, name and colour stand if a row is a heading."""
    words = [cell.casefold() for cell in row]
    codes = [place for place, word in enumerate(words) if word in CODE_HEADINGS]
    names = [words.index(word) for word in NAME_HEADINGS if word in words]
    colours = [words.index(word) for word in COLOUR_HEADINGS if word in words]
    return (codes, names[0], next(iter(colours), None)) if codes and names else None


def _parse_line(row: list[str], columns: tuple[list[int], int, int | None] | None, where: str) -> _Line:
    if columns is None:
        if not 2 <= len(row) <= 3:
            raise InvalidInputError(f"{where} has {len(row)} columns", _FORMAT)
        code = _as_code(row[0])
        if code is None:
            raise InvalidInputError(
                f"{where}: code {row[0]!r} is not a positive whole number",
                f"{_FORMAT} Codes in words need a heading line: code,name.",
            )
        return _Line((code,), row[1], row[2].lower() if len(row) == 3 else "")
    codes, name, colour = columns
    if max(*codes, name) >= len(row):
        raise InvalidInputError(f"{where} has {len(row)} columns, fewer than the heading", _FORMAT)
    said = [part.strip() for place in codes for part in row[place].split(SEPARATOR) if part.strip()]
    wrong = [part for part in said if _as_code(part) is None and re.fullmatch(r"-?\d+(\.\d+)?", part)]
    if wrong or not said:
        problem = f"code {wrong[0]!r} is not a positive whole number" if wrong else "there is no code"
        raise InvalidInputError(f"{where}: {problem}", _FORMAT)
    shade = row[colour].lower() if colour is not None and colour < len(row) else ""
    return _Line(tuple(_key(part) for part in said), row[name], shade)


def _classes(lines: list[_Line]) -> tuple[LegendClass, ...]:
    """Return the classes of lines: those of one name are one; numbers and colours that are lacking are chosen."""
    together: dict[str, list[_Line]] = {}
    for line in lines:
        together.setdefault(plain(line.name) or repr(line.codes), []).append(line)
    _refuse_twice(together)
    taken = {line.colour for line in lines if line.colour}
    fresh = (colour for colour in _distinct_colours() if colour not in taken)
    numbers = count(max((code for line in lines for code in line.codes if isinstance(code, int)), default=0) + 1)
    found = []
    for mine in together.values():
        codes = list(dict.fromkeys(code for line in mine for code in line.codes))
        first = next((code for code in codes if isinstance(code, int)), None)
        also = tuple(str(code) for code in codes if code != first)
        colour = next((line.colour for line in mine if line.colour), "") or next(fresh)
        found.append(LegendClass(next(numbers) if first is None else first, mine[0].name, colour, also))
    return tuple(found)


def _refuse_twice(together: dict[str, list[_Line]]) -> None:
    """Refuse a code on two lines of one class; on lines of two classes the legend itself refuses it."""
    for mine in together.values():
        uses = Counter(code for line in mine for code in set(line.codes))
        code, times = uses.most_common(1)[0]
        if times > 1:
            raise InvalidInputError(
                f"the legend has a code more than once: {code} {mine[0].name}", f"{_ONE_CLASS}; remove the others."
            )


def _key(code: int | str) -> int | str:
    """Return a code as it is compared: a whole number, or plain words."""
    number = _as_code(code)
    return plain(str(code)) if number is None else number


_ONE_CLASS = "A code stands for one class; give each line its own"


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
