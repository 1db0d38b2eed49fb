"""Crop masks that rule out all of a region."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from cropcube.config import read_project
from cropcube.cube.store import Store
from cropcube.errors import InvalidInputError
from cropcube.maps.crop_mask import CropMask
from cropcube.pipeline.predict import PredictOptions, predict
from tests.support import console
from tests.support.granules import EPSG, LEFT_M, TOP_M, tree_bytes
from tests.support.small_build import SERIAL, built
from tests.support.small_job import MEDIAN, learn


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with features and a forest."""
    root, _ = built(tmp_path)
    learn(root, MEDIAN)
    return root


def test_a_crop_mask_beside_the_region_is_refused_before_anything_is_written(project: Path) -> None:
    kind = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 10, "height": 10, "crs": f"EPSG:{EPSG}"}
    north = Affine(10, 0, LEFT_M, 0, -10, TOP_M + 9e4)
    with rasterio.open(project.parent / "m.tif", "w", transform=north, **kind) as file:
        file.write(np.ones((10, 10), np.uint8), 1)
    ring = "[[[44.0,4.0],[44.1,4.0],[44.1,4.1],[44.0,4.0]]]"
    (project.parent / "m.geojson").write_text(f'{{"type": "Polygon", "coordinates": {ring}}}')
    for name in ("m.tif", "m.geojson"):
        with pytest.raises(InvalidInputError, match="does not meet the region") as caught:
            predict(project, PredictOptions(crop_mask=project.parent / name), SERIAL)
        assert name in str(caught.value)
        assert "swapped" in caught.value.next_step
    assert not (project / "map.zarr").exists()


@pytest.mark.parametrize(
    ("crs", "world"),
    [
        ("ESRI:54009", (-18_040_096, -9_020_048, 18_040_096, 9_020_048)),
        ("EPSG:4326", (-180, -90, 180, 90)),
        ("EPSG:4326", (0, -90, 360, 90)),
        ("EPSG:3035", (2_000_000, 1_000_000, 7_000_000, 6_000_000)),
    ],
)
def test_masks_of_the_world_or_a_continent_meet_the_region(project: Path, crs: str, world) -> None:
    kind = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 40, "height": 20, "crs": crs}
    west, south, east, north = world
    grid = Affine((east - west) / 40, 0, west, 0, (south - north) / 20, north)
    with rasterio.open(project.parent / "w.tif", "w", transform=grid, **kind) as file:
        file.write(np.ones((20, 40), np.uint8), 1)
    CropMask.open(project.parent / "w.tif").check_over(read_project(project).spec.region)


@pytest.mark.parametrize("tiled", [{}, {"tiled": True, "blockxsize": 64, "blockysize": 64}])
def test_a_crop_mask_that_is_cut_off_is_refused_while_the_map_still_stands(project: Path, tiled) -> None:
    predict(project, PredictOptions(), SERIAL).check()
    kind = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 600, "height": 600, "crs": f"EPSG:{EPSG}"} | tiled
    path, grid = project.parent / "m.tif", Affine(5, 0, LEFT_M, 0, -5, TOP_M)
    with rasterio.open(path, "w", transform=grid, **kind) as file:
        file.write(np.random.default_rng(0).integers(0, 2, (600, 600)).astype(np.uint8), 1)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = tree_bytes(project)
    with pytest.raises(InvalidInputError, match=r"m\.tif cannot be read"):
        predict(project, PredictOptions(crop_mask=path), SERIAL)
    assert tree_bytes(project) == before


def test_a_crop_mask_that_leaves_nothing_is_said(project: Path) -> None:
    kind = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 600, "height": 600, "crs": f"EPSG:{EPSG}"}
    with rasterio.open(project.parent / "m.tif", "w", transform=Affine(5, 0, LEFT_M, 0, -5, TOP_M), **kind) as file:
        file.write(np.zeros((600, 600), np.uint8), 1)
    given = ("predict", "--crop-mask", project.parent / "m.tif", "--cluster", "serial", "--project", project, "--json")
    done = console.run(*given)
    assert done.returncode == 0
    assert "leaves nothing to be mapped in the" in done.stderr
    assert "leaves nothing to be mapped" in json.loads(done.stdout)["notes"][0]
    store = Store.open(project / "map.zarr")
    (zone,) = store.zones
    assert not store.read(zone, "crop", store.zone(zone).box(10)).any()
