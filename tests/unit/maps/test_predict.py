"""Classes and confidence of pixels, from probabilities that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cropcube.domain.feature_spec import FeatureSpec
from cropcube.features.model_input import InputLayout, reflectance_scaling
from cropcube.features.source import StoredFeatures
from cropcube.maps.predict import STRIP_PX, MapModel, classify, clear_observations, predict_tile, strip_bytes
from tests.support.small_features import unseen, write_features
from tests.support.small_map import small_project

SPEC = FeatureSpec("median", window_days=10)


class Fake:
    """Says what it is told, and remembers how it was asked."""

    kind, classes, input_shape = "forest", 3, (10, 7)

    def __init__(self, probability=None) -> None:
        self.probability, self.asked = probability, []

    def probabilities(self, inputs_NBS, threads=1):
        self.asked.append((len(inputs_NBS), threads))
        if self.probability is not None:
            return np.asarray(self.probability, np.float32)
        found = np.zeros((len(inputs_NBS), 3), np.float32)
        found[:, 1] = 1
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return small_project(tmp_path_factory.mktemp("maps") / "project")


@pytest.fixture(scope="module")
def store(project):
    return write_features(project)


def model(project, classifier, threads=1) -> MapModel:
    layout = InputLayout.of(SPEC, project.spec.season, project.spec.sensor)
    return MapModel(classifier, layout, reflectance_scaling(10), threads=threads)


def test_the_likeliest_class_is_taken_and_the_first_of_equals(project):
    said = [[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.0, 0.0, 1.0]]
    found = classify(model(project, Fake(said)), np.zeros((3, 10, 7), np.float32))
    assert found.crop.tolist() == [2, 1, 3]
    assert found.confidence.tolist() == [50, 40, 100]
    assert found.margin.tolist() == [20, 0, 100]
    assert found.probability.T.tolist() == [[20, 50, 30], [40, 20, 40], [0, 0, 100]]
    assert {values.dtype for values in vars(found).values()} == {np.dtype(np.uint8)}


def test_the_temperature_changes_how_sure_the_map_is_and_not_its_class(project):
    said = [[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.0, 0.1, 0.9]]
    plain, inputs = model(project, Fake(said)), np.zeros((3, 10, 7), np.float32)
    surer, calmer = (classify(replace(plain, temperature=t), inputs) for t in (0.5, 3.0))
    as_it_is = classify(plain, inputs)
    assert surer.crop.tolist() == calmer.crop.tolist() == as_it_is.crop.tolist()
    assert surer.confidence.tolist() == [66, 44, 99]  # 0.25 / 0.38, 0.16 / 0.36, 0.81 / 0.82
    assert (calmer.confidence <= as_it_is.confidence).all()


def test_confidence_is_rounded_half_up_and_never_no_data(project):
    said = [[0.625, 0.375, 0.0], [0.994, 0.006, 0.0], [0.996, 0.004, 0.0], [0.001, 0.0, 0.0]]
    confidence = classify(model(project, Fake(said)), np.zeros((4, 10, 7), np.float32)).confidence
    assert confidence.tolist() == [63, 99, 100, 1]


def test_only_counted_pixels_that_were_seen_are_classified(project, store):
    tile = next(project.spec.grid.tiles())
    box = tile.box(10)
    counted = np.zeros(box.shape, bool)
    counted[10:20, 30:60] = True
    fake = Fake()
    made = predict_tile(StoredFeatures(store), model(project, fake, threads=2), tile, counted)
    wanted = counted & ~unseen(box)
    np.testing.assert_array_equal(made.crop, np.where(wanted, 2, 0))
    np.testing.assert_array_equal(made.confidence, np.where(wanted, 100, 0))
    np.testing.assert_array_equal(made.clear_count > 0, wanted)
    assert fake.asked == [(wanted.sum(), 2)]


def test_a_tile_outside_the_region_is_not_even_read(project):
    tile = next(project.spec.grid.tiles())
    made = predict_tile(None, model(project, Fake()), tile, np.zeros(tile.box(10).shape, bool))
    assert not made.crop.any()


def test_strips_cut_no_pixel_of_a_coarser_band_and_change_nothing(project, store, monkeypatch):
    from cropcube.maps import predict

    assert STRIP_PX % 2 == 0
    tile = next(project.spec.grid.tiles())
    counted = np.ones(tile.box(10).shape, bool)
    whole = predict_tile(StoredFeatures(store), model(project, Fake()), tile, counted)
    monkeypatch.setattr(predict, "STRIP_PX", 10)
    monkeypatch.setattr(predict, "GROUP_PX", 17)
    cut = predict_tile(StoredFeatures(store), model(project, Fake()), tile, counted)
    for name in ("crop", "confidence", "clear_count"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name))


def test_clear_observations_of_harmonics_are_taken_as_they_are(project, tmp_path):
    from cropcube.cube.store import Store
    from cropcube.features.layout import feature_store_spec

    spec = FeatureSpec("harmonic")
    layout = feature_store_spec(spec, project.spec.season, project.spec.sensor, 96)
    store = Store.create(tmp_path / "h.zarr", project.spec.grid, layout)
    box = next(project.spec.grid.tiles()).box(10)
    counts = np.arange(96 * 96, dtype=np.uint16).reshape(96, 96)
    store.write(box.lattice.name, "clear_count", box, counts)
    np.testing.assert_array_equal(clear_observations(counts, box), counts)


def test_the_projected_memory_grows_with_steps_and_tile(project):
    short = InputLayout.of(SPEC, project.spec.season, project.spec.sensor)
    long = InputLayout.of(FeatureSpec("median", window_days=2), project.spec.season, project.spec.sensor)
    assert strip_bytes(long, 768) > 2 * strip_bytes(short, 768)
    assert strip_bytes(short, 768) > strip_bytes(short, 96)
