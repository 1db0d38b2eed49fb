"""Crop masks that rule out all of a region."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from cropcube.cube.store import Store
from cropcube.errors import InvalidInputError
from cropcube.pipeline.predict import PredictOptions, predict
from tests.support import console
from tests.support.granules import EPSG, LEFT_M, TOP_M
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


def test_a_crop_mask_that_leaves_nothing_is_said(project: Path) -> None:
    kind = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 600, "height": 600, "crs": f"EPSG:{EPSG}"}
    with rasterio.open(project.parent / "m.tif", "w", transform=Affine(5, 0, LEFT_M, 0, -5, TOP_M), **kind) as file:
        file.write(np.zeros((600, 600), np.uint8), 1)
    given = ("predict", "--crop-mask", project.parent / "m.tif", "--cluster", "serial", "--project", project, "--json")
    done = console.run(*given)
    assert done.returncode == 0
    assert "leaves not one pixel of the region" in done.stderr
    assert "leaves not one pixel" in json.loads(done.stdout)["notes"][0]
    store = Store.open(project / "map.zarr")
    (zone,) = store.zones
    assert not store.read(zone, "crop", store.zone(zone).box(10)).any()
