"""Searches over a small region in the spring of 2023."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import shapely

from cropcube.catalog.frozen import FrozenCatalog
from cropcube.catalog.search import SearchRequest, freeze
from cropcube.domain.grid import plan_grid
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from tests.support.stac_items import plain_item

FLANDERS = Region.of("flanders", shapely.box(4.0, 50.8, 4.3, 51.0))
SPRING = Season.parse("2023-03-01/2023-06-01")


def days(count: int = 40, **kwargs: Any) -> list[dict[str, Any]]:
    """Return items of every second day from 1 March 2023."""
    made = []
    for day in range(0, 2 * count, 2):
        when = SPRING.date_of(day).isoformat()
        made.append(plain_item(f"S2A_{when}", f"{when}T10:46:31Z", **kwargs))
    return made


def ask(
    catalog: str, folder: Path, region: Region = FLANDERS, season: Season = SPRING, **options: Any
) -> FrozenCatalog:
    """Freeze what a catalogue answers."""
    request = SearchRequest(catalog, region, season, SENTINEL2, **options)
    return freeze(request, plan_grid(region, 768), folder / "scenes.parquet")


def ids(frozen: FrozenCatalog, season: Season = SPRING) -> list[str]:
    """Return the ids of all scenes."""
    return [scene.id for scene in frozen.scenes(range(season.days), season)]
