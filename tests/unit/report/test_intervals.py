"""Intervals over folds, against figures worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from cropcube.model.metrics import scores
from cropcube.report.intervals import interval, intervals_of


def test_an_interval_is_that_of_students_t_with_the_variance_of_overlapping_folds():
    # Mean 0.7; deviations -0.1, 0, 0, 0.1: s² = 0.02 / 3. Two-sided 5 % point of t with 3 degrees of freedom: 3.18245.
    found = interval([0.6, 0.7, 0.7, 0.8], folds=4)
    half = 3.18245 * math.sqrt(0.02 / 3 * (1 / 4 + 1 / 3))
    assert found is not None
    assert (found.mean, found.deviation) == (pytest.approx(0.7), pytest.approx(math.sqrt(0.02 / 3)))
    assert (found.low, found.high) == (pytest.approx(0.7 - half, abs=1e-6), pytest.approx(0.7 + half, abs=1e-6))
    assert str(found) == "0.50 to 0.90"


def test_more_seeds_narrow_it_no_further_than_the_folds_allow():
    # Six values of two seeds of three folds; t with 5 degrees of freedom: 2.57058; the variance keeps its 1/2.
    values = [0.5, 0.6, 0.7, 0.5, 0.6, 0.7]
    found = interval(values, folds=3)
    half = 2.57058 * np.std(values, ddof=1) * math.sqrt(1 / 6 + 1 / 2)
    assert found is not None
    assert found.high - found.mean == pytest.approx(half, abs=1e-6)


def test_scores_stay_between_none_and_all():
    found = interval([0.2, 1.0], folds=2)
    assert found is not None
    assert (found.low, found.high) == (0.0, 1.0)


def test_folds_that_did_not_test_a_class_are_left_out_and_one_alone_has_no_interval():
    known = interval([0.6, math.nan, 0.8], folds=3)
    assert known is not None
    assert known.values == (0.6, 0.8)
    assert interval([0.6, math.nan, math.nan], folds=3) is None


def test_every_score_of_the_folds_gets_its_interval():
    first, second = np.array([[8, 2, 0], [0, 10, 0], [0, 0, 0]]), np.array([[10, 0, 0], [5, 5, 0], [0, 0, 0]])
    found = intervals_of([scores(counts, ("a", "b", "c")) for counts in (first, second)], folds=2)
    assert found is not None
    assert found.overall_accuracy is not None
    assert found.overall_accuracy.values == (0.9, 0.75)
    assert found.f1[0] is not None
    assert found.f1[0].values == (pytest.approx(16 / 18), pytest.approx(20 / 25))
    assert found.f1[2] is None
    figures = json.loads(json.dumps(found.as_dict(("a", "b", "c")), allow_nan=False))
    assert figures["f1"]["c"] is None
    assert figures["macro_f1"]["mean"] == pytest.approx(np.mean(figures["macro_f1"]["values"]))


def test_one_fold_says_nothing_of_a_spread():
    assert intervals_of([scores(np.eye(2, dtype=np.int64), ("a", "b"))], folds=2) is None
