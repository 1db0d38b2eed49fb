"""The random forest: fitted by scikit-learn, kept as plain arrays, predicting without its estimator objects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.model.classifier import Tensors

PIECE = 16384
"""Pixels that one thread classifies at a time."""
_KINDS = {
    "first_node": np.int64, "left": np.int64, "right": np.int64, "feature": np.int64, "threshold": np.float64,
    "share": np.float64, "columns": np.int64, "input_shape": np.int64, "classes": np.int64,
}  # fmt: skip
"""Arrays of a saved forest: nodes of all trees one after the other, children counted within their tree (-1 = leaf),
`share` the part of each fitted class in a node, `columns` the legend's column (from 0) of each fitted class."""


class ForestClassifier:
    """A fitted forest.

    Parameters
    ----------
    tensors
        As `tensors` returns them; everything is checked, since scikit-learn walks trees without looking.

    Raises
    ------
    InvalidInputError
        If the arrays are not those of a forest.
    """

    kind = "forest"

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = _checked(tensors)
        self.classes = int(self._tensors["classes"][0])
        bands, steps = self._tensors["input_shape"].tolist()
        self.input_shape: tuple[int, int] = (bands, steps)
        self._trees = _trees(self._tensors, bands * steps)

    def tensors(self) -> Tensors:
        """Return the arrays that the forest is saved as."""
        return self._tensors

    def probabilities(self, inputs_NBS: NDArray[np.float32], threads: int = 1) -> NDArray[np.float32]:
        """Return (N, classes) float32 of scaled inputs (N, bands, steps) float32; any `threads` give the same."""
        flat = np.ascontiguousarray(inputs_NBS, dtype=np.float32).reshape(len(inputs_NBS), -1)
        if flat.shape[1] != self.input_shape[0] * self.input_shape[1]:
            raise InvalidInputError(
                f"inputs of shape {inputs_NBS.shape[1:]} do not fit a forest of {self.input_shape}",
                "Use the features it was trained on.",
            )
        result = np.zeros((len(flat), self.classes), dtype=np.float32)
        columns = self._tensors["columns"]

        def work(start: int) -> None:
            result[start : start + PIECE, columns] = self._mean_share(flat[start : start + PIECE])

        with ThreadPoolExecutor(max(1, threads)) as pool:
            list(pool.map(work, range(0, len(flat), PIECE)))
        return result

    def _mean_share(self, flat: NDArray[np.float32]) -> NDArray[np.float64]:
        total = np.zeros((len(flat), len(self._tensors["columns"])))
        for tree in self._trees:  # in order, as scikit-learn adds them up on one thread
            total += tree.predict(flat)
        total /= len(self._trees)
        return total


def fit_forest(
    inputs_NBS: NDArray[np.float32], classes_N: NDArray[np.int64], legend_size: int, settings: dict[str, Any]
) -> ForestClassifier:
    """Fit a forest.

    Parameters
    ----------
    inputs_NBS
        Scaled inputs (N, bands, steps).
    classes_N
        Class of each from 0; classes of the legend without samples get probability 0.
    legend_size
        Number of classes of the legend.
    settings
        Of scikit-learn's RandomForestClassifier.
    """
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(**settings).fit(inputs_NBS.reshape(len(inputs_NBS), -1), classes_N)
    trees = [estimator.tree_ for estimator in forest.estimators_]
    tensors = {
        "first_node": np.cumsum([0, *(tree.node_count for tree in trees)]),
        "left": np.concatenate([tree.children_left for tree in trees]),
        "right": np.concatenate([tree.children_right for tree in trees]),
        "feature": np.concatenate([tree.feature for tree in trees]),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "share": np.concatenate([tree.value[:, 0, :] for tree in trees]),
        "columns": forest.classes_,
        "input_shape": np.array(inputs_NBS.shape[1:]),
        "classes": np.array([legend_size]),
    }
    return ForestClassifier({name: np.asarray(tensors[name], dtype=kind) for name, kind in _KINDS.items()})


def _trees(tensors: Tensors, features: int) -> list[Any]:
    """Rebuild scikit-learn's trees, the compiled walkers, from checked arrays."""
    from sklearn.tree._tree import Tree

    count = len(tensors["columns"])
    node_type = Tree(features, np.array([count], dtype=np.intp), 1).__getstate__()["nodes"].dtype
    found = []
    bounds = tensors["first_node"].tolist()
    for start, stop in pairwise(bounds):
        nodes = np.zeros(stop - start, dtype=node_type)
        for name, ours in (("left_child", "left"), ("right_child", "right"), ("feature", "feature")):
            nodes[name] = tensors[ours][start:stop]
        nodes["threshold"] = tensors["threshold"][start:stop]
        values = np.ascontiguousarray(tensors["share"][start:stop].reshape(-1, 1, count))
        tree = Tree(features, np.array([count], dtype=np.intp), 1)
        tree.__setstate__({"max_depth": stop - start, "node_count": stop - start, "nodes": nodes, "values": values})
        found.append(tree)
    return found


def _checked(tensors: Tensors) -> Tensors:
    """Return the arrays, refusing any that would lead a walk out of its tree."""
    wrong = sorted(set(tensors) ^ set(_KINDS))
    if wrong:
        raise InvalidInputError(f"these are not the arrays of a forest ({', '.join(wrong)})", _AGAIN)
    for name, kind in _KINDS.items():
        if tensors[name].dtype != kind or tensors[name].ndim != (2 if name == "share" else 1):
            raise InvalidInputError(f"the forest's {name} is {tensors[name].dtype} {tensors[name].shape}", _AGAIN)
    first, left, right, feature = (tensors[name] for name in ("first_node", "left", "right", "feature"))
    columns, shape, classes = tensors["columns"], tensors["input_shape"], tensors["classes"]
    nodes = len(left)
    sizes_fit = (
        len(shape) == 2 and len(classes) == 1 and len(first) >= 2 and first[0] == 0 and first[-1] == nodes
        and bool((np.diff(first) > 0).all()) and bool((shape > 0).all())
        and all(len(tensors[name]) == nodes for name in ("right", "feature", "threshold", "share"))
        and tensors["share"].shape[1] == len(columns) > 0
        and bool((np.diff(columns) > 0).all()) and columns[0] >= 0 and columns[-1] < classes[0] <= 254
    )  # fmt: skip
    if not sizes_fit:
        raise InvalidInputError("the forest's arrays do not fit one another", _AGAIN)
    place = np.arange(nodes) - np.repeat(first[:-1], np.diff(first))
    size = np.repeat(np.diff(first), np.diff(first))
    leaf = (left == -1) & (right == -1)
    inner = (place < left) & (left < size) & (place < right) & (right < size)
    inner &= (feature >= 0) & (feature < int(shape.prod())) & np.isfinite(tensors["threshold"])
    share = tensors["share"]
    if not (leaf | inner).all() or not np.isfinite(share).all() or (share < 0).any() or (share > 1 + 1e-9).any():
        raise InvalidInputError("a tree of the forest leads nowhere", _AGAIN)
    return {name: np.ascontiguousarray(tensors[name]) for name in _KINDS}


_AGAIN = "The file is damaged or foreign; train the model again."
