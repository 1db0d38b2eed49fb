"""Sums of regression trees."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native
from cropcube.kernels.arguments import check_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

TYPES = {
    "first": "int64", "column": "int32", "left": "int32", "right": "int32", "feature": "int32", "threshold": "float64",
    "value": "float64",
}  # fmt: skip


@dataclass(frozen=True)
class Trees:
    """Trees, their nodes one after the other."""

    first: NDArray[np.int64]
    "(trees) The node that each begins with."
    column: NDArray[np.int32]
    "(trees) Which sum each adds to."
    left: NDArray[np.int32]
    "(nodes) Child where the feature is not above the threshold: over all nodes, behind its parent; -1 in a leaf."
    right: NDArray[np.int32]
    "Likewise the other child."
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    value: NDArray[np.float64]
    "What a leaf adds."


def sum_trees(
    trees: Trees, inputs_NF: NDArray[np.float32], start_C: NDArray[np.float64], threads: int = 1
) -> NDArray[np.float64]:
    """Return what trees say of samples: sums (N, columns), added up in the order of the trees.

    Parameters
    ----------
    trees
        See there.
    inputs_NF
        Features of the samples.
    start_C
        What each sum begins with.
    threads
        Threads to share the samples among: the caller's budget. Any number gives the same.

    Raises
    ------
    InvalidInputError
        If types or shapes do not fit, or a tree leads out of itself.
    """
    for entry in fields(trees):
        check_array(entry.name, getattr(trees, entry.name), TYPES[entry.name], 1)
    check_array("inputs_NF", inputs_NF, "float32", 2)
    check_array("start_C", start_C, "float64", 1)
    sums_NC = np.tile(start_C, (len(inputs_NF), 1))
    first, column, left, right, feature, threshold, value = (
        np.ascontiguousarray(getattr(trees, entry.name)) for entry in fields(trees)
    )
    inputs_NF = np.ascontiguousarray(inputs_NF)
    try:
        _native.sum_trees(inputs_NF, first, column, left, right, feature, threshold, value, sums_NC, max(1, threads))
    except ValueError as error:
        raise InvalidInputError(f"these trees cannot be walked ({error})") from None
    return sums_NC
