"""What every classifier can do, and what fitting one gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from cropcube.errors import MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.model_card import Scaling
    from cropcube.model.fit_options import FitOptions
    from cropcube.model.metrics import Scores
    from cropcube.samples.read import Samples

Tensors: TypeAlias = Mapping[str, "NDArray[Any]"]
"""Arrays by name: what a classifier is saved as."""

BATCH = 256
"""Pixels classified at a time. Fixed, the last batch padded, so that a result does not depend on company."""


class Classifier(Protocol):
    """A fitted classifier."""

    @property
    def kind(self) -> str:
        """`cropnet`, `forest` or `boosting`."""

    @property
    def classes(self) -> int:
        """Columns of `probabilities`: the rows of the legend."""

    @property
    def input_shape(self) -> tuple[int, int]:
        """Bands and steps that it was fitted to."""

    def probabilities(self, inputs_NBS: NDArray[np.float32], threads: int = 1) -> NDArray[np.float32]:
        """Return (N, classes) float32, rows adding up to 1, of scaled inputs (N, bands, steps) float32.

        The same for any number of threads, and for a pixel whatever others come with it.
        """

    def tensors(self) -> Tensors:
        """Return the arrays that it is saved as."""


@dataclass(frozen=True)
class Epoch:
    """One pass over the training samples."""

    number: int
    "From 1."
    loss: float
    "Mean training loss."
    macro_f1: float | None
    "On the validation samples; None without any."
    held: float = 0.0
    "Part of what augmentation asked for that lay outside the data, where its end was held."

    def __str__(self) -> str:
        scored = f", validation macro-F1 {self.macro_f1:.3f}" if self.macro_f1 is not None else ""
        held = f", {self.held:.1%} held at the ends of the data" if self.held else ""
        return f"epoch {self.number}: loss {self.loss:.4f}{scored}{held}"


@dataclass(frozen=True)
class Fitted:
    """What fitting gives."""

    classifier: Classifier
    scaling: Scaling
    "Of the inputs; measured on the training samples."
    scores: Scores | None
    "On the validation samples; None without any."
    history: tuple[Epoch, ...]
    "CropNet: every epoch."
    best_epoch: int
    "CropNet: the epoch that was kept, from 1; 0 for others."
    options: FitOptions
    "As used: what the data do not allow of an augmentation is left out."


def classify(fitted: Classifier, samples: Samples, scaling: Scaling, threads: int = 1) -> NDArray[np.float32]:
    """Return probabilities (N, classes) of samples in their order, streamed from their store."""
    result = np.empty((len(samples), fitted.classes), dtype=np.float32)
    for positions, inputs in samples.batches(scaling, 16 * BATCH):
        result[positions] = fitted.probabilities(inputs, threads)
    return result


def need_torch() -> None:
    """Check that PyTorch is installed.

    Raises
    ------
    MissingExtraError
        If it is not, naming the extra.
    """
    try:
        import torch
    except ImportError:
        raise MissingExtraError(
            "CropNet needs PyTorch, which is not installed",
            'pip install "cropcube[model]"; or use --classifier forest, which needs none.',
        ) from None
    del torch
