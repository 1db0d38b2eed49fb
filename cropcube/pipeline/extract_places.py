"""Where the places of a vector file lie on a project's pixels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import Transformer

from cropcube.domain.grid import EDGE_STEP_DEG, bounds_in, inside, owned, owner, pixels_at, zone_pieces
from cropcube.domain.lattice import FINEST_M, Lattice, PixelBox
from cropcube.domain.region import Region
from cropcube.domain.zones import NORTH_END, SOUTH_END, domain_of
from cropcube.errors import InvalidInputError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import geopandas as gpd
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from cropcube.config import ProjectSpec
    from cropcube.domain.lattice import ZoneGrid

BATCH = 200
"""Polygons of one task."""
LARGEST_PX = 100_000_000
"""Pixels of 10 m under the bounds of one polygon (10,000 square kilometres)."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Some pixels of one zone: a box, and rows and columns in it."""

    box: PixelBox
    "At the finest resolution."
    rows: NDArray[np.intp]
    "Counted from the box's first row."
    cols: NDArray[np.intp]
    "Counted from the box's first column."


@dataclass(frozen=True, eq=False)
class PointsTask:
    """The points in one tile."""

    lattice: Lattice
    places: NDArray[np.intp]
    "Numbers of the points in the file."
    rows: NDArray[np.intp]
    "Absolute, at 10 m."
    cols: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class PolygonsTask:
    """Some polygons that lie near each other."""

    places: NDArray[np.intp]
    "Numbers of the polygons in the file."
    wkb: tuple[bytes, ...]
    "In lon/lat."


def check_kind(frame: gpd.GeoDataFrame, points: bool) -> None:
    """Refuse a file that holds other shapes than were announced.

    Raises
    ------
    InvalidInputError
        If some feature is not a point, or not a polygon.
    """
    kinds = frame.geometry.geom_type
    wrong = kinds[~kinds.isin(["Point"] if points else ["Polygon", "MultiPolygon"])]
    if len(wrong):
        raise InvalidInputError(
            f"{len(wrong)} of {len(frame)} features are not {'points' if points else 'polygons'}: number "
            f"{wrong.index[0] + 1} is a {wrong.iloc[0]}",
            "Give points with --points and polygons with --polygons.",
        )


def plan_points(spec: ProjectSpec, geometry: NDArray[np.object_]) -> tuple[list[PointsTask], NDArray[np.bool_]]:
    """Find the tile and pixel of every point.

    Parameters
    ----------
    spec
        The project.
    geometry
        Points in lon/lat.

    Returns
    -------
    tasks, found
        One task for each tile with points, and which points lie in a tile of the project.
    """
    lon, lat = shapely.get_coordinates(geometry).T
    found = np.zeros(len(geometry), dtype=bool)
    tasks = []
    zone, north = owner(lon, lat)
    for grid in spec.grid.zones:
        lattice = grid.lattice
        mine = np.ones(len(geometry), dtype=bool)
        if lattice.is_utm:
            mine = (zone == lattice.epsg % 100) & (north == (lattice.epsg < 32700))
        places = np.flatnonzero(mine)
        rows, cols = pixels_at(lattice, np.column_stack([lon[places], lat[places]]))
        by_tile: dict[tuple[int, int], list[int]] = defaultdict(list)
        for at, tile in enumerate(zip((rows // spec.tile_px).tolist(), (cols // spec.tile_px).tolist(), strict=True)):
            if tile in grid.cells:
                by_tile[tile].append(at)
        for _, members in sorted(by_tile.items()):
            tasks.append(PointsTask(lattice, places[members], rows[members], cols[members]))
            found[places[members]] = True
    return tasks, found


def plan_polygons(spec: ProjectSpec, geometry: NDArray[np.object_]) -> tuple[list[PolygonsTask], NDArray[np.bool_]]:
    """Put polygons that lie near each other into one task (along a Hilbert curve through their centres).

    Returns
    -------
    tasks, found
        The tasks, and which polygons touch a tile of the project; the others are in no task.
    """
    import geopandas as gpd

    found = np.zeros(len(geometry), dtype=bool)
    for grid in spec.grid.zones:
        project = Transformer.from_crs(4326, grid.lattice.epsg, always_xy=True)
        side_m = spec.tile_px * FINEST_M
        cells = np.array(sorted(grid.cells))
        left, top = grid.lattice.left_m + cells[:, 1] * side_m, grid.lattice.top_m - cells[:, 0] * side_m
        tree = shapely.STRtree(shapely.box(left, top - side_m, left + side_m, top))
        near = np.flatnonzero(~found & _near(grid, geometry))
        fine = shapely.segmentize(geometry[near], EDGE_STEP_DEG)
        lon, lat = shapely.get_coordinates(fine).T
        moved = shapely.set_coordinates(fine, np.column_stack(project.transform(lon, lat)))
        finite = np.isfinite(shapely.bounds(moved)).all(axis=1)
        hits, _ = tree.query(moved[finite], predicate="intersects")
        found[near[finite][np.unique(hits)]] = True
    places = np.flatnonzero(found)
    order = gpd.GeoSeries(geometry[places]).hilbert_distance(total_bounds=(-180, -90, 180, 90)).to_numpy()
    sorted_places = places[order.argsort(kind="stable")]
    parts = np.array_split(sorted_places, max(1, -(-len(places) // BATCH)))
    return [PolygonsTask(part, tuple(shapely.to_wkb(geometry[part]).tolist())) for part in parts], found


def _near(grid: ZoneGrid, geometry: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which polygons touch what a zone owns; all on a lattice that is not UTM."""
    if not grid.lattice.is_utm:
        return np.ones(len(geometry), dtype=bool)
    touched: NDArray[np.bool_] = shapely.intersects(
        domain_of(grid.lattice.epsg % 100, grid.lattice.epsg < 32700), geometry
    )
    return touched


def blocks_of_points(task: PointsTask, side_px: int) -> Iterator[tuple[NDArray[np.intp], Pixels]]:
    """Yield the points of a task by blocks of `side_px`, so that only the chunks under them are read."""
    blocks = np.stack([task.rows // side_px, task.cols // side_px])
    for block in np.unique(blocks, axis=1).T:
        mine = (blocks == block[:, None]).all(axis=0)
        rows, cols = task.rows[mine], task.cols[mine]
        row, col = int(rows.min()), int(cols.min())
        height, width = int(rows.max()) - row + 1, int(cols.max()) - col + 1
        box = PixelBox(task.lattice, FINEST_M, row, col, height, width)
        yield task.places[mine], Pixels(box, rows - row, cols - col)


def pixels_of(spec: ProjectSpec, polygon: BaseGeometry) -> tuple[list[Pixels], int]:
    """Return the pixels with their centre in a polygon, zone by zone, and how many lie off the project's tiles.

    Raises
    ------
    ResourceError
        If the polygon spans more than LARGEST_PX.
    """
    drawn = Region("polygon", polygon)
    found, off = [], 0
    if polygon.bounds[1] >= NORTH_END or polygon.bounds[3] <= SOUTH_END:
        return [], 0
    pieces = {grid.lattice: polygon for grid in spec.grid.zones} if spec.epsg is not None else zone_pieces(drawn)
    for lattice, piece in pieces.items():
        box = lattice.box_of_bounds(bounds_in(lattice, piece), FINEST_M)
        if box.height * box.width > LARGEST_PX:
            raise ResourceError(
                f"a polygon spans {box.height * box.width:,} pixels; at most {LARGEST_PX:,} can be extracted",
                "Cut it, or use `cropcube.open(project).box(...)`.",
            )
        mask = inside(drawn, box) & owned(box)
        planned = _planned(spec, lattice, box)
        off += int((mask & ~planned).sum())
        rows, cols = np.nonzero(mask & planned)
        if rows.size:
            found.append(Pixels(box, rows, cols))
    return found, off


def together(every: list[Pixels]) -> Pixels:
    """Return pixels of one zone as one, in the same order, over the box around them all."""
    row, col = min(one.box.row for one in every), min(one.box.col for one in every)
    height = max(one.box.row + one.box.height for one in every) - row
    width = max(one.box.col + one.box.width for one in every) - col
    box = PixelBox(every[0].box.lattice, every[0].box.resolution_m, row, col, height, width)
    rows = np.concatenate([one.rows + (one.box.row - row) for one in every])
    return Pixels(box, rows, np.concatenate([one.cols + (one.box.col - col) for one in every]))


def _planned(spec: ProjectSpec, lattice: Lattice, box: PixelBox) -> NDArray[np.bool_]:
    """Return which pixels of a box lie in a tile of the project."""
    grids: dict[str, ZoneGrid] = {grid.lattice.name: grid for grid in spec.grid.zones}
    cells = grids[lattice.name].cells if lattice.name in grids else frozenset()
    rows = (box.row + np.arange(box.height)) // spec.tile_px
    cols = (box.col + np.arange(box.width)) // spec.tile_px
    tile_rows, tile_cols = np.unique(rows), np.unique(cols)
    has = np.array([[(int(row), int(col)) in cells for col in tile_cols] for row in tile_rows])
    return has[np.ix_(np.searchsorted(tile_rows, rows), np.searchsorted(tile_cols, cols))]
