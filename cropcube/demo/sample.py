"""The shipped samples, as arrays: pixels, dates, clouds and labels are real."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError, MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import xarray as xr
    from numpy.typing import NDArray

PATCH = "0000280849BAC91C_32631_2018-08-01_2019-11-30"
"""The square behind `cropcube demo`, all bands."""
COARSE_PATCH = "000028085BF08E7E_32631_2018-08-01_2019-11-30"
"""Another square, 70 km away, of which only the 20 m bands are shipped."""
COLOURS = {
    1110: "#f29a1f",
    1200: "#f2e85a",
    1500: "#cfc3b4",
    1510: "#6b3210",
    1910: "#80a0e0",
    5100: "#7d55d6",
    8100: "#e0284a",
    9120: "#0c8c85",
}
"""Ours: the sample's legend has no colours."""


@dataclass(frozen=True)
class Sample:
    """Time series and labels of one square of ground."""

    epsg: int
    left_m: int
    "x of the left edge."
    top_m: int
    "y of the top edge."
    mgrs_tile: str
    when: tuple[datetime, ...]
    "Acquisitions, UTC, ascending."
    bands: Mapping[str, NDArray[Any]]
    "(T, Y, X) by label at native resolution: uint16 reflectance x 10000 (0 = no data), SCL uint8."
    sun_elevation: tuple[float | None, ...]
    "Degrees, by date; None where the file has none."
    sun_azimuth: tuple[float | None, ...]
    labels_YX: NDArray[np.uint16]
    "Crop-type codes at 10 m, 0 = none."

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Left, bottom, right, top in metres."""
        height, width = self.labels_YX.shape
        return self.left_m, self.top_m - height * 10, self.left_m + width * 10, self.top_m


@dataclass(frozen=True)
class LegendRow:
    """One crop type of the sample."""

    code: int
    name: str
    colour: str


def _open(name: str, patch: str) -> xr.Dataset:
    """Return one shipped file in memory, undecoded but for its times."""
    import xarray as xr

    resource = files("cropcube.demo").joinpath("data", f"{name}_{patch}.nc")
    if not resource.is_file():
        raise MissingError(f"the sample file {resource.name} is not in the package", "Install cropcube again.")
    with as_file(resource) as path, xr.open_dataset(path, engine="h5netcdf", mask_and_scale=False) as dataset:
        return dataset.load()


def _pixels(variable: xr.DataArray) -> NDArray[Any]:
    """Return stored integers whose fill is 0 and whose scale is the one of the cube (or 1 for classes)."""
    fill = variable.attrs.get("_FillValue", 0)
    scale = float(variable.attrs.get("scale_factor", 1))
    expected = 1.0 if variable.name == SENTINEL2.quality.name else 1e-4
    if fill != 0 or not np.isclose(scale, expected):
        raise InvalidInputError(
            f"{variable.name} of the sample has fill {fill} and scale {scale}, not 0 and {expected}",
            "The shipped files were changed: install cropcube again.",
        )
    return np.ascontiguousarray(variable.values)


def _angles(variable: xr.DataArray) -> tuple[float | None, ...]:
    """Return degrees by date; the file's fill is 0."""
    return tuple(None if value == 0 else float(value) for value in variable.values)


def load_sample(patch: str = PATCH) -> Sample:
    """Read the shipped files of a square of ground.

    Parameters
    ----------
    patch
        `PATCH`, or `COARSE_PATCH`, which has no 10 m bands.

    Raises
    ------
    MissingError, InvalidInputError
        If the package was installed without them, or they were changed.
    """
    coarse, labels = _open("S2_L2A_20m", patch), _open("OUTPUT_POLY-110_10m", patch)
    fine = _open("S2_L2A_10m", patch) if patch != COARSE_PATCH else coarse
    names = [band.name for band in (*SENTINEL2.bands, SENTINEL2.quality)]
    bands = {name: _pixels(found[name]) for name in names for found in (fine, coarse) if name in found}
    seconds = coarse["timestamp"].values.astype("datetime64[s]").astype(np.int64)
    zeniths = _angles(coarse["sunZenithAngles"])
    return Sample(
        epsg=int(coarse.attrs["epsg"]),
        left_m=round(float(coarse["x"][0]) - 10),
        top_m=round(float(coarse["y"][0]) + 10),
        mgrs_tile=str(coarse.attrs["tile"]),
        when=tuple(datetime.fromtimestamp(int(second), UTC) for second in seconds),
        bands=bands,
        sun_elevation=tuple(None if zenith is None else 90.0 - zenith for zenith in zeniths),
        sun_azimuth=_angles(coarse["sunAzimuthAngles"]),
        labels_YX=np.ascontiguousarray(labels["CT"].values),
    )


def sample_legend(patch: str = PATCH) -> tuple[LegendRow, ...]:
    """Return the crop types that occur in a sample, by code, with names as shipped and colours of ours."""
    text = files("cropcube.demo").joinpath("data", "legend.csv").read_text(encoding="utf-8")
    rows = {int(row["code"]): row["name"] for row in csv.DictReader(text.splitlines()) if row["layer"] == "CT"}
    found = set(load_sample(patch).labels_YX.ravel().tolist())
    return tuple(LegendRow(code, rows[code], COLOURS[code]) for code in sorted(found - {0}))
