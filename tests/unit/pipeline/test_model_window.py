"""A model that sees a part of the season maps that part, by calendar days, in any season that has it."""

import numpy as np
import pytest

from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.model_window import ModelWindow, window_of
from cropcube.domain.season import Season
from cropcube.errors import ModelMismatchError
from cropcube.features.source import StoredFeatures
from cropcube.model.checkpoint import load_model
from cropcube.model.classifier import classify
from cropcube.pipeline.model_check import check_fit, digest_of
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.train import window_of_words
from cropcube.run.options import RunOptions
from cropcube.samples.read import OnGrid, Samples
from tests.support.small_features import labelled, train_forest, write_features
from tests.support.small_map import LEGEND, small_project

SERIAL = RunOptions("serial", quiet=True)
WINDOW = ModelWindow.parse("03-18/04-28")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    project = small_project(tmp_path_factory.mktemp("home") / "project")
    train_forest(project, write_features(project), window=WINDOW)
    return project


def other(folder, season):
    project = small_project(folder / "other", season=season)
    return project, write_features(project)


def test_the_card_says_what_the_model_sees(home):
    classifier, card = load_model(home.model_path)
    assert card.model_window == "03-18/04-28"
    assert card.steps == ("2019-03-21", "2019-03-31", "2019-04-10", "2019-04-20")
    assert classifier.input_shape == (10, 4)
    layout = check_fit(home, card, home.model_path)
    assert (layout.window, layout.steps) == ((2, 6), card.steps)


@pytest.mark.parametrize("season", [None, "2020-02-25/2020-05-20"])
def test_the_map_is_of_the_window_whatever_the_season(home, tmp_path, season):
    project, store = other(tmp_path, season) if season else (home, Store.open(home.features_path("median-10d")))
    predict(project.root, PredictOptions(home.model_path), SERIAL)
    classifier, card = load_model(home.model_path)
    layout = check_fit(project, card, home.model_path)
    assert len(layout.steps) == 4
    if season:
        assert layout.steps[0] == "2020-03-16"
    samples = Samples(OnGrid(StoredFeatures(store)), layout, labelled(project), LEGEND)
    wanted = classify(classifier, samples, card.scaling).argmax(axis=1) + 1
    made, mapped = Store.open(project.map_path), 0
    for tile in project.spec.grid.tiles():
        box = tile.box(10)
        crop, index = made.read(tile.lattice.name, "crop", box), samples.index
        rows, cols = index.row - box.row, index.col - box.col
        here = (rows >= 0) & (rows < box.height) & (cols >= 0) & (cols < box.width)
        found = crop[rows[here], cols[here]]
        np.testing.assert_array_equal(found[found > 0], wanted[here][found > 0])
        mapped += int((found > 0).sum())
    assert mapped > 100


def test_a_season_without_the_window_is_refused(home, tmp_path):
    project, _ = other(tmp_path, "2020-03-25/2020-05-20")
    with pytest.raises(ModelMismatchError, match=r"takes 4 windows of 10 days from 2021-03-18, .* has 0"):
        predict(project.root, PredictOptions(home.model_path), SERIAL)


def test_a_model_of_another_window_is_another_model(home, tmp_path):
    _, card = load_model(home.model_path)
    whole = train_forest(home, Store.open(home.features_path("median-10d")), tmp_path / "model")
    assert digest_of(whole) != digest_of(card)


def test_the_recipe_gives_a_window_where_nothing_is_said():
    assert window_of_words(None, "paper", "cropnet") == "05-01/12-01"
    assert window_of_words("all", "paper", "cropnet") == "all"
    assert window_of_words(None, None, "cropnet") == window_of_words(None, "local", "cropnet") == "growing"
    assert window_of_words(None, None, "forest") == "all"
    assert window_of_words("03-18/04-28", "paper", "cropnet") == "03-18/04-28"


@pytest.mark.parametrize(
    ("season", "latitude", "wanted"),
    [
        ("2018-12-01/2019-11-28", 51.0, "04-01/10-28"),
        ("2019-01-01/2020-01-01", 51.0, "04-01/10-28"),
        ("2019-07-01/2020-07-01", -36.0, "10-01/04-28"),
        ("2019-07-01/2020-07-01", 51.0, None),  # no whole one in it
        ("2019-04-01/2019-10-28", 51.0, None),  # no more than it
        ("2019-05-01/2019-12-01", 51.0, None),
        ("2019-01-01/2020-01-01", 22.0, None),
        ("2019-01-01/2020-01-01", None, None),
    ],
)
def test_the_growing_season_is_where_crops_grow_in_half_the_year_only(season, latitude, wanted):
    spec, season = FeatureSpec("median", window_days=15), Season.parse(season)
    found = window_of("growing", spec, season, latitude)
    assert found == (None if wanted is None else ModelWindow.parse(wanted))
    assert found is None or found.steps_of(spec, season)[1] - found.steps_of(spec, season)[0] in (14, 15)


@pytest.mark.parametrize("kind", ["harmonic", "annual-median"])
def test_features_without_windows_of_time_are_seen_whole(kind):
    assert window_of("growing", FeatureSpec(kind), Season.of_year(2019), 51.0) is None
