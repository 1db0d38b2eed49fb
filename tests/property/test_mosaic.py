"""The mosaic of a day against a slow oracle that looks at one pixel at a time."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cropcube.domain.scene import Scene
from cropcube.domain.sensor import READ_FAILED
from cropcube.observations.day import observe_day
from tests.support.fake_reader import BOX, SENSOR, FakeReader, scene

BANDS = {10: ("B02", "B04"), 20: ("B11",)}
BASELINES = ("", "02.14", "04.00", "05.09", "05.10")


def rank(one: Scene) -> tuple[float, str]:
    return -float(one.baseline or "-1"), one.id


def oracle(
    scenes: list[Scene], pixels: dict[tuple[str, str], NDArray[Any]], broken: set[tuple[str, str]]
) -> tuple[NDArray[Any], dict[int, NDArray[Any]]]:
    """Return quality and reflectance, deciding pixel by pixel which scene is looked at.

    A scene with a broken file is known to be broken only once it is needed somewhere; whether it is needed depends on
    the scenes before it. So the set of scenes that take part shrinks until no chosen scene is broken.
    """
    usable = [one for one in scenes if (one.id, "SCL") not in broken]
    while True:
        chosen = {at: first(usable, pixels, at) for at in np.ndindex(8, 8)}
        bad = {one.id for one in chosen.values() if one and any((one.id, b) in broken for b in ("B02", "B04", "B11"))}
        if not bad:
            break
        worst = next(one for one in sorted(usable, key=rank) if one.id in bad)
        usable.remove(worst)
    quality = np.zeros((8, 8), np.uint8)
    reflectance = {10: np.zeros((2, 16, 16), np.uint16), 20: np.zeros((1, 8, 8), np.uint16)}
    for (row, col), one in chosen.items():
        if one is None:
            lost = any(
                (other.id, "SCL") in broken or pixels[other.id, "SCL"][row, col]
                for other in scenes
                if other not in usable
            )
            quality[row, col] = READ_FAILED if lost else 0
            continue
        quality[row, col] = pixels[one.id, "SCL"][row, col]
        for resolution, names in BANDS.items():
            times = 20 // resolution
            for place, band in enumerate(names):
                for y in range(row * times, (row + 1) * times):
                    for x in range(col * times, (col + 1) * times):
                        reflectance[resolution][place, y, x] = stored(int(pixels[one.id, band][y, x]), one)
    return quality, reflectance


def first(scenes: list[Scene], pixels: dict[tuple[str, str], NDArray[Any]], at: tuple[int, ...]) -> Scene | None:
    seen = [one for one in scenes if pixels[one.id, "SCL"][at] != 0]
    clear = [one for one in seen if pixels[one.id, "SCL"][at] in (4, 5, 6, 7)]
    return min(clear or seen, key=rank, default=None)


def stored(dn: int, one: Scene) -> int:
    if dn == 0:
        return 0
    shift = 1000 if one.radiometry.offset else 0
    return min(max(dn - shift, 1), 65535)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_mosaic_is_the_oracles(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 4))
    scenes = [
        scene(f"s{number}", data.draw(st.sampled_from(BASELINES)), data.draw(st.sampled_from([0.0, -0.1])))
        for number in range(count)
    ]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    pixels: dict[tuple[str, str], NDArray[Any]] = {}
    for one in scenes:
        pixels[one.id, "SCL"] = rng.choice(np.array([0, 0, 3, 4, 5, 8, 9], np.uint8), (8, 8))
        pixels[one.id, "B02"] = rng.choice(np.array([0, 1, 1000, 4000, 65535], np.uint16), (16, 16))
        pixels[one.id, "B04"] = rng.integers(0, 65536, (16, 16), dtype=np.uint16)
        pixels[one.id, "B11"] = rng.integers(0, 65536, (8, 8), dtype=np.uint16)
    files = [(one.id, band) for one in scenes for band in ("SCL", "B02", "B04", "B11")]
    broken = set(data.draw(st.lists(st.sampled_from(files), max_size=3)))
    order = data.draw(st.permutations(scenes))
    day = observe_day(order, SENSOR, BOX, FakeReader(pixels, broken=broken))
    quality, reflectance = oracle(scenes, pixels, broken)
    np.testing.assert_array_equal(day.quality, quality)
    for resolution, wanted in reflectance.items():
        np.testing.assert_array_equal(day.reflectance[resolution], wanted)
    assert {(failure.scene, failure.band) for failure in day.failed} <= broken
    assert (READ_FAILED in quality) <= bool(day.failed)
