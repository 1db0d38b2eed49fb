"""Fitting a classifier of any kind to samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.model_card import CLASSIFIERS
from cropcube.errors import InvalidInputError, ResourceError
from cropcube.model.boosting import fit_boosting
from cropcube.model.classifier import Fitted, classify, need_torch
from cropcube.model.diary import Diary
from cropcube.model.forest import fit_forest
from cropcube.model.metrics import score

if TYPE_CHECKING:
    from cropcube.model.classifier import Classifier
    from cropcube.model.fit_options import FitOptions
    from cropcube.samples.read import Samples

IN_MEMORY_BYTES = 8 * 2**30
"""scikit-learn fits in memory; more training inputs than this are refused."""


def fit_classifier(
    kind: str,
    options: FitOptions,
    train: Samples,
    validation: Samples | None = None,
    diary: Diary | None = None,
) -> Fitted:
    """Fit a classifier.

    Parameters
    ----------
    kind
        `cropnet`, `forest` or `boosting`.
    options
        Its settings; the same options and samples give the same classifier (CropNet: with as many threads).
    train
        Samples to fit; the scaling is measured on them.
    validation
        Samples that choose CropNet's best epoch by macro-F1 and give the scores; without any the last epoch is kept.
    diary
        Where the progress of CropNet goes; a fit that it knows to have been killed goes on.

    Raises
    ------
    InvalidInputError
        If the kind is not known, or the training samples are of fewer than two classes.
    MissingExtraError
        For CropNet without PyTorch, or TensorBoard's files without TensorBoard.
    ResourceError
        If the training inputs of a forest or of boosted trees do not fit the memory.
    CropcubeError
        If CropNet's loss is no longer a number.
    """
    if kind not in CLASSIFIERS:
        raise InvalidInputError(f"classifier {kind!r} is not known", f"Use one of: {', '.join(CLASSIFIERS)}.")
    present = [name for name, count in zip(train.legend.names, train.counts(), strict=True) if count]
    if len(present) < 2:
        raise InvalidInputError(
            f"all training samples are {present[0]}" if present else "there is no training sample of any class",
            "A classifier needs two or more; give labels of more classes, or smaller blocks (--block-m).",
        )
    if validation is not None and not len(validation):
        validation = None
    if kind == "cropnet":
        need_torch()
        from cropcube.model.fit_cropnet import fit_cropnet

        return fit_cropnet(options, train, validation, diary or Diary())
    return _in_memory(kind, options, train, validation)


def _in_memory(kind: str, options: FitOptions, train: Samples, validation: Samples | None) -> Fitted:
    """Fit one of scikit-learn's, which take all inputs at once."""
    bands, steps = train.layout.shape
    needed = len(train) * bands * steps * 4
    if needed > IN_MEMORY_BYTES:
        raise ResourceError(
            f"a {kind} of {len(train)} samples needs {needed / 2**30:.1f} GiB of inputs in memory, "
            f"{IN_MEMORY_BYTES / 2**30:.0f} GiB is the bound",
            "Use --classifier cropnet, which streams, or fewer labels.",
        )
    scaling = train.measure_scaling()
    inputs, size = train.inputs(scaling), len(train.legend)
    fitted: Classifier
    if kind == "forest":
        settings = {"n_estimators": options.trees, "min_samples_leaf": options.min_leaf, "random_state": options.seed}
        fitted = fit_forest(inputs, train.classes, size, settings | {"n_jobs": options.threads or -1})
    else:
        rounds = {"max_iter": options.iterations, "random_state": options.seed}
        fitted = fit_boosting(inputs, train.classes, size, rounds, options.threads or None)
    found = None
    if validation is not None:
        predicted = classify(fitted, validation, scaling, max(1, options.threads)).argmax(axis=1)
        found = score(validation.classes, np.asarray(predicted), validation.legend.names)
    return Fitted(fitted, scaling, found, (), 0, options)
