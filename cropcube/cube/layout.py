"""How the arrays of a store are laid out: dimensions, chunks, shards, and who may write what.

The cube is written by slab (32 days of a tile) and read by tile; features are read by tile and by scattered pixels;
the map is read by desktop GIS. Each has its own chunks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from cropcube.domain.emit import FWHM_NM, GOOD, Seen
from cropcube.domain.lattice import FINEST_M
from cropcube.domain.season import SLAB_DAYS
from cropcube.domain.sensor import NOT_ACQUIRED, READ_FAILED, REFLECTANCE_SCALE
from cropcube.errors import LayoutError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from cropcube.domain.season import Season
    from cropcube.domain.sensor import Sensor

JSON: TypeAlias = "bool | int | float | str | list[JSON] | tuple[JSON, ...] | Mapping[str, JSON] | None"

CUBE_CHUNK_PX = 192
"""Side of the cube's inner chunks, one day each. Measured by benchmarks/bench_chunks.py (four bands, 73 days of a tile
of 768 px, CPU time): 128 / 192 / 256 / 768 px are read by tile at 0.49 / 0.55 / 0.51 / 0.58 GB/s, and give the series
of a pixel in 20 / 33 / 58 / 433 ms."""
EMIT_CHUNK_BANDS, EMIT_CHUNK_PX = 57, 32
"""Bands and side of the inner chunks of EMIT's cube, one day each. Measured by benchmarks/bench_emit_chunks.py (one
processor): 285 x 16 px / 57 x 32 px / 19 x 64 px give the spectrum of a cell in 1.0 / 2.2 / 5.8 ms and the map of a
band of a tile in 14 / 5.6 / 2.7 ms."""
SPECTRA_CHUNK_PX = 16
"""Side of the inner chunks of features of EMIT, all bands: they are read whole, by cells and by strips of tiles."""
FEATURE_CHUNK_M = 640
"""Side of the features' inner chunks, all steps and bands: the same ground at every resolution, so that a square of
samples is whole chunks of all bands. Measured by benchmarks/bench_chunks.py (73 windows, four bands): 32 / 64 / 128 /
256 px at 10 m are read by tile at 0.50 / 0.63 / 0.67 / 0.60 GB/s, and give one pixel in 1.7 / 3.5 / 9.8 / 35 ms."""
TILES_GROUP, PRESENT = "tiles", "present"


@dataclass(frozen=True)
class ArraySpec:
    """One array, in every zone of a store; y and x follow the leading dimensions."""

    name: str
    resolution_m: int
    leading: tuple[tuple[str, int], ...]
    'Names and lengths of the dimensions before y and x: `(("time", 362), ("band", 4))`.'
    dtype: str
    fill_value: int | float
    chunk: tuple[int, ...]
    "Smallest piece that is read: leading dimensions, y, x."
    shard: tuple[int, ...] | None
    "Smallest piece that is written, one file; None = chunks are files of their own (the map)."
    attrs: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """Name of the group of its resolution."""
        return f"r{self.resolution_m}m"

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of all dimensions."""
        return (*(name for name, _ in self.leading), "y", "x")

    @property
    def unit(self) -> tuple[int, ...]:
        """What one file holds, and so what one writer must own."""
        return self.shard or self.chunk

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """Return the shape of the array over `height` rows and `width` columns."""
        return (*(length for _, length in self.leading), height, width)


@dataclass(frozen=True)
class Along:
    """A coordinate along a leading dimension beside its labels."""

    dimension: str
    values: tuple[float | bool, ...]
    attrs: Mapping[str, JSON]


@dataclass(frozen=True)
class StoreSpec:
    """All that a store holds in every zone."""

    kind: str
    "`cube`, `features` or `map`."
    arrays: tuple[ArraySpec, ...]
    coordinates: Mapping[str, tuple[str | int | float | date, ...]] = field(default_factory=dict)
    "Labels of the leading dimensions; a dimension whose labels differ by resolution is given as `band@10`."
    attrs: Mapping[str, JSON] = field(default_factory=dict)
    along: Mapping[str, Along] = field(default_factory=dict)
    "By name."

    def labels(self, dimension: str, resolution_m: int) -> tuple[str | int | float | date, ...] | None:
        """Return the labels of a leading dimension at one resolution, or None if it has none."""
        return self.coordinates.get(f"{dimension}@{resolution_m}", self.coordinates.get(dimension))


def largest_divisor(side_px: int, limit_px: int) -> int:
    """Return the largest divisor of a tile's side that is not over `limit_px`."""
    return next(n for n in range(min(side_px, limit_px), 0, -1) if side_px % n == 0)


def tile_side(tile_px: int, resolution_m: int) -> int:
    """Return the side in pixels at one resolution of a tile of `tile_px` pixels at 10 m."""
    return tile_px * FINEST_M // resolution_m


def cube_spec(season: Season, sensor: Sensor, tile_px: int) -> StoreSpec:
    """Return the layout of the cube: every calendar day of the season, one shard = 32 days x all bands x one tile.

    Parameters
    ----------
    season
        Gives the time axis.
    sensor
        Gives bands and resolutions.
    tile_px
        Side of a tile at 10 m.
    """
    arrays: list[ArraySpec] = []
    time = ("time", season.days)
    coordinates: dict[str, tuple[str | int | float | date, ...]] = {
        "time": tuple(season.date_of(day) for day in range(season.days))
    }
    for resolution_m in sensor.resolutions:
        side = tile_side(tile_px, resolution_m)
        inner = largest_divisor(side, CUBE_CHUNK_PX)
        names = sensor.bands_at(resolution_m)
        if names:
            count = len(names)
            coordinates[f"band@{resolution_m}"] = names
            arrays.append(
                ArraySpec(
                    "reflectance", resolution_m, (time, ("band", count)), "uint16", 0,
                    (1, count, inner, inner), (SLAB_DAYS, count, side, side), _reflectance_attrs(),
                )
            )  # fmt: skip
        if resolution_m == sensor.quality.resolution_m:
            arrays.append(
                ArraySpec(
                    "quality", resolution_m, (time,), "uint8", NOT_ACQUIRED,
                    (1, inner, inner), (SLAB_DAYS, side, side), _quality_attrs(sensor),
                )
            )  # fmt: skip
    return StoreSpec("cube", tuple(arrays), coordinates, {"sensor": sensor.name, "season": str(season)})


def emit_cube_spec(season: Season, sensor: Sensor, tile_px: int) -> StoreSpec:
    """Return the layout of the cube of EMIT: every calendar day of the season, one shard = one day x one tile.

    EMIT comes by a few times a season, so a shard of many days would hold one or two.

    Parameters
    ----------
    season, sensor, tile_px
        As for `cube_spec`.
    """
    resolution_m, count = sensor.quality.resolution_m, len(sensor.bands)
    side = tile_side(tile_px, resolution_m)
    inner = largest_divisor(side, EMIT_CHUNK_PX)
    time, wavelength = ("time", season.days), ("wavelength", count)
    spectra = [
        ArraySpec(
            name, resolution_m, (time, wavelength), "float32", math.nan,
            (1, largest_divisor(count, EMIT_CHUNK_BANDS), inner, inner), (1, count, side, side), attrs,
        )
        for name, attrs in (("reflectance", _EMIT_REFLECTANCE), ("uncertainty", _EMIT_UNCERTAINTY))
    ]  # fmt: skip
    quality = ArraySpec(
        "quality", resolution_m, (time,), "uint8", NOT_ACQUIRED, (1, side, side), (1, side, side), _EMIT_QUALITY
    )
    centres = tuple(band.wavelength_nm for band in sensor.bands)
    days = tuple(season.date_of(day) for day in range(season.days))
    return StoreSpec(
        "cube", (*spectra, quality), {"time": days},
        {"sensor": sensor.name, "season": str(season)},
        {
            "wavelength": Along("wavelength", centres, _NM),
            "wavelength_nm": Along("wavelength", centres, {**_NM, "long_name": "band centre"}),
            "fwhm_nm": Along("wavelength", FWHM_NM, {"units": "nm", "long_name": "full width at half maximum"}),
            "good": Along("wavelength", GOOD, {"long_name": "band that says something of the ground"}),
        },
    )  # fmt: skip


def feature_array(
    name: str, resolution_m: int, leading: tuple[tuple[str, int], ...], dtype: str, tile_px: int
) -> ArraySpec:
    """Return the layout of one array of features: one shard = all steps and bands of one tile.

    What is not written is NaN in floating-point arrays and 0 in integer ones.
    """
    side = tile_side(tile_px, resolution_m)
    inner = largest_divisor(side, FEATURE_CHUNK_M // resolution_m)
    lengths = tuple(length for _, length in leading)
    fill = math.nan if dtype.startswith("float") else 0
    return ArraySpec(name, resolution_m, leading, dtype, fill, (*lengths, inner, inner), (*lengths, side, side))


def map_array(
    name: str, dtype: str, tile_px: int, attrs: Mapping[str, JSON], leading: tuple[tuple[str, int], ...] = ()
) -> ArraySpec:
    """Return the layout of one array of the map at 10 m: unsharded, so that GDAL 3.12 reads it.

    A chunk is a tile, or one layer of it where there are leading dimensions.
    """
    chunk = (*(1 for _ in leading), tile_px, tile_px)
    return ArraySpec(name, FINEST_M, leading, dtype, 0, chunk, None, attrs)


def present_array(days: int, square: int) -> ArraySpec:
    """Return the layout of the days present, per tile: a chunk is what one build task owns."""
    return ArraySpec(PRESENT, 0, (("time", days),), "uint8", 0, (SLAB_DAYS, square, square), None)


def owned_ranges(spec: ArraySpec, shape: tuple[int, ...], ranges: tuple[range, ...]) -> tuple[range, ...]:
    """Return the range of files along every dimension, refusing what is not made of whole files.

    Parameters
    ----------
    spec
        The array.
    shape
        Its shape.
    ranges
        What is to be written or erased, along every dimension.

    Raises
    ------
    LayoutError
        If the ranges leave the array or cut a shard: two writers of one shard lose each other's values silently.
    """
    for name, length, unit, span in zip(spec.dimensions, shape, spec.unit, ranges, strict=True):
        if not 0 <= span.start < span.stop <= length:
            raise LayoutError(
                f"{spec.name} at {spec.resolution_m} m: {name} {span.start}:{span.stop} lies outside 0:{length}",
                "Write within the array.",
            )
        if span.start % unit or (span.stop % unit and span.stop != length):
            raise LayoutError(
                f"{spec.name} at {spec.resolution_m} m: {name} {span.start}:{span.stop} cuts a shard of {unit}",
                "A task writes whole shards: two writers of one shard lose each other's values.",
            )
    return tuple(range(r.start // u, -(-r.stop // u)) for r, u in zip(ranges, spec.unit, strict=True))


_NM: Mapping[str, JSON] = {"units": "nm", "standard_name": "radiation_wavelength"}
_EMIT_REFLECTANCE: Mapping[str, JSON] = {
    "long_name": "surface reflectance",
    "standard_name": "surface_bidirectional_reflectance",
    "units": "1",
    "coordinates": "wavelength_nm fwhm_nm good",
    "comment": "NaN is none, also in bands that the granule marks for a pixel; -0.01 where `good` is false",
}
_EMIT_UNCERTAINTY: Mapping[str, JSON] = {
    "long_name": "uncertainty of surface reflectance (one standard deviation)",
    "units": "1",
    "coordinates": "wavelength_nm fwhm_nm good",
}
_EMIT_QUALITY: Mapping[str, JSON] = {
    "long_name": "what EMIT saw",
    "flag_masks": [bit.value for bit in Seen],
    "flag_meanings": " ".join(bit.name.lower() for bit in Seen if bit.name),
    "comment": f"bits; {NOT_ACQUIRED} not acquired, {READ_FAILED} read failed",
}


def _reflectance_attrs() -> dict[str, JSON]:
    """Return attributes that leave integers integers (`scale_factor` would make xarray decode to float64)."""
    return {
        "long_name": "surface reflectance",
        "standard_name": "surface_bidirectional_reflectance",
        "units": "1",
        "reflectance_scale": REFLECTANCE_SCALE,
        "comment": "stored integer times reflectance_scale is surface reflectance; 0 is no data",
    }


def _quality_attrs(sensor: Sensor) -> dict[str, JSON]:
    return {
        "long_name": f"{sensor.quality.name} class",
        "comment": f"{NOT_ACQUIRED} not acquired, 1 to {sensor.quality_max} the class, {READ_FAILED} read failed",
    }
