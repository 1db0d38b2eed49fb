"""A project opened from Python: scenes, cube, features and map, lazy until a piece is asked for."""

from __future__ import annotations

import re
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import xarray as xr

from cropcube.catalog.frozen import FrozenCatalog
from cropcube.config import Project, ProjectSpec, find_project
from cropcube.cube.attrs import GRID_MAPPING, group_attrs, spatial_ref_attrs
from cropcube.cube.lazy import lazy_tree
from cropcube.cube.store import Store
from cropcube.domain.grid import Grid, bounds_in, zone_pieces
from cropcube.domain.lattice import PixelBox, Tile
from cropcube.domain.region import Region
from cropcube.domain.season import SLAB_DAYS
from cropcube.errors import InvalidInputError, MissingError
from cropcube.location import Location, location
from cropcube.pipeline.sources import CUBE, CUBE_EMIT, MAP, open_source, path_of, stored_features

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from cropcube.cube.description import StoredZone


def open(project: Location | str = ".") -> OpenProject:
    """Open a project.

    Parameters
    ----------
    project
        Its folder, or one below it, or its prefix in an object store (`s3://bucket/prefix`).

    Raises
    ------
    MissingError
        If there is no project.
    """
    return OpenProject(find_project(location(project)))


class OpenProject:
    """What a project holds; every product is opened when it is asked for, and read where it is indexed."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def __repr__(self) -> str:
        spec = self.spec
        return f"<cropcube project {self.root}: {spec.region.name}, {spec.season}, {len(self.grid)} tiles>"

    @property
    def root(self) -> Location:
        """The project's folder."""
        return self.project.root

    @property
    def spec(self) -> ProjectSpec:
        """Region, season, sensor, tile size."""
        return self.project.spec

    @property
    def grid(self) -> Grid:
        """The region's tiles, zone by zone."""
        return self.project.spec.grid

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features made so far."""
        return stored_features(self.project)

    @cached_property
    def scenes(self) -> gpd.GeoDataFrame:
        """The frozen catalogue: one row a scene, footprints in lon/lat.

        Raises
        ------
        MissingError
            If nothing was searched yet.
        """
        import geopandas as gpd

        path = FrozenCatalog.open(self.project.scenes_path).path
        return gpd.read_parquet(path if isinstance(path, Path) else BytesIO(path.read_bytes()))

    @cached_property
    def cube(self) -> xr.DataTree:
        """Observations: `/utm31n/r10m` and so on, `reflectance (time, band, y, x)`, `quality (time, y, x)`.

        What EMIT saw lies beside them in `/utm31n/r60m`: `reflectance` and `uncertainty (time, wavelength, y, x)`,
        `quality (time, y, x)`.
        """
        made = [name for name in (CUBE, CUBE_EMIT) if Store.exists(path_of(self.project, name))]
        trees = [lazy_tree(self._store(name)) for name in made or [CUBE]]
        nodes = {path: node for tree in reversed(trees) for path, node in tree.to_dict().items()}
        return xr.DataTree.from_dict(nodes)

    def features(self, name: str = "median-5d") -> xr.DataTree:
        """Return one product of features by its name.

        Raises
        ------
        MissingError
            If it was not made; the message names those that were.
        """
        return lazy_tree(self._store(name))

    @cached_property
    def map(self) -> xr.DataTree:
        """The map: `crop`, `confidence`, `clear_count` in `/utm31n/r10m` and so on."""
        return lazy_tree(self._store(MAP))

    def tile(self, row: int | str, col: int = 0, zone: str | None = None, of: str = CUBE) -> xr.DataTree:
        """Return one tile as dask arrays: a chunk for each slab of days.

        Parameters
        ----------
        row, col
            The tile: two numbers, or its name `r0573c0074` alone.
        zone
            Its zone; may be left out where only one zone has such a tile.
        of
            `cube` (only the days on which the tile has any observation), `map`, or a name of features.

        Raises
        ------
        MissingError
            If the region has no such tile, or the product was not made.
        InvalidInputError
            If several zones have such a tile.
        """
        if isinstance(row, str):
            row, col = _cell(row)
        zones = [z for z in self.grid.zones if (row, col) in z.cells and zone in (None, z.lattice.name)]
        if not zones:
            raise MissingError(
                f"the region has no tile r{row:04d}c{col:04d} {f'in {zone}' if zone else ''}".rstrip(),
                f"Its zones: {' '.join(self.grid.names)}; `.grid.tiles()` lists the tiles.",
            )
        if len(zones) > 1:
            names = " and ".join(z.lattice.name for z in zones)
            raise InvalidInputError(f"tile r{row:04d}c{col:04d} is in {names}", "Say which zone.")
        found = Tile(zones[0].lattice, self.spec.tile_px, row, col)
        return self._pieces(of, {found.lattice.name: found.box(self._coarsest(of))})

    def box(self, west: float, south: float, east: float, north: float, of: str = CUBE) -> xr.DataTree:
        """Return a lon/lat rectangle as dask arrays, chunked along tiles, in every zone that it touches.

        Parameters
        ----------
        west, south, east, north
            Degrees; west > east crosses the antimeridian.
        of
            `cube` (only the days on which its tiles have any observation), `map`, or a name of features.

        Raises
        ------
        InvalidInputError
            If the rectangle is none, or lies off the project's tiles.
        """
        drawn = Region.of(f"{west},{south},{east},{north}", _rectangle(west, south, east, north))
        resolution_m = self._coarsest(of)
        pieces = (
            {zone.lattice: drawn.geometry for zone in self.grid.zones}
            if self.spec.epsg is not None
            else zone_pieces(drawn)
        )
        boxes: dict[str, PixelBox] = {}
        for lattice, piece in pieces.items():
            if lattice.name in self.grid.names:
                whole = self.grid.zone(lattice.name).box(resolution_m)
                part = lattice.box_of_bounds(bounds_in(lattice, piece), resolution_m).intersection(whole)
                if part is not None:
                    boxes[lattice.name] = part
        if not boxes:
            raise InvalidInputError(
                f"{drawn.name} lies off the project's tiles",
                f"The region spans {','.join(f'{edge:.4f}' for edge in self.spec.region.bounds)}.",
            )
        return self._pieces(of, boxes)

    def _store(self, of: str) -> Store:
        """Return the store of a product."""
        return open_source(self.project, of)

    def _coarsest(self, of: str) -> int:
        return max(spec.resolution_m for spec in self._store(of).arrays.values())

    def _pieces(self, of: str, boxes: dict[str, PixelBox]) -> xr.DataTree:
        """Return some pixels of some zones, chunked."""
        store = self._store(of)
        whole, nodes = lazy_tree(store), {"/": xr.Dataset(attrs=dict(store.attrs))}
        for name, box in boxes.items():
            zone = store.zone(name)
            days = _days_present(store, zone, box) if store.kind == "cube" else None
            for resolution_m in sorted({resolution_m for _, resolution_m in store.arrays}):
                path = f"/{name}/r{resolution_m}m"
                nodes[path] = _piece(whole[path].to_dataset(), zone, box.at(resolution_m), days)
        return xr.DataTree.from_dict(nodes)


def _cell(name: str) -> tuple[int, int]:
    """Return the row and column in a tile's name."""
    found = re.fullmatch(r"r(-?\d+)c(-?\d+)", name)
    if found is None:
        raise InvalidInputError(
            f"{name!r} is not a tile's name", "Names are like r0573c0074; `.grid.tiles()` lists them."
        )
    return int(found[1]), int(found[2])


def _rectangle(west: float, south: float, east: float, north: float) -> BaseGeometry:
    """Return a lon/lat rectangle, in two where it crosses the antimeridian."""
    if south >= north or west == east:
        raise InvalidInputError(
            f"the box {west},{south},{east},{north} has no area",
            "Give west, south, east, north: south lies below north, and west is not east.",
        )
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.multipolygons([shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)])


def _days_present(store: Store, zone: StoredZone, box: PixelBox) -> NDArray[np.intp]:
    """Return the days on which any tile under a box has an observation."""
    side = zone.tile_px * 10 // box.resolution_m
    found: NDArray[np.int32] = np.zeros(0, np.int32)
    for row in range(box.row // side, (box.row + box.height - 1) // side + 1):
        for col in range(box.col // side, (box.col + box.width - 1) // side + 1):
            found = np.union1d(found, store.days_present(Tile(zone.lattice, zone.tile_px, row, col)))
    return found.astype(np.intp)


def _piece(data: xr.Dataset, zone: StoredZone, box: PixelBox, days: NDArray[np.intp] | None) -> xr.Dataset:
    """Return the pixels of a box, one chunk for each tile and slab of days."""
    rows, cols = box.slices_in(zone.box(box.resolution_m))
    side = zone.tile_px * 10 // box.resolution_m
    chunks: dict[Any, Any] = {
        "y": _runs(np.arange(box.row, box.row + box.height) // side),
        "x": _runs(np.arange(box.col, box.col + box.width) // side),
    }
    chosen: dict[str, Any] = {"y": rows, "x": cols}
    if days is not None:
        chosen["time"] = days
        chunks["time"] = _runs(days // SLAB_DAYS)
    piece = data.isel(chosen).chunk({name: sizes for name, sizes in chunks.items() if sizes})
    piece.attrs = dict(group_attrs(box))
    piece[GRID_MAPPING].attrs = dict(spatial_ref_attrs(box))
    return piece


def _runs(labels: NDArray[np.intp]) -> tuple[int, ...]:
    """Return the lengths of the runs of equal labels."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    return tuple(int(n) for n in np.diff(np.concatenate([[0], edges, [labels.size]]))) if labels.size else ()
