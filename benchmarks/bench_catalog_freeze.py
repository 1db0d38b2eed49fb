"""Freeze a synthetic country-year of scenes and read it back slab by slab: time, peak memory, file size.

Usage: python benchmarks/bench_catalog_freeze.py [SCENES]     (default 65000, about a year of India)

Items have the size of real ones of Earth Search (23 assets). They come from a generator in the place of the network, so
that the figures are those of cropcube: parsing, filtering, writing, merging, reading.

Measured on 2026-11-22, memory only (the machine was busy): 66,135 scenes took 294 MiB at the peak (133 before the first
item), and 402 MiB with the 6,792 scenes of one slab in hand; the file has 2.8 MiB.
"""

from __future__ import annotations

import itertools
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import shapely

from cropcube.catalog.api import PAGE_ITEMS, Page, StacApi
from cropcube.catalog.queries import Query, queries
from cropcube.catalog.search import SearchRequest, freeze
from cropcube.domain.grid import plan_grid
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2

TEMPLATE = Path(__file__).parents[1] / "tests/data/stac-items/earthsearch_v1_sentinel-2-c1-l2a_10items_13TDE.json"
TEMPLATE_ID = "S2A_T13TDE_20240422T174753_L2A"
INDIA = Region.of("a box of India's size", shapely.box(68.2, 8.1, 97.4, 35.5))
SEASON = Season.of_year(2023)


class Synthetic(StacApi):
    """Answers every query with its share of the scenes."""

    template: str
    per_query: int

    def pages(self, query: Query) -> Iterator[Page]:
        """Yield granules of one degree spread over the query's box and days, as many a page as are asked."""
        items = self._items(query)
        while page := list(itertools.islice(items, PAGE_ITEMS)):
            yield Page(page, self.per_query)

    def _items(self, query: Query) -> Iterator[Mapping[str, Any]]:
        west, south, _, north = query.box
        span = query.stop - query.start
        for number in range(self.per_query):
            name = f"{query.zone}-{query.start:%Y%m%d}-{number:05d}"
            item: dict[str, Any] = json.loads(self.template.replace(TEMPLATE_ID, name))
            item["properties"]["datetime"] = (query.start + span * (number / self.per_query)).isoformat()
            corner = south + (north - south) * (number % 25) / 25
            item["geometry"] = shapely.geometry.mapping(shapely.box(west, corner, west + 1.0, corner + 1.0))
            yield item


def peak_mib() -> float:
    """Return the highest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure."""
    scenes = int(sys.argv[1]) if len(sys.argv) > 1 else 65_000
    grid = plan_grid(INDIA, 768)
    asked = list(queries(INDIA, SEASON, grid))
    whole = [query for query in asked if query.stop - query.start > timedelta(days=2)]
    source = Synthetic("synthetic", "sentinel-2-c1-l2a", None)  # type: ignore[arg-type]
    template = json.loads(TEMPLATE.read_text(encoding="utf-8"))["features"][0]
    object.__setattr__(source, "template", json.dumps(template))
    object.__setattr__(source, "per_query", scenes // len(whole))
    StacApi.connect = classmethod(lambda cls, url, collection: source)  # type: ignore[method-assign,assignment]
    before = peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenes.parquet"
        started = time.perf_counter()
        frozen = freeze(SearchRequest("https://synthetic", INDIA, SEASON, SENTINEL2), grid, path)
        print(f"freeze: {len(frozen)} scenes in {time.perf_counter() - started:.0f} s, {len(asked)} answers")
        size_mib = path.stat().st_size / 2**20
        print(f"memory: {before:.0f} MiB before, {peak_mib():.0f} MiB at the peak; file {size_mib:.1f} MiB")
        started = time.perf_counter()
        largest = max(len(frozen.scenes(SEASON.slab_days(slab), SEASON)) for slab in range(SEASON.slabs))
        print(f"read by slab: {time.perf_counter() - started:.1f} s for all, at most {largest} scenes at once")
        started = time.perf_counter()
        frozen.summary()
        print(f"summary: {time.perf_counter() - started:.1f} s; peak of all {peak_mib():.0f} MiB")


if __name__ == "__main__":
    main()
