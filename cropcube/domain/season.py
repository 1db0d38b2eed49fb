"""A season: the half-open span of calendar days that one project covers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from cropcube.errors import InvalidInputError

SLAB_DAYS = 32
"""Days of the time axis in one shard, counted from the season's start."""

MAX_SEASON_DAYS = 4000


@dataclass(frozen=True, order=True)
class Season:
    """Half-open span of solar days ``[start, stop)``."""

    start: date
    "First day."
    stop: date
    "First day after the season."

    def __post_init__(self) -> None:
        if not 1 <= (self.stop - self.start).days <= MAX_SEASON_DAYS:
            raise InvalidInputError(
                f"season {self.start}/{self.stop} spans {(self.stop - self.start).days} days",
                f"Give START/STOP with 1 to {MAX_SEASON_DAYS} days, the stop not included.",
            )

    @classmethod
    def parse(cls, text: str) -> Season:
        """Read ``YYYY-MM-DD/YYYY-MM-DD`` (half-open) or ``YYYY`` (that calendar year).

        Raises
        ------
        InvalidInputError
            If the text is neither, or the span is empty.
        """
        if re.fullmatch(r"\d{4}", text):
            return cls.of_year(int(text))
        try:
            start, stop = (date.fromisoformat(part) for part in text.split("/"))
        except ValueError as error:
            raise InvalidInputError(
                f"season {text!r} is not START/STOP or YEAR ({error})", "Example: --season 2023-04-01/2023-12-01"
            ) from None
        return cls(start, stop)

    @classmethod
    def of_year(cls, year: int) -> Season:
        """Return the calendar year as a season."""
        try:
            return cls(date(year, 1, 1), date(year + 1, 1, 1))
        except ValueError:
            raise InvalidInputError(f"season {year}: no such year", "Give a year like 2023.") from None

    @classmethod
    def last_complete_year(cls, today: date) -> Season:
        """Return the last calendar year that is over on `today`."""
        return cls.of_year(today.year - 1)

    def __str__(self) -> str:
        return f"{self.start.isoformat()}/{self.stop.isoformat()}"

    @property
    def days(self) -> int:
        """Length of the time axis."""
        return (self.stop - self.start).days

    @property
    def slabs(self) -> int:
        """Number of shards along the time axis."""
        return -(-self.days // SLAB_DAYS)

    def slab_days(self, slab: int) -> range:
        """Return the days (counted from the season's start) of one slab; the last may be shorter."""
        return range(slab * SLAB_DAYS, min((slab + 1) * SLAB_DAYS, self.days))

    def day_of(self, when: date) -> int | None:
        """Return the day counted from the season's start, or None outside the season."""
        day = (when - self.start).days
        return day if 0 <= day < self.days else None

    def date_of(self, day: int) -> date:
        """Return the calendar date of a day counted from the season's start."""
        return self.start + timedelta(days=day)


def solar_day(when: datetime, longitude: float) -> date:
    """Return the date at the mean solar time of a longitude.

    Parameters
    ----------
    when
        Instant in UTC.
    longitude
        Degrees east.
    """
    return (when.replace(tzinfo=None) + timedelta(hours=longitude / 15.0)).date()
