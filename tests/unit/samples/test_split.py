"""Splits are by place: no block is in two sets, and the seed decides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from cropcube.domain.grid import plan_grid
from cropcube.domain.region import Region
from cropcube.errors import InvalidInputError
from cropcube.samples.split import Blocks, deal, folds, plan_blocks, three_sets

samples = st.integers(5, 40).flatmap(
    lambda count: st.lists(st.tuples(st.integers(0, count), st.integers(1, 4)), min_size=60, max_size=300)
)


def blocks_of(parts, blocks):
    return {part: set(blocks[parts == part].tolist()) for part in set(parts.tolist())}


@settings(deadline=None, max_examples=40)
@given(samples, st.integers(0, 5))
def test_no_block_is_in_two_sets_and_none_is_left_out(drawn, seed):
    blocks, labels = np.array([b for b, _ in drawn]), np.array([c for _, c in drawn], dtype=np.uint8)
    if len(np.unique(blocks)) < 5:
        return
    for parts, count in ((three_sets(blocks, labels, seed), 3), (folds(blocks, labels, 4, seed), 4)):
        places = blocks_of(parts, blocks)
        assert set(places) == set(range(count))
        assert sum(map(len, places.values())) == len(np.unique(blocks))


def test_same_seed_same_split_whatever_the_order_of_the_samples():
    draw = np.random.default_rng(0)
    blocks, labels = draw.integers(0, 30, 500), draw.integers(1, 5, 500).astype(np.uint8)
    mix = draw.permutation(500)
    np.testing.assert_array_equal(three_sets(blocks, labels, 3)[mix], three_sets(blocks[mix], labels[mix], 3))
    assert not np.array_equal(three_sets(blocks, labels, 3), three_sets(blocks, labels, 4))


def test_shares_are_three_one_one_and_classes_are_spread():
    draw = np.random.default_rng(0)
    blocks = draw.integers(0, 100, 20_000)
    labels = np.where(blocks % 10 == 0, 2, 1).astype(np.uint8)  # a class in ten blocks of a hundred
    parts = three_sets(blocks, labels, 0)
    np.testing.assert_allclose(np.bincount(parts) / 20_000, [0.6, 0.2, 0.2], atol=0.02)
    rare = np.bincount(parts[labels == 2]) / (labels == 2).sum()
    np.testing.assert_allclose(rare, [0.6, 0.2, 0.2], atol=0.02)


@pytest.mark.parametrize("seed", range(8))
def test_a_class_of_a_single_block_is_learnt(seed):
    blocks = np.repeat(np.arange(16), 10)
    labels = np.ones(160, np.uint8)
    labels[blocks == 11] = 2
    assert three_sets(blocks, labels, seed)[blocks == 11].tolist() == [0] * 10


def test_scarce_classes_reach_all_sets_where_they_can():
    blocks = np.repeat(np.arange(16), 10)
    labels = np.ones(160, np.uint8)
    labels[np.isin(blocks, (2, 7, 12)) & (np.arange(160) % 10 < 3)] = 2  # a class in three blocks
    for seed in range(4):
        parts = three_sets(blocks, labels, seed)
        assert set(parts[labels == 2].tolist()) == {0, 1, 2}


def test_too_few_blocks_say_what_to_do():
    with pytest.raises(InvalidInputError) as caught:
        three_sets(np.array([1, 1, 2]), np.array([1, 2, 1], np.uint8), 0)
    assert "2 blocks" in caught.value.what
    assert "--block-m" in caught.value.next_step
    with pytest.raises(InvalidInputError):
        deal(np.arange(5), np.ones(5, np.uint8), 1, 0)


def test_blocks_are_squares_counted_from_the_anchor_also_before_it():
    blocks = Blocks(4, {"utm31n": (100, 200)})
    rows, cols = np.meshgrid(np.arange(92, 108), np.arange(200, 212), indexing="ij")
    numbers = blocks.of("utm31n", rows.ravel(), cols.ravel()).reshape(rows.shape)
    squares = numbers.reshape(4, 4, 3, 4).transpose(0, 2, 1, 3).reshape(12, 16)
    assert (squares == squares[:, :1]).all()
    assert len(np.unique(squares[:, 0])) == 12


def test_zones_do_not_share_blocks():
    blocks = Blocks(10, {"utm31n": (0, 0), "utm32n": (0, 0)})
    at = np.array([5]), np.array([5])
    assert blocks.of("utm31n", *at) != blocks.of("utm32n", *at)


def test_anchor_is_the_first_pixel_whose_centre_is_in_the_regions_bounds():
    from pyproj import Transformer

    to_lonlat = Transformer.from_crs(32631, 4326, always_xy=True)
    x, y = to_lonlat.transform([574680, 575320, 575320, 574680], [5622440, 5622440, 5621800, 5621800])
    from shapely.geometry import Polygon

    region = Region.of("patch", Polygon(zip(x, y, strict=True)))
    blocks = plan_blocks(region, plan_grid(region, 96))
    assert blocks.anchors == {"utm31n": ((9_999_960 - 5_622_440) // 10, 57468)}
    assert blocks.block_px == 16  # a quarter of 640 m


def test_default_block_is_bounded_and_given_ones_are_checked():
    region = Region.of("big", box(4, 50, 5, 51))
    grid = plan_grid(region, 768)
    assert plan_blocks(region, grid).block_px == 500
    assert plan_blocks(region, grid, 130).block_px == 13
    for wrong in (0, -10, 25):
        with pytest.raises(InvalidInputError, match="blocks of"):
            plan_blocks(region, grid, wrong)


def test_another_crs_has_one_anchor():
    region = Region.of("here", box(4.05, 50.74, 4.07, 50.75))
    blocks = plan_blocks(region, plan_grid(region, 96, 3035), 160)
    assert list(blocks.anchors) == ["epsg3035"]


def test_a_region_over_two_zones_has_an_anchor_in_each():
    region = Region.of("border", box(5.9, 50.7, 6.1, 50.8))
    blocks = plan_blocks(region, plan_grid(region, 96))
    assert sorted(blocks.anchors) == ["utm31n", "utm32n"]
