"""Where a model has learnt: pixels and places that count as such, whichever file they come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from cropcube.domain.lattice import Lattice
from cropcube.domain.model_card import SplitRecord
from cropcube.samples.index import LEFT_OUT, SampleIndex
from cropcube.samples.learnt import Learnt
from cropcube.samples.split import Blocks
from cropcube.samples.table import ZONE, coordinates_of, ground_blocks, place_numbers

LATTICE = Lattice.utm(31, True)
ROW, COL = 400_000, 50_000
ANCHORS = {LATTICE.name: (ROW, COL)}


def pixels(row, col, field=None, part=None) -> SampleIndex:
    row, col = ROW + np.asarray(row), COL + np.asarray(col)
    index = SampleIndex.of(LATTICE.name, row, col, np.ones(len(row)), None if field is None else np.asarray(field))
    index = index.with_blocks(Blocks(16, ANCHORS).of(LATTICE.name, row, col), np.zeros(len(row), np.uint8))
    return index if part is None else replace(index, part=np.asarray(part, np.uint8))


def lonlat(row, col):
    x, y = LATTICE.left_m + (COL + np.asarray(col)) * 10 + 5, LATTICE.top_m - (ROW + np.asarray(row)) * 10 - 5
    return np.column_stack(Transformer.from_crs(LATTICE.crs, 4326, always_xy=True).transform(x, y))


def record(by: str) -> SplitRecord:
    return SplitRecord(160, 0, ANCHORS, {}, by)


def test_blocks_of_training_and_validation_hold_pixels_and_those_of_the_test_do_not():
    learnt = Learnt.of(pixels([0, 20, 40], [0, 0, 0], part=[0, 1, 2]), record("blocks"))
    asked = [15, 16, 31, 32, 47, 48], [15, 15, 0, 0, 5, 5]
    # rows 0 to 15 are of the training block, 16 to 31 of the validation block, 32 to 47 of the test block
    wanted = [True, True, True, False, False, False]
    np.testing.assert_array_equal(learnt.holds_pixels(pixels(*asked)), wanted)
    np.testing.assert_array_equal(learnt.holds_places(lonlat(*asked)), wanted)


def test_a_field_with_a_pixel_of_training_is_held_as_a_whole():
    learnt = Learnt.of(pixels([0, 9], [0, 9], field=[1, 2], part=[0, 2]), record("field"))
    asked = pixels([0, 1, 5, 9], [0, 0, 5, 9], field=[7, 7, 8, 9])
    np.testing.assert_array_equal(learnt.holds_pixels(asked), [True, True, False, False])
    bare = pixels([0, 1, 5, 9], [0, 0, 5, 9])  # of a raster: the patch of a class is its field
    np.testing.assert_array_equal(learnt.holds_pixels(bare), [True, True, False, False])


def test_what_no_set_has_of_a_learnt_field_is_held_and_its_block_is_not():
    learnt = Learnt.of(
        pixels([0, 20, 0, 20], [0, 0, 40, 40], field=[1, 1, 2, 2], part=[0, LEFT_OUT, LEFT_OUT, 2]), record("blocks")
    )
    asked = pixels([15, 20, 21, 20, 0], [0, 0, 0, 40, 40])
    np.testing.assert_array_equal(learnt.holds_pixels(asked), [True, True, False, False, False])


@pytest.mark.parametrize("by", ["blocks", "field"])
def test_rows_of_a_table_hold_the_places_and_the_pixels_they_lie_in(by):
    place = lonlat([0, 300], [0, 300])
    index = SampleIndex.of(ZONE, np.arange(2), np.zeros(2), np.ones(2), place_numbers(place))
    index = index.with_blocks(ground_blocks(place, 160), np.array([0, 2], np.uint8))
    learnt = Learnt.of(index, record(by))
    assert learnt.known
    np.testing.assert_array_equal(learnt.holds_places(np.vstack([place, place + 0.01])), [True, False, False, False])
    np.testing.assert_array_equal(learnt.holds_pixels(pixels([0, 300, 200], [0, 300, 0])), [True, False, False])


def test_rows_without_coordinates_are_of_no_known_place():
    index = SampleIndex.of(ZONE, np.arange(2), np.zeros(2), np.ones(2))
    assert not Learnt.of(index, record("farm")).known


@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=1, max_size=20))
def test_the_number_of_a_place_says_where_it_is(places):
    places = np.array(places)
    numbers = place_numbers(places)
    np.testing.assert_allclose(coordinates_of(numbers), places, atol=0.51e-5)
    np.testing.assert_array_equal(place_numbers(coordinates_of(numbers)), numbers)
