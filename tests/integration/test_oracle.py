"""Cube, medians and harmonics of the sample, rebuilt with plain NumPy straight from the netCDF files."""

from datetime import date, datetime, timedelta
from importlib.resources import files

import h5py
import numpy as np
import pytest
import zarr

PATCH = "0000280849BAC91C_32631_2018-08-01_2019-11-30.nc"
START, STOP = date(2018, 12, 1), date(2019, 11, 28)
LEFT_M, TOP_M, SIDE_M = 574680, 5622440, 640
BANDS = {10: ["B02", "B03", "B04", "B08"], 20: ["B05", "B06", "B07", "B8A", "B11", "B12"]}
MARGIN_PX = 8
CLEAR_CLASSES = (4, 5, 6, 7)


class Truth:
    """The files, as h5py sees them."""

    def __init__(self) -> None:
        self.fine, self.coarse = (self.read(name) for name in ("S2_L2A_10m", "S2_L2A_20m"))
        days = np.array([(when.date() - START).days for when in self.times()])
        self.chosen = (days >= 0) & (days < (STOP - START).days)
        self.day = days[self.chosen]

    @staticmethod
    def read(name: str) -> dict[str, np.ndarray]:
        with h5py.File(str(files("cropcube.demo") / "data" / f"{name}_{PATCH}")) as file:
            return {key: value[()] for key, value in file.items()}

    @staticmethod
    def times() -> list[datetime]:
        with h5py.File(str(files("cropcube.demo") / "data" / f"S2_L2A_10m_{PATCH}")) as file:
            unit, since = str(file["timestamp"].attrs["units"]).split(" since ")
            assert unit == "seconds"
            return [datetime.fromisoformat(since) + timedelta(seconds=int(s)) for s in file["timestamp"][()]]

    def reflectance(self, resolution_m: int) -> np.ndarray:
        source = self.fine if resolution_m == 10 else self.coarse
        return np.stack([source[band][self.chosen] for band in BANDS[resolution_m]], axis=1)

    def scl(self) -> np.ndarray:
        return self.coarse["SCL"][self.chosen]

    def clear(self, resolution_m: int) -> np.ndarray:
        kept = np.isin(self.scl(), CLEAR_CLASSES)
        if resolution_m == 10:
            kept = kept.repeat(2, axis=1).repeat(2, axis=2)
        return kept & (self.reflectance(resolution_m) > 0).all(axis=1)


@pytest.fixture(scope="module")
def truth() -> Truth:
    found = Truth()
    assert len(found.day) == 53
    return found


def patch_of(group: zarr.Group, resolution_m: int) -> tuple[slice, slice]:
    """Where the sample lies in an array, from the coordinates that the store gives."""
    x, y = group["x"][:], group["y"][:]
    half = resolution_m / 2
    col = int(np.flatnonzero(x == LEFT_M + half)[0])
    row = int(np.flatnonzero(y == TOP_M - half)[0])
    side = SIDE_M // resolution_m
    assert x[col + side - 1] == LEFT_M + SIDE_M - half
    assert y[row + side - 1] == TOP_M - SIDE_M + half
    return slice(row, row + side), slice(col, col + side)


def with_margin(box: tuple[slice, slice]) -> tuple[slice, slice]:
    """The same with pixels around it that no scene covers."""
    rows, cols = (slice(side.start - MARGIN_PX, side.stop + MARGIN_PX) for side in box)
    return rows, cols


def median_of_window(values: np.ndarray, clear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the two middle clear values rounded half up, 0 where none is; (B, Y, X) and (Y, X), pixel by pixel."""
    bands, height, width = values.shape[1:]
    median = np.zeros((bands, height, width), np.uint16)
    count = clear.sum(axis=0)
    for row, col in np.argwhere(count > 0):
        series = np.sort(values[clear[:, row, col], :, row, col].astype(np.int64), axis=0)
        low, high = (len(series) - 1) // 2, len(series) // 2
        median[:, row, col] = (series[low] + series[high] + 1) // 2
    return median, count


def test_times_are_what_the_files_say(truth):
    assert START + timedelta(days=int(truth.day[0])) == date(2018, 12, 2)
    assert START + timedelta(days=int(truth.day[-1])) == date(2019, 11, 27)


@pytest.mark.parametrize("resolution_m", [10, 20])
def test_cube(sample_project, truth, resolution_m):
    group = zarr.open_group(sample_project / "cube.zarr", mode="r")[f"utm31n/r{resolution_m}m"]
    array = group["reflectance"]
    assert array.dtype == np.uint16
    assert array.shape[:2] == ((STOP - START).days, len(BANDS[resolution_m]))
    assert list(group["band"][:]) == BANDS[resolution_m]
    rows, cols = with_margin(patch_of(group, resolution_m))
    cube = array[:, :, rows, cols]
    expected = np.zeros_like(cube)
    expected[truth.day, :, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX] = truth.reflectance(resolution_m)
    np.testing.assert_array_equal(cube, expected)


def test_quality(sample_project, truth):
    group = zarr.open_group(sample_project / "cube.zarr", mode="r")["utm31n/r20m"]
    rows, cols = with_margin(patch_of(group, 20))
    quality = group["quality"][:, rows, cols]
    expected = np.zeros_like(quality)
    expected[truth.day, MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX] = truth.scl()
    np.testing.assert_array_equal(quality, expected)


@pytest.mark.parametrize("resolution_m", [10, 20])
@pytest.mark.parametrize("window_days", [5, 15])
def test_medians(sample_project, truth, resolution_m, window_days):
    store = sample_project / "features" / f"median-{window_days}d.zarr"
    group = zarr.open_group(store, mode="r")[f"utm31n/r{resolution_m}m"]
    rows, cols = patch_of(group, resolution_m)
    median, count = group["median"][..., rows, cols], group["clear_count"][..., rows, cols]
    windows = -(-(STOP - START).days // window_days)
    assert len(median) == len(count) == windows
    values, clear = truth.reflectance(resolution_m), truth.clear(resolution_m)
    for window in range(windows):
        inside = truth.day // window_days == window
        expected, expected_count = median_of_window(values[inside], clear[inside])
        np.testing.assert_array_equal(median[window], expected)
        np.testing.assert_array_equal(count[window], expected_count)
    assert 0.3 < clear.mean() < 0.7


@pytest.mark.parametrize("resolution_m", [10, 20])
def test_harmonics(sample_project, truth, resolution_m):
    group = zarr.open_group(sample_project / "features" / "harmonic-2.zarr", mode="r")[f"utm31n/r{resolution_m}m"]
    rows, cols = patch_of(group, resolution_m)
    found = group["coefficient"][..., rows, cols]
    rmse, count = group["rmse"][..., rows, cols], group["clear_count"][..., rows, cols]
    values, clear = truth.reflectance(resolution_m).astype(np.float64), truth.clear(resolution_m)
    angle = 2 * np.pi * truth.day / 365.25
    design = np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)], axis=1)
    np.testing.assert_array_equal(count, clear.sum(axis=0))
    compared = 0
    for row, col in np.ndindex(clear.shape[1:]):
        seen = clear[:, row, col]
        if seen.sum() < 5:
            assert np.isnan(found[:, :, row, col]).all()
            assert np.isnan(rmse[:, row, col]).all()
            continue
        if np.linalg.cond(design[seen]) >= 1e3:
            continue
        series = values[seen, :, row, col]
        expected = np.linalg.lstsq(design[seen], series, rcond=None)[0]
        error = np.abs(found[:, :, row, col] - expected)
        assert (error <= 1e-3 * np.maximum(1, np.abs(expected))).all(), (row, col, error.max())
        residual = np.sqrt(((design[seen] @ expected - series) ** 2).mean(axis=0))
        np.testing.assert_allclose(rmse[:, row, col], residual, rtol=1e-3, atol=1e-2)
        compared += 1
    assert compared > 0.9 * clear.shape[1] * clear.shape[2]
