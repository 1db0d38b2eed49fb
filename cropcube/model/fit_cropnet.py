"""Fitting CropNet: Adam on streamed batches; the epoch that does best on the validation places is kept."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cropcube.errors import CropcubeError
from cropcube.model.augment import Augmenter, TimeSpan, suited
from cropcube.model.classifier import Epoch, Fitted, classify
from cropcube.model.cropnet import CropNet, CropNetClassifier, channels_last, torch_threads
from cropcube.model.diary import Progress
from cropcube.model.metrics import score, scores
from cropcube.samples.read import Samples
from cropcube.samples.stream import AsTheyAre, SampleStream, StreamOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.model_card import Scaling
    from cropcube.model.classifier import Tensors
    from cropcube.model.diary import Diary
    from cropcube.model.fit_options import FitOptions
    from cropcube.model.metrics import Scores


def fit_cropnet(options: FitOptions, train: Samples, validation: Samples | None, diary: Diary) -> Fitted:
    """Fit CropNet; see `fit.fit_classifier`. torch's global generator is left as it was."""
    options = replace(options, augment=suited(options.augment, TimeSpan.of(train.layout)))
    begun = diary.begin()
    with torch.random.fork_rng(devices=[]), torch_threads(options.threads):
        torch.manual_seed(options.seed)
        fit = _Fit(options, train, validation, diary)
        if begun is not None:
            fit.resume(begun)
        while not fit.ended:
            fit.epoch()
            diary.keep(fit.progress())
        return fit.fitted()


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


@dataclass
class _Best:
    """The epoch to keep."""

    epoch: int = 0
    scores: Scores | None = None
    weights: Tensors = field(default_factory=dict)


class _Averaged:
    """A running average of a network's weights, and of the means and variances that it normalises with.

    Polyak's averaging, as an exponential one: a step at the end of a fit matters little, so what is kept does not
    depend on which it was. The first steps count less, since they start from noise.
    """

    def __init__(self, decay: float, network: CropNet) -> None:
        self.decay, self.steps = decay, 0
        self.network = channels_last(copy.deepcopy(network))

    @torch.no_grad()
    def take_in(self, network: CropNet) -> None:
        """Take in the weights after a step."""
        self.steps += 1
        part = 1 - min(self.decay, self.steps / (9 + self.steps))
        for mean, value in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, part)
            else:
                mean.copy_(value)


class _Fit:
    """A fit between two epochs."""

    def __init__(self, options: FitOptions, train: Samples, validation: Samples | None, diary: Diary) -> None:
        self.options, self.train, self.validation, self.diary = options, train, validation, diary
        self.scaling = train.measure_scaling()
        self.network = channels_last(CropNet(len(train.legend), options.width))
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        weights = torch.from_numpy(class_weights(train.counts(), options.class_weights))
        self.loss_of = nn.CrossEntropyLoss(weight=weights, label_smoothing=options.label_smoothing)
        self.stream = _stream(options, train, self.scaling)
        self.averaged = _Averaged(options.average, self.network)
        self.history: list[Epoch] = []
        self.best = _Best()

    @property
    def ended(self) -> bool:
        """Whether all epochs are done, or none was better for too long."""
        done = len(self.history)
        tired = self.validation is not None and 0 < self.options.patience <= done - self.best.epoch
        return done >= self.options.epochs or tired

    def epoch(self) -> None:
        """Go over the training samples once, then over the validation samples."""
        number = len(self.history) + 1
        loss, held = self._learn(number)
        found = self._validate()
        self.history.append(Epoch(number, loss, found.macro_f1 if found else None, held))
        if found is None or self.best.scores is None or found.macro_f1 > self.best.scores.macro_f1:
            self.best = _Best(number, found, _arrays(self.averaged.network.state_dict()))

    def _learn(self, number: int) -> tuple[float, float]:
        """Return the mean loss of an epoch, and which part of the inputs was held at the ends of the data."""
        self.network.train()
        total, held, seen = 0.0, 0, 0
        for step, batch in enumerate(self.stream.loader(number), 1):
            self.optimiser.zero_grad()
            loss = self.loss_of(self.network(batch.inputs), batch.classes)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise self._broken(f"the loss is {value} in epoch {number}, batch {step}")
            loss.backward()
            self.optimiser.step()
            self.averaged.take_in(self.network)
            count = len(batch.classes)
            total, held, seen = total + value * count, held + batch.held, seen + count
        if not all(torch.isfinite(weights).all() for weights in self.network.parameters()):
            raise self._broken(f"weights are no numbers after the last batch of epoch {number}, batch {step}")
        return total / seen, held / (seen * self.train.layout.shape[1])

    def _broken(self, what: str) -> CropcubeError:
        kept = self.diary.kept(self.fitted() if self.history else None)
        return CropcubeError(
            f"training broke down: {what}", f"{kept} Give a smaller --learning-rate; the usual one is 0.003."
        )

    def _validate(self) -> Scores | None:
        if self.validation is None:
            return None
        fitted = CropNetClassifier(self.averaged.network, self.validation.layout.shape)
        predicted = classify(fitted, self.validation, self.scaling, self.options.threads).argmax(axis=1)
        return score(self.validation.classes, predicted, self.validation.legend.names)

    def fitted(self) -> Fitted:
        """Return the classifier of the best epoch."""
        self.network.load_state_dict(_torch(self.best.weights))
        classifier = CropNetClassifier(self.network, self.train.layout.shape)
        history = tuple(self.history)
        return Fitted(classifier, self.scaling, self.best.scores, history, self.best.epoch, self.options)

    def progress(self) -> Progress:
        """Return all that going on from here needs."""
        tensors = {f"network.{name}": value for name, value in _arrays(self.network.state_dict()).items()}
        tensors |= {f"averaged.{name}": value for name, value in _arrays(self.averaged.network.state_dict()).items()}
        tensors |= {f"best.{name}": value for name, value in self.best.weights.items()}
        for number, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in _arrays(moments).items()}
        tensors["generator"] = torch.get_rng_state().numpy()
        found = self.best.scores.as_json()["confusion"] if self.best.scores else None
        details = {"best_epoch": self.best.epoch, "best_confusion": found, "steps": self.averaged.steps}
        return Progress(tensors, tuple(self.history), details)

    def resume(self, progress: Progress) -> None:
        """Go back to where a killed fit was."""

        def part(name: str) -> dict[str, NDArray[np.generic]]:
            return {key.removeprefix(name): value for key, value in progress.tensors.items() if key.startswith(name)}

        self.network.load_state_dict(_torch(part("network.")))
        self.averaged.network.load_state_dict(_torch(part("averaged.")))
        self.averaged.steps = progress.details["steps"]
        state = self.optimiser.state_dict()
        for number in range(len(state["param_groups"][0]["params"])):
            state["state"][number] = _torch(part(f"optimiser.{number}."))
        self.optimiser.load_state_dict(state)
        torch.set_rng_state(torch.from_numpy(progress.tensors["generator"]))
        counts = progress.details["best_confusion"]
        found = scores(np.array(counts, np.int64), self.train.legend.names) if counts is not None else None
        self.best = _Best(progress.details["best_epoch"], found, part("best."))
        self.history = list(progress.history)


def _stream(options: FitOptions, train: Samples, scaling: Scaling) -> SampleStream:
    how = StreamOptions(options.batch, options.seed, threads=max(1, options.threads))
    span = TimeSpan.of(train.layout)
    if options.augment is None or span is None:
        return SampleStream(train, AsTheyAre(scaling), how)
    series = Samples(train.source, train.layout.series, train.index, train.legend)
    return SampleStream(series, Augmenter(options.augment, span, scaling), how)


def _arrays(state: dict[str, torch.Tensor]) -> dict[str, NDArray[np.generic]]:
    """Return copies of a state's tensors."""
    return {name: value.detach().clone().contiguous().numpy() for name, value in state.items()}


def _torch(arrays: Tensors) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in arrays.items()}
