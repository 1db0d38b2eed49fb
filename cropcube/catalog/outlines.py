"""Regions by name, vector file or corner coordinates; the outlines shipped are Natural Earth's."""

from __future__ import annotations

import difflib
import json
import math
import re
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely
from pyproj import Geod

from cropcube.catalog.aliases import ALIASES, ISO_A3
from cropcube.catalog.vectors import VECTOR_SUFFIXES, read_vectors
from cropcube.domain.region import Region
from cropcube.errors import InvalidInputError, MissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shapely.geometry.base import BaseGeometry

HOW_TO_NAME = (
    "Give a country, a state of the USA, Canada, Brazil or Australia (`cropcube regions TEXT` lists them), a vector "
    "file, or west,south,east,north in degrees."
)


@dataclass(frozen=True)
class Outline:
    """One shipped outline."""

    name: str
    kind: str
    "`country`, or what the state calls itself: `State`, `Province`, `Territory` ..."
    code: str
    "ISO 3166-1 alpha-3 of a country (Natural Earth's own where ISO has none), ISO 3166-2 of a state."
    country: str
    "Of a state; of a country its own name."
    continent: str
    names: tuple[str, ...] = field(repr=False)
    "Everything else that it answers to."
    loose_names: tuple[str, ...] = field(repr=False)
    "Older or foreign names, used only where nothing else answers."
    geojson: Mapping[str, Any] = field(repr=False, compare=False)
    "Geometry in lon/lat."

    @cached_property
    def geometry(self) -> BaseGeometry:
        """Polygon in lon/lat."""
        return shapely.from_geojson(json.dumps(self.geojson))

    @cached_property
    def area_km2(self) -> float:
        """Area on the WGS 84 ellipsoid, as good as the outline."""
        geod = Geod(ellps="WGS84")
        parts = shapely.get_parts(shapely.orient_polygons(self.geometry))
        return float(sum(geod.geometry_area_perimeter(part)[0] for part in parts) / 1e6)

    def __str__(self) -> str:
        where = "country" if self.kind == "country" else f"{self.kind.lower()} of {self.country}"
        return f"{self.name} ({where}, {self.code})"


def find_region(text: str, say: Callable[[str], None] | None = None) -> Region:
    """Return the region that a user means.

    Parameters
    ----------
    text
        Name or ISO code of a country or state (case, accents, punctuation do not matter), path of a vector file, or
        `west,south,east,north` in degrees, where west > east crosses the antimeridian (RFC 7946, 5.2).
    say
        Gets a line where corners cross the antimeridian.

    Raises
    ------
    MissingError
        If nothing has that name, or the file does not exist.
    InvalidInputError
        If the name is ambiguous, or the file or the corners cannot be a region.
    """
    text = text.strip()
    path = Path(text).expanduser()
    if sum(_number(part) is not None for part in text.split(",")) > 1 and not path.exists():
        return _region_of_corners(text, say)
    if path.suffix.lower() in VECTOR_SUFFIXES or path.is_file() or (set(text) & {"/", "\\"} and not _find_names(text)):
        return Region.of(path.name, shapely.geometrycollections(read_vectors(path).geometry.to_numpy()))
    outline = find_outline(text)
    return Region.of(outline.name, outline.geometry)


def find_outline(text: str) -> Outline:
    """Return the one country or state that answers to a name.

    Raises
    ------
    MissingError
        If none does; the message suggests the nearest names.
    InvalidInputError
        If several do; the message names them.
    """
    found = _find_names(text)
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidInputError(
            f"region {text!r} could be {' or '.join(map(str, found))}",
            f"Give the code: {' or '.join(outline.code for outline in found)}",
        )
    raise MissingError(f"no country or state is called {text!r}", suggestion(text) + HOW_TO_NAME)


def suggestion(text: str) -> str:
    """Return `Did you mean ...? ` with the nearest names, or nothing where none is near."""
    near = difflib.get_close_matches(_key(text), list(_index()[0]), n=6, cutoff=0.7)
    names = list(dict.fromkeys(outline.name for key in near for outline in _index()[0][key]))[:3]
    return f"Did you mean {' or '.join(names)}? " if names else ""


def search_outlines(text: str = "") -> list[Outline]:
    """Return the outlines whose name, code, country or continent contains a text; countries first, then by name."""
    wanted = _key(text)

    def answers(outline: Outline) -> bool:
        words = (outline.name, outline.country, outline.continent, *outline.names, *outline.loose_names)
        return any(wanted in _key(word) if len(wanted) > 2 else wanted == _key(word) for word in words)

    found = [outline for outline in outlines() if not wanted or answers(outline)]
    return sorted(found, key=lambda outline: (outline.kind != "country", _key(outline.name), outline.code))


@lru_cache(maxsize=1)
def outlines() -> tuple[Outline, ...]:
    """Return every shipped outline."""
    countries = [_country(feature) for feature in _features("countries_50m.geojson")]
    by_code = {code: country for country in countries for code in (country.code, *country.names)}
    states = [_state(feature, by_code) for feature in _features("states_50m.geojson")]
    return (*countries, *states)


def _features(name: str) -> list[dict[str, Any]]:
    """Return the features of a shipped GeoJSON file."""
    text = (files("cropcube.catalog") / "data" / name).read_text(encoding="utf-8")
    features: list[dict[str, Any]] = json.loads(text)["features"]
    return features


def _country(feature: Mapping[str, Any]) -> Outline:
    """Return the outline of a country."""
    stated = feature["properties"]
    a2, a3 = stated["iso_a2"] or "", stated["iso_a3"]
    names = {stated["name_short"], a2, a3, f"{stated['name']} country", *ALIASES.get(a2, ())} - {"", stated["name"]}
    code = ISO_A3.get(a3, a3)
    return Outline(
        stated["name"], "country", code, stated["name"], stated["continent"], tuple(sorted({*names, code})), (),
        feature["geometry"],
    )  # fmt: skip


def _state(feature: Mapping[str, Any], countries: Mapping[str, Outline]) -> Outline:
    """Return the outline of a state; its country's name or code may follow its own."""
    stated = feature["properties"]
    name, code = stated["name"], stated["iso_3166_2"]
    country = countries[stated["iso_a3"]]
    owners = {country.name, *(known for known in country.names if not known.endswith(" country"))}
    loose = tuple(other for other in (stated["name_alt"] or "").split("|") if len(_key(other)) > 2)
    names = {code, *(f"{name} {owner}" for owner in owners), *ALIASES.get(code, ())}
    kind = stated["type"] or "State"
    return Outline(name, kind, code, country.name, country.continent, tuple(sorted(names)), loose, feature["geometry"])


@lru_cache(maxsize=1)
def _index() -> tuple[dict[str, list[Outline]], dict[str, list[Outline]]]:
    """Return who answers to each key: by name, code or alias, and by a loose name."""
    strict: dict[str, list[Outline]] = {}
    loose: dict[str, list[Outline]] = {}
    for outline in outlines():
        for key in {_key(name) for name in (outline.name, *outline.names)}:
            strict.setdefault(key, []).append(outline)
        for key in {_key(name) for name in outline.loose_names}:
            loose.setdefault(key, []).append(outline)
    return strict, loose


def _find_names(text: str) -> list[Outline]:
    """Return who answers to a name, loosely only if nobody does strictly."""
    strict, loose = _index()
    return strict.get(_key(text)) or loose.get(_key(text)) or []


def _key(text: str) -> str:
    """Return a name without case, accents, punctuation, spaces and small words."""
    plain = unicodedata.normalize("NFKD", text.replace("&", " and ")).casefold()
    plain = re.sub(r"['’.\u0300-\u036f]", "", plain)
    words = ["saint" if word == "st" else word for word in re.findall(r"\w+", plain)]
    return "".join(word for word in words if word not in ("the", "and", "of"))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _region_of_corners(text: str, say: Callable[[str], None] | None) -> Region:
    """Return the rectangle of west,south,east,north; west > east crosses the antimeridian."""
    example = "Give west,south,east,north in degrees, for example 4.05,50.74,4.06,50.75."
    numbers = [number for part in text.split(",") if (number := _number(part)) is not None and math.isfinite(number)]
    if not len(numbers) == len(text.split(",")) == 4:
        raise InvalidInputError(f"region {text!r} is not four numbers", example)
    west, south, east, north = numbers
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= 90 and -90 <= north <= 90):
        raise InvalidInputError(
            f"region {text!r} leaves the lon/lat range",
            f"Longitudes run from -180 to 180 and latitudes from -90 to 90. {example}",
        )
    if south >= north or west == east:
        raise InvalidInputError(
            f"region {text!r} has no area: south must lie below north, and west must not be east", example
        )
    if west < east:
        return Region.of(text, shapely.box(west, south, east, north))
    width = east + 360 - west
    if width > 180:
        raise InvalidInputError(
            f"region {text!r} (west > east) crosses the antimeridian and is {width:g} degrees wide",
            f"Are west and east swapped? {east:g},{south:g},{west:g},{north:g} is {west - east:g} degrees wide. "
            "Give a vector file for a region that is really wider than half the globe.",
        )
    if say is not None:
        say(f"region {text} crosses the antimeridian, {width:g} degrees wide")
    pieces = [shapely.box(left, south, right, north) for left, right in ((west, 180), (-180, east)) if left < right]
    return Region.of(text, shapely.multipolygons(pieces))
