"""The root attributes of a store: all that is needed to open it, and to tell whether two are laid out alike."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from cropcube.cube.layout import Along, ArraySpec, tile_side
from cropcube.domain.lattice import Lattice, PixelBox, whole_squares

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cropcube.cube.layout import JSON, StoreSpec
    from cropcube.domain.grid import Grid
    from cropcube.domain.lattice import ZoneGrid
    from cropcube.location import Location

LAYOUT_REVISION = 1


@dataclass(frozen=True)
class StoredZone:
    """The rectangle of tiles that a store's arrays cover in one zone."""

    lattice: Lattice
    tile_px: int
    square: int
    window: tuple[int, int, int, int]
    "First row, first column, rows, columns in tiles."

    @property
    def index_window(self) -> tuple[int, int, int, int]:
        """The same of arrays with one value a tile: whole squares."""
        return whole_squares(self.window, self.square)

    def box(self, resolution_m: int) -> PixelBox:
        """Return the pixels that the arrays cover at one resolution."""
        row, col, rows, cols = self.window
        side = tile_side(self.tile_px, resolution_m)
        return PixelBox(self.lattice, resolution_m, row * side, col * side, rows * side, cols * side)


def describe(grid: Grid, spec: StoreSpec) -> dict[str, JSON]:
    """Return the root attributes: all that is needed to open the store, and to tell whether two are laid out alike."""
    return {
        **spec.attrs,
        "cropcube": {
            "kind": spec.kind,
            "layout_revision": LAYOUT_REVISION,
            "zones": [_describe_zone(zone) for zone in grid.zones],
            "arrays": [_describe_array(array) for array in spec.arrays],
            "coordinates": {name: [_plain(label) for label in labels] for name, labels in spec.coordinates.items()},
            **({"along": {name: _describe_along(each) for name, each in spec.along.items()}} if spec.along else {}),
        },
    }


def root_attrs(path: Location) -> dict[str, Any]:
    """Return the root attributes of the store at `path`.

    Raises
    ------
    KeyError, ValueError
        If they are not ours, or of another revision of the layout.
    """
    attrs: dict[str, Any] = json.loads((path / "zarr.json").read_bytes())["attributes"]
    revision = attrs["cropcube"]["layout_revision"]
    if revision != LAYOUT_REVISION:
        raise ValueError(f"layout revision {revision}, not {LAYOUT_REVISION}")
    return attrs


def difference(standing: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Say which parts of two root attributes differ."""
    pairs = [(standing, wanted), (standing["cropcube"], wanted["cropcube"])]
    names = {name for one, other in pairs for name in {*one, *other} if one.get(name) != other.get(name)}
    return f"differing in {', '.join(sorted(names - {'cropcube'}))}"


def zone_of(fields: Mapping[str, Any]) -> StoredZone:
    """Read a zone back from the root attributes."""
    lattice = Lattice(fields["name"], fields["epsg"], fields["left_m"], fields["top_m"])
    row, col, rows, cols = fields["window"]
    return StoredZone(lattice, fields["tile_px"], fields["square"], (row, col, rows, cols))


def array_of(fields: Mapping[str, Any]) -> ArraySpec:
    """Read an array's layout back from the root attributes."""
    fill = math.nan if fields["fill_value"] == "NaN" else fields["fill_value"]
    leading = tuple((name, length) for name, length in fields["leading"])
    shard = None if fields["shard"] is None else tuple(fields["shard"])
    return ArraySpec(
        fields["name"], fields["resolution_m"], leading, fields["dtype"], fill, tuple(fields["chunk"]), shard,
        fields["attrs"],
    )  # fmt: skip


def along_of(fields: Mapping[str, Any]) -> Along:
    """Read a coordinate back from the root attributes."""
    return Along(fields["dimension"], tuple(fields["values"]), fields["attrs"])


def _describe_along(along: Along) -> dict[str, JSON]:
    return {"dimension": along.dimension, "values": list(along.values), "attrs": dict(along.attrs)}


def _describe_zone(zone: ZoneGrid) -> dict[str, JSON]:
    lattice = zone.lattice
    return {
        "name": lattice.name, "epsg": lattice.epsg, "left_m": lattice.left_m, "top_m": lattice.top_m,
        "tile_px": zone.tile_px, "square": zone.square, "window": list(zone.window),
    }  # fmt: skip


def _describe_array(array: ArraySpec) -> dict[str, JSON]:
    fill = array.fill_value if array.fill_value == array.fill_value else "NaN"
    return {
        "name": array.name, "resolution_m": array.resolution_m, "leading": [list(pair) for pair in array.leading],
        "dtype": array.dtype, "fill_value": fill, "chunk": list(array.chunk),
        "shard": None if array.shard is None else list(array.shard), "attrs": dict(array.attrs),
    }  # fmt: skip


def _plain(label: str | int | float | date) -> str | int | float:
    return label.isoformat() if isinstance(label, date) else label
