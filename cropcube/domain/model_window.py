"""The part of a season that a model sees, by calendar days: the same part of the next season is its input there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from cropcube.domain.feature_spec import IN_WINDOWS
from cropcube.errors import InvalidInputError, ModelMismatchError

if TYPE_CHECKING:
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.season import Season

ALL, GROWING = "all", "growing"
"""Words for a model's window: the whole season, and `growing_season`."""
TEMPERATE_DEG = 35.0
"""Latitude beyond which winter stops the growth of crops."""
_LEAP_YEAR = 2000


@dataclass(frozen=True)
class ModelWindow:
    """Half-open span of calendar days, of any year."""

    begin: tuple[int, int]
    "Month and day of the first day."
    stop: tuple[int, int]
    "Month and day of the first day after it."

    @classmethod
    def parse(cls, text: str) -> ModelWindow:
        """Read `MM-DD/MM-DD`, the second day not included; it may lie in the next year.

        Raises
        ------
        InvalidInputError
            If the text is not of that form, or the days are one and the same.
        """
        found = re.fullmatch(r"(\d\d)-(\d\d)/(\d\d)-(\d\d)", text.strip())
        try:
            if not found:
                raise ValueError("not two days")
            numbers = [int(part) for part in found.groups()]
            days = [date(_LEAP_YEAR, *pair) for pair in (numbers[:2], numbers[2:])]
        except ValueError as error:
            raise InvalidInputError(
                f"model window {text!r} is not MM-DD/MM-DD ({error})",
                f"Example: --model-window 05-01/12-01; or one of: {GROWING}, {ALL}.",
            ) from None
        if days[0] == days[1]:
            raise InvalidInputError(
                f"model window {text!r} is empty", "Use --model-window all to let the model see the whole season."
            )
        return cls((days[0].month, days[0].day), (days[1].month, days[1].day))

    def __str__(self) -> str:
        return "/".join(f"{month:02d}-{day:02d}" for month, day in (self.begin, self.stop))

    def steps_of(self, spec: FeatureSpec, season: Season) -> tuple[int, int]:
        """Return the first and one-past-last window of time: from that which starts nearest to the model's first day.

        Nearest, not next: seasons begin on any day, and what one step holds must be of the same days in all of them,
        within half a step.

        Raises
        ------
        InvalidInputError
            If the features have no windows of time, or the season lacks one that the model's window holds.
        """
        if spec.kind not in IN_WINDOWS:
            raise InvalidInputError(
                f"{spec.name} has no windows of time to choose from",
                "--model-window goes with features of --kind median or geomedian.",
            )
        begin = _next(self.begin, season.start - timedelta(days=spec.window_days // 2))
        stop = _next(self.stop, begin)
        first, last = (_nearest(day, spec, season) for day in (begin, stop))
        if first >= last or last > spec.windows(season):
            raise InvalidInputError(
                f"the model window {self} ({begin}/{stop}) is not in the season {season}",
                "Give a --model-window within the season, or use a project of a season that holds it.",
            )
        return first, last

    def same_steps_of(self, spec: FeatureSpec, season: Season, count: int) -> tuple[int, int]:
        """Return as many windows of time of another season, from that which starts nearest to the model's first day.

        Raises
        ------
        ModelMismatchError
            If the season has fewer of them.
        """
        begin = _next(self.begin, season.start - timedelta(days=spec.window_days // 2))
        first, windows = _nearest(begin, spec, season), spec.windows(season)
        if first + count > windows:
            raise ModelMismatchError(
                f"the model takes {count} windows of {spec.window_days} days from {begin}, "
                f"the season {season} has {max(0, windows - first)}",
                "Use a project of a season that holds them, or train again with another --model-window.",
            )
        return first, first + count


_NORTH, _SOUTH = ModelWindow((4, 1), (10, 28)), ModelWindow((10, 1), (4, 28))


def growing_season(spec: FeatureSpec, season: Season, latitude: float) -> ModelWindow | None:
    """Return the part of a season in which crops grow: April to October, or half a year later south of the equator.

    Parameters
    ----------
    spec
        Of the features.
    season
        What they cover.
    latitude
        Of the place, in degrees north.

    Returns
    -------
    None for the whole season: within 35 degrees of the equator, where crops grow all year; where the season does not
    hold the window, or no more than it; and for features without windows of time.
    """
    if spec.kind not in IN_WINDOWS or abs(latitude) < TEMPERATE_DEG:
        return None
    window = _NORTH if latitude > 0 else _SOUTH
    try:
        first, last = window.steps_of(spec, season)
    except InvalidInputError:
        return None
    return window if last - first < spec.windows(season) else None


def window_of(word: str, spec: FeatureSpec, season: Season, latitude: float | None) -> ModelWindow | None:
    """Return the window of a word, None for the whole season; nothing is known of growth where `latitude` is None.

    Raises
    ------
    InvalidInputError
        If the word is none of `all`, `growing` and MM-DD/MM-DD.
    """
    if word == GROWING:
        return None if latitude is None else growing_season(spec, season, latitude)
    return None if word == ALL else ModelWindow.parse(word)


def _nearest(day: date, spec: FeatureSpec, season: Season) -> int:
    """Return which window of time starts nearest to a day, the later of two; windows go on after the season."""
    return (2 * (day - season.start).days + spec.window_days) // (2 * spec.window_days)


def _next(day: tuple[int, int], after: date) -> date:
    """Return the first such day on or after a date; 29 February is 1 March where there is none."""
    found = (_in_year(year, *day) for year in (after.year, after.year + 1))
    return next(candidate for candidate in found if candidate >= after)


def _in_year(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        return date(year, 3, 1)
