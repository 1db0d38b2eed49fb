import tracemalloc

import pytest

from cropcube.domain.feature_spec import FeatureSpec
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.pipeline.features_memory import PROCESS_BYTES, tile_memory_bytes
from cropcube.run.options import RunOptions
from tests.support.small_cube import DAYS, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("wide") / "project", tile_px=480, region=(4.05, 50.74, 4.06, 50.745))


@pytest.mark.parametrize(
    "spec",
    [
        FeatureSpec(),
        FeatureSpec(window_days=1),
        FeatureSpec("annual-median", dilate_m=60),
        FeatureSpec("harmonic", order=3, dilate_m=100),
        FeatureSpec(window_days=2, indices=("NDVI", "EVI", "LSWI", "BSI")),
        FeatureSpec("geomedian", window_days=2, indices=("NDVI",)),
        FeatureSpec("percentiles"),
        FeatureSpec("statistics"),
        FeatureSpec("statistics", indices=("LSWI", "NDVI", "EVI"), dilate_m=60),
    ],
)
def test_a_task_stays_below_what_was_projected(project, spec):
    features(project.root, FeaturesOptions(FeatureSpec(window_days=49)), RunOptions("serial", quiet=True))
    tile = next(iter(project.spec.grid.zones[0].tiles()))
    projected = tile_memory_bytes(spec, project.spec.season, project.spec.sensor, tile, len(DAYS)) - PROCESS_BYTES
    tracemalloc.start()
    try:
        features(project.root, FeaturesOptions(spec), RunOptions("serial", quiet=True))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= projected
    assert projected < 6 * peak


def test_more_days_and_bigger_tiles_need_more(project):
    spec, season, sensor = FeatureSpec(), project.spec.season, project.spec.sensor
    tile = next(iter(project.spec.grid.zones[0].tiles()))
    wide = type(tile)(tile.lattice, 768, tile.row, tile.col)
    few, many = (tile_memory_bytes(spec, season, sensor, tile, days) for days in (10, 100))
    assert many > few + 80 * 480 * 480 * 4 * 2
    assert tile_memory_bytes(spec, season, sensor, wide, 10) > few
