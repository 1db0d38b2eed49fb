"""EMIT L2A granules of real spectra over a swath of known geometry, laid out as the mission writes them."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

REAL = Path(__file__).parents[1] / "data" / "emit"
ENVI = REAL / "emit20250324t221005_jpl_unmix_ex"
POINTS = REAL / "emit_l2a_point_spectra_dangermond_2023.csv"
CROP = REAL / "EMIT_L2A_RFL_001_20241006T165148_2428011_003_crop.nc"
ALL_BANDS, STEP_DEG, FILL = 285, 0.000542232520256, -9999.0
METRES_A_DEGREE = 6371008.8 * np.pi / 180
MASK_BANDS = (
    "Cloud flag", "Cirrus flag", "Water flag", "Spacecraft Flag", "Dilated Cloud Flag", "AOD550", "H2O (g cm-2)",
    "Aggregate Flag",
)  # fmt: skip
TOGETHER = 64
"""Lines written at a time: a granule of full size is never held."""


@dataclass(frozen=True)
class Swath:
    """Where the pixels lie, and how much there is of them."""

    lines: int = 120
    samples: int = 100
    bands: int = 12
    angle_deg: float = 20.0
    "By which the lines are turned from east, anticlockwise."
    lat: float = 33.0
    lon: float = -116.0
    "Of the swath's middle."
    spacing_m: float = 60.0
    bend_m: float = 0.0
    "How far pixels are moved from straight lines, as relief and a trembling platform do."
    lost: tuple[int, ...] = ()
    "Lines that were not seen: place and spectra are the fill value."

    def place(self, line: Any, sample: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return latitude and longitude of the centres of pixels."""
        line, sample = np.asarray(line, np.float64), np.asarray(sample, np.float64)
        across = (sample - (self.samples - 1) / 2) * self.spacing_m + self.bend_m * np.sin(line / 5 + sample / 3)
        along = (line - (self.lines - 1) / 2) * self.spacing_m + self.bend_m * np.cos(line / 7 - sample / 4)
        turn = np.deg2rad(self.angle_deg)
        north = across * np.sin(turn) - along * np.cos(turn)
        lat = self.lat + north / METRES_A_DEGREE
        east = across * np.cos(turn) + along * np.sin(turn)
        return lat, self.lon + east / (METRES_A_DEGREE * np.cos(np.deg2rad(lat)))

    def pixel_at(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return line and sample nearest to places, as if the lines were straight; also outside of the swath."""
        north = (lat - self.lat) * METRES_A_DEGREE
        east = (lon - self.lon) * METRES_A_DEGREE * np.cos(np.deg2rad(lat))
        turn = np.deg2rad(self.angle_deg)
        across = east * np.cos(turn) + north * np.sin(turn)
        along = east * np.sin(turn) - north * np.cos(turn)
        line = np.rint(along / self.spacing_m + (self.lines - 1) / 2).astype(np.int32)
        return line, np.rint(across / self.spacing_m + (self.samples - 1) / 2).astype(np.int32)

    def location(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return latitude and longitude of all pixels, (lines, samples)."""
        lat, lon = self.place(*np.mgrid[: self.lines, : self.samples])
        lat[list(self.lost)] = lon[list(self.lost)] = FILL
        return lat, lon


@dataclass(frozen=True)
class Files:
    """How a granule is stored."""

    chunked: bool = False
    "In deflated chunks, not in one piece."
    chunk: tuple[int, int, int] = (16, 32, 8)
    name: str = "001_20230401T203751_2309114_002"
    packed_bytes: int | None = None
    "Length of the band mask's last dimension; None = just enough."
    byte_attributes: bool = False
    "Attributes as bytes of fixed length, as netCDF-C writes them."


@cache
def real_spectra() -> NDArray[np.float32]:
    """Return 110 real spectra of 285 bands: the cube's pixels, then the points."""
    cube = np.fromfile(ENVI, "<f4").reshape(10, ALL_BANDS, 10).transpose(0, 2, 1).reshape(100, ALL_BANDS)
    with POINTS.open(encoding="utf-8") as file:
        points = [[float(value) for value in row[3:]] for row in list(csv.reader(file))[1:]]
    return np.concatenate([cube, np.array(points, np.float32)])


@cache
def real_bands() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    """Return wavelengths, widths and which bands are good."""
    text = ENVI.with_name(ENVI.name + ".hdr").read_text(encoding="utf-8")
    found = [
        [float(n) for n in re.search(rf"^{key} = {{([^}}]*)}}", text, re.MULTILINE).group(1).split(",")]  # type: ignore[union-attr]
        for key in ("wavelength", "fwhm", "bbl")
    ]
    return np.array(found[0], np.float32), np.array(found[1], np.float32), np.array(found[2], np.uint8)


def chosen(bands: int) -> NDArray[np.int64]:
    """Return which of the 285 bands a granule of fewer has."""
    return np.linspace(0, ALL_BANDS - 1, bands).round().astype(np.int64)


def spectra(swath: Swath, first: int, stop: int) -> NDArray[np.float32]:
    """Return the reflectance of some lines, (lines, samples, bands): real spectra, no two neighbours alike."""
    line, sample = np.mgrid[first:stop, : swath.samples]
    number = line * swath.samples + sample
    library = real_spectra()[:, chosen(swath.bands)]
    values = library[number * 7 % len(library)]
    brightness = (1 + number % 1009 / 2000).astype(np.float32)[..., None]
    values = np.where(values == np.float32(-0.01), values, values * brightness)
    values[np.isin(np.arange(first, stop), swath.lost)] = FILL
    return values


def uncertainties(swath: Swath, first: int, stop: int) -> NDArray[np.float32]:
    """Return the uncertainty of some lines."""
    values = spectra(swath, first, stop)
    return np.where(values == FILL, values, np.abs(values) * np.float32(0.05) + np.float32(0.001))


def masks(swath: Swath) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the mask (lines, samples, 8) and the unpacked band mask (lines, samples, bands)."""
    random = np.random.default_rng(swath.lines)
    mask = (random.random((swath.lines, swath.samples, 8)) < 0.2).astype(np.float32)
    mask[..., 5:7] = random.random((swath.lines, swath.samples, 2))
    mask[..., 7] = mask[..., :5].any(axis=-1)
    mask[list(swath.lost)] = FILL
    marked = np.zeros((swath.lines, swath.samples, swath.bands), np.uint8)
    marked[random.random(marked.shape) < 0.05] = 1
    return mask, marked


def look_up_table(swath: Swath) -> tuple[NDArray[np.int32], NDArray[np.int32], tuple[float, ...]]:
    """Return glt_x, glt_y and the geotransform. Cells of the swath that no pixel's centre falls into are negative."""
    lat, lon = swath.location()
    seen = lat != FILL
    left, top = lon[seen].min() - STEP_DEG, lat[seen].max() + STEP_DEG
    cols = int((lon[seen].max() - left) / STEP_DEG) + 2
    rows = int((top - lat[seen].min()) / STEP_DEG) + 2
    glt_x, glt_y = np.zeros((rows, cols), np.int32), np.zeros((rows, cols), np.int32)
    hit = np.zeros((rows, cols), bool)
    hit[((top - lat[seen]) / STEP_DEG).astype(int), ((lon[seen] - left) / STEP_DEG).astype(int)] = True
    for row in range(rows):
        cell_lon = left + (np.arange(cols) + 0.5) * STEP_DEG
        line, sample = swath.pixel_at(np.full(cols, top - (row + 0.5) * STEP_DEG), cell_lon)
        inside = (line >= 0) & (line < swath.lines) & (sample >= 0) & (sample < swath.samples)
        inside &= ~np.isin(line, swath.lost)
        sign = np.where(hit[row], 1, -1)
        glt_x[row] = np.where(inside, sign * (sample + 1), 0)
        glt_y[row] = np.where(inside, sign * (line + 1), 0)
    return glt_x, glt_y, (left, STEP_DEG, 0.0, top, 0.0, -STEP_DEG)


def write_granule(folder: Path, swath: Swath, files: Files | None = None) -> Path:
    """Write the three files of a granule; return the path of the reflectance."""
    files = files or Files()
    folder.mkdir(parents=True, exist_ok=True)
    table = look_up_table(swath)
    for kind, name, values in (
        ("RFL", "reflectance", spectra),
        ("RFLUNCERT", "reflectance_uncertainty", uncertainties),
    ):
        with h5netcdf.File(folder / f"EMIT_L2A_{kind}_{files.name}.nc", "w") as file:
            _start(file, swath, table, files)
            file.dimensions["bands"] = swath.bands
            _spectral(file, swath)
            variable = _cube(file, name, "f4", ("downtrack", "crosstrack", "bands"), files)
            for first in range(0, swath.lines, TOGETHER):
                stop = min(swath.lines, first + TOGETHER)
                variable[first:stop] = values(swath, first, stop)
    _write_mask(folder / f"EMIT_L2A_MASK_{files.name}.nc", swath, table, files)
    return folder / f"EMIT_L2A_RFL_{files.name}.nc"


def _write_mask(path: Path, swath: Swath, table: tuple[Any, ...], files: Files) -> None:
    mask, marked = masks(swath)
    packed = np.packbits(marked, axis=-1)
    if files.packed_bytes is not None:
        packed = np.pad(packed, ((0, 0), (0, 0), (0, files.packed_bytes - packed.shape[-1])))
    with h5netcdf.File(path, "w") as file:
        _start(file, swath, table, files)
        file.dimensions["bands"] = len(MASK_BANDS)
        file.dimensions["packed_wavelength_bands"] = packed.shape[-1]
        names = file.create_variable("/sensor_band_parameters/mask_bands", ("bands",), h5py.string_dtype())
        names[:] = np.array(MASK_BANDS, object)
        _cube(file, "mask", "f4", ("downtrack", "crosstrack", "bands"), files)[:] = mask
        _cube(file, "band_mask", "u1", ("downtrack", "crosstrack", "packed_wavelength_bands"), files)[:] = packed


def _cube(file: Any, name: str, dtype: str, dimensions: tuple[str, ...], files: Files) -> Any:
    sizes = [file.dimensions[key].size for key in dimensions]
    stored: dict[str, Any] = {}
    if files.chunked:
        chunks = tuple(min(pair) for pair in zip(files.chunk, sizes, strict=True))
        stored = {"chunks": chunks, "compression": "gzip", "compression_opts": 1, "shuffle": True}
    fill = np.float32(FILL) if dtype == "f4" else None
    variable = file.create_variable(name, dimensions, dtype, fillvalue=fill, **stored)
    if name == "reflectance":
        variable.attrs["long_name"], variable.attrs["units"] = "Surface Reflectance", "unitless"
    return variable


def _start(file: Any, swath: Swath, table: tuple[Any, ...], files: Files) -> None:
    """Write what all files of a granule have: dimensions, attributes, place."""
    glt_x, glt_y, geotransform = table
    file.dimensions["downtrack"], file.dimensions["crosstrack"] = swath.lines, swath.samples
    file.dimensions["ortho_y"], file.dimensions["ortho_x"] = glt_x.shape
    lat, lon = swath.location()
    when = datetime.strptime(files.name.split("_")[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    said = {
        "title": "EMIT L2A Estimated Surface Reflectance 60 m V001", "Conventions": "CF-1.63",
        "product_version": "V001", "flight_line": "emit20230401t203751_o09114_s000", "day_night_flag": "Day",
        "time_coverage_start": f"{when:%Y-%m-%dT%H:%M:%S%z}",
        "time_coverage_end": f"{when + timedelta(seconds=12):%Y-%m-%dT%H:%M:%S%z}",
        "crosstrack_orientation": "as seen on ground",
        "spatial_ref": CRS.from_epsg(4326).to_wkt("WKT1_GDAL"),
    }  # fmt: skip
    for key, text in said.items():
        file.attrs[key] = np.bytes_(text) if files.byte_attributes else text
    seen = lat != FILL
    file.attrs["geotransform"] = np.array(geotransform)
    file.attrs["spatialResolution"] = np.array([STEP_DEG])
    file.attrs["easternmost_longitude"] = np.array([lon[seen].max()])
    file.attrs["westernmost_longitude"] = np.array([lon[seen].min()])
    file.attrs["northernmost_latitude"] = np.array([lat[seen].max()])
    file.attrs["southernmost_latitude"] = np.array([lat[seen].min()])
    for name, values in (("lon", lon), ("lat", lat), ("elev", np.where(seen, 100.0, FILL))):
        file.create_variable(f"/location/{name}", ("downtrack", "crosstrack"), "f8", fillvalue=FILL)[:] = values
    for name, values in (("glt_x", glt_x), ("glt_y", glt_y)):
        chunks = tuple(min(size, 1024) for size in values.shape)
        file.create_variable(
            f"/location/{name}", ("ortho_y", "ortho_x"), "i4", fillvalue=0, chunks=chunks, compression="gzip",
            compression_opts=9,
        )[:] = values  # fmt: skip


def _spectral(file: Any, swath: Swath) -> None:
    wavelengths, widths, good = (values[chosen(swath.bands)] for values in real_bands())
    for name, dtype, values, fill in (
        ("wavelengths", "f4", wavelengths, np.float32(FILL)),
        ("fwhm", "f4", widths, np.float32(FILL)),
        ("good_wavelengths", "u1", good, np.uint8(241)),
    ):
        file.create_variable(f"/sensor_band_parameters/{name}", ("bands",), dtype, fillvalue=fill)[:] = values
