"""The composite shows the window that tells most, and fills its gaps from the nearest one."""

from __future__ import annotations

import numpy as np
import pytest

from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.report.composite import composite, join_windows
from cropcube.run.options import RunOptions
from tests.support.small_cube import make_project
from tests.support.small_features import reflectance, write_features
from tests.support.small_map import known_classes, small_project


def flat(near: int, red: int = 500, size: int = 6) -> np.ndarray:
    window = np.full((3, size, size), red, np.float32)
    window[0] = near
    return window


def test_the_window_in_which_fields_differ_most_is_shown():
    windows = np.stack([flat(1000), flat(1000), flat(1000)])
    windows[1, 0, :3] = 5000
    made = join_windows(windows)
    assert made.step == 1
    assert made.filled == 0
    np.testing.assert_array_equal(made.values[..., 0], windows[1, 0])


def test_a_window_that_saw_little_is_not_shown():
    windows = np.stack([flat(1000), flat(1000)])
    windows[1, 0, :3] = 5000
    windows[1, :, 1:] = 0
    assert join_windows(windows).step == 0


def test_gaps_are_filled_from_the_nearest_window_in_time():
    windows = np.stack([flat(1000), flat(2000), flat(3000), flat(4000)])
    windows[2, 0, :3] = 9000
    windows[2, :, 5, 5] = 0
    windows[3, :, 5, 5] = 0
    made = join_windows(windows)
    assert made.step == 2
    assert made.values[5, 5, 0] == 2000
    assert made.filled == 1 / 36


def test_what_was_never_seen_stays_no_data():
    windows = np.stack([flat(1000), flat(2000)])
    windows[:, :, 0, 0] = 0
    assert join_windows(windows).values[0, 0].tolist() == [0, 0, 0]
    assert not join_windows(windows * 0).values.any()


def test_bands_come_in_the_order_near_infrared_red_green(tmp_path):
    project = small_project(tmp_path / "project")
    store = write_features(project)
    tile = next(project.spec.grid.tiles())
    box = tile.box(10)
    made = composite(Store.open(store.path), tile.lattice.name, box)
    seen = made.values[..., 0] > 0
    for channel, band in enumerate((3, 2, 1)):  # B02 B03 B04 B08 are the 10 m bands
        wanted = [reflectance(known_classes(box), step, band)[seen] for step in range(7)]
        hits = np.mean([made.values[..., channel][seen] == values for values in wanted], axis=1)
        assert hits.max() > 0.6


@pytest.mark.parametrize(
    "spec", [FeatureSpec("geomedian", window_days=20), FeatureSpec("percentiles"), FeatureSpec("statistics")]
)
def test_other_kinds_than_medians_are_shown_where_they_have_the_bands(spec, tmp_path):
    project = make_project(tmp_path / "project")
    features(project.root, FeaturesOptions(spec), RunOptions("serial", quiet=True))
    tile = next(project.spec.grid.tiles())
    store = Store.open(project.features_path(spec.name))
    made = composite(store, tile.lattice.name, tile.box(10))
    if spec.kind == "statistics":
        assert made is None
        return
    name = "geomedian" if spec.kind == "geomedian" else "percentile"
    wanted = store.read(tile.lattice.name, name, tile.box(10))[made.step][[3, 2, 1]]  # B08 B04 B03
    seen = (wanted > 0).all(axis=0)
    assert seen.any()
    np.testing.assert_array_equal(made.values[seen], np.moveaxis(wanted, 0, 2)[seen])


def test_without_the_bands_there_is_none(tmp_path):
    from cropcube.config import ProjectSpec, create_project
    from cropcube.domain.sensor import SENTINEL2

    plain = small_project(tmp_path / "plain")
    spec = ProjectSpec(plain.spec.region, plain.spec.season, SENTINEL2.select(("B02", "B05")), 96)
    project = create_project(tmp_path / "project", spec)
    store = write_features(project)
    tile = next(project.spec.grid.tiles())
    assert composite(store, tile.lattice.name, tile.box(10)) is None
