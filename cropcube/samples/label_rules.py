"""Which features of a label file are labels, and of which ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from cropcube.errors import InvalidInputError
from cropcube.samples.label_shapes import areas_m2, discs, eroded

if TYPE_CHECKING:
    from pathlib import Path

    import geopandas as gpd
    from numpy.typing import NDArray

    from cropcube.domain.season import Season

START_FIELD, END_FIELD = "start_date", "end_date"
"""Fields that are taken for validity dates where a file has them and no others are named."""
OUT_OF_SEASON, TOO_SMALL, NOTHING_LEFT = "not valid in the season", "smaller than the minimum area", "nothing left"
"""Why features are no labels: their dates, their area, and nothing left of them after erosion."""
BACKWARDS = "with a start date after the end date"
"""Another reason: such dates say nothing."""
SHARE = 0.5
"""Part of its own validity, or of the season, that a label shares with the season if it holds for it."""
M2_PER_HA = 10_000


POINTS, POLYGONS = "points", "polygons"


@dataclass(frozen=True)
class LabelRules:
    """Rules for the features of vector files; rasters have none of this."""

    fields: tuple[str, ...] = ()
    "Fields that may hold the class: the first whose value the legend knows, else the first that holds any."
    start_field: str | None = None
    "Field with the first day on which a label holds; None takes `start_date` where the file has it."
    end_field: str | None = None
    "Field with the last day; None takes `end_date` where the file has it."
    erode_m: float = 0.0
    "Metres that polygons lose along their edge."
    radius_m: float = 0.0
    "Metres around a point that carry its class; 0 = the pixel that holds it."
    min_area_ha: float = 0.0
    "Polygons of less ground are left out, measured before erosion."

    def __post_init__(self) -> None:
        for option in ("erode_m", "radius_m", "min_area_ha"):
            value, name = getattr(self, option), option.rsplit("_", 1)[0].replace("_", "-")
            if not 0 <= value < 1e6:
                raise InvalidInputError(f"--{name} {value:g} cannot be used", "Give 0 or more.")

    def refuse_idle(self, geometry: frozenset[str]) -> None:
        """Refuse rules for points where there are but polygons, and the other way round.

        Raises
        ------
        InvalidInputError
            Naming the rule.
        """
        for option, needed in (("erode_m", POLYGONS), ("radius_m", POINTS), ("min_area_ha", POLYGONS)):
            if getattr(self, option) and needed not in geometry:
                name = option.rsplit("_", 1)[0].replace("_", "-")
                raise InvalidInputError(
                    f"--{name} is a rule for {needed}; the labels are {' and '.join(geometry)}", "Leave it out."
                )

    def as_dict(self) -> dict[str, Any]:
        """Return the rules that differ from the usual ones, JSON-ready."""
        usual = LabelRules()
        return {name: value for name, value in vars(self).items() if value != getattr(usual, name) and name != "fields"}


def in_season(
    path: Path, frame: gpd.GeoDataFrame, rules: LabelRules, season: Season | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which features hold for a season, and which cannot hold at all since they end before they begin.

    A label holds if it shares at least half of its own validity, or half of the season, with the season: one that is
    over days after the season began is of the crop before. Where a date is missing, there is no bound.

    Parameters
    ----------
    path
        The file, for messages.
    frame
        Its features.
    rules
        Say which fields hold the dates.
    season
        None takes every feature.

    Raises
    ------
    InvalidInputError
        If a field that is named is not there, or holds something else than dates.
    """
    kept, backwards = np.ones(len(frame), dtype=bool), np.zeros(len(frame), dtype=bool)
    if season is None:
        return kept, backwards
    start = _days(path, frame, rules.start_field, START_FIELD, last=False)
    stop = _days(path, frame, rules.end_field, END_FIELD, last=True) + np.timedelta64(1, "D")
    backwards = start >= stop  # never so where one of them is missing
    first, last = np.datetime64(season.start), np.datetime64(season.stop)
    shared = (np.where(np.isnat(stop), last, np.minimum(stop, last)) - np.fmax(start, first)).astype(np.int64)
    bounded = ~(np.isnat(start) | np.isnat(stop))
    own = np.where(bounded, (stop - start).astype(np.int64), np.iinfo(np.int64).max)
    kept = (shared > 0) & (shared >= SHARE * np.minimum(own, season.days)) & ~backwards
    return kept, backwards


def large_enough(shapes: NDArray[Any], rules: LabelRules) -> NDArray[np.bool_]:
    """Return which shapes are points, or polygons of the minimum area."""
    kept: NDArray[np.bool_] = np.ones(len(shapes), dtype=bool)
    if rules.min_area_ha:
        polygons = shapely.get_dimensions(shapes) == 2
        kept[polygons] = areas_m2(shapes[polygons]) >= rules.min_area_ha * M2_PER_HA
    return kept


def labelled_ground(shapes: NDArray[Any], rules: LabelRules) -> NDArray[Any]:
    """Return the ground that carries each label: polygons eroded, points with their radius; maybe empty."""
    ground = shapes.copy()
    polygons = shapely.get_dimensions(shapes) == 2
    if rules.erode_m and polygons.any():
        ground[polygons] = eroded(shapes[polygons], rules.erode_m)
    if rules.radius_m and not polygons.all():
        ground[~polygons] = discs(shapes[~polygons], rules.radius_m)
    return ground


def _days(path: Path, frame: gpd.GeoDataFrame, named: str | None, usual: str, last: bool) -> NDArray[Any]:
    """Return the dates of a field as days, NaT where there is none; of a year its first or its `last` day."""
    import pandas as pd

    columns = {str(column).lower(): column for column in frame.columns}
    column = named if named in frame.columns else columns.get((named or usual).lower())
    if column is None:
        if named is None:
            return np.full(len(frame), np.datetime64("NaT"), dtype="datetime64[D]")
        own = [str(name) for name in frame.columns if not str(name).startswith("cropcube:")]
        raise InvalidInputError(f"{path} has no field {named!r}", f"Its fields are: {', '.join(own)}.")
    text = frame[column].astype("string").str.strip().replace("", pd.NA)
    years = text.str.fullmatch(r"\d{4}(\.0)?").fillna(False)
    text = text.mask(years, text.str[:4] + ("-12-31" if last else "-01-01"))
    when = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    wrong = np.flatnonzero((when.isna() & text.notna()).to_numpy())
    if len(wrong):
        raise InvalidInputError(
            f"{path}: {len(wrong)} features have no date in {column!r}, the first is number {wrong[0] + 1} with "
            f"{str(frame[column].iloc[wrong[0]])!r}",
            "Dates are YYYY-MM-DD; name other fields with --start-field and --end-field.",
        )
    days: NDArray[Any] = when.dt.tz_localize(None).to_numpy().astype("datetime64[D]")
    return days
