"""What a store holds before the first pixel: groups, metadata, coordinates."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from cropcube.cube.attrs import array_attrs, axis_attrs, group_attrs, spatial_ref_attrs
from cropcube.cube.description import describe
from cropcube.cube.layout import PRESENT, TILES_GROUP, present_array
from cropcube.cube.shards import CODEC, LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cropcube.cube.layout import JSON, ArraySpec, StoreSpec
    from cropcube.domain.grid import Grid
    from cropcube.domain.lattice import PixelBox, ZoneGrid

COORDINATE_CHUNK = 65536


def compressors(sharded: bool) -> tuple[BloscCodec | Crc32cCodec, ...]:
    """Return the codecs of pixels, as `shards` packs them; no checksum in what GDAL is to read."""
    packed = BloscCodec(cname=CODEC, clevel=LEVEL, shuffle="bitshuffle")
    return (packed, Crc32cCodec()) if sharded else (packed,)


def write_template(path: Path, grid: Grid, spec: StoreSpec) -> None:
    """Write a whole empty store into a fresh folder."""
    root = zarr.create_group(path, zarr_format=3, attributes=_own(describe(grid, spec)))
    for zone in grid.zones:
        group = root.create_group(zone.lattice.name, attributes=_own(_zone_attrs(zone)))
        for resolution_m in sorted({array.resolution_m for array in spec.arrays}):
            box = zone.box(resolution_m)
            arrays = [array for array in spec.arrays if array.resolution_m == resolution_m]
            pixels = group.create_group(arrays[0].group, attributes=_own(group_attrs(box)))
            _write_coordinates(pixels, box, arrays, spec)
            for array in arrays:
                _create_array(pixels, box, array)
        if spec.kind == "cube":
            _create_present(group, zone, spec)


def _zone_attrs(zone: ZoneGrid) -> dict[str, JSON]:
    return {"proj:code": zone.lattice.crs, "tile_px": zone.tile_px, "first_tile": list(zone.window[:2])}


def _own(attrs: Mapping[str, JSON]) -> dict[str, Any]:
    """Return attributes as Zarr's stubs want them."""
    return dict(attrs)


def _create_array(group: zarr.Group, box: PixelBox, array: ArraySpec) -> None:
    group.create_array(
        array.name,
        shape=array.shape(*box.shape),
        dtype=array.dtype,
        chunks=array.chunk,
        shards=array.shard,
        compressors=compressors(array.shard is not None),
        fill_value=array.fill_value,
        dimension_names=array.dimensions,
        attributes=_own({**array.attrs, **array_attrs(box.lattice)}),
    )


def _create_present(group: zarr.Group, zone: ZoneGrid, spec: StoreSpec) -> None:
    days = next(length for array in spec.arrays for name, length in array.leading if name == "time")
    row, col, rows, cols = zone.index_window
    tiles = group.create_group(TILES_GROUP)
    tiles.create_array(
        PRESENT,
        shape=(days, rows, cols),
        dtype="uint8",
        chunks=present_array(days, zone.square).chunk,
        compressors=compressors(False),
        fill_value=0,
        dimension_names=("time", "tile_y", "tile_x"),
        attributes={"long_name": "whether a tile has any observation on a day"},
    )
    _write_labels(tiles, "time", spec.coordinates.get("time"))
    _write_axis(tiles, "tile_y", np.arange(row, row + rows, dtype=np.int32), {"long_name": "tile row on the lattice"})
    _write_axis(
        tiles, "tile_x", np.arange(col, col + cols, dtype=np.int32), {"long_name": "tile column on the lattice"}
    )


def _write_coordinates(group: zarr.Group, box: PixelBox, arrays: list[ArraySpec], spec: StoreSpec) -> None:
    _write_axis(group, "x", box.x_centres(), axis_attrs("x"))
    _write_axis(group, "y", box.y_centres(), axis_attrs("y"))
    reference = group.create_array(
        "spatial_ref", shape=(), dtype="int32", dimension_names=(), attributes=_own(spatial_ref_attrs(box))
    )
    reference[...] = box.lattice.epsg
    for dimension in {name: None for array in arrays for name, _ in array.leading}:
        _write_labels(group, dimension, spec.labels(dimension, box.resolution_m))
    for name, along in spec.along.items():
        _write_axis(group, name, np.array(along.values), along.attrs, along.dimension)


def _write_labels(group: zarr.Group, dimension: str, labels: tuple[Any, ...] | None) -> None:
    if not labels:
        return
    if isinstance(labels[0], date):
        days = np.array(labels, dtype="datetime64[D]").astype(np.int32)
        _write_axis(group, dimension, days, {"units": "days since 1970-01-01", "calendar": "proleptic_gregorian"})
    elif isinstance(labels[0], str):
        _write_axis(group, dimension, np.array(labels, dtype=np.dtypes.StringDType()), {})
    else:
        _write_axis(group, dimension, np.array(labels), {})


def _write_axis(
    group: zarr.Group, name: str, values: NDArray[Any], attrs: Mapping[str, JSON], dimension: str | None = None
) -> None:
    array = group.create_array(
        name,
        shape=values.shape,
        dtype="string" if values.dtype.kind == "T" else values.dtype,
        chunks=(min(values.size, COORDINATE_CHUNK),),
        dimension_names=(dimension or name,),
        attributes=_own(attrs),
    )
    array[...] = values
