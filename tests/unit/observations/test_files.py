"""A file that is not the one its item describes is refused, and both are named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from cropcube.domain.scene import Asset, Scene
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import ReadError
from cropcube.observations.files import Access, SceneFiles, local_path
from tests.support.granules import LEFT_M, TOP_M, random_granule, scene_of


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """One band and SCL; the files' checksums are not stated, so that what else is wrong shows."""
    made = scene_of(random_granule("one", size_px=96, bands=["B04"]), tmp_path)
    bare = {band: replace(asset, checksum=None, size=None) for band, asset in made.assets.items()}
    return replace(made, assets=bare)


def rewrite(path: str, pixels: np.ndarray, **changes: Any) -> None:
    with rasterio.open(path) as file:
        profile = dict(file.profile)
    profile |= {"height": pixels.shape[-2], "width": pixels.shape[-1], "dtype": pixels.dtype.name, **changes}
    with rasterio.open(path, "w", **profile) as file:
        file.write(pixels if pixels.ndim == 3 else pixels[None])


def opening(scene: Scene, band: str = "B04") -> str:
    with pytest.raises(ReadError) as caught, SceneFiles(SENTINEL2).opened(scene, band):
        pass
    assert not caught.value.transient
    assert caught.value.next_step
    return caught.value.what


ONES = np.ones((96, 96), np.uint16)


@pytest.mark.parametrize(
    ("pixels", "changes", "found", "stated"),
    [
        (np.ones((96, 64), np.uint16), {}, "96 x 64 px", "96 x 96 px"),
        (ONES, {"crs": "EPSG:32632"}, "CRS EPSG:32632", "EPSG:32631"),
        (ONES, {"transform": Affine(10, 0, LEFT_M + 10, 0, -10, TOP_M)}, "600010.0", "600000.0"),
        (ONES, {"transform": Affine(20, 0, LEFT_M, 0, -20, TOP_M)}, "(20.0, 0.0", "(10.0, 0.0"),
        (ONES.astype(np.float32), {"predictor": 1}, "float32", "uint16 for B04"),
        (ONES.astype(np.uint8), {}, "uint8", "uint16 for B04"),
        (np.ones((2, 96, 96), np.uint16), {"count": 2}, "2 bands", "1 band"),
    ],
)
def test_wrong_file_names_both(
    scene: Scene, pixels: np.ndarray, changes: dict[str, Any], found: str, stated: str
) -> None:
    rewrite(scene.assets["B04"].href, pixels, **changes)
    what = opening(scene)
    assert found in what.split("its item states")[0]
    assert stated in what.split("its item states")[1]
    assert scene.assets["B04"].href in what
    assert "one B04" in what


def test_quality_must_be_bytes(scene: Scene) -> None:
    rewrite(scene.assets["SCL"].href, np.ones((48, 48), np.uint16))
    assert "uint8 for SCL" in opening(scene, "SCL")


def test_file_without_crs(scene: Scene) -> None:
    rewrite(scene.assets["B04"].href, ONES, crs=None)
    assert "no CRS" in opening(scene)


def test_unstated_things_are_not_checked(scene: Scene) -> None:
    """An item that states neither CRS nor place is read as its file says."""
    silent = replace(scene, epsg=None, assets={"B04": Asset(scene.assets["B04"].href)})
    with SceneFiles(SENTINEL2).opened(silent, "B04") as file:
        assert file.dataset.shape == (96, 96)


def test_band_that_the_scene_lacks(scene: Scene) -> None:
    what = opening(scene, "B11")
    assert "has no band B11" in what


def test_missing_file(scene: Scene) -> None:
    Path(scene.assets["B04"].href).unlink()
    assert "no such file" in opening(scene)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
def test_truncated_file(scene: Scene, kept: float) -> None:
    """Without a stated size a cut file is found when it is opened or decoded."""
    rng = np.random.default_rng(1)
    path = Path(scene.assets["B04"].href)
    rewrite(str(path), rng.integers(1, 9000, (96, 96), dtype=np.uint16), blockxsize=16, blockysize=16)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ReadError) as caught, SceneFiles(SENTINEL2).opened(scene, "B04") as file:
        file.dataset.read(1)
    assert not caught.value.transient
    assert str(path) in caught.value.what


def test_not_a_raster_at_all(scene: Scene) -> None:
    Path(scene.assets["B04"].href).write_text("<html>try again later</html>", encoding="utf-8")
    assert "cannot be read" in opening(scene)


def test_file_urls_are_local(scene: Scene, tmp_path: Path) -> None:
    href = Path(scene.assets["B04"].href).as_uri()
    assert local_path("file:///a%20b/c.tif") == "/a b/c.tif"
    with SceneFiles(SENTINEL2).opened(replace(scene, assets={"B04": Asset(href)}), "B04") as file:
        assert file.dataset.count == 1


def test_local_files_are_never_signed(scene: Scene) -> None:
    def never(href: str) -> str:
        raise AssertionError(href)

    with SceneFiles(SENTINEL2, access=Access(never, lambda href: {})).opened(scene, "B04") as file:
        assert file.path == scene.assets["B04"].href
