"""Where features come from: read from their store, or made on the fly from the cube."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cropcube.cube.observed import read_observations
from cropcube.domain.emit import RESOLUTION_M
from cropcube.domain.lattice import FINEST_M, Tile, grown
from cropcube.errors import ModelMismatchError
from cropcube.features.cells import CELLS_AT_ONCE, cell_px, cells_of, paste
from cropcube.features.compute import CLEAR_COUNT, indices_at, reduce_time, resolutions_read
from cropcube.features.spectra import COUNT, JOINED, SPECTRUM
from cropcube.kernels.device import CPU

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping

    from numpy.typing import NDArray

    from cropcube.cube.store import Store
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.lattice import Lattice, PixelBox
    from cropcube.domain.season import Season
    from cropcube.features.model_input import InputLayout
    from cropcube.observations.tile import TileObservations


class FeatureSource(Protocol):
    """Gives the features of any ground; all sources of the same features give the same numbers, bit for bit."""

    @property
    def name(self) -> str:
        """What it is, for messages."""

    def lattice(self, zone: str) -> Lattice:
        """Return the lattice of a zone."""

    @property
    def tile_px(self) -> int:
        """Side of a tile at 10 m."""

    @property
    def rows_px(self) -> int:
        """Rows at 10 m that are read at once are a multiple of this, counted from the lattice's top."""

    def read(self, layout: InputLayout, box: PixelBox) -> dict[int, NDArray[Any]]:
        """Return the layout's features of a box at 10 m whose sides are whole pixels at every resolution.

        Returns
        -------
        features
            By resolution: (steps, bands of that resolution in the layout's order, y, x).
        """

    def read_counted(self, layout: InputLayout, box: PixelBox) -> tuple[dict[int, NDArray[Any]], NDArray[np.uint16]]:
        """Return the same, and the clear observations ([window,] y, x) at the finest resolution of the features."""


@dataclass(frozen=True)
class StoredFeatures:
    """Features read from their store."""

    store: Store

    @property
    def name(self) -> str:
        """Where the store lies."""
        return str(self.store.path)

    @property
    def rows_px(self) -> int:
        """Any rows can be read."""
        return 1

    def lattice(self, zone: str) -> Lattice:
        """Return the lattice of a zone."""
        return self.store.zone(zone).lattice

    @property
    def tile_px(self) -> int:
        """Side of a tile at 10 m."""
        return next(zone.tile_px for zone in self.store.zones.values())

    def read(self, layout: InputLayout, box: PixelBox) -> dict[int, NDArray[Any]]:
        """Return the layout's features of a box; see `FeatureSource`."""
        found = {}
        for resolution_m in sorted(set(layout.resolutions_m)):
            known = list(map(str, self.store.labels(layout.band_dimension, resolution_m)))
            wanted = [known.index(band) for band in layout.bands_at(resolution_m)]
            bands = slice(None) if wanted == list(range(len(known))) else sorted(wanted)
            values = self.store.read(box.lattice.name, layout.array, box.at(resolution_m), (slice(None), bands))
            found[resolution_m] = values if wanted == sorted(wanted) else values[:, np.argsort(np.argsort(wanted))]
        return found

    def read_counted(self, layout: InputLayout, box: PixelBox) -> tuple[dict[int, NDArray[Any]], NDArray[np.uint16]]:
        """Return features and clear observations of a box; see `FeatureSource`."""
        resolution_m = min(r for name, r in self.store.arrays if name == CLEAR_COUNT)
        counts = self.store.read(box.lattice.name, CLEAR_COUNT, box.at(resolution_m))
        return self.read(layout, box), counts


@dataclass(frozen=True)
class EmitFeatures(StoredFeatures):
    """Spectra read from their store, as a classifier takes them: each 10 m pixel has that of its cell of 60 m."""

    def read(self, layout: InputLayout, box: PixelBox) -> dict[int, NDArray[Any]]:
        """Return the spectra of a box; see `FeatureSource`."""
        spectra = self._read(layout.array, box)
        if (JOINED, RESOLUTION_M) in self.store.arrays:
            spectra = np.concatenate([spectra, self._read(JOINED, box)])
        return {FINEST_M: spectra[:, None]}

    def read_counted(self, layout: InputLayout, box: PixelBox) -> tuple[dict[int, NDArray[Any]], NDArray[np.uint16]]:
        """Return spectra and clear acquisitions of a box; see `FeatureSource`."""
        return self.read(layout, box), self._read(COUNT, box)

    def _read(self, name: str, box: PixelBox) -> NDArray[Any]:
        """Return an array at 10 m; boxes need not be whole cells."""
        coarse = box.at(RESOLUTION_M)
        values = self.store.read(box.lattice.name, name, coarse)
        step = RESOLUTION_M // FINEST_M
        rows = (box.row + np.arange(box.height)) // step - coarse.row
        cols = (box.col + np.arange(box.width)) // step - coarse.col
        repeated: NDArray[Any] = values[..., rows[:, None], cols]
        return repeated


def stored_source(store: Store) -> FeatureSource:
    """Return the features of a store."""
    return EmitFeatures(store) if SPECTRUM in {name for name, _ in store.arrays} else StoredFeatures(store)


class Observing(Protocol):
    """Gives the observations of cells of ground."""

    @property
    def name(self) -> str:
        """What it is, for messages."""

    @property
    def bands(self) -> Mapping[int, tuple[str, ...]]:
        """Band labels by resolution in metres."""

    @property
    def tile_px(self) -> int:
        """Side of a tile at 10 m."""

    def lattice(self, zone: str) -> Lattice:
        """Return the lattice of a zone."""

    def cell(self, cell: Tile, halo_m: int, resolutions_m: Collection[int]) -> TileObservations:
        """Return what was seen of a cell at some resolutions, with the quality in a frame around it."""


@dataclass(frozen=True)
class CubeObserving:
    """Observations read from the cube; every chunk of a cell once."""

    cube: Store

    @property
    def name(self) -> str:
        """Where the cube lies."""
        return str(self.cube.path)

    @property
    def bands(self) -> Mapping[int, tuple[str, ...]]:
        """Band labels by resolution in metres."""
        return {m: self.cube.labels("band", m) for name, m in self.cube.arrays if name == "reflectance"}

    @property
    def tile_px(self) -> int:
        """Side of a tile at 10 m."""
        return next(zone.tile_px for zone in self.cube.zones.values())

    def lattice(self, zone: str) -> Lattice:
        """Return the lattice of a zone."""
        return self.cube.zone(zone).lattice

    def cell(self, cell: Tile, halo_m: int, resolutions_m: Collection[int]) -> TileObservations:
        """Return what was seen of a cell; see `Observing`."""
        return read_observations(self.cube, cell, halo_m, tuple(b for m in resolutions_m for b in self.bands[m]))


@dataclass(frozen=True, eq=False)
class TileObserving:
    """Observations of one tile that are in memory."""

    observations: TileObservations

    @property
    def tile_px(self) -> int:
        """Side of the tile at 10 m."""
        return self.observations.tile.tile_px

    @property
    def name(self) -> str:
        """Which tile."""
        return f"tile {self.observations.tile.name}"

    @property
    def bands(self) -> Mapping[int, tuple[str, ...]]:
        """Band labels by resolution in metres."""
        return self.observations.bands

    def lattice(self, zone: str) -> Lattice:
        """Return the lattice of the tile's zone."""
        return self.observations.tile.lattice

    def cell(self, cell: Tile, halo_m: int, resolutions_m: Collection[int]) -> TileObservations:
        """Return what was seen of a cell; see `Observing`."""
        whole = self.observations.quality_box
        frame = grown(cell.box(whole.resolution_m), halo_m).intersection(whole)
        return self.observations.cell(cell, frame or cell.box(whole.resolution_m), resolutions_m)


class _KeptCells:
    """Features of the last few cells, by what they are of; each is made once at a time, whoever asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cells: OrderedDict[Hashable, dict[int, NDArray[Any]]] = OrderedDict()

    def of(self, key: Hashable, make: Callable[[], dict[int, NDArray[Any]]]) -> dict[int, NDArray[Any]]:
        """Return the features of a cell, made if they are not kept."""
        with self._lock:
            if key not in self._cells:
                while len(self._cells) >= CELLS_AT_ONCE:
                    self._cells.popitem(last=False)
                self._cells[key] = make()
            self._cells.move_to_end(key)
            return self._cells[key]


@dataclass(frozen=True)
class MadeFeatures:
    """Features made on the fly from observations; nothing is stored.

    One cell of observations is in memory beside the result, and the features of the last few cells that squares were
    read of, so that every chunk is read once where squares come cell by cell.
    """

    observing: Observing
    spec: FeatureSpec
    season: Season
    threads: int = 1
    "Thread budget; the numbers do not depend on it."
    device: str = CPU
    "What cells are reduced on; see `kernels.device.worker_device`. The numbers do not depend on it."
    _kept: _KeptCells = field(default_factory=lambda: _KeptCells(), init=False, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return MadeFeatures, (self.observing, self.spec, self.season, self.threads, self.device)

    @property
    def name(self) -> str:
        """What they are made from."""
        return self.observing.name

    @property
    def rows_px(self) -> int:
        """Cells are made whole."""
        return cell_px(self.tile_px)

    @property
    def tile_px(self) -> int:
        """Side of a tile at 10 m."""
        return self.observing.tile_px

    def lattice(self, zone: str) -> Lattice:
        """Return the lattice of a zone."""
        return self.observing.lattice(zone)

    def read(self, layout: InputLayout, box: PixelBox) -> dict[int, NDArray[Any]]:
        """Return the layout's features of a box of whole cells, or within one; see `FeatureSource`."""
        resolutions_m, side = sorted(set(layout.resolutions_m)), cell_px(self.tile_px)
        cell = Tile(box.lattice, side, box.row // side, box.col // side).box(FINEST_M)
        if box.intersection(cell) != box:
            return self._make(layout, box, resolutions_m)[0]
        whole = self._kept.of((layout, cell), lambda: self._make(layout, cell, resolutions_m)[0])
        return {m: values[(..., *box.at(m).slices_in(cell.at(m)))] for m, values in whole.items()}

    def read_counted(self, layout: InputLayout, box: PixelBox) -> tuple[dict[int, NDArray[Any]], NDArray[np.uint16]]:
        """Return features and clear observations of a box of whole cells; see `FeatureSource`."""
        made, counts = self._make(layout, box, sorted({*layout.resolutions_m, min(self.observing.bands)}))
        return {m: made[m] for m in sorted(set(layout.resolutions_m))}, counts

    def _make(
        self, layout: InputLayout, box: PixelBox, resolutions_m: list[int]
    ) -> tuple[dict[int, NDArray[Any]], NDArray[np.uint16]]:
        """Return the features of some resolutions, and the clear observations at the first of them."""
        made: dict[int, NDArray[Any]] = {}
        counts: dict[int, NDArray[Any]] = {}
        bands = self.observing.bands
        read = sorted({r for m in resolutions_m for r in resolutions_read(self.spec, bands, m)})
        for cell in cells_of(box, cell_px(self.tile_px)):
            seen = self.observing.cell(cell, self.spec.dilate_m, read)
            for m in resolutions_m:
                arrays = reduce_time(self.spec, seen, m, self.season, self.threads, self.device)
                if wanted := layout.bands_at(m):
                    known = indices_at(self.spec, bands, m) if self.spec.kind == "statistics" else bands[m]
                    picked = [known.index(band) for band in wanted]
                    paste(made, {m: arrays[layout.array][:, picked]}, cell.box(m), box.at(m))
                paste(counts, {m: arrays[CLEAR_COUNT]}, cell.box(m), box.at(m))
        return made, counts[resolutions_m[0]]


def check_store(store: Store, layout: InputLayout) -> None:
    """Refuse a feature store that lacks what a layout needs.

    Raises
    ------
    ModelMismatchError
        Naming the array, bands or steps that do not fit.
    """
    if layout.array == SPECTRUM:
        _check_spectra(store, layout)
        return
    for resolution_m in sorted(set(layout.resolutions_m)):
        there = (layout.array, resolution_m) in store.arrays
        known = tuple(map(str, store.labels(layout.band_dimension, resolution_m))) if there else ()
        lacking = [band for band in layout.bands_at(resolution_m) if band not in known]
        if lacking:
            raise ModelMismatchError(
                f"{store.path} has no {layout.array} of {' '.join(lacking)} at {resolution_m} m",
                f"The model takes {layout.feature} with the bands {' '.join(layout.bands)}.",
            )
        steps = store.array(layout.array, resolution_m).leading[0][1]
        if steps != len(layout.series_steps):
            raise ModelMismatchError(
                f"{store.path} has {steps} steps, the model takes {len(layout.series_steps)}",
                "A model needs a season of the same length in windows of the same length.",
            )


def _check_spectra(store: Store, layout: InputLayout) -> None:
    held = sum(spec.leading[0][1] for (name, _), spec in store.arrays.items() if name in (SPECTRUM, JOINED))
    if held != len(layout.series_steps):
        raise ModelMismatchError(
            f"{store.path} has spectra of {held} bands, the model takes {len(layout.series_steps)}",
            f"The model takes {layout.feature}.",
        )
