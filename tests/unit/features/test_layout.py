from datetime import date

import numpy as np
import pytest
import zarr

from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError
from cropcube.features.layout import feature_spec_of, feature_store_spec
from tests.support.small_cube import make_project

SEASON = Season(date(2019, 3, 1), date(2019, 4, 12))


def test_arrays_of_medians():
    layout = feature_store_spec(FeatureSpec(window_days=5, indices=("NDVI", "LSWI")), SEASON, SENTINEL2, 96)
    found = {(a.name, a.resolution_m): (a.leading, a.dtype) for a in layout.arrays}
    windows = ("window", 9)
    assert found == {
        ("median", 10): ((windows, ("band", 4)), "uint16"),
        ("median", 20): ((windows, ("band", 6)), "uint16"),
        ("clear_count", 10): ((windows,), "uint16"),
        ("clear_count", 20): ((windows,), "uint16"),
        ("index", 10): ((windows, ("index_name", 1)), "float32"),
        ("index", 20): ((windows, ("index_name", 1)), "float32"),
    }
    assert layout.coordinates["window"][:2] == (date(2019, 3, 1), date(2019, 3, 6))
    assert layout.labels("index_name", 20) == ("LSWI",)
    assert layout.labels("band", 10) == ("B02", "B03", "B04", "B08")


def test_arrays_of_harmonics():
    layout = feature_store_spec(FeatureSpec("harmonic", order=1), SEASON, SENTINEL2, 96)
    found = {
        (a.name, a.resolution_m): (a.leading, a.dtype, a.fill_value) for a in layout.arrays if a.resolution_m == 20
    }
    assert found[("clear_count", 20)] == ((), "uint16", 0)
    assert found[("coefficient", 20)][:2] == ((("term", 3), ("band", 6)), "float32")
    assert found[("rmse", 20)][:2] == ((("band", 6),), "float32")
    assert np.isnan(found[("rmse", 20)][2])
    assert layout.coordinates["term"] == ("constant", "cos1", "sin1")


def test_arrays_of_geometric_medians_and_percentiles():
    layout = feature_store_spec(FeatureSpec("geomedian", window_days=21), SEASON, SENTINEL2, 96)
    assert {(a.name, a.resolution_m): a.leading for a in layout.arrays} == {
        ("geomedian", 10): (("window", 2), ("band", 4)),
        ("geomedian", 20): (("window", 2), ("band", 6)),
        ("clear_count", 10): (("window", 2),),
        ("clear_count", 20): (("window", 2),),
    }
    layout = feature_store_spec(FeatureSpec("percentiles", percentiles=(10, 99.5)), SEASON, SENTINEL2, 96)
    assert {(a.name, a.resolution_m): (a.leading, a.dtype) for a in layout.arrays} == {
        ("percentile", 10): ((("percent", 2), ("band", 4)), "uint16"),
        ("percentile", 20): ((("percent", 2), ("band", 6)), "uint16"),
        ("clear_count", 10): ((), "uint16"),
        ("clear_count", 20): ((), "uint16"),
    }
    assert layout.coordinates["percent"] == (10.0, 99.5)


def test_arrays_of_statistics_are_where_their_indices_are():
    layout = feature_store_spec(FeatureSpec("statistics", indices=("NDVI", "EVI")), SEASON, SENTINEL2, 96)
    assert {(a.name, a.resolution_m): (a.leading, a.dtype) for a in layout.arrays} == {
        ("statistic", 10): ((("statistic_name", 6), ("index_name", 2)), "float32"),
        ("clear_count", 10): ((), "uint16"),
    }
    layout = feature_store_spec(FeatureSpec("statistics", indices=("LSWI",)), SEASON, SENTINEL2, 96)
    assert {(a.name, a.resolution_m) for a in layout.arrays} == {
        ("statistic", 20), ("clear_count", 10), ("clear_count", 20)
    }  # fmt: skip
    assert layout.labels("index_name", 20) == ("LSWI",)
    assert layout.coordinates["statistic_name"] == ("mean", "sd", "min", "max", "amplitude", "day_of_max")


def test_a_project_without_coarse_bands_has_no_coarse_features():
    layout = feature_store_spec(FeatureSpec(), SEASON, SENTINEL2.select(("B04", "B08")), 96)
    assert {a.resolution_m for a in layout.arrays} == {10}


@pytest.mark.parametrize(
    "spec",
    [FeatureSpec(window_days=7), FeatureSpec("harmonic", ridge=0.25), FeatureSpec(indices=("EVI",), dilate_m=40)],
)
def test_the_store_says_what_it_holds(tmp_path, spec):
    project = make_project(tmp_path / "project")
    path = project.features_path(spec.name)
    Store.create(path, project.spec.grid, feature_store_spec(spec, project.spec.season, project.spec.sensor, 96))
    assert feature_spec_of(Store.open(path)) == spec
    with pytest.raises(InvalidInputError, match=r"cube\.zarr"):
        feature_spec_of(Store.open(project.cube_path))
    name = "coefficient" if spec.kind == "harmonic" else "median"
    array = zarr.open_group(path, mode="r")[f"utm31n/r10m/{name}"]
    assert array.attrs["reflectance_scale"] == 1e-4
