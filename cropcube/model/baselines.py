"""What a classifier must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def majority_accuracy(train_counts: NDArray[np.int64], truth_counts: NDArray[np.int64]) -> float | None:
    """Return the overall accuracy of mapping everything as the commonest training class; None without any truth.

    Parameters
    ----------
    train_counts, truth_counts
        Samples of each class, in the legend's order.
    """
    total = int(truth_counts.sum())
    return float(truth_counts[int(train_counts.argmax())]) / total if total else None
