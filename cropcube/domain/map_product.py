"""What a map holds: its arrays, and the attributes by which a reader knows the classes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cropcube.domain.legend import Legend
from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_DATA = 0
"""In every array of the map: outside the region, owned by another zone, or never seen clear."""
CROP, CONFIDENCE, MARGIN, CLEAR_COUNT, PROBABILITY = "crop", "confidence", "margin", "clear_count", "probability"
DTYPES = {CROP: "uint8", CONFIDENCE: "uint8", MARGIN: "uint8", CLEAR_COUNT: "uint16"}
"""The arrays (y, x) that every map has, all at 10 m; `probability` (class, y, x) uint8 only where it is asked for."""
CLASS = "class"
"""Dimension of `probability`; its coordinates are the values of `crop`."""


def crop_attrs(legend: Legend) -> dict[str, Any]:
    """Return the attributes of `crop`: CF flags, the source codes, the colours, and the whole legend.

    Map values are 1-based rows of the legend; `flag_codes` are the codes that the labels used for them.
    """
    return {
        "long_name": "crop type",
        "flag_values": list(range(1, len(legend) + 1)),
        "flag_meanings": " ".join(_words(legend)),
        "flag_codes": list(legend.codes),
        "flag_colors": " ".join(entry.colour for entry in legend.classes),
        "legend": legend.as_json(),
        "comment": "value = 1-based row of the legend; 0 = no data",
    }


def confidence_attrs() -> dict[str, Any]:
    """Return the attributes of `confidence`."""
    return {
        "long_name": "probability of the mapped class, calibrated on validation places",
        "units": "percent",
        "comment": "rounded half up, at least 1; 0 where crop is 0 (no data)",
    }


def margin_attrs() -> dict[str, Any]:
    """Return the attributes of `margin`."""
    return {
        "long_name": "probability of the mapped class less that of the next best",
        "units": "percent",
        "comment": "rounded half up; 0 where both are alike, and where crop is 0 (no data)",
    }


def probability_attrs(legend: Legend) -> dict[str, Any]:
    """Return the attributes of `probability`."""
    return {
        "long_name": "probability of each class, calibrated on validation places",
        "units": "percent",
        "flag_meanings": " ".join(_words(legend)),
        "comment": "class c of the legend is layer c - 1; rounded half up, so layers may add up to a little more or "
        "less than 100; all 0 where crop is 0 (no data)",
    }


def clear_count_attrs() -> dict[str, Any]:
    """Return the attributes of `clear_count`."""
    return {
        "long_name": "number of clear observations in the season, at 10 m",
        "units": "1",
        "comment": "counts of more than 65535 are held at 65535; 0 = no data",
    }


def legend_of(attrs: Mapping[str, Any]) -> Legend:
    """Return the legend that `crop_attrs` wrote.

    Raises
    ------
    InvalidInputError
        If the attributes hold none.
    """
    try:
        return Legend.from_json(attrs["legend"])
    except (KeyError, TypeError, AttributeError):
        raise InvalidInputError(
            "the map's crop array has no legend", "Make the map again: `cropcube predict`."
        ) from None


def _words(legend: Legend) -> list[str]:
    """Return the class names as CF wants them: one word each, and no two alike."""
    words: list[str] = []
    for entry in legend.classes:
        word = re.sub(r"[^\w.+@-]+", "_", entry.name).strip("_") or f"class_{entry.code}"
        words.append(f"{word}_{entry.code}" if word in words else word)
    return words
