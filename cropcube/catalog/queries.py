"""What a catalogue is asked: one month of one zone in one simple box at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from cropcube.domain.grid import Grid, zone_pieces
from cropcube.domain.region import Region
from cropcube.domain.season import Season

MARGIN_DEG = 0.01
"""Boxes are this much larger than the zone's part of the region."""


@dataclass(frozen=True, order=True)
class Query:
    """One question to a catalogue."""

    start: datetime
    "First instant, UTC; queries never leave a calendar month."
    stop: datetime
    "First instant after it."
    zone: str
    "Which part of the region."
    box: tuple[float, float, float, float]
    "West, south, east, north in degrees; never across the antimeridian."

    @property
    def month(self) -> str:
        """Calendar month, `2023-04`."""
        return f"{self.start:%Y-%m}"

    @property
    def interval(self) -> str:
        """The span as STAC writes it; both ends count there, what is not ours is dropped on arrival."""
        return f"{self.start:%Y-%m-%dT%H:%M:%SZ}/{self.stop:%Y-%m-%dT%H:%M:%SZ}"


def queries(region: Region, season: Season, grid: Grid) -> Iterator[Query]:
    """Yield the questions whose answers together hold every scene of a season over a region.

    A day is asked more on either side, since solar days are not days of UTC.
    """
    boxes = dict(_boxes(region, grid))
    for start, stop in _months(season.start - timedelta(days=1), season.stop + timedelta(days=1)):
        for zone, box in boxes.items():
            yield Query(start, stop, zone, box)


def _boxes(region: Region, grid: Grid) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    zones = {zone.lattice for zone in grid.zones}
    whole = not all(lattice.is_utm for lattice in zones)
    for lattice, piece in zone_pieces(region).items():
        if whole or lattice in zones:
            west, south, east, north = piece.bounds
            yield (
                lattice.name,
                (
                    max(west - MARGIN_DEG, -180.0),
                    max(south - MARGIN_DEG, -90.0),
                    min(east + MARGIN_DEG, 180.0),
                    min(north + MARGIN_DEG, 90.0),
                ),
            )


def _months(first: date, stop: date) -> Iterator[tuple[datetime, datetime]]:
    start = first
    while start < stop:
        following = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
        end = min(following, stop)
        yield datetime.combine(start, time(), UTC), datetime.combine(end, time(), UTC)
        start = end
