from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cropcube.cube.observed import read_observations
from cropcube.domain.lattice import Tile, grown
from cropcube.errors import InvalidInputError
from tests.support.small_store import LATTICE, TILE_PX, TILES, fill_slab, quality_of, small_cube, values_of

if TYPE_CHECKING:
    from pathlib import Path

    from cropcube.cube.store import Store

FIRST, SECOND, _ = TILES
NEIGHBOUR = Tile(LATTICE, TILE_PX, 10, 21)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = small_cube(tmp_path / "cube.zarr")
    fill_slab(made, FIRST, 0, [3, 9])
    fill_slab(made, FIRST, 3, [98])
    return made


def test_only_the_days_present_are_read(store: Store) -> None:
    seen = read_observations(store, FIRST)
    assert seen.days.tolist() == [3, 9, 98]
    assert seen.bands == {10: ("B02", "B03", "B04", "B08"), 20: ("B05", "B06", "B07", "B8A", "B11", "B12")}
    for number, day in enumerate((3, 9, 98)):
        np.testing.assert_array_equal(seen.reflectance[10][number], values_of(FIRST, day, 4, 10))
        np.testing.assert_array_equal(seen.reflectance[20][number], values_of(FIRST, day, 6, 20))
        np.testing.assert_array_equal(seen.quality[number], quality_of(FIRST, day))
    assert seen.quality_box == FIRST.box(20)


def test_a_tile_without_observations(store: Store) -> None:
    seen = read_observations(store, SECOND)
    assert seen.days.shape == (0,)
    assert seen.reflectance[10].shape == (0, 4, 96, 96)
    assert seen.quality.shape == (0, 48, 48)


def test_some_bands(store: Store) -> None:
    seen = read_observations(store, FIRST, bands=("B08", "B11", "B03"))
    assert seen.bands == {10: ("B03", "B08"), 20: ("B11",)}
    np.testing.assert_array_equal(seen.reflectance[10][0], values_of(FIRST, 3, 4, 10)[[1, 3]])
    np.testing.assert_array_equal(seen.reflectance[20][2], values_of(FIRST, 98, 6, 20)[[4]])
    assert read_observations(store, FIRST, bands=("B02",)).bands == {10: ("B02",)}
    with pytest.raises(InvalidInputError, match="no band B01"):
        read_observations(store, FIRST, bands=("B02", "B01"))


def test_the_halo_shows_the_neighbours_and_ends_with_the_array(store: Store) -> None:
    fill_slab(store, NEIGHBOUR, 0, [9])
    store.mark_present("utm31n", 0, (5, 10), {FIRST: [3, 9], NEIGHBOUR: [9]})
    seen = read_observations(store, FIRST, halo_m=50)
    box = FIRST.box(20)
    assert (seen.quality_box.row, seen.quality_box.col) == (box.row, box.col)
    assert seen.quality_box.shape == (51, 51)
    np.testing.assert_array_equal(seen.quality[1, :48, :48], quality_of(FIRST, 9))
    np.testing.assert_array_equal(seen.quality[1, :48, 48:], quality_of(NEIGHBOUR, 9)[:, :3])
    assert not seen.quality[0, :48, 48:].any()
    assert seen.reflectance[10].shape == (3, 4, 96, 96)


def test_a_frame_is_whole_pixels() -> None:
    box = FIRST.box(20)
    assert grown(box, 0) == box
    assert grown(box, 20).shape == (50, 50)
    assert grown(box, 21).shape == (52, 52)
