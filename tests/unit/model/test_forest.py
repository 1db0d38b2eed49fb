"""The forest predicts exactly as scikit-learn's does, and arrays that would lead it astray are refused."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from cropcube.errors import InvalidInputError
from cropcube.model.forest import PIECE, ForestClassifier, fit_forest

SETTINGS = {"n_estimators": 13, "random_state": 5, "n_jobs": 1}


@pytest.fixture(scope="module")
def data():
    draw = np.random.default_rng(1)
    inputs = draw.normal(size=(400, 4, 6)).astype(np.float32)
    classes = np.array([0, 2, 5])[(inputs[:, 0, 0] > 0).astype(int) + (inputs[:, 1, 3] > 0.4)]
    flip = draw.random(400) < 0.2
    return inputs, np.where(flip, draw.choice([0, 2, 5], 400), classes).astype(np.int64)


@pytest.fixture(scope="module")
def forest(data):
    return fit_forest(*data, 7, SETTINGS)


def test_probabilities_equal_those_of_scikit_learn_exactly(data, forest):
    inputs, classes = data
    oracle = RandomForestClassifier(**SETTINGS).fit(inputs.reshape(400, -1), classes)
    others = np.random.default_rng(2).normal(size=(PIECE + 300, 4, 6)).astype(np.float32)
    found = forest.probabilities(others)
    wanted = oracle.predict_proba(others.reshape(len(others), -1)).astype(np.float32)
    np.testing.assert_array_equal(found[:, [0, 2, 5]], wanted)
    assert not found[:, [1, 3, 4, 6]].any()  # classes of the legend without samples


def test_any_number_of_threads_gives_the_same(forest):
    inputs = np.random.default_rng(3).normal(size=(3 * PIECE + 5, 4, 6)).astype(np.float32)
    np.testing.assert_array_equal(forest.probabilities(inputs, 3), forest.probabilities(inputs, 1))


def test_arrays_round_trip(data, forest):
    again = ForestClassifier(dict(forest.tensors()))
    np.testing.assert_array_equal(again.probabilities(data[0]), forest.probabilities(data[0]))


def test_wrong_input_shape_is_refused(forest):
    with pytest.raises(InvalidInputError, match="do not fit"):
        forest.probabilities(np.zeros((2, 4, 5), np.float32))


def damage(name, at, value):
    def apply(tensors):
        tensors[name][at] = value

    return apply


DAMAGES = {
    "child beyond the tree": damage("left", 0, 10**6),
    "child that is its parent": damage("right", 0, 0),
    "one child only": damage("left", 0, -1),
    "negative child": damage("left", 0, -7),
    "feature beyond the inputs": damage("feature", 0, 24),
    "threshold not finite": damage("threshold", 0, np.nan),
    "share not finite": damage("share", (0, 0), np.inf),
    "share over one": damage("share", (0, 0), 1.5),
    "trees out of order": damage("first_node", 1, 10**6),
    "column beyond the legend": damage("columns", -1, 7),
    "columns out of order": damage("columns", 0, 3),
    "no classes": damage("classes", 0, 0),
    "an array missing": lambda tensors: tensors.pop("threshold"),
    "an array more": lambda tensors: tensors.update(more=np.zeros(1)),
    "an array cut off": lambda tensors: tensors.update(feature=tensors["feature"][:-1]),
    "another type": lambda tensors: tensors.update(left=tensors["left"].astype(np.int32)),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_arrays_are_refused(forest, name):
    tensors = {key: value.copy() for key, value in forest.tensors().items()}
    DAMAGES[name](tensors)
    with pytest.raises(InvalidInputError) as caught:
        ForestClassifier(tensors)
    assert "train the model again" in caught.value.next_step
