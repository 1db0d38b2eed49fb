"""Raw numbers on boxes of the lattice: the direct reader, stackstac and odc-stac agree bit for bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer

from cropcube.domain.lattice import Lattice, PixelBox
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import ReadError
from cropcube.observations.aligned import AlignedReader
from cropcube.observations.choose import reader_for
from cropcube.observations.files import SceneFiles
from cropcube.observations.reader import Reader
from cropcube.observations.warped import StackstacReader
from tests.support.granules import LEFT_M, TOP_M, random_granule, scene_of

UTM31 = Lattice.utm(31, True)
GRANULE = random_granule("whole", size_px=384)


def box_at(left: int, top: int, width: int, height: int, resolution_m: int) -> PixelBox:
    return UTM31.box_of_bounds((left, top - height, left + width, top), resolution_m)


def expected(band: str, box: PixelBox) -> np.ndarray:
    """Slow oracle: look every pixel centre up in the granule's array."""
    pixels, step = GRANULE.bands[band], SENTINEL2.band(band).resolution_m
    out = np.zeros(box.shape, pixels.dtype)
    for row, y in enumerate(box.y_centres()):
        for col, x in enumerate(box.x_centres()):
            i, j = int((TOP_M - y) // step), int((x - LEFT_M) // step)
            if 0 <= i < pixels.shape[0] and 0 <= j < pixels.shape[1]:
                out[row, col] = pixels[i, j]
    return out


BOXES = {
    "inside": (LEFT_M + 400, TOP_M - 800, 1200, 1600),
    "upper left": (LEFT_M - 600, TOP_M + 400, 1600, 1200),
    "lower right": (LEFT_M + 3000, TOP_M - 3000, 1600, 1600),
    "around": (LEFT_M - 200, TOP_M + 200, 4400, 4400),
    "beside": (LEFT_M + 5000, TOP_M, 400, 400),
}


@pytest.mark.parametrize("band", ["B04", "B11", "SCL"])
@pytest.mark.parametrize("where", BOXES)
def test_readers_agree_with_the_oracle(tmp_path: Path, band: str, where: str) -> None:
    scene = scene_of(GRANULE, tmp_path)
    box = box_at(*BOXES[where], SENTINEL2.band(band).resolution_m)
    wanted = expected(band, box)
    for reader in (
        AlignedReader(SceneFiles(SENTINEL2)),
        StackstacReader(SceneFiles(SENTINEL2)),
        reader_for(SENTINEL2),
    ):
        found = reader.read(scene, band, box)
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_odc_stac_reads_the_same(tmp_path: Path) -> None:
    odc_stac = pytest.importorskip("odc.stac")
    pystac = pytest.importorskip("pystac")
    import warnings

    from cropcube.demo.granule import write_granule

    item = write_granule(GRANULE, tmp_path, 64)
    for asset in item["assets"].values():
        asset["href"] = str(tmp_path / asset["href"])
    box = box_at(*BOXES["upper left"], 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odc-stac and its dependencies warn about their own future
        loaded = odc_stac.load([pystac.Item.from_dict(item)], bands=["B04"], geobox=box.geobox)
        theirs = loaded["B04"].isel(time=0).to_numpy()
    scene = scene_of(GRANULE, tmp_path)
    np.testing.assert_array_equal(AlignedReader(SceneFiles(SENTINEL2)).read(scene, "B04", box), theirs)


@pytest.mark.parametrize("tiling", [{"tiled": False}, {"tiled": False, "blockysize": 7}, {"blockxsize": 128}])
def test_any_tiling_is_read(tmp_path: Path, tiling: dict[str, object]) -> None:
    scene = scene_of(GRANULE, tmp_path)
    path = scene.assets["B04"].href
    with rasterio.open(path) as file:
        profile = {
            key: value for key, value in file.profile.items() if key not in ("blockxsize", "blockysize", "tiled")
        }
        pixels = file.read(1)
    if "blockxsize" in tiling:
        profile |= {"tiled": True, "blockysize": 64}
    with rasterio.open(path, "w", **{**profile, **tiling}) as file:
        file.write(pixels, 1)
    unstated = replace(scene, assets={"B04": replace(scene.assets["B04"], checksum=None, size=None)})
    box = box_at(*BOXES["lower right"], 10)
    np.testing.assert_array_equal(reader_for(SENTINEL2).read(unstated, "B04", box), expected("B04", box))


def test_counts_are_of_the_blocks_touched(tmp_path: Path) -> None:
    scene = scene_of(GRANULE, tmp_path, block_px=128)
    reader = AlignedReader(SceneFiles(SENTINEL2))
    reader.read(scene, "B04", PixelBox(UTM31, 10, *_corner(10, 100, 100), 100, 100))
    assert (reader.counts.files, reader.counts.pixels_decoded) == (1, 4 * 128 * 128)
    with rasterio.open(scene.assets["B04"].href) as file:
        sizes = [
            int(file.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1)) for row in range(2) for col in range(2)
        ]
    assert reader.counts.bytes_read == sum(sizes)


def _corner(resolution_m: int, rows: int, cols: int) -> tuple[int, int]:
    box = box_at(LEFT_M, TOP_M, 10 * resolution_m, 10 * resolution_m, resolution_m)
    return box.row + rows, box.col + cols


def test_other_nodata_value_is_no_data(tmp_path: Path) -> None:
    scene = scene_of(GRANULE, tmp_path)
    path = scene.assets["B04"].href
    marked = int(GRANULE.bands["B04"][5, 5])
    with rasterio.open(path, "r+") as file:
        file.nodata = marked
    scene = replace(scene, assets={"B04": replace(scene.assets["B04"], checksum=None, size=None)})
    box = box_at(LEFT_M, TOP_M, 3840, 3840, 10)
    wanted = np.where(GRANULE.bands["B04"] == marked, 0, GRANULE.bands["B04"])
    for reader in (AlignedReader(SceneFiles(SENTINEL2)), StackstacReader(SceneFiles(SENTINEL2))):
        np.testing.assert_array_equal(reader.read(scene, "B04", box), wanted)


@pytest.mark.parametrize("shift", [5, 10])
def test_shifted_grid_goes_to_stackstac(tmp_path: Path, shift: int) -> None:
    """A 20 m file that starts between 20 m lattice pixels is not read directly, and its pixels are the nearest ones."""
    granule = random_granule("shifted", size_px=96, corner_m=(LEFT_M + shift, TOP_M), bands=["B11"])
    scene = scene_of(granule, tmp_path)
    box = box_at(LEFT_M, TOP_M, 960, 960, 20)
    with pytest.raises(ReadError, match=r"does not lie on the 20 m lattice of utm31n"):
        AlignedReader(SceneFiles(SENTINEL2)).read(scene, "B11", box)
    found = reader_for(SENTINEL2).read(scene, "B11", box)
    rows, cols = np.arange(48), (box.x_centres() - (LEFT_M + shift)) / 20
    inside = (cols >= 0) & (cols < 48)
    if shift == 5:  # at 10 m the centres fall on pixel edges, where nearest is a tie
        np.testing.assert_array_equal(
            found[:, inside], granule.bands["B11"][np.ix_(rows, np.floor(cols[inside]).astype(int))]
        )
    assert (found[:, inside] > 0).all()


@pytest.mark.parametrize("epsg", [3035, 32632])
def test_other_crs_is_nearest(tmp_path: Path, epsg: int) -> None:
    lattice = Lattice.of_epsg(epsg)
    scene = scene_of(random_granule("warped", size_px=192), tmp_path)
    to_lattice = Transformer.from_crs(32631, epsg, always_xy=True)
    x, y = to_lattice.transform(LEFT_M + 960, TOP_M - 960)
    box = lattice.box_of_bounds((x - 1500, y - 1500, x + 1500, y + 1500), 10)
    found = reader_for(SENTINEL2).read(scene, "B04", box)
    xs, ys = np.meshgrid(box.x_centres(), box.y_centres())
    back = Transformer.from_crs(epsg, 32631, always_xy=True)
    east, north = back.transform(xs, ys)
    cols, rows = (np.asarray(east) - LEFT_M) / 10, (TOP_M - np.asarray(north)) / 10
    inside = (cols >= 0) & (cols < 192) & (rows >= 0) & (rows < 192)
    pixels = random_granule("warped", size_px=192).bands["B04"]
    wanted = np.zeros(box.shape, np.uint16)
    wanted[inside] = pixels[rows[inside].astype(int), cols[inside].astype(int)]
    # GDAL approximates the projection to an eighth of a pixel: within that of a pixel's edge either neighbour is right.
    clear_cut = (np.abs(cols - np.rint(cols)) > 0.13) & (np.abs(rows - np.rint(rows)) > 0.13)
    assert clear_cut.mean() > 0.5
    np.testing.assert_array_equal(found[clear_cut], wanted[clear_cut])
    assert (found == wanted).mean() > 0.9


def test_warp_does_not_depend_on_what_the_item_says_of_the_place(tmp_path: Path) -> None:
    """stackstac drops pieces outside an item's stated bounds; ours are found by the warp itself."""
    scene = scene_of(random_granule("placed", size_px=96, bands=["B04"]), tmp_path)
    asset = replace(scene.assets["B04"], transform=None, shape=None)
    box = box_at(LEFT_M - 1000, TOP_M + 1000, 3000, 3000, 10)
    found = StackstacReader(SceneFiles(SENTINEL2)).read(replace(scene, assets={"B04": asset}), "B04", box)
    assert np.count_nonzero(found) == 96 * 96


def test_readers_are_readers() -> None:
    readers: list[Reader] = [
        AlignedReader(SceneFiles(SENTINEL2)),
        StackstacReader(SceneFiles(SENTINEL2)),
        reader_for(SENTINEL2),
    ]
    assert all(reader.counts.files == 0 for reader in readers)


def test_transform_of_the_item_may_have_more_numbers(tmp_path: Path) -> None:
    scene = scene_of(random_granule("nine", size_px=96, bands=["B04"]), tmp_path)
    nine = (*Affine(*scene.assets["B04"].transform or ())[:6], 0.0, 0.0, 1.0)
    scene = replace(scene, assets={"B04": replace(scene.assets["B04"], transform=nine)})
    assert reader_for(SENTINEL2).read(scene, "B04", box_at(LEFT_M, TOP_M, 960, 960, 10)).all()
