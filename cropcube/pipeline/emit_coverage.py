"""How much of a region EMIT saw, and when: it comes where it is sent, never wall to wall."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pyproj import Geod

from cropcube.domain.emit import RESOLUTION_M

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cropcube.config import Project
    from cropcube.cube.ledger import Record
    from cropcube.domain.region import Region


def region_cells(region: Region) -> float:
    """Return how many cells of 60 m a region has."""
    area, _ = Geod(ellps="WGS84").geometry_area_perimeter(region.geometry)
    return float(abs(area)) / RESOLUTION_M**2


def coverage(project: Project, records: Iterable[Record]) -> dict[str, float]:
    """Return the share of the region that was seen on each day with any observation, by ISO date.

    Parameters
    ----------
    project
        Its region and season.
    records
        Of builds of EMIT; a cell counts with its 3600 square metres.
    """
    cells: Counter[int] = Counter()
    for record in records:
        seen: Any = record.details.get("seen", {})
        cells.update({int(day): count for day, count in seen.items()})
    whole = region_cells(project.spec.region)
    season = project.spec.season
    return {season.date_of(day).isoformat(): round(min(1.0, count / whole), 4) for day, count in sorted(cells.items())}
