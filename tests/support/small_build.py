"""A small catalogue to build from, and what the cube must hold, worked out pixel by pixel."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cropcube.config import read_project
from cropcube.cube.store import Store
from cropcube.demo.granule import Granule
from cropcube.domain.lattice import PixelBox
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.pipeline.build import build
from cropcube.pipeline.build_options import BuildOptions
from cropcube.pipeline.build_summary import BuildSummary
from cropcube.run.options import RunOptions
from tests.support.granules import LEFT_M, TOP_M, random_granule, region_text, write_catalog

SEASON = "2020-06-01/2020-08-15"
BANDS = ("B03", "B04", "B11")
REGION = region_text(LEFT_M + 200, TOP_M - 1800, LEFT_M + 2600, TOP_M - 100)
SERIAL = RunOptions("serial", quiet=True)


def granules() -> list[Granule]:
    """Two overlapping granules; a day with both, one with two products of each, days in three slabs."""
    west, east = (LEFT_M, TOP_M), (LEFT_M + 1200, TOP_M)
    return [
        random_granule("w0", "2020-06-03", corner_m=west, baseline="02.14", bands=BANDS),
        random_granule("e0", "2020-06-03", corner_m=east, baseline="02.14", bands=BANDS),
        random_granule("w0new", "2020-06-03", corner_m=west, baseline="05.00", bands=BANDS),
        random_granule("w1", "2020-06-08", corner_m=west, baseline="04.00", bands=BANDS),
        random_granule("e2", "2020-07-10", corner_m=east, baseline="05.09", bands=BANDS),
        random_granule("w3", "2020-08-14", corner_m=west, baseline="05.09", bands=BANDS),
    ]


def build_small(project: Path, catalog: Path, run: RunOptions = SERIAL, **more: Any) -> BuildSummary:
    """Build the small catalogue; options of more override."""
    options = {"region": REGION, "season": SEASON, "catalog": str(catalog), "bands": BANDS, "tile_px": 96} | more
    summary = build(project, BuildOptions(**options), run)
    assert isinstance(summary, BuildSummary)
    return summary


def built(folder: Path, **more: Any) -> tuple[Path, BuildSummary]:
    """Write the catalogue into `folder`, build it in `folder/project` and return both."""
    catalog = write_catalog(granules(), folder / "scenes")
    return folder / "project", build_small(folder / "project", catalog, **more)


def cube_of(project: Path) -> dict[str, NDArray[Any]]:
    """Return the whole cube of a one-zone project by array: B03, B04, B11 and quality, (time, y, x)."""
    store = Store.open(project / "cube.zarr")
    (zone,) = store.zones
    found = {"quality": store.read(zone, "quality", store.zone(zone).box(20))}
    for resolution in (10, 20):
        pixels = store.read(zone, "reflectance", store.zone(zone).box(resolution))
        for place, name in enumerate(store.labels("band", resolution)):
            found[name] = pixels[:, place]
    return found


def oracle(project: Path, made: list[Granule]) -> dict[str, NDArray[Any]]:
    """Return what the cube must hold: an independent mosaic, one granule laid under the other, pixel by pixel."""
    store, season = Store.open(project / "cube.zarr"), Season.parse(SEASON)
    (zone,) = store.zones
    tiles = {tile.box(20) for grid in read_project(project).spec.grid.zones for tile in grid.tiles()}
    box = store.zone(zone).box(20)
    cube: dict[str, NDArray[Any]] = {"quality": np.zeros((season.days, *box.shape), np.uint8)}
    for band in BANDS:
        cube[band] = np.zeros((season.days, *box.at(SENTINEL2.band(band).resolution_m).shape), np.uint16)
    days = defaultdict(list)
    for granule in made:
        days[(granule.when.date() - season.start).days].append(granule)
    for day, present in days.items():
        present.sort(key=lambda g: (-float(g.properties["s2:processing_baseline"]), g.id))
        for tile in tiles:
            _lay(cube, day, present, tile, box)
    return cube


def _lay(cube: dict[str, NDArray[Any]], day: int, present: list[Granule], tile: PixelBox, box: PixelBox) -> None:
    for row in range(tile.row, tile.row + tile.height):
        for col in range(tile.col, tile.col + tile.width):
            taken = _taken(present, row, col, tile)
            if taken is None:
                continue
            granule, i, j = taken
            y, x = row - box.row, col - box.col
            cube["quality"][day, y, x] = granule.bands["SCL"][i, j]
            shift = 1000 if float(granule.properties["s2:processing_baseline"]) >= 4 else 0
            for band in BANDS:
                n = 20 // SENTINEL2.band(band).resolution_m
                dn = granule.bands[band][i * n : (i + 1) * n, j * n : (j + 1) * n].astype(int)
                stored = np.where(dn == 0, 0, np.maximum(dn - shift, 1))
                cube[band][day, y * n : (y + 1) * n, x * n : (x + 1) * n] = stored


def _taken(present: list[Granule], row: int, col: int, tile: PixelBox) -> tuple[Granule, int, int] | None:
    seen = []
    for granule in present:
        i = row - (tile.lattice.top_m - granule.top_m) // 20
        j = col - (granule.left_m - tile.lattice.left_m) // 20
        height, width = granule.bands["SCL"].shape
        if 0 <= i < height and 0 <= j < width and granule.bands["SCL"][i, j]:
            seen.append((granule, i, j))
    clear = [found for found in seen if 4 <= found[0].bands["SCL"][found[1], found[2]] <= 7]
    return (clear or seen or [None])[0]
