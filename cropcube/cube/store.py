"""A store of pixels: zones, resolutions and arrays, written by whole shards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.cube.description import StoredZone, along_of, array_of, describe, difference, root_attrs, zone_of
from cropcube.cube.layout import PRESENT, TILES_GROUP, ArraySpec, owned_ranges, present_array
from cropcube.cube.ledger import canonical
from cropcube.cube.objects import (
    cannot_be_removed,
    drop_empty,
    move_folder,
    place_folder,
    remove_file,
    remove_folder,
    replace_file,
)
from cropcube.cube.presence import present_values, square_ranges
from cropcube.cube.shards import Planes, leading_indices, pack, read_selection, split
from cropcube.domain.lattice import PixelBox, Tile
from cropcube.errors import ConflictError, LayoutError, MissingError, ReadError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from cropcube.cube.layout import StoreSpec
    from cropcube.domain.grid import Grid
    from cropcube.location import Location

MARK = "zarr.json"
"""The root's metadata: a store stands where they stand, with all its arrays."""
VERBS = {"cube": "cropcube build", "cube-emit": "cropcube build --sensor emit", "map": "cropcube predict"}


class Store:
    """A Zarr store of the project; groups are `/{zone}/r10m`, `/{zone}/r20m`.

    Use `create` or `open`. Opening reads one small file, whatever the size of the country.
    """

    def __init__(self, path: Location, attrs: Mapping[str, Any], writable: bool, threads: int = 1) -> None:
        own = attrs["cropcube"]
        self.path = path
        self.writable = writable
        self.kind: str = own["kind"]
        self.attrs = {name: value for name, value in attrs.items() if name != "cropcube"}
        self.coordinates: dict[str, tuple[Any, ...]] = {n: tuple(v) for n, v in own["coordinates"].items()}
        "Labels by dimension, or by `dimension@resolution`; dates as ISO text."
        self.along = {name: along_of(each) for name, each in own.get("along", {}).items()}
        self.zones = {zone["name"]: zone_of(zone) for zone in own["zones"]}
        self.arrays = {(a["name"], a["resolution_m"]): array_of(a) for a in own["arrays"]}
        self.threads = threads
        self.written: dict[str, int] = {}
        "Bytes of the objects that this one has written, by path within the store."

    def __reduce__(self) -> tuple[Any, ...]:
        return Store.open, (self.path, self.writable, self.threads)

    @classmethod
    def exists(cls, path: Location) -> bool:
        """Return whether a whole store stands at `path`. Withdraw a stage's records before making a missing store."""
        return (path / MARK).is_file()

    @classmethod
    def create(cls, path: Location, grid: Grid, spec: StoreSpec) -> Store:
        """Make an empty store, or open the one that stands if it is laid out the same.

        The store appears whole, with all metadata and coordinates; two processes may call this at once.

        Raises
        ------
        ConflictError
            If a store with another layout stands there.
        ResourceError
            If the disk is full or cannot be written.
        """
        wanted = json.loads(canonical(describe(grid, spec)))
        if not cls.exists(path):
            _create_whole(path, grid, spec)
            drop_empty(path)
        store, standing = cls.open(path, writable=True), root_attrs(path)
        if standing != wanted:
            raise ConflictError(
                f"{path} stands with another layout ({difference(standing, wanted)})",
                "Use another --project folder, or remove the store to make it anew.",
            )
        return store

    @classmethod
    def open(cls, path: Location, writable: bool = False, threads: int = 1) -> Store:
        """Open a store that stands.

        Parameters
        ----------
        path
            Its folder.
        writable
            Whether pixels may be written.
        threads
            How many chunks are packed or unpacked at once: a task's thread budget. Bytes do not depend on it.

        Raises
        ------
        MissingError
            If there is none.
        LayoutError
            If what stands is not a store of ours.
        """
        if not cls.exists(path):
            verb = VERBS.get(path.stem, "cropcube features")
            raise MissingError(f"there is no store {path}", f"`{verb}` makes it.")
        try:
            return cls(path, root_attrs(path), writable, threads)
        except OSError as error:
            raise ReadError(f"{path} cannot be read: {error.strerror}", "Mend the folder and try again.") from error
        except (KeyError, TypeError, ValueError) as error:
            raise LayoutError(
                f"{path} is not a store of this version of cropcube ({type(error).__name__}: {error})",
                "Remove it and run the command that makes it again.",
            ) from error

    @classmethod
    def move(cls, path: Location, target: Location) -> None:
        """Give a store another name in its folder, where nothing stands. Withdraw its records before.

        Raises
        ------
        ResourceError
            If the folder cannot be written.
        """
        try:
            move_folder(path, target, MARK)
        except OSError as error:
            raise cannot_be_removed(path, error) from error

    @classmethod
    def remove(cls, path: Location) -> None:
        """Remove a store as a whole, at once; nothing happens if there is none. Withdraw its records before.

        Raises
        ------
        ResourceError
            If the folder cannot be written.
        """
        try:
            remove_folder(path, MARK)
        except OSError as error:
            raise cannot_be_removed(path, error) from error
        drop_empty(path)

    def zone(self, name: str) -> StoredZone:
        """Return what the store covers in a zone.

        Raises
        ------
        MissingError
            If the store has no such zone.
        """
        try:
            return self.zones[name]
        except KeyError:
            raise MissingError(f"{self.path} has no zone {name!r}", f"It has: {' '.join(self.zones)}") from None

    def array(self, name: str, resolution_m: int) -> ArraySpec:
        """Return the layout of an array.

        Raises
        ------
        MissingError
            If the store has no such array.
        """
        try:
            return self.arrays[name, resolution_m]
        except KeyError:
            known = ", ".join(f"{n} at {r} m" for n, r in self.arrays)
            raise MissingError(f"{self.path} has no {name} at {resolution_m} m", f"It has: {known}") from None

    def labels(self, dimension: str, resolution_m: int) -> tuple[Any, ...]:
        """Return the labels of a leading dimension at one resolution (dates as ISO text); empty if it has none."""
        own = self.along[dimension].values if dimension in self.along else ()
        return self.coordinates.get(f"{dimension}@{resolution_m}", self.coordinates.get(dimension, own))

    def read(self, zone: str, name: str, box: PixelBox, leading: tuple[slice | list[int], ...] = ()) -> NDArray[Any]:
        """Read pixels; outside the array there is the fill value.

        Parameters
        ----------
        zone, name
            Which array; its resolution is the box's.
        box
            Rows and columns, anywhere on the zone's lattice.
        leading
            Slice or list of indices for the first of the leading dimensions; the others are read whole.
        """
        spec, whole = self._find(zone, name, box)
        chosen = leading_indices(spec, leading)
        shape = (*(len(indices) for indices in chosen), *box.shape)
        part = box.intersection(whole)
        if part is None or 0 in shape:
            return np.full(shape, spec.fill_value, spec.dtype)
        spans = tuple(range(piece.start, piece.stop) for piece in part.slices_in(whole))
        values = read_selection(self.path / _folder(zone, spec), spec, (*chosen, *spans), self.threads)
        if part == box:
            return values
        result = np.full(shape, spec.fill_value, spec.dtype)
        result[(..., *part.slices_in(box))] = values
        return result

    def write(self, zone: str, name: str, box: PixelBox, values: NDArray[Any], start: tuple[int, ...] = ()) -> None:
        """Write whole shards; pieces that hold nothing but the fill value leave no object.

        Parameters
        ----------
        zone, name
            Which array; its resolution is the box's.
        box
            Rows and columns.
        values
            All leading dimensions, then rows and columns, in the array's own dtype.
        start
            First index along each of the first leading dimensions; 0 for the others.

        Raises
        ------
        LayoutError
            If the values do not fit, or do not cover whole shards.
        ResourceError
            If the disk is full or cannot be written.
        """
        self._check_writable()
        spec, whole = self._find(zone, name, box)
        _check_values(spec, values, len(spec.dimensions), box)
        lengths = values.shape[:-2]
        starts = (*start, *(0 for _ in range(len(lengths) - len(start))))
        leading = tuple(range(first, first + length) for first, length in zip(starts, lengths, strict=True))
        self._put(_folder(zone, spec), spec, _owned(spec, whole, box, leading), values)

    def write_days(self, zone: str, name: str, box: PixelBox, days: range, seen: Mapping[int, NDArray[Any]]) -> None:
        """Write whole shards of the cube of which only some days hold anything, without laying out the absent ones.

        Parameters
        ----------
        zone, name, box
            As for `write`.
        days
            Days since the season's start that the shards cover.
        seen
            By day: the other leading dimensions, rows and columns. Days that are left out stay absent.

        Raises
        ------
        LayoutError
            As for `write`, and if a day does not lie in `days`.
        ResourceError
            If the disk is full or cannot be written.
        """
        self._check_writable()
        spec, whole = self._find(zone, name, box)
        for day, values in seen.items():
            _check_values(spec, values, len(spec.dimensions) - 1, box)
            if day not in days:
                raise LayoutError(f"day {day} is not in {days.start}:{days.stop}", "A task writes the days it owns.")
        rest = tuple(range(length) for _, length in spec.leading[1:])
        planes = Planes({day - days.start: values for day, values in seen.items()}, len(days), spec)
        self._put(_folder(zone, spec), spec, _owned(spec, whole, box, (days, *rest)), planes)

    def erase(self, zone: str, name: str, box: PixelBox, leading: tuple[range, ...] = ()) -> None:
        """Remove the objects of whole shards, as if they had never been written.

        Parameters
        ----------
        leading
            Range along each of the first leading dimensions; the others are erased whole.
        """
        self._check_writable()
        spec, whole = self._find(zone, name, box)
        rest = tuple(range(length) for _, length in spec.leading[len(leading) :])
        for where, _ in split(spec, _owned(spec, whole, box, (*leading, *rest))):
            remove_file(self.path, _file(_folder(zone, spec), where))

    def present(self, zone: str) -> NDArray[np.uint8]:
        """Return whether each tile has any observation on each day: (day, tile row, tile column) of the arrays."""
        _, _, rows, cols = self.zone(zone).index_window
        return self._read_present(zone, range(rows), range(cols))

    def days_present(self, tile: Tile) -> NDArray[np.int32]:
        """Return the days since the season's start on which a tile (or the tile of a cell) was observed, ascending."""
        zone = self.zone(tile.lattice.name)
        first_row, first_col, rows, cols = zone.index_window
        row = tile.row * tile.tile_px // zone.tile_px - first_row
        col = tile.col * tile.tile_px // zone.tile_px - first_col
        if not (0 <= row < rows and 0 <= col < cols):
            return np.zeros(0, np.int32)
        seen = self._read_present(tile.lattice.name, range(row, row + 1), range(col, col + 1))
        return np.flatnonzero(seen).astype(np.int32)

    def mark_present(self, zone: str, slab: int, square: tuple[int, int], days: Mapping[Tile, Iterable[int]]) -> None:
        """Say on which days of a slab the tiles of a build square have any observation; replaces what was said before.

        Parameters
        ----------
        zone
            Name of the zone.
        slab
            Which 32 days.
        square
            Row and column of the square (absolute, as `ZoneGrid.squares` counts).
        days
            Days since the season's start; tiles that are left out have none.

        Raises
        ------
        LayoutError
            If a day is not of the slab or a tile not of the square.
        """
        self._check_writable()
        stored, spec = self.zone(zone), self._present_spec(zone)
        ranges = square_ranges(stored, slab, square, spec.leading[0][1])
        self._put(_present_folder(zone), spec, ranges, present_values(stored, ranges, days))

    def erase_present(self, zone: str, slab: int, square: tuple[int, int]) -> None:
        """Forget what `mark_present` said about a slab of a square."""
        self.mark_present(zone, slab, square, {})

    def _find(self, zone: str, name: str, box: PixelBox) -> tuple[ArraySpec, PixelBox]:
        stored = self.zone(zone)
        if box.lattice != stored.lattice:
            raise LayoutError(f"a box of {box.lattice.name} in zone {zone}", "Read and write each zone by itself.")
        return self.array(name, box.resolution_m), stored.box(box.resolution_m)

    def _present_spec(self, zone: str) -> ArraySpec:
        if self.kind != "cube":
            raise LayoutError(f"{self.path} holds no days present", "Only the cube does.")
        return present_array(len(self.coordinates["time"]), self.zone(zone).square)

    def _read_present(self, zone: str, rows: range, cols: range) -> NDArray[np.uint8]:
        spec = self._present_spec(zone)
        days = range(spec.leading[0][1])
        return read_selection(self.path / _present_folder(zone), spec, (days, rows, cols), self.threads)

    def _put(self, folder: str, spec: ArraySpec, ranges: tuple[range, ...], values: NDArray[Any] | Planes) -> None:
        for where, part in split(spec, ranges):
            packed = pack(spec, values, part, self.threads)
            name = _file(folder, where)
            if packed:
                replace_file(self.path, name, packed)
                self.written[name] = sum(map(len, packed))
            else:
                remove_file(self.path, name)
                self.written.pop(name, None)

    def _check_writable(self) -> None:
        if not self.writable:
            raise LayoutError(f"{self.path} is open for reading", "Open it with writable=True.")


def _file(folder: str, where: tuple[int, ...]) -> str:
    return "/".join((folder, "c", *map(str, where)))


def _folder(zone: str, spec: ArraySpec) -> str:
    return f"{zone}/{spec.group}/{spec.name}"


def _present_folder(zone: str) -> str:
    return f"{zone}/{TILES_GROUP}/{PRESENT}"


def _check_values(spec: ArraySpec, values: NDArray[Any], ndim: int, box: PixelBox) -> None:
    if values.dtype != spec.dtype or values.ndim != ndim or values.shape[-2:] != box.shape:
        raise LayoutError(
            f"{spec.name} at {spec.resolution_m} m takes {spec.dtype} in {ndim} dimensions ending in {box.shape}; "
            f"got {values.dtype} {values.shape}",
            "Write in the array's own type and shape.",
        )


def _owned(spec: ArraySpec, whole: PixelBox, box: PixelBox, leading: tuple[range, ...]) -> tuple[range, ...]:
    ranges = (*leading, *(range(part.start, part.stop) for part in box.slices_in(whole)))
    owned_ranges(spec, spec.shape(*whole.shape), ranges)
    return ranges


def _create_whole(path: Location, grid: Grid, spec: StoreSpec) -> None:
    from cropcube.cube.template import write_template  # zarr takes long to import, and workers never create

    try:
        place_folder(path, lambda folder: write_template(folder, grid, spec), MARK)
    except OSError as error:
        if Store.exists(path):
            return
        raise ResourceError(
            f"{path} cannot be made: {error.strerror or error}", "Make room or mend the folder and run the same again."
        ) from error
