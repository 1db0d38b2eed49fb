"""Fields and groups of samples: patches against an image labeller, ties, regions; what does not go together."""

from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from shapely.geometry import box

from cropcube.domain.lattice import Lattice
from cropcube.errors import InvalidInputError, UsageError
from cropcube.samples.index import NO_FIELD, SampleIndex
from cropcube.samples.places import SplitRule, regions_of, with_fields, with_patches

LATTICE = Lattice.utm(31, True)


def index_of(image, row=400_000, col=50_000, zone="utm31n"):
    rows, cols = np.nonzero(image)
    return SampleIndex.of(zone, rows + row, cols + col, image[rows, cols])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
def test_patches_are_the_connected_parts_of_each_class(seed, height, width):
    image = np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)
    if not image.any():
        return
    index = index_of(image)
    mix = np.random.default_rng(seed).permutation(len(index))
    field = with_patches(index.select(mix)).field[np.argsort(mix)]
    wanted = np.zeros(image.shape, int)
    for value in (1, 2):
        parts, count = ndimage.label(image == value)
        wanted[parts > 0] = parts[parts > 0] + 1000 * value
        assert count <= len(np.unique(field))
    _, ours = np.unique(field, return_inverse=True)
    _, theirs = np.unique(wanted[np.nonzero(image)], return_inverse=True)
    assert len(np.unique(np.stack([ours, theirs]), axis=1).T) == ours.max() + 1 == theirs.max() + 1


def test_patches_end_at_the_zone_and_known_fields_stay():
    image = np.ones((3, 3), np.uint8)
    index = SampleIndex.join([index_of(image), index_of(image, zone="utm32n")])
    assert len(np.unique(with_patches(index).field)) == 2
    field = np.where(np.arange(len(index)) < 4, 7, NO_FIELD)
    found = with_patches(replace(index, field=field)).field
    assert (found[:4] == 7).all()
    assert (found[4:] > 7).all()


def test_tied_features_are_one_field():
    index = replace(index_of(np.ones((1, 6), np.uint8)), field=np.array([0, 1, 2, 3, NO_FIELD, 5]))
    field = with_fields(index, np.array([[0, 2], [2, 5]])).field
    assert field[0] == field[2] == field[5]
    assert len({field[0], field[1], field[3]}) == 3
    assert field[4] == NO_FIELD
    np.testing.assert_array_equal(with_fields(index, np.zeros((0, 2), int)).field, index.field)


def test_samples_lie_in_the_polygon_that_holds_their_centre(tmp_path):
    index = index_of(np.ones((10, 10), np.uint8))
    left, top = LATTICE.left_m + 500_000, LATTICE.top_m - 4_000_000
    shapes = [box(left, top - 100, left + 40, top), box(left + 30, top - 100, left + 80, top)]
    gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=shapes, crs=32631).to_parquet(tmp_path / "two.parquet")
    found = regions_of(index, tmp_path / "two.parquet")
    np.testing.assert_array_equal(found.reshape(10, 10), np.tile(np.repeat([0, 1, -1], [4, 4, 2]), (10, 1)))
    lines = gpd.GeoDataFrame({"n": [1]}, geometry=[shapes[0].exterior], crs=32631)
    lines.to_parquet(tmp_path / "lines.parquet")
    with pytest.raises(InvalidInputError, match="more than polygons"):
        regions_of(index, tmp_path / "lines.parquet")


@pytest.mark.parametrize(
    "wrong", [{"by": "field", "block_m": 100}, {"by": "region"}, {"regions": Path("r.gpkg")}, {"by": " "}]
)
def test_rules_that_do_not_go_together_are_refused(wrong):
    with pytest.raises(UsageError):
        SplitRule(**wrong)
