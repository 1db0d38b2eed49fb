"""Pictures: right colours in right places, round coordinates, the same bytes every time."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from cropcube.report.pictures import (
    Caption,
    Swatch,
    class_colours,
    map_picture,
    paint_classes,
    paint_composite,
    shorten,
)
from cropcube.report.raster import Raster, frame_ticks, length_text, nice_step, scale_bar_m

SWATCHES = (Swatch("Wheat $x_1$", "#ff0000", "1.0 ha"), Swatch("Maize", "#00ff00"), Swatch("Grass", "#0000ff"))
CAPTION = Caption("A title with $dollars$", "and a subtitle", "and credits")


def raster(values) -> Raster:
    return Raster(np.asarray(values), "EPSG:32631", 574680.0, 5622440.0, 10.0)


def decoded(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return np.round(imread(BytesIO(png))[..., :3] * 255).astype(int)


def patches(image: np.ndarray, colour: str) -> int:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((image == wanted).all(axis=2).sum())


def test_classes_are_painted_in_their_colours():
    image = paint_classes(raster([[0, 1], [2, 3]]).with_values(np.array([[0, 1], [2, 3]], np.uint8)), SWATCHES).values
    assert image[0, 1].tolist() == [255, 0, 0]
    assert image[1, 0].tolist() == [0, 255, 0]
    assert image[1, 1].tolist() == [0, 0, 255]
    assert image[0, 0].tolist() == class_colours(())[0].tolist()


def test_the_map_shows_every_class_with_its_share_of_the_ground():
    classes = np.zeros((40, 40), np.uint8)
    classes[:20], classes[20:, :20], classes[20:, 20:] = 1, 2, 3
    image = decoded(map_picture(raster(classes), SWATCHES, CAPTION))
    red, green, blue = (patches(image, s.colour) for s in SWATCHES)
    # Half and two quarters of the map; the swatches of the legend add a little to each.
    assert green == pytest.approx(blue, rel=0.02)
    assert red == pytest.approx(green + blue, rel=0.05)
    assert red > 0.2 * image.shape[0] * image.shape[1] / 2
    # North is up: the first row of the raster is above the last.
    rows = np.flatnonzero((image == [255, 0, 0]).all(axis=2).any(axis=1))
    below = np.flatnonzero((image == [0, 255, 0]).all(axis=2).sum(axis=1) > 300)
    assert np.median(rows) < np.median(below)


def test_the_same_map_gives_the_same_bytes():
    classes = raster(np.arange(64, dtype=np.uint8).reshape(8, 8) % 4)
    assert map_picture(classes, SWATCHES, CAPTION) == map_picture(classes, SWATCHES, CAPTION)


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3)])
def test_regions_of_any_shape_are_drawn(shape):
    image = decoded(map_picture(raster(np.ones(shape, np.uint8)), SWATCHES, CAPTION))
    assert patches(image, "#ff0000") > 1000
    assert max(image.shape) < 4000


def test_a_legend_of_many_classes_stays_on_the_sheet():
    many = tuple(Swatch(f"Class number {i} of a very long legend indeed", f"#0000{i:02x}") for i in range(254))
    image = decoded(map_picture(raster(np.ones((50, 50), np.uint8)), many, CAPTION))
    assert image.shape[0] < 2000
    assert patches(image, "#0000fd") > 0


def test_a_composite_is_stretched_and_keeps_no_data_apart():
    values = np.ones((10, 10, 3), np.float32) * np.linspace(100, 5000, 100, dtype=np.float32).reshape(10, 10, 1)
    values[0, 0] = 0
    image = paint_composite(raster(values)).values
    assert image[0, 0].tolist() == class_colours(())[0].tolist()
    assert image[9, 9].tolist() == [255, 255, 255]
    assert image[0, 1].max() < 10
    assert (np.diff(image[..., 0].ravel()[1:].astype(int)) >= 0).all()
    empty = paint_composite(raster(np.zeros((4, 4, 3), np.float32))).values
    assert (empty == class_colours(())[0]).all()


def test_ticks_are_round_degrees_where_they_belong():
    bottom, left = frame_ticks(raster(np.zeros((64, 64), np.uint8)))
    assert [tick.label for tick in bottom] == ["4.0600° E", "4.0625° E", "4.0650° E", "4.0675° E"]
    assert [tick.label for tick in left] == ["50.744° N", "50.745° N", "50.746° N", "50.747° N", "50.748° N"]
    from pyproj import Transformer

    to_degrees = Transformer.from_crs(32631, 4326, always_xy=True)
    for tick in bottom:
        degrees = to_degrees.transform(tick.position_m, 5622440 - 640)[0]
        assert degrees == pytest.approx(float(tick.label.split("°")[0]), abs=1e-6)


def test_ticks_pass_the_equator_the_meridian_and_the_antimeridian():
    world = Raster(np.zeros((10, 10), np.uint8), "+proj=laea +lat_0=0 +lon_0=0 +units=m", -5e5, 5e5, 1e5)
    bottom, left = frame_ticks(world)
    assert "0°" in [tick.label for tick in bottom]
    assert {tick.label[-1] for tick in left} == {"N", "S", "°"}
    across = Raster(np.zeros((10, 10), np.uint8), "+proj=laea +lat_0=-17 +lon_0=180 +units=m", -2e5, 2e5, 4e4)
    labels = [tick.label for tick in frame_ticks(across)[0]]
    assert any(label.endswith("E") for label in labels)
    assert any(label.endswith("W") for label in labels)


@pytest.mark.parametrize(
    ("span", "pieces", "step"), [(10, 3, 2.5), (0.0091, 3, 0.0025), (3, 3, 1), (7, 3, 2), (1e-6, 4, 2.5e-7)]
)
def test_steps_are_round(span, pieces, step):
    assert nice_step(span, pieces) == pytest.approx(step)


@pytest.mark.parametrize(("width", "length", "text"), [(640, 200, "200 m"), (30_000, 10_000, "10 km"), (9, 2, "2 m")])
def test_scale_bars_are_round_and_shorter_than_a_third(width, length, text):
    assert scale_bar_m(width) == length
    assert length_text(scale_bar_m(width)) == text


def test_long_names_are_cut_with_an_ellipsis():
    assert shorten("Permanent grass crops", 10) == "Permanent…"
    assert shorten("Maize", 10) == "Maize"
