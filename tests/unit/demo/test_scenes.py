"""The wrapped sample says what the shipped netCDF files say (read here with h5py, not with the code under test)."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import h5py
import numpy as np
import pytest
import rasterio

from cropcube.demo.sample import load_sample, sample_legend
from cropcube.demo.scenes import DemoScenes, write_scenes

PATCH = "0000280849BAC91C_32631_2018-08-01_2019-11-30.nc"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> DemoScenes:
    return write_scenes(tmp_path_factory.mktemp("demo") / "scenes")


def raw(kind: str, name: str) -> np.ndarray:
    with h5py.File(str(files("cropcube.demo") / "data" / f"{kind}_{PATCH}")) as file:
        return file[name][()]


def items(scenes: DemoScenes) -> list[dict]:
    return json.loads(scenes.catalog.read_text())["features"]


def test_every_pixel_of_every_band_is_the_shipped_one(scenes):
    for number, item in enumerate(items(scenes)):
        for band, asset in item["assets"].items():
            kind = "S2_L2A_10m" if band in {"B02", "B03", "B04", "B08"} else "S2_L2A_20m"
            with rasterio.open(scenes.folder / asset["href"]) as raster:
                np.testing.assert_array_equal(raster.read(1), raw(kind, band)[number])
                assert raster.nodata == 0
                assert list(raster.transform)[:6] == asset["proj:transform"]
                assert list(raster.shape) == asset["proj:shape"]
                assert raster.crs.to_epsg() == item["properties"]["proj:epsg"] == 32631
                assert raster.bounds[:] == (574680, 5621800, 575320, 5622440)


def test_checksums_and_sizes_are_those_of_the_files(scenes):
    for item in items(scenes):
        for asset in item["assets"].values():
            content = (scenes.folder / asset["href"]).read_bytes()
            assert asset["file:size"] == len(content)
            assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()


def test_dates_clouds_and_bands(scenes):
    found = items(scenes)
    assert len(found) == 72
    assert len({item["id"] for item in found}) == 72
    inside = [item for item in found if "2018-12-01" <= item["properties"]["datetime"][:10] < "2019-11-28"]
    assert len(inside) == 53
    scl = raw("S2_L2A_20m", "SCL")
    for number, item in enumerate(found):
        assert len(item["assets"]) == 11
        share = 100 * np.isin(scl[number], (8, 9, 10)).sum() / (scl[number] > 0).sum()
        assert item["properties"]["eo:cloud_cover"] == pytest.approx(share, abs=0.01)
    assert max(item["properties"]["eo:cloud_cover"] for item in found) > 90


def test_labels_and_legend(scenes):
    with rasterio.open(scenes.labels) as raster:
        codes = raster.read(1)
    np.testing.assert_array_equal(codes, raw("OUTPUT_POLY-110_10m", "CT"))
    rows = scenes.legend.read_text().splitlines()
    assert rows[0] == "code,name,colour"
    assert {int(row.split(",")[0]) for row in rows[1:]} == set(np.unique(codes)) - {0}
    assert [row.name for row in sample_legend()][:2] == ["Winter wheat", "Maize"]


def test_outline_holds_every_pixel_centre(scenes):
    import shapely
    from pyproj import Transformer

    outline = shapely.geometry.shape(json.loads(scenes.outline.read_text())["features"][0]["geometry"])
    to_lonlat = Transformer.from_crs(32631, 4326, always_xy=True)
    x, y = np.meshgrid(574675 + 10 * np.arange(66), 5622445 - 10 * np.arange(66))
    inside = shapely.contains_xy(outline, *to_lonlat.transform(x, y))
    assert inside[1:-1, 1:-1].all()
    assert inside.sum() == 64 * 64


def test_written_once(scenes):
    before = {path: path.stat().st_mtime_ns for path in scenes.folder.rglob("*") if path.is_file()}
    write_scenes(scenes.folder)
    assert before == {path: path.stat().st_mtime_ns for path in scenes.folder.rglob("*") if path.is_file()}


def test_a_stopped_write_is_done_again(scenes, tmp_path: Path):
    half = write_scenes(tmp_path / "scenes")
    half.catalog.unlink()
    half.labels.write_bytes(b"half")
    again = write_scenes(tmp_path / "scenes")
    assert again.catalog.read_bytes() == scenes.catalog.read_bytes()
    assert again.labels.read_bytes() == scenes.labels.read_bytes()


def test_sample_is_decoded_by_variable():
    sample = load_sample()
    assert sample.bands["SCL"].dtype == np.uint8
    assert sample.bands["B8A"].dtype == np.uint16
    assert sample.bands["B02"].shape == (72, 64, 64)
    assert sample.bands["SCL"].max() <= 11
    elevations = [value for value in sample.sun_elevation if value is not None]
    assert 10 < min(elevations) < max(elevations) < 65
