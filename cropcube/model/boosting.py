"""Gradient boosting: fitted by scikit-learn, kept as plain arrays, predicting by our own walk of its trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from cropcube.errors import InvalidInputError
from cropcube.kernels import Trees, sum_trees

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.model.classifier import Tensors

_NODES = {
    "first": np.int64, "column": np.int32, "left": np.int32, "right": np.int32, "feature": np.int32,
    "threshold": np.float64, "value": np.float64,
}  # fmt: skip
_KINDS = _NODES | {"start": np.float64, "columns": np.int64, "input_shape": np.int64, "classes": np.int64}
"""Arrays of a saved boosting: `Trees`, what each class's sum starts with, the legend's column (from 0) of each fitted
class, bands and steps, and the legend's size."""


class BoostingClassifier:
    """Fitted boosted trees.

    Parameters
    ----------
    tensors
        As `tensors` returns them; everything is checked.

    Raises
    ------
    InvalidInputError
        If the arrays are not those of boosted trees.
    """

    kind = "boosting"

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = _checked(tensors)
        self.classes = int(self._tensors["classes"][0])
        bands, steps = self._tensors["input_shape"].tolist()
        self.input_shape: tuple[int, int] = (bands, steps)
        self._trees = Trees(**{name: self._tensors[name] for name in _NODES})
        self.probabilities(np.zeros((1, bands, steps), np.float32))  # refuses trees that cannot be walked

    def tensors(self) -> Tensors:
        """Return the arrays that the trees are saved as."""
        return self._tensors

    def probabilities(self, inputs_NBS: NDArray[np.float32], threads: int = 1) -> NDArray[np.float32]:
        """Return (N, classes) float32 of scaled inputs (N, bands, steps) float32; any `threads` give the same."""
        if inputs_NBS.shape[1:] != self.input_shape:
            raise InvalidInputError(
                f"inputs of shape {inputs_NBS.shape[1:]} do not fit boosted trees of {self.input_shape}",
                "Use the features they were fitted to.",
            )
        flat = np.ascontiguousarray(inputs_NBS, dtype=np.float32).reshape(len(inputs_NBS), -1)
        sums_NC = sum_trees(self._trees, flat, self._tensors["start"], threads)
        share_NC = np.exp(sums_NC - sums_NC.max(axis=1, keepdims=True))
        result = np.zeros((len(flat), self.classes), np.float32)
        result[:, self._tensors["columns"]] = share_NC / share_NC.sum(axis=1, keepdims=True)
        return result


def fit_boosting(
    inputs_NBS: NDArray[np.float32],
    classes_N: NDArray[np.int64],
    legend_size: int,
    settings: dict[str, int],
    threads: int | None,
) -> BoostingClassifier:
    """Fit boosted trees.

    Parameters
    ----------
    inputs_NBS
        Scaled inputs (N, bands, steps).
    classes_N
        Class of each from 0; classes of the legend without samples get probability 0.
    legend_size
        Number of classes of the legend.
    settings
        Of scikit-learn's HistGradientBoostingClassifier. It does not stop early by itself: what it would hold back for
        that are single pixels, neighbours of those that it learns.
    threads
        Of scikit-learn; None = as many as it likes.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    with threadpool_limits(threads, user_api="openmp"):
        boosting = HistGradientBoostingClassifier(early_stopping=False, **settings)
        boosting.fit(inputs_NBS.reshape(len(inputs_NBS), -1), classes_N)
    rounds = boosting._predictors
    # Of two classes scikit-learn fits one sum, the second's; the first's stays 0.
    fitted, lone = len(boosting.classes_), len(rounds[0]) == 1
    trees = [(1 if lone else column, tree.nodes) for trees in rounds for column, tree in enumerate(trees)]
    first = np.cumsum([0, *(len(nodes) for _, nodes in trees)])[:-1]
    leaf = np.concatenate([nodes["is_leaf"] for _, nodes in trees]).astype(bool)

    def child(side: str) -> NDArray[np.int64]:
        """Return the row of every node's child on a side; -1 for leaves."""
        found = np.concatenate(
            [start + nodes[side].astype(np.int64) for start, (_, nodes) in zip(first, trees, strict=True)]
        )
        return np.where(leaf, -1, found)

    def of(name: str) -> NDArray[np.float64]:
        return np.concatenate([nodes[name] for _, nodes in trees])

    start = np.zeros(fitted)
    start[1 if lone else slice(None)] = boosting._baseline_prediction[0, 0 if lone else slice(None)]
    tensors = {
        "first": first, "column": [column for column, _ in trees], "left": child("left"), "right": child("right"),
        "feature": of("feature_idx"), "threshold": np.where(leaf, 0.0, of("num_threshold")), "value": of("value"),
        "start": start, "columns": boosting.classes_, "input_shape": inputs_NBS.shape[1:], "classes": [legend_size],
    }  # fmt: skip
    return BoostingClassifier({name: np.asarray(tensors[name], dtype=kind) for name, kind in _KINDS.items()})


def _checked(tensors: Tensors) -> Tensors:
    """Return the arrays, refusing those that are not what they should be; walks are checked by the kernel."""
    wrong = sorted(set(tensors) ^ set(_KINDS))
    if wrong:
        raise InvalidInputError(f"these are not the arrays of boosted trees ({', '.join(wrong)})", _AGAIN)
    for name, kind in _KINDS.items():
        if tensors[name].dtype != kind or tensors[name].ndim != 1:
            raise InvalidInputError(f"the trees' {name} is {tensors[name].dtype} {tensors[name].shape}", _AGAIN)
    columns, shape, classes, start = (tensors[name] for name in ("columns", "input_shape", "classes", "start"))
    fits = (
        len(shape) == 2 and len(classes) == 1 and bool((shape > 0).all()) and len(columns) == len(start) > 1
        and bool((np.diff(columns) > 0).all()) and columns[0] >= 0 and columns[-1] < classes[0] <= 254
        and all(bool(np.isfinite(tensors[name]).all()) for name in ("start", "value", "threshold"))
    )  # fmt: skip
    if not fits:
        raise InvalidInputError("the arrays of the boosted trees do not fit one another", _AGAIN)
    return {name: np.ascontiguousarray(tensors[name]) for name in _KINDS}


_AGAIN = "The file is damaged or foreign; train the model again."
