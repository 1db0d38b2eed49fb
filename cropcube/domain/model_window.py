"""The part of a season that a model sees, by calendar days: the same part of the next season is its input there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from cropcube.errors import InvalidInputError, ModelMismatchError

if TYPE_CHECKING:
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.season import Season

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
                f"model window {text!r} is not MM-DD/MM-DD ({error})", "Example: --model-window 05-01/12-01"
            ) from None
        if days[0] == days[1]:
            raise InvalidInputError(f"model window {text!r} is empty", "Leave it out to let the model see the season.")
        return cls((days[0].month, days[0].day), (days[1].month, days[1].day))

    def __str__(self) -> str:
        return "/".join(f"{month:02d}-{day:02d}" for month, day in (self.begin, self.stop))

    def steps_of(self, spec: FeatureSpec, season: Season) -> tuple[int, int]:
        """Return the first and one-past-last window of time that starts in the model's window.

        Raises
        ------
        InvalidInputError
            If the features have no windows of time, or the season lacks one that the model's window holds.
        """
        if spec.kind != "median":
            raise InvalidInputError(
                f"{spec.name} has no windows of time to choose from",
                "--model-window goes with features of --kind median.",
            )
        begin = _next(self.begin, season.start)
        stop = _next(self.stop, begin)
        starts = spec.window_starts(season)
        first, last = (sum(start < day for start in starts) for day in (begin, stop))
        if first >= last or (stop - season.stop).days >= spec.window_days:
            raise InvalidInputError(
                f"the model window {self} ({begin}/{stop}) is not in the season {season}",
                "Give a --model-window within the season, or use a project of a season that holds it.",
            )
        return first, last

    def same_steps_of(self, spec: FeatureSpec, season: Season, count: int) -> tuple[int, int]:
        """Return as many windows of time of another season, from the first that starts on the window's first day.

        Raises
        ------
        ModelMismatchError
            If the season has fewer of them.
        """
        begin = _next(self.begin, season.start)
        starts = spec.window_starts(season)
        first = sum(start < begin for start in starts)
        if first + count > len(starts):
            raise ModelMismatchError(
                f"the model takes {count} windows of {spec.window_days} days from {begin}, "
                f"the season {season} has {len(starts) - first}",
                "Use a project of a season that holds them, or train again with another --model-window.",
            )
        return first, first + count


def _next(day: tuple[int, int], after: date) -> date:
    """Return the first such day on or after a date; 29 February is 1 March where there is none."""
    found = (_in_year(year, *day) for year in (after.year, after.year + 1))
    return next(candidate for candidate in found if candidate >= after)


def _in_year(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        return date(year, 3, 1)
