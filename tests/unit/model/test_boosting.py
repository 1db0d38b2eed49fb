"""Boosted trees predict as scikit-learn's do, and arrays that would lead them astray are refused."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from cropcube.errors import InvalidInputError
from cropcube.model.boosting import BoostingClassifier, fit_boosting

SETTINGS = {"max_iter": 12, "random_state": 5}


def drawn(names):
    draw = np.random.default_rng(1)
    inputs = draw.normal(size=(600, 4, 6)).astype(np.float32)
    place = (inputs[:, 0, 0] > 0).astype(int) + (inputs[:, 1, 3] > 0.4) * (len(names) > 2)
    flip = draw.random(600) < 0.2
    return inputs, np.where(flip, draw.choice(names, 600), np.array(names)[place]).astype(np.int64)


@pytest.fixture(scope="module")
def boosting():
    return fit_boosting(*drawn([0, 2, 5]), 7, SETTINGS, 1)


@pytest.mark.parametrize("names", [[0, 2, 5], [1, 4]])
def test_probabilities_equal_those_of_scikit_learn(names):
    inputs, classes = drawn(names)
    ours = fit_boosting(inputs, classes, 7, SETTINGS, 1)
    oracle = HistGradientBoostingClassifier(early_stopping=False, **SETTINGS).fit(inputs.reshape(600, -1), classes)
    others = np.random.default_rng(2).normal(size=(1000, 4, 6)).astype(np.float32)
    others[:50] = np.round(others[:50], 1)
    found = ours.probabilities(others)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, names], oracle.predict_proba(others.reshape(1000, -1)), rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(
        np.array(names)[found[:, names].argmax(axis=1)], oracle.predict(others.reshape(1000, -1))
    )
    rest = np.setdiff1d(np.arange(7), names)  # classes of the legend without samples
    assert not found[:, rest].any()
    assert (np.array(oracle.classes_) == names).all()


def test_values_on_a_threshold_go_left():
    inputs = np.repeat(np.arange(40, dtype=np.float32), 20).reshape(-1, 1, 1)
    classes = (inputs[:, 0, 0] > 17).astype(np.int64)
    ours = fit_boosting(inputs, classes, 2, SETTINGS, 1)
    oracle = HistGradientBoostingClassifier(early_stopping=False, **SETTINGS).fit(inputs.reshape(-1, 1), classes)
    edges = np.unique(ours.tensors()["threshold"]).astype(np.float32).reshape(-1, 1, 1)
    np.testing.assert_allclose(ours.probabilities(edges), oracle.predict_proba(edges.reshape(-1, 1)), rtol=1e-6)


def test_any_number_of_threads_gives_the_same(boosting):
    inputs = np.random.default_rng(3).normal(size=(3000, 4, 6)).astype(np.float32)
    np.testing.assert_array_equal(boosting.probabilities(inputs, 3), boosting.probabilities(inputs, 1))


def test_arrays_round_trip(boosting):
    inputs, _ = drawn([0, 2, 5])
    again = BoostingClassifier(dict(boosting.tensors()))
    np.testing.assert_array_equal(again.probabilities(inputs), boosting.probabilities(inputs))


def test_wrong_input_shape_is_refused(boosting):
    with pytest.raises(InvalidInputError, match="do not fit"):
        boosting.probabilities(np.zeros((2, 4, 5), np.float32))


DAMAGES = {
    "child beyond the tree": ("left", 0, 10**6),
    "child that leads back": ("right", 0, 0),
    "child of one side only": ("left", 0, -1),
    "no such feature": ("feature", 0, 24),
    "no such sum": ("column", 3, 3),
    "tree that begins nowhere": ("first", 1, -5),
    "tree before the last": ("first", 2, 0),
    "threshold that is no number": ("threshold", 0, np.nan),
    "leaf that is no number": ("value", 3, np.inf),
    "no such class": ("columns", 2, 7),
    "shape of nothing": ("input_shape", 0, 0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_arrays_are_refused(boosting, damage):
    name, at, value = DAMAGES[damage]
    tensors = {key: np.array(values) for key, values in boosting.tensors().items()}
    tensors[name][at] = value
    with pytest.raises(InvalidInputError):
        BoostingClassifier(tensors)


@pytest.mark.parametrize("change", ["missing", "extra", "type", "length"])
def test_foreign_arrays_are_refused(boosting, change):
    tensors = dict(boosting.tensors())
    if change == "missing":
        del tensors["start"]
    elif change == "extra":
        tensors["more"] = np.zeros(1)
    elif change == "type":
        tensors["left"] = tensors["left"].astype(np.int64)
    else:
        tensors["value"] = tensors["value"][:-1]
    with pytest.raises(InvalidInputError):
        BoostingClassifier(tensors)
