"""EMIT files: what is read of a granule, and what is refused in which words."""

from __future__ import annotations

import pickle
import shutil
from datetime import UTC, datetime
from pathlib import Path

import h5netcdf
import h5py
import numpy as np
import pytest

from cropcube.errors import InvalidInputError, MissingError, ReadError
from cropcube.observations.emit_granule import FLAGS, check_same_bands, fill_of, open_granule, read_header
from tests.support.emit import CROP, MASK_BANDS, STEP_DEG, Files, Swath, chosen, real_bands, real_spectra, write_granule

SWATH = Swath(lines=40, samples=30, bands=12)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return write_granule(tmp_path_factory.mktemp("emit"), SWATH)


@pytest.fixture
def path(kept, tmp_path):
    """A granule of one's own."""
    for file in kept.parent.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path / kept.name


def beside(path: Path, kind: str) -> Path:
    return path.with_name(path.name.replace("RFL", kind))


def test_the_real_spectra_are_what_the_mission_wrote():
    spectra, (wavelengths, _, good) = real_spectra(), real_bands()
    assert spectra.shape == (110, 285)
    assert wavelengths[[0, -1]] == pytest.approx([381.0056, 2492.9], abs=0.05)
    assert (spectra[:, good == 0] == np.float32(-0.01)).any()
    assert (spectra[:, good == 1] != np.float32(-0.01)).all()


@pytest.mark.parametrize("files", [Files(), Files(chunked=True), Files(byte_attributes=True, packed_bytes=36)])
@pytest.mark.parametrize("lines", [40, 57])
def test_a_granule_says_what_it_is(tmp_path, files, lines):
    swath = Swath(lines=lines, samples=30, bands=12)
    granule = open_granule(write_granule(tmp_path, swath, files))
    header, (wavelengths, widths, good) = granule.header, real_bands()
    assert (header.lines, header.samples, header.bands) == (lines, 30, 12)
    np.testing.assert_array_equal(header.wavelengths_nm, wavelengths[chosen(12)])
    np.testing.assert_array_equal(header.fwhm_nm, widths[chosen(12)])
    np.testing.assert_array_equal(header.good, good[chosen(12)] == 1)
    assert header.start == datetime(2023, 4, 1, 20, 37, 51, tzinfo=UTC)
    assert header.geotransform[1::4] == (STEP_DEG, -STEP_DEG)
    assert granule.name == "001_20230401T203751_2309114_002"
    assert granule.uncertainty.name == "EMIT_L2A_RFLUNCERT_001_20230401T203751_2309114_002.nc"
    assert {flag: MASK_BANDS[layer] for flag, layer in granule.flags.items()} == {flag: flag for flag in FLAGS}


def test_a_granule_crosses_processes(kept):
    granule = pickle.loads(pickle.dumps(open_granule(kept)))
    np.testing.assert_array_equal(granule.header.good, open_granule(kept).header.good)


def test_bands_of_which_nothing_is_said_are_not_good(path):
    with h5py.File(path, "r+") as file:
        good = file["sensor_band_parameters/good_wavelengths"]
        good[0], good[1] = 241, 0
    assert list(read_header(path).good[:3]) == [False, False, True]


def test_layers_of_the_mask_go_by_their_names(path):
    with h5netcdf.File(beside(path, "MASK"), "r+") as file:
        names = file["sensor_band_parameters/mask_bands"]
        names[:] = np.array([name.upper() for name in MASK_BANDS[::-1]], object)
    assert open_granule(path).flags["Cloud flag"] == 7
    assert open_granule(path).flags["Aggregate Flag"] == 0


def test_a_time_without_a_zone_is_utc(path):
    with h5py.File(path, "r+") as file:
        file.attrs["time_coverage_start"] = np.array([b"2023-04-01T20:37:51"])
    assert read_header(path).start == datetime(2023, 4, 1, 20, 37, 51, tzinfo=UTC)


def test_a_variable_without_a_fill_value_has_the_missions(path):
    with h5py.File(path, "r+") as file:
        del file["reflectance"].attrs["_FillValue"]
        assert fill_of(file["reflectance"]) == -9999


def refused(path: Path, error: type[Exception], *words: str) -> None:
    with pytest.raises(error) as caught:
        open_granule(path)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.next_step  # type: ignore[attr-defined]
    assert not getattr(caught.value, "transient", False)


def test_the_real_crop_is_refused_for_what_it_lacks():
    words = ("only a part", "/sensor_band_parameters/wavelengths", "/location/lat", "/location/glt_x", CROP.name)
    refused(CROP, InvalidInputError, *words)


def test_files_that_are_not_emit(tmp_path):
    path = tmp_path / "EMIT_L2A_RFL_001_20230401T203751_2309114_002.nc"
    refused(path, MissingError, "is not there")
    path.write_bytes(b"")
    refused(path, ReadError, "is empty")
    path.write_bytes(b"CDF\x01 a netCDF-3 file")
    refused(path, InvalidInputError, "is not EMIT")
    path.write_text("<!DOCTYPE html><title>Earthdata Login</title>", encoding="ascii")
    refused(path, InvalidInputError, "web page", "Log in")
    with h5netcdf.File(path, "w") as file:
        file.dimensions["x"] = 3
        file.create_variable("radiance", ("x",), "f4")
    refused(path, InvalidInputError, "not EMIT L2A reflectance", "radiance")


@pytest.mark.parametrize("kind", ["RFL", "RFLUNCERT", "MASK"])
def test_a_file_that_is_cut_short(path, kind):
    cut = beside(path, kind)
    with cut.open("r+b") as file:
        file.truncate(cut.stat().st_size - 1000)
    refused(path, ReadError, f"{cut} is cut short", "Download")


@pytest.mark.parametrize("kind", ["RFLUNCERT", "MASK"])
def test_a_companion_that_is_not_there(path, kind):
    beside(path, kind).unlink()
    refused(path, MissingError, f"EMIT_L2A_{kind}_001_20230401T203751_2309114_002.nc is not there")


def test_a_name_that_leads_to_no_companions(path):
    refused(path.rename(path.with_name("mine.nc")), InvalidInputError, "mine.nc", "NASA's names")


@pytest.mark.parametrize(
    ("kind", "words"),
    [("RFLUNCERT", "/reflectance_uncertainty has shape (41, 30, 12)"), ("MASK", "/mask has shape (41, 30, 8)")],
)
def test_companions_of_another_shape(path, tmp_path, kind, words):
    other = write_granule(tmp_path / "other", Swath(lines=41, samples=30, bands=12))
    shutil.copy(beside(other, kind), beside(path, kind))
    refused(path, InvalidInputError, words, "(40, 30", beside(path, kind).name)


def test_a_band_mask_of_too_few_bytes(path):
    with h5py.File(beside(path, "MASK"), "r+") as file:
        del file["band_mask"]
        file["band_mask"] = np.zeros((40, 30, 1), np.uint8)
    refused(path, InvalidInputError, "/band_mask has shape (40, 30, 1)", "2 bytes of bits for 12 bands")


def test_a_mask_without_one_of_its_layers(path):
    with h5netcdf.File(beside(path, "MASK"), "r+") as file:
        file["sensor_band_parameters/mask_bands"][0] = "Clouds, perhaps"
    refused(path, InvalidInputError, "no layer Cloud flag", "Clouds, perhaps")


@pytest.mark.parametrize("name", ["location/glt_x", "location/lat", "sensor_band_parameters/fwhm"])
def test_a_file_that_lacks_one_variable(path, name):
    with h5py.File(path, "r+") as file:
        del file[name]
    refused(path, InvalidInputError, f"lacks /{name}")


@pytest.mark.parametrize("name", ["location/glt_y", "location/lon", "sensor_band_parameters/good_wavelengths"])
def test_a_variable_of_another_shape(path, name):
    with h5py.File(path, "r+") as file:
        shape = tuple(size + 1 for size in file[name].shape)
        del file[name]
        file[name] = np.zeros(shape)
    refused(path, InvalidInputError, f"/{name} has shape {shape}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("geotransform", np.array([-116.0, 0.0005, 0.1, 33, 0, -0.0005])),
        ("geotransform", np.zeros(4)),
        ("time_coverage_start", "yesterday"),
    ],
)
def test_attributes_that_say_nothing(path, name, value):
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value
    refused(path, InvalidInputError, name, path.name)
    with h5py.File(path, "r+") as file:
        del file.attrs[name]
    refused(path, InvalidInputError, name, path.name)


def test_wavelengths_of_the_fill_value(path):
    with h5py.File(path, "r+") as file:
        file["sensor_band_parameters/wavelengths"][3] = -9999
    refused(path, InvalidInputError, "do not ascend")


def test_granules_of_other_bands_do_not_go_together(kept, path, tmp_path):
    first = read_header(kept)
    with h5py.File(path, "r+") as file:
        wavelengths = file["sensor_band_parameters/wavelengths"]
        wavelengths[5] += 0.005
    check_same_bands(first, read_header(path))
    with h5py.File(path, "r+") as file:
        file["sensor_band_parameters/wavelengths"][5] += 0.02
    with pytest.raises(InvalidInputError, match=r"band 5 lies at .* 1 of 12 bands differ by over 0.01 nm"):
        check_same_bands(first, read_header(path))
    refused(path, InvalidInputError, "band 5")  # its own uncertainty does not go with it either
    fewer = write_granule(tmp_path / "fewer", Swath(lines=10, samples=10, bands=6))
    with pytest.raises(InvalidInputError, match="has 6 bands"):
        check_same_bands(first, read_header(fewer))
