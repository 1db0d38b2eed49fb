"""A small cube with known observations, written straight into the store, and the build records that say so."""

from datetime import date

import numpy as np
from shapely.geometry import box as lonlat_box

from cropcube.config import ProjectSpec, create_project
from cropcube.cube.layout import cube_spec
from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.pipeline.build_plan import task_key

SEASON = Season(date(2019, 3, 1), date(2019, 4, 20))
DAYS = (0, 1, 4, 5, 9, 17, 31, 32, 33, 48, 49)
"""On which the tiles were seen: in two slabs, windows with two, one and no date."""


def observations(box, count, dtype, cloudy):
    """Values of every day that depend on the place only, not on the tile; (day, count, y, x)."""
    y = np.arange(box.row, box.row + box.height)[:, None] * np.ones(box.width, int)
    x = np.arange(box.col, box.col + box.width)[None, :] * np.ones((box.height, 1), int)
    layers = []
    for number, day in enumerate(DAYS):
        noise = (y * 7919 + x * 104729 + day * 1299709) % 1009
        if dtype == np.uint8:
            cloud = ((y // 16) * 7919 + (x // 16) * 104729 + day * 1299709) % 1009 % 10 < 4
            layers.append(np.where(cloud, cloudy, 4 + noise % 4)[None])
        else:
            layers.append(np.stack([1 + noise * (b + 1) + 100 * number for b in range(count)]))
    values = np.stack(layers).astype(dtype)
    if dtype == np.uint16:
        values[2, 0, ::5] = 0
    return values


def make_project(root, cloudy=9, tile_px=96, region=(4.05, 50.74, 4.075, 50.755), bands=None):
    """Make a project whose cube holds `observations`; unclear pixels have the class `cloudy`."""
    sensor = SENTINEL2 if bands is None else SENTINEL2.select(bands)
    spec = ProjectSpec(Region("here", lonlat_box(*region)), SEASON, sensor, tile_px)
    project = create_project(root, spec)
    store = Store.create(project.cube_path, spec.grid, cube_spec(SEASON, sensor, tile_px))
    for zone in spec.grid.zones:
        for square, tiles in zone.squares().items():
            for slab in range(SEASON.slabs):
                write_slab(project, store, zone.lattice.name, (square, tiles, slab), cloudy)
    return project


def write_slab(project, store, zone, task, cloudy=9, revision=0):
    """Write what one build task would, and its record."""
    square, tiles, slab = task
    days = SEASON.slab_days(slab)
    for tile in tiles:
        for name, resolution_m in store.arrays:
            box = tile.box(resolution_m)
            count = len(store.labels("band", resolution_m))
            dtype = np.uint8 if name == "quality" else np.uint16
            values = observations(box, count, dtype, cloudy)
            if name == "quality":
                values = values[:, 0]
            seen = {day: values[i] for i, day in enumerate(DAYS) if day in days}
            store.write_days(zone, name, box, days, seen)
    store.mark_present(zone, slab, square, {tile: [d for d in DAYS if d in days] for tile in tiles})
    record = Record(task_key(zone, slab, square), f"made by hand {revision}", "done", {})
    Ledger(project.ledger_path).write(record)
