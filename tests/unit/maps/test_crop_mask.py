"""What a crop mask leaves, against pixels worked out by hand."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely.geometry import Point, box

from cropcube.domain.lattice import Lattice, PixelBox
from cropcube.errors import InvalidInputError, MissingError
from cropcube.maps.crop_mask import CropMask

LATTICE = Lattice.utm(31, True)
BOX = PixelBox(LATTICE, 10, 430_000, 60_000, 40, 50)


def write_raster(path, values, **more):
    left, _, _, top = BOX.bounds
    profile = {"driver": "GTiff", "count": 1, "height": values.shape[0], "width": values.shape[1]}
    profile |= {"dtype": values.dtype, "crs": "EPSG:32631", "transform": Affine(10, 0, left, 0, -10, top)} | more
    with rasterio.open(path, "w", **profile) as file:
        file.write(values, 1)
    return path


@pytest.mark.parametrize("nodata", [None, 255, 0])
def test_zero_and_nodata_of_a_raster_are_no_crop(tmp_path, nodata):
    values = np.random.default_rng(0).choice(np.array([0, 1, 7, 255], np.uint8), BOX.shape)
    mask = CropMask.open(write_raster(tmp_path / "m.tif", values, nodata=nodata))
    wanted = (values != 0) & ((values != 255) | (nodata != 255))
    np.testing.assert_array_equal(mask.on(BOX), wanted)
    east = PixelBox(LATTICE, 10, BOX.row, BOX.col + 30, 40, 50)
    np.testing.assert_array_equal(mask.on(east)[:, :20], wanted[:, 30:])
    assert not mask.on(east)[:, 20:].any()


def test_not_a_number_is_no_crop(tmp_path):
    values = np.ones(BOX.shape, np.float32)
    values[3, 4] = np.nan
    assert np.argwhere(~CropMask.open(write_raster(tmp_path / "m.tif", values)).on(BOX)).tolist() == [[3, 4]]


def test_polygons_count_at_pixel_centres(tmp_path):
    left, bottom, _, top = BOX.bounds
    frame = gpd.GeoDataFrame(geometry=[box(left + 42, bottom - 50, left + 161, top - 93)], crs=32631)
    frame.to_file(tmp_path / "m.gpkg")
    mask = CropMask.open(tmp_path / "m.gpkg")
    wanted = np.zeros(BOX.shape, bool)
    wanted[9:, 4:16] = True
    np.testing.assert_array_equal(mask.on(BOX), wanted)
    far = PixelBox(LATTICE, 10, BOX.row + 5000, BOX.col, 40, 50)
    assert not mask.on(far).any()


def test_the_digest_is_of_the_content(tmp_path):
    values = np.ones(BOX.shape, np.uint8)
    one, other = (CropMask.open(write_raster(tmp_path / name, values)) for name in ("a.tif", "b.tif"))
    assert one.digest == other.digest
    values[0] = 0
    assert CropMask.open(write_raster(tmp_path / "a.tif", values)).digest != one.digest


def test_what_is_no_mask_is_refused(tmp_path):
    with pytest.raises(MissingError, match="no crop mask"):
        CropMask.open(tmp_path / "none.tif")
    gpd.GeoDataFrame(geometry=[Point(4, 50)], crs=4326).to_file(tmp_path / "points.gpkg")
    with pytest.raises(InvalidInputError, match="no polygon"):
        CropMask.open(tmp_path / "points.gpkg")
    with pytest.raises(InvalidInputError, match="no crop mask: 1 bands, CRS None"):
        CropMask.open(write_raster(tmp_path / "m.tif", np.ones((4, 4), np.uint8), crs=None))
    (tmp_path / "m.txt").write_text("x")
    with pytest.raises(InvalidInputError, match="cannot be read as a crop mask"):
        CropMask.open(tmp_path / "m.txt")
