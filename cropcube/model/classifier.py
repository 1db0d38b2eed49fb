"""What every classifier can do, and the settings of fitting one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from cropcube.domain.words import given_options
from cropcube.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.model_card import Scaling
    from cropcube.model.metrics import Scores
    from cropcube.samples.read import Samples

Tensors: TypeAlias = Mapping[str, "NDArray[Any]"]
"""Arrays by name: what a classifier is saved as."""

BATCH = 256
"""Pixels classified at a time. Fixed, the last batch padded, so that a result does not depend on company."""
WEIGHTINGS = ("none", "balanced", "sqrt")
CLASSIFIERS_OF = {
    "width": ("cropnet",),
    "epochs": ("cropnet",),
    "batch": ("cropnet",),
    "learning_rate": ("cropnet",),
    "class_weights": ("cropnet",),
    "trees": ("forest",),
    "min_leaf": ("forest",),
}
"""Settings that only one kind of classifier has."""


class Classifier(Protocol):
    """A fitted classifier."""

    @property
    def kind(self) -> str:
        """`cropnet` or `forest`."""

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
class FitOptions:
    """Settings of fitting; those of the other kind of classifier are ignored."""

    seed: int = 0
    width: int = 128
    "CropNet: channels of every convolution (128 as published)."
    epochs: int = 20
    "CropNet."
    batch: int = 64
    "CropNet: samples in a training step."
    learning_rate: float = 1e-3
    "CropNet: Adam's."
    class_weights: str = "sqrt"
    "CropNet: weight of a class with n samples: `none` 1, `balanced` 1/n, `sqrt` 1/sqrt(n)."
    trees: int = 200
    "Forest."
    min_leaf: int = 1
    "Forest: least samples in a leaf."
    threads: int = 0
    """Of torch and of the forest; 0 = all that the machine has. Fitting CropNet sums gradients in another order with
    another number of threads and so ends with other weights; predicting does not depend on it."""

    def __post_init__(self) -> None:
        least = {"width": 1, "epochs": 1, "batch": 1, "trees": 1, "min_leaf": 1, "seed": 0, "threads": 0}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                option = f"--{name.replace('_', '-')}"
                raise InvalidInputError(
                    f"{option} {getattr(self, name)} is too small to fit a classifier with",
                    f"Give {option} {lowest} or more; the default is {getattr(FitOptions, name)}.",
                )
        if not 0 < self.learning_rate < 10:
            raise InvalidInputError(
                f"a learning rate of {self.learning_rate:g} teaches nothing",
                "Give --learning-rate above 0 and below 10; the default is 0.001.",
            )
        if self.class_weights not in WEIGHTINGS:
            raise InvalidInputError(
                f"class weights {self.class_weights!r} are not known",
                f"Give --class-weights {', '.join(WEIGHTINGS[:-1])} or {WEIGHTINGS[-1]}.",
            )

    @classmethod
    def of_words(cls, kind: str, said: Mapping[str, Any]) -> FitOptions:
        """Return the settings that were given (None where not) for one kind of classifier.

        Raises
        ------
        UsageError
            If a setting is given that only the other kind has.
        InvalidInputError
            If a value cannot work.
        """
        return cls(**given_options(("classifier", kind), CLASSIFIERS_OF, said))

    def for_card(self, kind: str) -> dict[str, Any]:
        """Return the settings that made a classifier of one kind, JSON-ready."""
        used = {
            "cropnet": ("seed", "width", "epochs", "batch", "learning_rate", "class_weights", "threads"),
            "forest": ("seed", "trees", "min_leaf"),
        }
        return {name: value for name, value in asdict(self).items() if name in used[kind]}


@dataclass(frozen=True)
class Epoch:
    """One pass over the training samples."""

    number: int
    "From 1."
    loss: float
    "Mean training loss."
    macro_f1: float | None
    "On the validation samples; None without any."

    def __str__(self) -> str:
        scored = f", validation macro-F1 {self.macro_f1:.3f}" if self.macro_f1 is not None else ""
        return f"epoch {self.number}: loss {self.loss:.4f}{scored}"


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
    "CropNet: the epoch that was kept, from 1; 0 for the forest."


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
