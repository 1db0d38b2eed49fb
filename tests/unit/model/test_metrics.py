"""Scores agree with scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from cropcube.errors import InvalidInputError
from cropcube.model.metrics import confusion, mean_of, score

NAMES = ("a", "b", "c", "d", "e")


@pytest.mark.parametrize("seed", range(5))
def test_scores_agree_with_scikit_learn(seed):
    draw = np.random.default_rng(seed)
    truth, predicted = draw.integers(0, 4, 200), draw.integers(0, 5, 200)  # the truth has no e
    found = score(truth, predicted, NAMES)
    labels = list(range(5))
    np.testing.assert_array_equal(found.confusion, oracle.confusion_matrix(truth, predicted, labels=labels))
    assert found.overall_accuracy == pytest.approx(oracle.accuracy_score(truth, predicted))
    present = [0, 1, 2, 3]
    assert found.macro_f1 == pytest.approx(oracle.f1_score(truth, predicted, labels=present, average="macro"))
    p, r, f, n = oracle.precision_recall_fscore_support(truth, predicted, labels=present, zero_division=0)
    for i in present:
        entry = found.classes[i]
        assert (entry.precision, entry.recall, entry.f1) == pytest.approx((p[i], r[i], f[i]))
        assert entry.support == n[i]
    assert np.isnan(found.classes[4].recall)
    assert found.as_json()["classes"][4]["f1"] is None
    assert found.samples == 200


def test_a_class_never_mapped_scores_zero_and_counts():
    found = score(np.array([0, 0, 1]), np.array([0, 0, 0]), ("a", "b"))
    assert found.classes[1].f1 == 0.0
    assert found.classes[1].precision == 0.0
    assert found.macro_f1 == pytest.approx(0.8 / 2)


def test_no_truth_gives_no_score():
    found = score(np.zeros(0, int), np.zeros(0, int), ("a", "b"))
    assert np.isnan(found.overall_accuracy)
    assert found.as_json()["macro_f1"] is None


@pytest.mark.parametrize(("truth", "predicted"), [([0, 2], [0, 0]), ([0, -1], [0, 0]), ([0], [0, 0])])
def test_classes_out_of_range_are_refused(truth, predicted):
    with pytest.raises(InvalidInputError):
        confusion(np.array(truth), np.array(predicted), 2)


def test_means_over_repeats_are_those_of_their_figures():
    truth = np.array([0, 0, 1, 1, 2])
    said = ([0, 0, 1, 0, 0], [0, 1, 1, 1, 0])
    repeats = [score(truth, np.array(one), ("a", "b", "c")) for one in said]
    found = mean_of(repeats)
    assert (found.repeats, found.samples) == (2, 5)
    assert found.overall_accuracy == pytest.approx((3 / 5 + 3 / 5) / 2)
    assert found.macro_f1 == pytest.approx(np.mean([one.macro_f1 for one in repeats]))
    a, b, c = found.classes
    assert (a.recall, a.support) == (pytest.approx((1 + 1 / 2) / 2), 2)
    assert a.precision == pytest.approx((2 / 4 + 1 / 2) / 2)
    assert b.precision == pytest.approx((1 + 2 / 3) / 2)
    assert (c.precision, c.recall, c.f1) == (0, 0, 0)
    assert found.confusion == ((3, 1, 0), (1, 3, 0), (2, 0, 0))
