"""Stores as xarray sees them: lazy arrays without dask, made from one small file whatever the size of the country.

xarray's own Zarr backend opens these stores too, but reads every coordinate and goes through zarr-python for pixels;
here the coordinates follow from the layout, and pixels come through our own reader of shards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from cropcube.cube.attrs import GRID_MAPPING, axis_attrs, group_attrs, spatial_ref_attrs
from cropcube.cube.layout import PRESENT, TILES_GROUP, ArraySpec, present_array
from cropcube.cube.shards import read_selection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.cube.description import StoredZone
    from cropcube.cube.store import Store
    from cropcube.location import Location

DATED = ("time", "window")
"""Dimensions whose labels are days."""


class StoredArray(BackendArray):
    """One array of a store, read where it is indexed.

    Parameters
    ----------
    folder
        The array's folder.
    spec
        Its layout.
    shape
        Its shape.
    """

    def __init__(self, folder: Location, spec: ArraySpec, shape: tuple[int, ...]) -> None:
        self.folder, self.spec = folder, spec
        self.shape = shape
        self.dtype = np.dtype(spec.dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        """Read what xarray asks for; points are read as the outer product of their rows and columns."""
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        chosen = [_indices(part, length) for part, length in zip(key, self.shape, strict=True)]
        values = read_selection(self.folder, self.spec, chosen, 1)
        return values[tuple(0 if isinstance(part, int | np.integer) else slice(None) for part in key)]


def lazy_tree(store: Store) -> xr.DataTree:
    """Return a store as a tree of nodes `/utm31n/r10m`, `/utm31n/r20m` (and `/utm31n/tiles` of a cube).

    Nothing but coordinates is held; integers stay integers; there is no dask in it.
    """
    nodes = {"/": xr.Dataset(attrs=dict(store.attrs))}
    for name, zone in store.zones.items():
        for resolution_m in sorted({spec.resolution_m for spec in store.arrays.values()}):
            nodes[f"/{name}/r{resolution_m}m"] = _pixels(store, zone, resolution_m)
        if store.kind == "cube":
            nodes[f"/{name}/{TILES_GROUP}"] = _present(store, zone)
    return xr.DataTree.from_dict(nodes)


def _pixels(store: Store, zone: StoredZone, resolution_m: int) -> xr.Dataset:
    """Return the arrays of one zone at one resolution."""
    box = zone.box(resolution_m)
    specs = [spec for spec in store.arrays.values() if spec.resolution_m == resolution_m]
    leading = {dimension: None for spec in specs for dimension, _ in spec.leading}
    coords: dict[str, Any] = {name: _labels(store, name, resolution_m) for name in leading}
    for name, along in store.along.items():
        if along.dimension in leading:
            coords[name] = xr.Variable(along.dimension, np.array(along.values), dict(along.attrs))
    coords["y"] = xr.Variable("y", box.y_centres(), axis_attrs("y"))
    coords["x"] = xr.Variable("x", box.x_centres(), axis_attrs("x"))
    coords[GRID_MAPPING] = xr.Variable((), np.int32(zone.lattice.epsg), spatial_ref_attrs(box))
    folder = store.path / zone.lattice.name
    arrays = {s.name: _variable(folder / s.group / s.name, s, s.shape(*box.shape)) for s in specs}
    known = {name: values for name, values in coords.items() if values is not None}
    return xr.Dataset(arrays, known, dict(group_attrs(box)))


def _present(store: Store, zone: StoredZone) -> xr.Dataset:
    """Return which tile has anything on which day."""
    first_row, first_col, rows, cols = zone.index_window
    spec = present_array(len(store.coordinates["time"]), zone.square)
    folder = store.path / zone.lattice.name / TILES_GROUP / PRESENT
    stored = StoredArray(folder, spec, (spec.leading[0][1], rows, cols))
    coords = {
        "time": _labels(store, "time", 0),
        "tile_y": np.arange(first_row, first_row + rows),
        "tile_x": np.arange(first_col, first_col + cols),
    }
    return xr.Dataset({PRESENT: (("time", "tile_y", "tile_x"), indexing.LazilyIndexedArray(stored))}, coords)


def _variable(folder: Location, spec: ArraySpec, shape: tuple[int, ...]) -> xr.Variable:
    encoding = {"grid_mapping": GRID_MAPPING, "preferred_chunks": dict(zip(spec.dimensions, spec.unit, strict=True))}
    stored = indexing.LazilyIndexedArray(StoredArray(folder, spec, shape))
    return xr.Variable(spec.dimensions, stored, dict(spec.attrs), encoding)


def _labels(store: Store, dimension: str, resolution_m: int) -> NDArray[Any] | None:
    """Return the labels of a dimension, days as midnights without a zone."""
    labels = store.labels(dimension, resolution_m)
    if not labels:
        return None
    return np.array(labels, dtype="datetime64[ns]") if dimension in DATED else np.array(labels)


def _indices(part: Any, length: int) -> range | list[int]:
    """Return the indices that one part of a key means."""
    if isinstance(part, slice):
        return range(*part.indices(length))
    return [int(index) % length for index in np.atleast_1d(part)]
