"""EMIT L2A granules: three netCDF-4 files of one swath, found, read as far as their headers and refused if not whole.

The layout is that of the mission's own writer (emit-sds/emit-sds-l2a and emit-utils). Files are read with h5py: the
spectra are contiguous in them, and only h5py tells where.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from cropcube.errors import CropcubeError, InvalidInputError, MissingError, ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

NAME = re.compile(r"EMIT_L2A_RFL_(\d{3}_\d{8}T\d{6}_\d+_\d+)\.nc")
"""Version, acquisition, orbit, scene."""
WAVELENGTH_TOLERANCE_NM = 0.01
NO_DATA = -9999.0
"""Fill value where a file states none."""
REFLECTANCE, UNCERTAINTY, MASK, BAND_MASK = "reflectance", "reflectance_uncertainty", "mask", "band_mask"
BANDS, LOCATION = "sensor_band_parameters", "location"
HEADER = (
    f"{BANDS}/wavelengths", f"{BANDS}/fwhm", f"{BANDS}/good_wavelengths",
    f"{LOCATION}/lon", f"{LOCATION}/lat", f"{LOCATION}/glt_x", f"{LOCATION}/glt_y",
)  # fmt: skip
FLAGS = ("Cloud flag", "Cirrus flag", "Water flag", "Spacecraft Flag", "Dilated Cloud Flag", "Aggregate Flag")
"""Layers of the mask that are flags; the other layers are amounts."""
AGAIN = "Download the file again: EMIT L2A reflectance from NASA's LP DAAC (EMITL2ARFL)."


@dataclass(frozen=True, eq=False)
class EmitHeader:
    """What a granule's reflectance file says of itself."""

    path: Path
    lines: int
    samples: int
    "Of the swath."
    wavelengths_nm: NDArray[np.float32]
    "(bands) Centres, ascending."
    fwhm_nm: NDArray[np.float32]
    "(bands) Full widths at half maximum."
    good: NDArray[np.bool_]
    "(bands) False in the windows of water vapour, where reflectance is -0.01 and means nothing."
    glt_shape: tuple[int, int]
    "Rows, columns of the look-up table."
    geotransform: tuple[float, ...]
    "Of the look-up table: left, width of a cell, 0, top, 0, minus its height; degrees."
    start: datetime
    "Begin of the acquisition, UTC."

    @property
    def bands(self) -> int:
        """Number of bands."""
        return len(self.wavelengths_nm)


@dataclass(frozen=True, eq=False)
class EmitGranule:
    """The files of one granule, found to belong together."""

    header: EmitHeader
    uncertainty: Path
    mask: Path
    flags: Mapping[str, int]
    "Layer of the mask that holds each of FLAGS."

    @property
    def name(self) -> str:
        """Version, acquisition, orbit and scene, as in the files' names."""
        return granule_name(self.header.path)


def open_granule(path: Path, uncertainty: Path | None = None, mask: Path | None = None) -> EmitGranule:
    """Read a granule's header and find its companions.

    Parameters
    ----------
    path
        The reflectance file, `EMIT_L2A_RFL_{version}_{datetime}_{orbit}_{scene}.nc`.
    uncertainty, mask
        Its companions; None looks for them beside it.

    Raises
    ------
    InvalidInputError
        If a file is not EMIT L2A, lacks a part, or is of another granule.
    MissingError
        If a file is not there.
    ReadError
        If a file is cut short or damaged.
    """
    header = read_header(path)
    uncertainty = uncertainty or companion(path, "RFLUNCERT")
    mask = mask or companion(path, "MASK")
    _check_uncertainty(header, uncertainty)
    return EmitGranule(header, uncertainty, mask, _check_mask(header, mask))


def granule_name(path: Path) -> str:
    """Return version, acquisition, orbit and scene of a reflectance file, from its name.

    Raises
    ------
    InvalidInputError
        If that is not the name of one.
    """
    found = NAME.fullmatch(path.name)
    if found is None:
        raise InvalidInputError(
            f"{path}: not the name of an EMIT L2A reflectance file",
            "Keep NASA's names, EMIT_L2A_RFL_001_20230401T203751_2309114_002.nc say: companions are found by them.",
        )
    return found.group(1)


def companion(path: Path, kind: str) -> Path:
    """Return the file of the same granule beside a reflectance file; kind is RFLUNCERT or MASK.

    Raises
    ------
    MissingError
        If it is not there.
    """
    beside = path.with_name(f"EMIT_L2A_{kind}_{granule_name(path)}.nc")
    if not beside.is_file():
        raise MissingError(
            f"{path}: its companion {beside.name} is not there",
            "Download it into the same folder: a granule is its RFL, RFLUNCERT and MASK files.",
        )
    return beside


def read_header(path: Path) -> EmitHeader:
    """Read what a reflectance file says of itself, without its spectra.

    Raises
    ------
    InvalidInputError
        If it is not EMIT L2A reflectance, or a part of such a file only.
    MissingError
        If it is not there.
    ReadError
        If it is cut short or damaged.
    """
    with opened(path) as file:
        if REFLECTANCE not in file:
            held = ", ".join(sorted(file)[:6]) or "nothing"
            raise InvalidInputError(
                f"{path} is not EMIT L2A reflectance: it has no variable {REFLECTANCE!r} (it holds {held})",
                "Give the file EMIT_L2A_RFL_*.nc of a granule.",
            )
        _check_whole(path, file, HEADER)
        shape = _shape(path, file, REFLECTANCE, 3)
        lines, samples, bands = shape
        for name in (f"{LOCATION}/lat", f"{LOCATION}/lon"):
            _check_shape(path, file, name, (lines, samples))
        for name in HEADER[:3]:
            _check_shape(path, file, name, (bands,))
        glt_shape = _shape(path, file, f"{LOCATION}/glt_x", 2)
        _check_shape(path, file, f"{LOCATION}/glt_y", glt_shape)
        return EmitHeader(
            path,
            lines,
            samples,
            _wavelengths(path, file),
            np.asarray(file[f"{BANDS}/fwhm"][:], np.float32),
            file[f"{BANDS}/good_wavelengths"][:] == 1,  # 0 = bad; 241, the fill value, says nothing good either
            (glt_shape[0], glt_shape[1]),
            _geotransform(path, file),
            _start(path, file),
        )


def check_same_bands(first: EmitHeader, other: EmitHeader) -> None:
    """Refuse a granule whose bands are not those of another: spectra of both cannot lie in one cube.

    Raises
    ------
    InvalidInputError
        If numbers of bands differ, or wavelengths by over 0.01 nm.
    """
    _compare_bands(first, other.path, other.wavelengths_nm)


def fill_of(dataset: Any) -> float:
    """Return the value that stands for no data in a variable."""
    stated = dataset.attrs.get("_FillValue", dataset.attrs.get("missing_value"))
    return NO_DATA if stated is None else float(np.ravel(stated)[0])


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file and say what is wrong with it, also if reading fails later.

    Raises
    ------
    InvalidInputError
        If it is no netCDF-4 file.
    MissingError
        If it is not there.
    ReadError
        If it is cut short or damaged.
    """
    if not path.is_file():
        raise MissingError(f"{path} is not there", "Give the path of an EMIT L2A file, EMIT_L2A_RFL_*.nc.")
    with reading(path):
        if not h5py.is_hdf5(path):
            raise _not_hdf5(path)
        with h5py.File(path, "r") as file:
            yield file


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file in what reading it raises.

    Raises
    ------
    ReadError
        If it is cut short or damaged.
    """
    try:
        yield
    except CropcubeError:
        raise
    except (OSError, RuntimeError, KeyError) as error:  # h5py names what it cannot decode in any of them
        how = "is cut short" if "truncated" in str(error) else "cannot be read"
        raise ReadError(f"{path} {how} ({str(error)[:200]})", AGAIN) from error


def _not_hdf5(path: Path) -> CropcubeError:
    """Return the error for a file that is not HDF5: what failed downloads leave has its own words."""
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return ReadError(f"{path} is empty", AGAIN)
    if head.lstrip()[:1] == b"<":
        return InvalidInputError(
            f"{path} is a web page and not EMIT: the server answered the download with it",
            "Log in to NASA Earthdata for the download (https://urs.earthdata.nasa.gov), and download it again.",
        )
    return InvalidInputError(f"{path} is not EMIT: no netCDF-4 (HDF5) file", "Give EMIT_L2A_RFL_*.nc of a granule.")


def _check_whole(path: Path, file: Any, names: tuple[str, ...]) -> None:
    lacking = [f"/{name}" for name in names if name not in file or not isinstance(file[name], h5py.Dataset)]
    if lacking:
        raise InvalidInputError(
            f"{path} is only a part of an EMIT L2A granule: it lacks {', '.join(lacking)}",
            "Give the whole file as NASA's LP DAAC serves it; crops of it have no place on the Earth.",
        )


def _shape(path: Path, file: Any, name: str, dimensions: int) -> tuple[int, ...]:
    shape: tuple[int, ...] = file[name].shape
    if len(shape) != dimensions or 0 in shape:
        raise InvalidInputError(f"{path}: /{name} has shape {shape}; expected {dimensions} dimensions", AGAIN)
    return shape


def _check_shape(path: Path, file: Any, name: str, shape: tuple[int, ...]) -> None:
    if file[name].shape != shape:
        raise InvalidInputError(
            f"{path}: /{name} has shape {file[name].shape}; the granule's would be {shape}",
            "Give files of one granule as they were downloaded.",
        )


def _wavelengths(path: Path, file: Any) -> NDArray[np.float32]:
    values = np.asarray(file[f"{BANDS}/wavelengths"][:], np.float32)
    if not (np.isfinite(values).all() and values[0] > 0 and (np.diff(values) > 0).all()):
        raise InvalidInputError(f"{path}: its wavelengths do not ascend from above 0 nm", AGAIN)
    return values


def _geotransform(path: Path, file: Any) -> tuple[float, ...]:
    values = tuple(float(value) for value in np.ravel(file.attrs.get("geotransform", ())))
    if len(values) != 6 or values[2] or values[4] or not (values[1] > 0 > values[5]):
        raise InvalidInputError(
            f"{path}: geotransform {values}; expected left, width > 0, 0, top, 0, height < 0 in degrees", AGAIN
        )
    return values


def _start(path: Path, file: Any) -> datetime:
    said = text_of(file.attrs.get("time_coverage_start", ""))
    try:
        when = datetime.fromisoformat(said)
    except ValueError:
        raise InvalidInputError(f"{path}: time_coverage_start {said!r} is not a time", AGAIN) from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def text_of(value: Any) -> str:
    """Return text that was stored as bytes, as a string or as an array of one."""
    value = np.ravel(value)[0] if np.size(value) else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _check_uncertainty(header: EmitHeader, path: Path) -> None:
    with opened(path) as file:
        _check_whole(path, file, (UNCERTAINTY,))
        _check_shape(path, file, UNCERTAINTY, (header.lines, header.samples, header.bands))
        if f"{BANDS}/wavelengths" in file:
            _compare_bands(header, path, _wavelengths(path, file))


def _check_mask(header: EmitHeader, path: Path) -> dict[str, int]:
    """Return the layer of each flag, looked up by name: their order is not promised."""
    with opened(path) as file:
        _check_whole(path, file, (MASK, BAND_MASK, f"{BANDS}/mask_bands"))
        names = [text_of(name) for name in file[f"{BANDS}/mask_bands"][:]]
        _check_shape(path, file, MASK, (header.lines, header.samples, len(names)))
        *swath, packed = _shape(path, file, BAND_MASK, 3)
        if tuple(swath) != (header.lines, header.samples) or packed * 8 < header.bands:
            raise InvalidInputError(
                f"{path}: /{BAND_MASK} has shape {(*swath, packed)}; expected {(header.lines, header.samples)} and at "
                f"least {-(-header.bands // 8)} bytes of bits for {header.bands} bands",
                "Give files of one granule as they were downloaded.",
            )
    layers = {_plain(name): layer for layer, name in enumerate(names)}
    lacking = [flag for flag in FLAGS if _plain(flag) not in layers]
    if lacking:
        raise InvalidInputError(f"{path}: its mask has no layer {', '.join(lacking)}; it has {', '.join(names)}", AGAIN)
    return {flag: layers[_plain(flag)] for flag in FLAGS}


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().lower()


def _compare_bands(header: EmitHeader, path: Path, wavelengths_nm: NDArray[np.float32]) -> None:
    if len(wavelengths_nm) != header.bands:
        raise InvalidInputError(
            f"{path} has {len(wavelengths_nm)} bands, {header.path.name} has {header.bands}",
            "Granules of one cube have the same bands; leave this one out.",
        )
    apart = np.abs(wavelengths_nm.astype(np.float64) - header.wavelengths_nm)
    worst = int(apart.argmax())
    if apart[worst] > WAVELENGTH_TOLERANCE_NM:
        raise InvalidInputError(
            f"{path}: band {worst} lies at {wavelengths_nm[worst]:.4f} nm, in {header.path.name} at "
            f"{header.wavelengths_nm[worst]:.4f} nm; {int((apart > WAVELENGTH_TOLERANCE_NM).sum())} of {header.bands} "
            f"bands differ by over {WAVELENGTH_TOLERANCE_NM} nm",
            "Granules of one cube have the same bands; leave this one out.",
        )
