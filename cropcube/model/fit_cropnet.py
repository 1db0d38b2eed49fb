"""Fitting CropNet: Adam on streamed batches; the epoch that does best on the validation blocks is kept."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cropcube.errors import CropcubeError
from cropcube.model.classifier import Epoch, Fitted, classify
from cropcube.model.cropnet import CropNet, CropNetClassifier, channels_last, torch_threads
from cropcube.model.metrics import score
from cropcube.samples.stream import AsTheyAre, SampleStream, StreamOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cropcube.domain.model_card import Scaling
    from cropcube.model.classifier import FitOptions
    from cropcube.model.metrics import Scores
    from cropcube.samples.read import Samples


def fit_cropnet(
    options: FitOptions,
    scaling: Scaling,
    train: Samples,
    validation: Samples | None,
    progress: Callable[[Epoch], None] | None,
) -> Fitted:
    """Fit CropNet; see `fit.fit_classifier`. torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]), torch_threads(options.threads):
        torch.manual_seed(options.seed)
        return _fit(options, scaling, train, validation, progress)


def class_weights(counts: NDArray[np.int64], rule: str) -> NDArray[np.float32]:
    """Return the weight of each class in the loss; their mean over the samples is 1.

    Parameters
    ----------
    counts
        Training samples of each class.
    rule
        `none`, `balanced` (1 / n) or `sqrt` (1 / sqrt n). Classes without samples weigh 0.
    """
    power = {"none": 0.0, "balanced": 1.0, "sqrt": 0.5}[rule]
    weights = np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** -power, 0.0)
    scaled: NDArray[np.float32] = (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)
    return scaled


def _fit(
    options: FitOptions,
    scaling: Scaling,
    train: Samples,
    validation: Samples | None,
    progress: Callable[[Epoch], None] | None,
) -> Fitted:
    network = channels_last(CropNet(len(train.legend), options.width))
    optimiser = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
    loss_of = nn.CrossEntropyLoss(weight=torch.from_numpy(class_weights(train.counts(), options.class_weights)))
    stream = SampleStream(train, AsTheyAre(scaling), StreamOptions(options.batch, options.seed))
    history: list[Epoch] = []
    best: tuple[float, int, Scores | None, dict[str, torch.Tensor]] = (-1.0, 0, None, {})
    for number in range(1, options.epochs + 1):
        loss = _one_epoch(network, optimiser, loss_of, stream, number)
        found = _validate(network, scaling, validation, options.threads)
        history.append(Epoch(number, loss, found.macro_f1 if found else None))
        if progress:
            progress(history[-1])
        if found is None or found.macro_f1 > best[0]:
            macro_f1 = found.macro_f1 if found else -1.0
            best = (macro_f1, number, found, copy.deepcopy(network.state_dict()))
    network.load_state_dict(best[3])
    return Fitted(CropNetClassifier(network, train.layout.shape), scaling, best[2], tuple(history), best[1])


def _one_epoch(
    network: CropNet, optimiser: torch.optim.Optimizer, loss_of: nn.Module, stream: SampleStream, number: int
) -> float:
    network.train()
    total, seen = 0.0, 0
    for step, (inputs, classes, _) in enumerate(stream.loader(number), 1):
        optimiser.zero_grad()
        loss = loss_of(network(inputs), classes)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise CropcubeError(
                f"training broke down: the loss is {value} in epoch {number}, batch {step}",
                "Nothing was written. Give a smaller --learning-rate; the usual one is 0.001.",
            )
        loss.backward()
        optimiser.step()
        total, seen = total + value * len(classes), seen + len(classes)
    return total / seen


def _validate(network: CropNet, scaling: Scaling, validation: Samples | None, threads: int) -> Scores | None:
    if validation is None:
        return None
    fitted = CropNetClassifier(network, validation.layout.shape)
    predicted = classify(fitted, validation, scaling, threads).argmax(axis=1)
    return score(validation.classes, predicted, validation.legend.names)
