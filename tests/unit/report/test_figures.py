"""Pictures of the page: right colours in right places, nothing cut off, small, the same bytes every time."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from cropcube.report.figures import ground_picture, quantity_picture, thumbnail
from cropcube.report.pictures import EMPTY
from cropcube.report.raster import Raster


def raster(values) -> Raster:
    return Raster(np.asarray(values), "EPSG:32631", 574680.0, 5622440.0, 10.0)


def decoded(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return np.round(imread(BytesIO(png))[..., :3] * 255).astype(int)


def pixels(image: np.ndarray, colour: str) -> np.ndarray:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return (image == wanted).all(axis=2)


def test_the_ground_is_drawn_with_north_up_and_nothing_is_cut_off():
    values = np.zeros((64, 64, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    values[32:] = (0, 0, 255)
    image = decoded(ground_picture(raster(values)))
    red, blue = (np.argwhere(pixels(image, colour)) for colour in ("#ff0000", "#0000ff"))
    assert red[:, 0].max() < blue[:, 0].min()
    assert len(red) == pytest.approx(len(blue), rel=0.02)
    assert len(red) + len(blue) > 0.6 * image.shape[0] * image.shape[1]
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (edge == 255).all()  # words that are cut off would reach the edge
    assert image.shape[1] <= 900


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3), (50, 50)])
def test_regions_of_any_shape_are_drawn_whole(shape):
    for png in (
        ground_picture(raster(np.zeros((*shape, 3), np.uint8))),
        quantity_picture(raster(np.full(shape, 7, np.uint8)), "observations"),
    ):
        image = decoded(png)
        assert max(image.shape) < 1500
        assert (image[0] == 255).all()
        assert (image[:, -1] == 255).all()


def test_quantities_have_no_data_apart_and_the_scale_that_is_asked_for():
    counts = np.full((20, 20), 30, np.uint16)
    counts[:10] = 0
    image = decoded(quantity_picture(raster(counts), "observations"))
    assert pixels(image, EMPTY).sum() > 10_000
    sure, unsure = (
        decoded(quantity_picture(raster(np.full((9, 9), v, np.uint8)), "percent", (0, 100))) for v in (100, 1)
    )
    middle = image.shape[0] // 3, image.shape[1] // 2
    assert sure[middle].sum() > unsure[middle].sum() + 200
    assert decoded(quantity_picture(raster(counts * 0), "observations")).shape[2] == 3


def test_thumbnails_keep_every_pixel_sharp():
    values = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    image = decoded(thumbnail(raster(values)))
    assert image.shape == (480, 640, 3)
    np.testing.assert_array_equal(image[::16, ::16], values)
    assert decoded(thumbnail(raster(np.zeros((512, 512, 3), np.uint8)))).shape == (512, 512, 3)


def test_the_same_picture_has_the_same_bytes():
    values = raster(np.arange(64, dtype=np.uint8).reshape(8, 8))
    assert quantity_picture(values, "x") == quantity_picture(values, "x")
    assert b"Matplotlib" not in quantity_picture(values, "x")
