"""The tiles of a region, and which pixels of a tile count: those its zone owns, inside the region."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import CRS, Transformer

from cropcube.domain.lattice import FINEST_M, Lattice, PixelBox, Tile, ZoneGrid, check_tile_px, square_of
from cropcube.domain.region import Region, polygons_of
from cropcube.domain.zones import all_zones, domain_of, owner
from cropcube.errors import InvalidInputError, MissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

__all__ = ["Grid", "bounds_in", "inside", "lonlat_centres", "owned", "owner", "plan_grid", "zone_pieces"]

EDGE_STEP_DEG = 0.05
"""Edges, straight in lon/lat, are cut to this before they are projected: the chord is then off by under a metre."""
SAFETY_M = 10.0
"""Tiles this near to the region are planned too, so that rounding never loses a pixel."""
SLIVER_M = 0.01
"""Slivers that fold when projected are given this much width, so that they keep their place."""
ROUND_TRIP_DEG = 1e-4
"""A CRS whose coordinates do not lead back to where they came from does not hold a region."""
MARGIN_DEG = 1e-3
"""Slack on the lon/lat bounds of a pixel box, whose edges are curves there."""
COARSEST = 64
"""Side in tiles of the first cells tested."""


@dataclass(frozen=True)
class Grid:
    """The tiles of a region in every zone that it touches."""

    zones: tuple[ZoneGrid, ...]
    "By lattice name; only zones with tiles."

    def zone(self, name: str) -> ZoneGrid:
        """Return one zone by the name of its lattice.

        Raises
        ------
        MissingError
            If the region has no tile there.
        """
        for zone in self.zones:
            if zone.lattice.name == name:
                return zone
        raise MissingError(f"the region has no zone {name!r}", f"Its zones: {' '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the zones."""
        return tuple(zone.lattice.name for zone in self.zones)

    def tiles(self) -> Iterator[Tile]:
        """Yield all tiles, zone by zone and row by row."""
        for zone in self.zones:
            yield from zone.tiles()

    def __len__(self) -> int:
        return sum(len(zone.cells) for zone in self.zones)


def plan_grid(region: Region, tile_px: int, epsg: int | None = None) -> Grid:
    """Lay the tiles over a region.

    Parameters
    ----------
    region
        What to cover; parts beyond 80 S and 84 N, where Sentinel-2 has no grid, are left out.
    tile_px
        Side of a tile at 10 m, a multiple of 96.
    epsg
        One CRS for everything; None for the UTM zones, each for what it owns.

    Raises
    ------
    InvalidInputError
        If the tile size does not nest, the CRS cannot hold the region, or no zone owns any of it.
    """
    check_tile_px(tile_px)
    pieces = zone_pieces(region) if epsg is None else {_one_lattice(region, epsg): region.geometry}
    zones = []
    for lattice, piece in pieces.items():
        cells = _cells(_project(piece, lattice, region.name), lattice, tile_px * FINEST_M)
        zones.append(ZoneGrid(lattice, tile_px, square_of(tile_px), cells))
    return Grid(tuple(zones))


def zone_pieces(region: Region) -> dict[Lattice, BaseGeometry]:
    """Return the part of a region that each UTM zone owns, in lon/lat, by lattice name.

    Raises
    ------
    InvalidInputError
        If no zone owns any of it.
    """
    shapely.prepare(region.geometry)
    lattices, domains = all_zones()
    pieces = {}
    for number in np.flatnonzero(shapely.intersects(region.geometry, domains)):
        piece = polygons_of(shapely.intersection(region.geometry, domains[number]))
        if piece.area > 0:
            pieces[lattices[number]] = piece
    if not pieces:
        raise InvalidInputError(
            f"region {region.name!r} lies wholly beyond 80 S or 84 N", "Sentinel-2's grid ends there; move the region."
        )
    return pieces


def owned(box: PixelBox) -> NDArray[np.bool_]:
    """Return which pixels belong to the box's zone: every point of the Earth belongs to exactly one.

    Returns
    -------
    mask
        (y, x), decided at pixel centres; all True on a lattice that is not UTM.
    """
    if not box.lattice.is_utm:
        return np.ones(box.shape, dtype=bool)
    zone, north = box.lattice.epsg % 100, box.lattice.epsg < 32700
    frame = _lonlat_frame(box)
    if frame is not None:
        domain = domain_of(zone, north)
        if shapely.contains(domain, frame):
            return np.ones(box.shape, dtype=bool)
        if not shapely.intersects(domain, frame):
            return np.zeros(box.shape, dtype=bool)
    owner_zone, owner_north = owner(*lonlat_centres(box))
    mask: NDArray[np.bool_] = (owner_zone == zone) & (owner_north == north)
    return mask


def inside(region: Region, box: PixelBox) -> NDArray[np.bool_]:
    """Return which pixels have their centre inside the region.

    Returns
    -------
    mask
        (y, x); the region's edges are straight in lon/lat, and a centre on an edge is outside.
    """
    geometry = region.geometry
    shapely.prepare(geometry)
    frame = _lonlat_frame(box)
    if frame is not None:
        if shapely.contains_properly(geometry, frame):
            return np.ones(box.shape, dtype=bool)
        if not shapely.intersects(geometry, frame):
            return np.zeros(box.shape, dtype=bool)
        geometry = shapely.intersection(geometry, frame.buffer(MARGIN_DEG, join_style="mitre"))
        shapely.prepare(geometry)
    mask: NDArray[np.bool_] = shapely.contains_xy(geometry, *lonlat_centres(box))
    return mask


def lonlat_centres(box: PixelBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude in degrees of the pixel centres, each (y, x)."""
    x, y = np.meshgrid(box.x_centres(), box.y_centres())
    lon, lat = _transformer(box.lattice.epsg).transform(x, y, direction="INVERSE")
    return lon, lat


def lonlat_of(lattice: Lattice, row: NDArray[np.integer], col: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return longitude and latitude, (N, 2), of the centres of 10 m pixels of a lattice."""
    x, y = lattice.left_m + (col + 0.5) * FINEST_M, lattice.top_m - (row + 0.5) * FINEST_M
    return np.column_stack(_transformer(lattice.epsg).transform(x, y, direction="INVERSE"))


def pixels_at(lattice: Lattice, lonlat: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column of the 10 m pixels that hold places (N, 2); (-1, -1) where the CRS does not reach."""
    x, y = _transformer(lattice.epsg).transform(*lonlat.T)
    there = np.isfinite(x) & np.isfinite(y)
    row, col = np.full(len(lonlat), -1, np.int64), np.full(len(lonlat), -1, np.int64)
    row[there] = np.floor((lattice.top_m - y[there]) / FINEST_M)
    col[there] = np.floor((x[there] - lattice.left_m) / FINEST_M)
    return row, col


@lru_cache(maxsize=128)
def _transformer(epsg: int) -> Transformer:
    """Return the transformer from lon/lat to a CRS (thread-safe since pyproj 3.1)."""
    return Transformer.from_crs(4326, epsg, always_xy=True)


def bounds_in(lattice: Lattice, geometry: BaseGeometry) -> tuple[float, float, float, float]:
    """Return left, bottom, right, top in metres of a lon/lat geometry on a lattice.

    Raises
    ------
    InvalidInputError
        If the CRS cannot hold it.
    """
    left, bottom, right, top = _project(geometry, lattice, "drawn").bounds
    return left, bottom, right, top


def _lonlat_frame(box: PixelBox) -> BaseGeometry | None:
    """Return a lon/lat rectangle that covers the box, or None where there is no simple one."""
    west, south, east, north = _transformer(box.lattice.epsg).transform_bounds(*box.bounds, 21, direction="INVERSE")
    if not np.isfinite([west, south, east, north]).all() or west >= east or east - west > 90 or abs(west) > 179.9:
        return None
    if abs(east) > 179.9:
        return None
    return shapely.box(west - MARGIN_DEG, south - MARGIN_DEG, east + MARGIN_DEG, north + MARGIN_DEG)


def _one_lattice(region: Region, epsg: int) -> Lattice:
    """Return the lattice of one CRS, refused if the CRS is not for the region, or a UTM zone owning only a part."""
    lattice = Lattice.of_epsg(epsg)
    if lattice.is_utm:
        names = [found.name for found in zone_pieces(region)]
        if names != [lattice.name]:
            raise InvalidInputError(
                f"EPSG:{epsg} is UTM zone {lattice.name}, but region {region.name!r} lies in {' '.join(names)}",
                "Leave --crs out, each zone then gets its own group; or give another CRS, EPSG:3035 say.",
            )
    crs = CRS.from_epsg(epsg)
    if crs.area_of_use is not None and not shapely.intersects(region.geometry, _area_of_use(*crs.area_of_use.bounds)):
        raise InvalidInputError(
            f"EPSG:{epsg} ({crs.name}) is made for {crs.area_of_use.name}; region {region.name!r} lies elsewhere",
            "Give a CRS that covers the region, or leave --crs out for its UTM zones.",
        )
    return lattice


def _area_of_use(west: float, south: float, east: float, north: float) -> BaseGeometry:
    """Return the rectangle of an area of use, cut at the antimeridian."""
    spans = ((west, east),) if west <= east else ((west, 180.0), (-180.0, east))
    return shapely.multipolygons([shapely.box(left, south, right, north) for left, right in spans])


def _project(piece: BaseGeometry, lattice: Lattice, name: str) -> BaseGeometry:
    """Return a lon/lat geometry in the lattice's CRS, its edges cut first since they become curves."""
    transformer = _transformer(lattice.epsg)
    fine = shapely.segmentize(piece, EDGE_STEP_DEG)
    lon, lat = shapely.get_coordinates(fine).T
    x, y = transformer.transform(lon, lat)
    fits = bool(np.isfinite(x).all() and np.isfinite(y).all())
    if fits:
        back_lon, back_lat = transformer.transform(x, y, direction="INVERSE")
        turn = np.abs((back_lon - lon + 180) % 360 - 180)
        fits = bool((turn < ROUND_TRIP_DEG).all() and (np.abs(back_lat - lat) < ROUND_TRIP_DEG).all())
    if not fits:
        raise InvalidInputError(
            f"region {name!r} does not fit {lattice.crs}: parts of it have no coordinates there",
            "Give a CRS that covers the region, or leave --crs out for its UTM zones.",
        )
    projected = shapely.set_coordinates(fine, np.column_stack([x, y]))
    return projected if projected.is_valid else shapely.buffer(shapely.make_valid(projected), SLIVER_M)


def _cells(projected: BaseGeometry, lattice: Lattice, side_m: int) -> frozenset[tuple[int, int]]:
    """Return the (row, col) of the tiles that come within SAFETY_M of a geometry, found from coarse to fine."""
    shapely.prepare(projected)
    frame = lattice.box_of_bounds(shapely.box(*projected.bounds).buffer(SAFETY_M).bounds, side_m)
    first_row, first_col = frame.row // COARSEST, frame.col // COARSEST
    rows, cols = np.meshgrid(
        np.arange(first_row, (frame.row + frame.height - 1) // COARSEST + 1),
        np.arange(first_col, (frame.col + frame.width - 1) // COARSEST + 1),
        indexing="ij",
    )
    cells = np.column_stack([rows.ravel(), cols.ravel()])
    found, size = [], COARSEST
    while True:
        left = lattice.left_m + cells[:, 1] * (size * side_m)
        top = lattice.top_m - cells[:, 0] * (size * side_m)
        boxes = shapely.box(
            left - SAFETY_M, top - size * side_m - SAFETY_M, left + size * side_m + SAFETY_M, top + SAFETY_M
        )
        touched = shapely.intersects(projected, boxes)
        cells, boxes = cells[touched], boxes[touched]
        whole = np.ones(len(cells), dtype=bool) if size == 1 else shapely.contains_properly(projected, boxes)
        found.append(_children(cells[whole], size))
        if size == 1:
            break
        cells, size = _children(cells[~whole], 2), size // 2
    return frozenset(map(tuple, np.concatenate(found).tolist()))


def _children(cells: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    """Return the (row, col) of the factor x factor finer cells in each cell."""
    step = np.stack(np.meshgrid(np.arange(factor), np.arange(factor), indexing="ij"), axis=-1).reshape(1, -1, 2)
    return (cells[:, None, :] * factor + step).reshape(-1, 2)
