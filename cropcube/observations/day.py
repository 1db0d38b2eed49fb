"""All scenes of one day, seen on one rectangle: reflectance, quality and what could not be read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.lattice import PixelBox
from cropcube.domain.sensor import NOT_ACQUIRED, READ_FAILED
from cropcube.errors import InvalidInputError, ReadError
from cropcube.observations.checksums import REPLACE
from cropcube.observations.extent import extent_on
from cropcube.observations.mosaic import NOBODY, choose_NYX, in_order
from cropcube.observations.radiometry import lookup_table, to_stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cropcube.domain.scene import Scene
    from cropcube.domain.sensor import Sensor
    from cropcube.observations.reader import Reader


@dataclass(frozen=True)
class FailedRead:
    """One file of one scene that could not be read."""

    scene: str
    band: str
    error: str


@dataclass(frozen=True, eq=False)
class DayPixels:
    """One day on one rectangle, unmasked."""

    reflectance: Mapping[int, NDArray[np.uint16]]
    "(B, Y, X) by resolution in metres, in units of 1e-4, 0 no data."
    quality: NDArray[np.uint8]
    "(Yq, Xq): 0 not acquired, 1 to 11 the SCL class, 254 read failed."
    failed: tuple[FailedRead, ...]
    scenes: tuple[Scene, ...]
    "That took part."
    origin: NDArray[np.int16]
    "(Yq, Xq): which of `scenes` a pixel is from, -1 where none has it."

    def used(self, rows: slice, cols: slice) -> list[Scene]:
        """Return the scenes that some pixels of a part of the quality grid are from."""
        return [self.scenes[number] for number in np.unique(self.origin[rows, cols]).tolist() if number != NOBODY]


def observe_day(scenes: Sequence[Scene], sensor: Sensor, box: PixelBox, reader: Reader, threads: int = 1) -> DayPixels:
    """Return the mosaic of the scenes of one day.

    The scene of each pixel is decided on the quality grid; bands are read only of scenes that have a pixel. A scene
    with a file that cannot be read takes no part: its pixels go to the next scene that has them, and are marked as
    failed where there is none.

    Parameters
    ----------
    scenes
        Scenes of one solar day.
    sensor
        Bands wanted, and the quality band.
    box
        The rectangle at the quality resolution.
    reader
        Reads raw numbers; must stand being called from several threads.
    threads
        Files read at the same time.

    Raises
    ------
    InvalidInputError
        If a band is coarser than the quality grid.
    """
    coarse = [band.name for band in sensor.bands if sensor.quality.resolution_m % band.resolution_m]
    if coarse:
        raise InvalidInputError(f"bands {' '.join(coarse)} do not nest in the {sensor.quality.resolution_m} m grid")
    with ThreadPoolExecutor(max(1, threads)) as pool:
        mosaic = _Mosaic(sensor, box, reader, pool)
        mosaic.look(in_order(scenes))
        mosaic.fill()
    return mosaic.result()


class _Mosaic:
    """A day in the making."""

    def __init__(self, sensor: Sensor, box: PixelBox, reader: Reader, pool: ThreadPoolExecutor) -> None:
        self.sensor, self.box, self.reader, self.pool = sensor, box, reader, pool
        self.seen: list[tuple[Scene, NDArray[np.uint8]]] = []
        self.failed: list[FailedRead] = []
        self.lost = np.zeros(box.shape, dtype=bool)
        self.written = np.zeros(box.shape, dtype=bool)
        self.quality = np.zeros(box.shape, dtype=np.uint8)
        self.used: list[Scene] = []
        self.origin = np.full(box.shape, NOBODY, dtype=np.int16)
        self.reflectance = {
            resolution: np.zeros((len(sensor.bands_at(resolution)), *box.at(resolution).shape), dtype=np.uint16)
            for resolution in sensor.resolutions
            if sensor.bands_at(resolution)
        }

    def look(self, scenes: Sequence[Scene]) -> None:
        """Read the quality of each scene."""
        reads = [self.pool.submit(_read_quality, scene, self.sensor, self.box, self.reader) for scene in scenes]
        for scene, read in zip(scenes, reads, strict=True):
            try:
                self.seen.append((scene, read.result()))
            except ReadError as error:
                self.failed.append(FailedRead(scene.id, self.sensor.quality.name, error.what))
                self.lost |= extent_on(scene, self.box)

    def fill(self) -> None:
        """Take every pixel from its scene; the pixels of a scene that cannot be read go on to the next."""
        while self.seen:
            chosen = choose_NYX([quality for _, quality in self.seen])
            open_pixels = chosen[(chosen != NOBODY) & ~self.written]
            if not open_pixels.size:
                return
            number = int(open_pixels.min())
            pixels = (chosen == number) & ~self.written
            scene, quality = self.seen[number]
            failed = self._take(scene, pixels)
            if failed:
                self.failed += failed
                self.lost |= quality != NOT_ACQUIRED
                del self.seen[number]
            else:
                self.quality[pixels] = quality[pixels]
                if scene not in self.used:
                    self.used.append(scene)
                self.origin[pixels] = self.used.index(scene)
                self.written |= pixels

    def result(self) -> DayPixels:
        """Return the day; what was lost and is seen by no other scene is marked."""
        self.quality[self.lost & (self.quality == NOT_ACQUIRED)] = READ_FAILED
        return DayPixels(self.reflectance, self.quality, tuple(self.failed), tuple(self.used), self.origin)

    def _take(self, scene: Scene, pixels: NDArray[np.bool_]) -> list[FailedRead]:
        """Write some pixels of every band from one scene; nothing stays written if a band fails."""
        part, (rows, cols) = _bounding(pixels, self.box)
        inside = pixels[rows, cols]
        table = lookup_table(scene.radiometry)
        failed = []
        for resolution, out in self.reflectance.items():
            times = self.box.resolution_m // resolution
            wanted = inside.repeat(times, axis=0).repeat(times, axis=1)
            window = (slice(rows.start * times, rows.stop * times), slice(cols.start * times, cols.stop * times))
            names = self.sensor.bands_at(resolution)
            reads = [self.pool.submit(self.reader.read, scene, name, part.at(resolution)) for name in names]
            for place, (name, read) in enumerate(zip(names, reads, strict=True)):
                try:
                    dn = read.result()
                except ReadError as error:
                    failed.append(FailedRead(scene.id, name, error.what))
                else:
                    np.copyto(out[place][window], to_stored(dn.astype(np.uint16, copy=False), table), where=wanted)
        if failed:
            self._wipe(pixels)
        return failed

    def _wipe(self, pixels: NDArray[np.bool_]) -> None:
        for resolution, out in self.reflectance.items():
            times = self.box.resolution_m // resolution
            out[:, pixels.repeat(times, axis=0).repeat(times, axis=1)] = 0


def _read_quality(scene: Scene, sensor: Sensor, box: PixelBox, reader: Reader) -> NDArray[np.uint8]:
    """Return the class of every pixel.

    Raises
    ------
    ReadError
        If the file cannot be read, or holds a class that does not exist.
    """
    quality = reader.read(scene, sensor.quality.name, box).astype(np.uint8, copy=False)
    highest = int(quality.max(initial=0))
    if highest > sensor.quality_max:
        href = scene.asset(sensor.quality.name).href
        raise ReadError(
            f"{scene.id} {sensor.quality.name}: class {highest} in {href}; the highest is {sensor.quality_max}", REPLACE
        )
    if scene.epsg == box.lattice.epsg:
        return quality
    return np.where(_is_whole(scene, sensor, box, reader), quality, np.uint8(NOT_ACQUIRED))


def _is_whole(scene: Scene, sensor: Sensor, box: PixelBox, reader: Reader) -> NDArray[np.bool_]:
    """Return which pixels of a warped scene are seen in all their finer parts.

    The edge of what it has seen cuts through pixels there. Taken from it, such a one would leave a hole in the finer
    bands where the next scene has all of it.
    """
    finest_m = min(sensor.resolutions)
    (rows, cols), times = box.shape, box.resolution_m // finest_m
    seen = reader.read(scene, sensor.quality.name, box.at(finest_m)) != NOT_ACQUIRED
    return np.asarray(seen.reshape(rows, times, cols, times).all(axis=(1, 3)))


def _bounding(pixels: NDArray[np.bool_], box: PixelBox) -> tuple[PixelBox, tuple[slice, slice]]:
    """Return the smallest rectangle that holds the wanted pixels, as a box and as slices of `box`."""
    rows, cols = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    row, height = int(rows[0]), int(rows[-1] - rows[0]) + 1
    col, width = int(cols[0]), int(cols[-1] - cols[0]) + 1
    part = PixelBox(box.lattice, box.resolution_m, box.row + row, box.col + col, height, width)
    return part, (slice(row, row + height), slice(col, col + width))
