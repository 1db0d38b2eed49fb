"""Labels given as points or polygons."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from pyproj import Transformer

from cropcube.domain.legend import CODE_HEADINGS
from cropcube.errors import InvalidInputError
from cropcube.samples.label_rules import (
    BACKWARDS,
    NOTHING_LEFT,
    OUT_OF_SEASON,
    POINTS,
    POLYGONS,
    TOO_SMALL,
    LabelRules,
    in_season,
    labelled_ground,
    large_enough,
)
from cropcube.samples.labels import NO_CLASS, NO_GEOMETRY, OUTSIDE, READ, UNLISTED, BoxLabels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import geopandas as gpd
    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.legend import Legend
    from cropcube.domain.region import Region
    from cropcube.domain.season import Season


class VectorLabels:
    """Points and polygons with a class each; a pixel takes the class of the polygon that its centre lies in.

    Use `read`.
    """

    def __init__(
        self, path: Path, label_field: str, geometry: frozenset[str], frame: gpd.GeoDataFrame, counts: Mapping[str, int]
    ) -> None:
        self.path, self.label_field, self.geometry = path, label_field, geometry
        self._frame, self._counts = frame, counts
        self._shapes = frame.geometry.to_numpy()
        self._numbers, self._unlisted = _numbered(frame[_ROW].to_numpy(), frame[_SAID].to_numpy())
        self._tree = shapely.STRtree(self._shapes)

    @classmethod
    def read(
        cls, path: Path, frame: gpd.GeoDataFrame, legend: Legend, rules: LabelRules, season: Season | None
    ) -> VectorLabels:
        """Return the labels of a table of features in lon/lat.

        Raises
        ------
        InvalidInputError
            If a field is not there or says nothing, a feature is neither point nor polygon, or no feature is a label
            of the season or large enough.
        """
        label_field, frame, classed = _classified(path, frame, legend, rules)
        bare = frame.attrs["without_geometry"]
        counts = {READ: len(frame) + bare, NO_GEOMETRY: bare, NO_CLASS: int((~classed).sum())}
        frame = frame[classed]
        kinds = sorted(set(frame.geometry.geom_type) - {"Point", "MultiPoint", "Polygon", "MultiPolygon"})
        if kinds:
            raise InvalidInputError(f"{path} holds {', '.join(kinds)}", "Labels are points or polygons.")
        valid, backwards = in_season(path, frame, rules, season)
        _refuse_dates(path, valid, backwards, season)
        frame = frame[valid]
        large = large_enough(frame.geometry.to_numpy(), rules)
        ground = labelled_ground(frame.geometry.to_numpy()[large], rules)
        left = ~shapely.is_empty(ground)
        _refuse_none(left, f"no label of {path} is large enough", "Give a smaller --min-area or --erode.")
        dates = ((OUT_OF_SEASON, valid | backwards), (BACKWARDS, ~backwards))
        reasons = (*dates, (TOO_SMALL, large), (NOTHING_LEFT, left))
        counts |= {reason: int((~kept).sum()) for reason, kept in reasons if not kept.all()}
        polygons = shapely.get_dimensions(frame.geometry.to_numpy()) == 2
        geometry = frozenset(POLYGONS if polygon else POINTS for polygon in polygons.tolist())
        return cls(path, label_field, geometry, frame[large].set_geometry(ground)[left], counts)

    @property
    def features(self) -> int:
        """Number of features that are labels; pixels say which of them they lie in, counted from 0."""
        return len(self._frame)

    def column(self, name: str) -> NDArray[Any]:
        """Return a field's value of each feature as text; empty where it has none.

        Raises
        ------
        InvalidInputError
            If there is no such field.
        """
        if name not in self._frame.columns or name in (_ROW, _SAID):
            names = [str(column) for column in self._frame.columns if column not in (_ROW, _SAID)]
            raise InvalidInputError(
                f"{self.path} has no field {name!r} to split by", f"Its fields: {', '.join(names)}."
            )
        values = self._frame[name]
        return np.array(["" if missing else _text(value) for value, missing in zip(values, values.isna(), strict=True)])

    def counted(self, region: Region) -> dict[str, int]:
        """Return how many features the file holds, and how many of them are no labels of a region, by reason."""
        shapely.prepare(region.geometry)
        outside = int((~shapely.intersects(region.geometry, self._shapes)).sum())
        return {**self._counts, OUTSIDE: outside}

    def touches(self, box: PixelBox) -> bool:
        """Return whether a label's bounds meet the box's."""
        return len(self._near(box)) > 0

    def on(self, box: PixelBox) -> BoxLabels:
        """Return the labels of a box; pixels that labels of different classes cover are dropped."""
        near = self._near(box)
        feature = near[np.lexsort((near, self._numbers[near]))]  # by class, then by feature
        transform = _from_lonlat(box.lattice.epsg).transform
        shapes = shapely.transform(self._shapes[feature], lambda xy: np.column_stack(transform(xy[:, 0], xy[:, 1])))
        place = np.arange(1, len(feature) + 1, dtype=np.int32)
        low, high = _burn(box, shapes[::-1], place[::-1]), _burn(box, shapes, place)
        number, feature = np.concatenate([[0], self._numbers[feature]]), np.concatenate([[-1], feature])
        clash = number[low] != number[high]
        tied = (low != high) & ~clash
        present = np.unique(number[low][~clash]).tolist()
        return BoxLabels(
            np.where(clash, 0, number[low]).astype(np.int32),
            clash,
            {n: self._unlisted[n] for n in present if n >= UNLISTED},
            np.where(clash, -1, feature[high]),
            np.unique(np.column_stack([feature[low][tied], feature[high][tied]]), axis=0),
        )

    def _near(self, box: PixelBox) -> NDArray[np.int64]:
        bounds = _from_lonlat(box.lattice.epsg).transform_bounds(*box.bounds, direction="INVERSE")
        west, south, east, north = bounds
        if west > east:  # across the antimeridian
            frames = [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
            return np.unique(np.concatenate([self._tree.query(frame) for frame in frames]))
        return np.sort(self._tree.query(shapely.box(west, south, east, north)))


@lru_cache(maxsize=128)
def _from_lonlat(epsg: int) -> Transformer:
    return Transformer.from_crs(4326, epsg, always_xy=True)


def _burn(box: PixelBox, shapes: NDArray[Any], numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return (y, x) with the number of the last shape that holds the pixel's centre, or whose point the pixel holds."""
    from rasterio.features import rasterize

    if not len(shapes):
        return np.zeros(box.shape, np.int32)
    pairs = zip(shapes.tolist(), numbers.tolist(), strict=True)
    burnt: NDArray[np.int32] = rasterize(pairs, out_shape=box.shape, transform=box.transform, fill=0, dtype="int32")
    return burnt


_ROW, _SAID = "cropcube:row", "cropcube:said"
"""Columns of ours beside the file's: row of the legend (0 = not in it), and the class as the file says it."""


def _classified(
    path: Path, frame: gpd.GeoDataFrame, legend: Legend, rules: LabelRules
) -> tuple[str, gpd.GeoDataFrame, NDArray[np.bool_]]:
    """Return the field, or fields, that were used, the features with `_ROW` and `_SAID`, and which have a class."""
    rows, said = np.zeros(len(frame), np.uint8), np.full(len(frame), None, dtype=object)
    used = _fields(path, frame, rules.fields)
    for name in used:
        values = frame[name]
        held = (values.notna() & (values.astype(str).str.strip() != "")).to_numpy()
        found = np.zeros(len(frame), np.uint8)
        texts = np.array([_text(value) for value in values[held].tolist()], dtype=str)
        found[held] = legend.rows_of(texts) if len(texts) else 0
        better = held & (rows == 0) & ((found > 0) | (said == None))  # noqa: E711
        rows[better] = found[better]
        said[np.flatnonzero(held)[better[held]]] = texts[better[held]]
    classed: NDArray[np.bool_] = said != None  # noqa: E711
    if not classed.any():
        words = "the field " + repr(used[0]) + " of" if len(used) == 1 else f"the fields {', '.join(used)} of"
        raise InvalidInputError(
            f"{words} {path} {'is' if len(used) == 1 else 'are'} empty", "Give another --label-field."
        )
    marked = frame.assign(**{_ROW: rows, _SAID: said})
    marked.attrs = frame.attrs
    return ", ".join(used), marked, classed


def _numbered(rows: NDArray[np.uint8], said: NDArray[Any]) -> tuple[NDArray[np.int32], dict[int, str]]:
    """Return the legend row of each label, and for unlisted classes a number of their own from `UNLISTED`."""
    numbers = rows.astype(np.int32)
    missing = numbers == 0
    names, which = np.unique(said[missing].astype(str), return_inverse=True)
    numbers[missing] = UNLISTED + which
    return numbers, {UNLISTED + i: name for i, name in enumerate(names.tolist())}


def _fields(path: Path, frame: gpd.GeoDataFrame, wanted: tuple[str, ...]) -> list[str]:
    """Return the wanted fields that the file has; without any wanted, the only one there is, or those called codes."""
    names = [str(name) for name in frame.columns if name not in (frame.geometry.name, _ROW, _SAID)]
    places = {"lon", "lat", "longitude", "latitude", "start_date", "end_date"}
    candidates = [name for name in names if name.lower() not in places]
    if not wanted and len(candidates) == 1:
        return candidates
    found = [name for name in wanted if name in names]
    if not wanted:
        # A fiboa file has an identifier and its crop as code and name: codes are what a legend knows.
        found = [name for heading in CODE_HEADINGS for name in names if name.casefold() == heading]
    if found:
        return found
    listed = " or ".join(repr(name) for name in wanted)
    problem = f"has no field {listed}" if wanted else f"has {len(candidates)} fields that could hold classes"
    raise InvalidInputError(f"{path} {problem}", f"Give --label-field; the fields are: {', '.join(names) or 'none'}.")


def _refuse_dates(path: Path, valid: NDArray[np.bool_], backwards: NDArray[np.bool_], season: Season | None) -> None:
    _refuse_none(
        ~backwards, f"every label of {path} is {BACKWARDS}", "Check the dates; --start-field, --end-field name others."
    )
    _refuse_none(
        valid,
        f"no label of {path} is valid in the season {season}",
        "Give labels that share half of their own validity, or half of the season, with it.",
    )


def _refuse_none(kept: NDArray[np.bool_], what: str, next_step: str) -> None:
    if len(kept) and not kept.any():
        raise InvalidInputError(what, next_step)


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
