"""The pixel lattice of a zone, the tiles on it and rectangles of whole pixels.

Sentinel-2's own 10 m lattice is kept in every UTM zone, so that no band is ever resampled: every granule origin is a
multiple of 20 m, and a multiple of 60 m counted from the anchor below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError

from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

FINEST_M = 10
"""Resolution that tile sizes are counted in."""
TILE_PX_STEP = 96
"""Tile sizes are multiples of this at 10 m, so that 20 m and 60 m nest."""
DEFAULT_TILE_PX = 768
SQUARE_PX = 3840
"""Side at 10 m of the square of tiles that one build task reads (COG blocks are 1024 px, not our tiles)."""
NORTH_TOP_M, SOUTH_TOP_M = 9_999_960, 10_000_000
"""Tops of the UTM lattices: granule origins are 0 mod 60 in the north, 40 mod 60 in the south."""


@dataclass(frozen=True, order=True)
class Lattice:
    """Where pixels may lie in one CRS."""

    name: str
    "Group name in the stores: `utm31n`, `epsg3035`."
    epsg: int
    left_m: int
    "x of the left edge of tile column 0."
    top_m: int
    "y of the top edge of tile row 0."

    @classmethod
    def utm(cls, zone: int, north: bool) -> Lattice:
        """Return the lattice of a UTM zone (1 to 60) and hemisphere."""
        if not 1 <= zone <= 60:
            raise InvalidInputError(f"UTM zone {zone} does not exist", "Zones run from 1 to 60.")
        name = f"utm{zone:02d}{'n' if north else 's'}"
        return cls(name, (32600 if north else 32700) + zone, 0, NORTH_TOP_M if north else SOUTH_TOP_M)

    @classmethod
    def of_epsg(cls, epsg: int) -> Lattice:
        """Return the lattice of any projected CRS in metres; UTM codes give the zone's own.

        Raises
        ------
        InvalidInputError
            If the CRS is unknown, geographic, or not in metres.
        """
        if 32601 <= epsg <= 32660 or 32701 <= epsg <= 32760:
            return cls.utm(epsg % 100, epsg < 32700)
        try:
            crs = CRS.from_epsg(epsg)
        except CRSError:
            raise InvalidInputError(f"EPSG:{epsg} is not a known CRS", "Give a projected CRS, EPSG:3035 say.") from None
        if not crs.is_projected or any(axis.unit_name != "metre" for axis in crs.axis_info[:2]):
            raise InvalidInputError(
                f"EPSG:{epsg} ({crs.name}) is not projected in metres", "Give a projected CRS, EPSG:3035 say."
            )
        return cls(f"epsg{epsg}", epsg, 0, 0)

    @classmethod
    def named(cls, name: str) -> Lattice:
        """Return the lattice of a name that `utm` or `of_epsg` gave."""
        if name.startswith("utm"):
            return cls.utm(int(name[3:5]), name.endswith("n"))
        return cls.of_epsg(int(name.removeprefix("epsg")))

    @property
    def is_utm(self) -> bool:
        """Whether this is Sentinel-2's own lattice of a UTM zone."""
        return self.name.startswith("utm")

    @property
    def crs(self) -> str:
        """CRS as `EPSG:n`."""
        return f"EPSG:{self.epsg}"

    def box_of_bounds(self, bounds: tuple[float, float, float, float], resolution_m: int) -> PixelBox:
        """Return the smallest box of whole pixels that covers (left, bottom, right, top) in metres."""
        left, bottom, right, top = bounds
        col = int(np.floor((left - self.left_m) / resolution_m))
        row = int(np.floor((self.top_m - top) / resolution_m))
        width = int(np.ceil((right - self.left_m) / resolution_m)) - col
        height = int(np.ceil((self.top_m - bottom) / resolution_m)) - row
        return PixelBox(self, resolution_m, row, col, height, width)


@dataclass(frozen=True, order=True)
class PixelBox:
    """A rectangle of whole pixels of a lattice at one resolution; rows count downwards from the lattice's top."""

    lattice: Lattice
    resolution_m: int
    row: int
    col: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.height, self.width

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Left, bottom, right, top in metres."""
        left = self.lattice.left_m + self.col * self.resolution_m
        top = self.lattice.top_m - self.row * self.resolution_m
        return left, top - self.height * self.resolution_m, left + self.width * self.resolution_m, top

    @property
    def transform(self) -> Affine:
        """Affine transform from pixel to CRS coordinates."""
        left, _, _, top = self.bounds
        return Affine(self.resolution_m, 0, left, 0, -self.resolution_m, top)

    @property
    def geobox(self) -> GeoBox:
        """The same rectangle as odc-geo knows it."""
        from odc.geo.geobox import GeoBox  # imports dask, which few tasks need

        return GeoBox(self.shape, self.transform, self.lattice.crs)

    def x_centres(self) -> NDArray[np.float64]:
        """Return pixel-centre x coordinates in metres, ascending."""
        return self.bounds[0] + (np.arange(self.width, dtype=np.float64) + 0.5) * self.resolution_m

    def y_centres(self) -> NDArray[np.float64]:
        """Return pixel-centre y coordinates in metres, descending."""
        return self.bounds[3] - (np.arange(self.height, dtype=np.float64) + 0.5) * self.resolution_m

    def at(self, resolution_m: int) -> PixelBox:
        """Return the smallest box at another resolution that covers this one."""
        return self.lattice.box_of_bounds(self.bounds, resolution_m)

    def intersection(self, other: PixelBox) -> PixelBox | None:
        """Return the common rectangle, or None where there is none (or the lattices differ)."""
        if (self.lattice, self.resolution_m) != (other.lattice, other.resolution_m):
            return None
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = min(self.row + self.height, other.row + other.height) - row
        width = min(self.col + self.width, other.col + other.width) - col
        return PixelBox(self.lattice, self.resolution_m, row, col, height, width) if min(height, width) > 0 else None

    def slices_in(self, outer: PixelBox) -> tuple[slice, slice]:
        """Return the (y, x) slices of this box in an array that covers `outer`."""
        row, col = self.row - outer.row, self.col - outer.col
        return slice(row, row + self.height), slice(col, col + self.width)


@dataclass(frozen=True, order=True)
class Tile:
    """One tile; row and column are absolute on the zone's lattice."""

    lattice: Lattice
    tile_px: int
    "Side at 10 m."
    row: int
    col: int

    @property
    def name(self) -> str:
        """Name within its zone, such as `r0573c0074`."""
        return f"r{self.row:04d}c{self.col:04d}"

    def box(self, resolution_m: int) -> PixelBox:
        """Return the tile's pixels at one resolution."""
        side = self.tile_px * FINEST_M // resolution_m
        return PixelBox(self.lattice, resolution_m, self.row * side, self.col * side, side, side)


@dataclass(frozen=True, order=True)
class ZoneGrid:
    """The tiles of a region in one zone, and the rectangle of tiles that the zone's arrays cover."""

    lattice: Lattice
    tile_px: int
    square: int
    "Side in tiles of a build task; squares are aligned on absolute tile indices."
    cells: frozenset[tuple[int, int]]
    "(row, col) of the region's tiles."

    @property
    def window(self) -> tuple[int, int, int, int]:
        """First row, first column, rows, columns of the arrays in tiles: the rectangle around the region's tiles."""
        rows, cols = [row for row, _ in self.cells], [col for _, col in self.cells]
        return min(rows), min(cols), max(rows) - min(rows) + 1, max(cols) - min(cols) + 1

    @property
    def index_window(self) -> tuple[int, int, int, int]:
        """The same of arrays with one value a tile: whole squares, so that a build task owns whole chunks."""
        return whole_squares(self.window, self.square)

    def box(self, resolution_m: int) -> PixelBox:
        """Return the pixels that the zone's arrays cover at one resolution."""
        row, col, rows, cols = self.window
        side = self.tile_px * FINEST_M // resolution_m
        return PixelBox(self.lattice, resolution_m, row * side, col * side, rows * side, cols * side)

    def tiles(self) -> Iterator[Tile]:
        """Yield the region's tiles, row by row."""
        for row, col in sorted(self.cells):
            yield Tile(self.lattice, self.tile_px, row, col)

    def squares(self) -> dict[tuple[int, int], tuple[Tile, ...]]:
        """Return the region's tiles by build square (absolute square row and column), in order."""
        found: dict[tuple[int, int], list[Tile]] = {}
        for tile in self.tiles():
            found.setdefault((tile.row // self.square, tile.col // self.square), []).append(tile)
        return {key: tuple(tiles) for key, tiles in sorted(found.items())}


def grown(box: PixelBox, halo_m: int) -> PixelBox:
    """Return the box with a frame of at least `halo_m` metres, in whole pixels."""
    frame = -(-halo_m // box.resolution_m)
    return PixelBox(
        box.lattice, box.resolution_m, box.row - frame, box.col - frame, box.height + 2 * frame, box.width + 2 * frame
    )


def check_tile_px(tile_px: int) -> int:
    """Return `tile_px` if tiles of that size nest at 10, 20 and 60 m.

    Raises
    ------
    InvalidInputError
        If it is not a positive multiple of 96, or over 3840.
    """
    if tile_px <= 0 or tile_px % TILE_PX_STEP or tile_px > SQUARE_PX:
        raise InvalidInputError(
            f"tile size {tile_px} px is not a multiple of {TILE_PX_STEP} from {TILE_PX_STEP} to {SQUARE_PX}",
            f"The default is {DEFAULT_TILE_PX}.",
        )
    return tile_px


def whole_squares(window: tuple[int, int, int, int], square: int) -> tuple[int, int, int, int]:
    """Return the smallest window of whole squares of tiles (on absolute indices) that covers a window of tiles."""
    row, col, rows, cols = window
    first_row, first_col = row // square * square, col // square * square
    stop_row, stop_col = -(-(row + rows) // square) * square, -(-(col + cols) // square) * square
    return first_row, first_col, stop_row - first_row, stop_col - first_col


def square_of(tile_px: int) -> int:
    """Return the side in tiles of a build task's square."""
    return max(1, SQUARE_PX // tile_px)
