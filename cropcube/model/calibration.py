"""Calibration: probabilities made to mean what they say, by one number found on the validation places.

Temperature scaling (Guo et al., 2017, arXiv 1706.04599): the logarithms of the probabilities are divided by one
temperature, which changes no class. The temperature with the least mean negative log-likelihood is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.model_card import Calibration

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 1e-4
"""What a probability counts as at least where its logarithm is taken: a forest says 0 for what no tree has seen."""
BINS = 15
"""Of the expected calibration error: of equal width."""
BOUNDS = (0.05, 20.0)
"""Between which the temperature is looked for."""
_ROUNDS, _POINTS = 6, 21


def tempered(probability_NC: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float64]:
    """Return probabilities (N, classes) with their logarithms divided by a temperature, rows adding up to 1."""
    wide = probability_NC.astype(np.float64)
    if temperature == 1.0:
        return wide
    raised: NDArray[np.float64] = np.exp(np.log(np.maximum(wide, LEAST)) / temperature)
    raised /= raised.sum(axis=1, keepdims=True)
    return raised


def calibrate(
    probability_NC: NDArray[np.floating[Any]], classes_N: NDArray[np.int64], places_N: NDArray[np.integer[Any]]
) -> Calibration:
    """Find the temperature for what a classifier says of samples that it was not fitted to.

    The error that is left is not measured on the places that the temperature was found on: each half of the places is
    judged with the temperature of the other half.

    Parameters
    ----------
    probability_NC
        (N, classes), N at least 1.
    classes_N
        The right class of each, from 0.
    places_N
        Number of the place (block, field) of each.
    """
    temperature = _temperature(probability_NC, classes_N)
    left = None
    half_N = halves(places_N)
    if half_N.any():
        judged = np.empty(probability_NC.shape, np.float64)
        for half in (half_N, ~half_N):
            judged[half] = tempered(probability_NC[half], _temperature(probability_NC[~half], classes_N[~half]))
        left = round(expected_calibration_error(judged, classes_N), 6)
    before = round(expected_calibration_error(probability_NC.astype(np.float64), classes_N), 6)
    return Calibration(temperature, before, left, len(classes_N))


def halves(places_N: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Return which samples are in one half of the places, about as many as in the other; none if there is one place."""
    places, place_N, counts = np.unique(places_N, return_inverse=True, return_counts=True)
    chosen, size = np.zeros(len(places), bool), [0, 0]
    for place in np.argsort(-counts, kind="stable"):
        smaller = int(size[1] < size[0])
        chosen[place] = bool(smaller)
        size[smaller] += int(counts[place])
    return chosen[place_N]


def _temperature(probability_NC: NDArray[np.floating[Any]], classes_N: NDArray[np.int64]) -> float:
    """Return the temperature with the least mean negative log-likelihood."""
    low, high = np.log(BOUNDS)
    for _ in range(_ROUNDS):  # the likelihood has one valley: each round looks closer around the best of the last
        points = np.linspace(low, high, _POINTS)
        losses = [_loss(probability_NC, classes_N, float(np.exp(point))) for point in points]
        best = int(np.argmin(losses))
        low, high = points[max(best - 1, 0)], points[min(best + 1, _POINTS - 1)]
    return round(float(np.exp((low + high) / 2)), 4)


def expected_calibration_error(probability_NC: NDArray[np.float64], classes_N: NDArray[np.int64]) -> float:
    """Return the mean distance between how sure the classifier is and how often it is right, over 15 bins of sureness.

    The expected calibration error of Naeini et al. (2015): bins weigh as many samples as they hold.
    """
    said = probability_NC.argmax(axis=1)
    sure = probability_NC[np.arange(len(said)), said]
    bins = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    right = np.bincount(bins, weights=said == classes_N, minlength=BINS)
    stated = np.bincount(bins, weights=sure, minlength=BINS)
    return float(np.abs(right - stated).sum() / len(said))


def _loss(probability_NC: NDArray[np.floating[Any]], classes_N: NDArray[np.int64], temperature: float) -> float:
    of_class = tempered(np.maximum(probability_NC, LEAST), temperature)[np.arange(len(classes_N)), classes_N]
    return float(-np.log(np.maximum(of_class, 1e-300)).mean())
