"""Small stores with known values, and trees of files to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cropcube.cube.layout import cube_spec
from cropcube.cube.store import Store
from cropcube.domain.grid import Grid
from cropcube.domain.lattice import Lattice, Tile, ZoneGrid
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ZONE = "utm31n"
TILE_PX = 96
SEASON = Season.parse("2018-12-01/2019-03-10")
"""99 days: three whole slabs and one of three days."""
LATTICE = Lattice.utm(31, True)
TILES = tuple(Tile(LATTICE, TILE_PX, row, col) for row, col in ((10, 20), (11, 21), (12, 20)))


def grid_of(*tiles: Tile, square: int = 2) -> Grid:
    """Return a grid of one zone with these tiles."""
    cells = frozenset((tile.row, tile.col) for tile in tiles)
    return Grid((ZoneGrid(tiles[0].lattice, tiles[0].tile_px, square, cells),))


def small_cube(path: Path) -> Store:
    """Make an empty cube of three tiles and four slabs."""
    return Store.create(path, grid_of(*TILES), cube_spec(SEASON, SENTINEL2, TILE_PX))


def values_of(tile: Tile, day: int, bands: int, resolution_m: int) -> NDArray[np.uint16]:
    """Return reflectance (bands, y, x) that differs by tile, day, band and pixel; never 0."""
    side = TILE_PX * 10 // resolution_m
    seed = np.random.default_rng([tile.row, tile.col, day, resolution_m])
    return seed.integers(1, 9999, (bands, side, side), dtype=np.uint16)


def quality_of(tile: Tile, day: int) -> NDArray[np.uint8]:
    """Return classes (y, x) at 20 m, 1 to 11."""
    side = TILE_PX // 2
    return np.random.default_rng([tile.row, tile.col, day]).integers(1, 12, (side, side), dtype=np.uint8)


def fill_slab(store: Store, tile: Tile, slab: int, days: list[int]) -> None:
    """Write one slab of one tile, with the given days present, and mark them."""
    span = SEASON.slab_days(slab)
    for resolution_m, bands in ((10, 4), (20, 6)):
        seen = {day: values_of(tile, day, bands, resolution_m) for day in days}
        store.write_days(ZONE, "reflectance", tile.box(resolution_m), span, seen)
    store.write_days(ZONE, "quality", tile.box(20), span, {day: quality_of(tile, day) for day in days})
    store.mark_present(ZONE, slab, (tile.row // 2, tile.col // 2), {tile: days})


def erase_slab(store: Store, tile: Tile, slab: int) -> None:
    """Erase what `fill_slab` writes."""
    span = SEASON.slab_days(slab)
    store.erase_present(ZONE, slab, (tile.row // 2, tile.col // 2))
    for name, resolution_m in store.arrays:
        store.erase(ZONE, name, tile.box(resolution_m), (span,))


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return every file below a folder with its bytes, and every folder (None)."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
