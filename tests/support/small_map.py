"""A small project with a map whose every value is known from its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from shapely.geometry import box

from cropcube.config import Project, ProjectSpec, create_project
from cropcube.cube.layout import StoreSpec, map_array
from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from cropcube.domain.grid import inside, owned
from cropcube.domain.legend import Legend
from cropcube.domain.map_product import (
    CLEAR_COUNT,
    CONFIDENCE,
    CROP,
    DTYPES,
    MARGIN,
    clear_count_attrs,
    confidence_attrs,
    crop_attrs,
    margin_attrs,
)
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox

LEGEND = Legend.of([(1110, "Winter wheat", "#e69f00"), (1200, "Maize & more", "#f0e442"), (9120, "Grass", "#009e73")])
ONE_ZONE = (4.05, 50.74, 4.07, 50.75)
TWO_ZONES = (5.99, 50.74, 6.01, 50.745)
"""Across the border of UTM zones 31 and 32."""


def small_project(
    root: Path, bounds: tuple[float, float, float, float] = ONE_ZONE, season: str = "2019-03-01/2019-05-10"
) -> Project:
    """Return a new project of 96 px tiles over a rectangle in lon/lat."""
    region = Region.of("small", box(*bounds))
    return create_project(root, ProjectSpec(region, Season.parse(season), SENTINEL2, 96))


def known_classes(where: PixelBox) -> NDArray[np.uint8]:
    """Return the class at every pixel of a box, from its row and column on the lattice."""
    rows = np.arange(where.row, where.row + where.height)[:, None]
    cols = np.arange(where.col, where.col + where.width)[None]
    return (1 + (rows // 7 + cols // 5) % len(LEGEND)).astype(np.uint8)


def write_known_map(project: Project, legend: Legend = LEGEND) -> Store:
    """Write the map of a project with `known_classes` where the region is, confidence 90 and 300 observations."""
    attrs = {
        CROP: crop_attrs(legend),
        CONFIDENCE: confidence_attrs(),
        MARGIN: margin_attrs(),
        CLEAR_COUNT: clear_count_attrs(),
    }
    arrays = tuple(map_array(name, DTYPES[name], 96, attrs[name]) for name in DTYPES)
    store = Store.create(project.map_path, project.spec.grid, StoreSpec("map", arrays, attrs={"classifier": "forest"}))
    ledger = Ledger(project.ledger_path)
    for tile in project.spec.grid.tiles():
        where = tile.box(10)
        counted = inside(project.spec.region, where) & owned(where)
        zone = tile.lattice.name
        store.write(zone, CROP, where, np.where(counted, known_classes(where), 0).astype(np.uint8))
        store.write(zone, CONFIDENCE, where, np.where(counted, 90, 0).astype(np.uint8))
        store.write(zone, MARGIN, where, np.where(counted, 80, 0).astype(np.uint8))
        store.write(zone, CLEAR_COUNT, where, np.where(counted, 300, 0).astype(np.uint16))
        ledger.write(Record(f"predict/{zone}/{tile.name}", "digest", "done", {}))
    return store
