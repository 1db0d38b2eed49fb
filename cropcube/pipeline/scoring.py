"""What is set against what: classifiers on held-out blocks, or the map on labels of its own."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.lattice import FINEST_M, Tile
from cropcube.domain.map_product import CROP
from cropcube.errors import InvalidInputError
from cropcube.model.classifier import FitOptions, classify
from cropcube.model.fit import fit_classifier
from cropcube.model.metrics import score
from cropcube.report.accuracy import Accuracy
from cropcube.samples.index import SETS
from cropcube.samples.split import folds

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cropcube.cube.store import Store
    from cropcube.domain.model_card import ModelCard
    from cropcube.model.classifier import Classifier
    from cropcube.samples.index import SampleIndex
    from cropcube.samples.read import Samples

NAMES = {"cropnet": "CropNet", "forest": "Random forest"}
"""Classifiers as people call them."""


@dataclass(frozen=True)
class Contest:
    """Classifiers that are scored on the same pixels."""

    card: ModelCard
    "Of the trained model: its settings are used again where a classifier of its kind is fitted anew."
    samples: Samples
    "All labelled pixels, with their blocks and sets."
    threads: int
    "Thread budget."
    advance: Callable[[], None]
    "Called after every fit."

    def options(self, kind: str) -> FitOptions:
        """Return the settings of a kind of classifier: the card's for its own kind, the usual ones otherwise."""
        settings = {entry.name for entry in fields(FitOptions)}
        own: dict[str, Any] = {name: value for name, value in self.card.options.items() if name in settings}
        if kind != self.card.classifier:
            own = {"seed": self.card.split.seed}
        return FitOptions(**{**own, "threads": self.threads})


def on_test_blocks(contest: Contest, kind: str, trained: Classifier) -> Accuracy:
    """Score a classifier on the test blocks, which neither training nor validation saw.

    Parameters
    ----------
    contest
        See there.
    kind
        `cropnet` or `forest`; the trained model's own kind is not fitted again.
    trained
        The trained model.
    """
    test = contest.samples.of_set(SETS[2])
    if not len(test):
        raise InvalidInputError(
            "no labelled pixel lies in a test block", "Use --folds 4, or train with more labels or smaller --block-m."
        )
    classifier, scaling, how = trained, contest.card.scaling, "as trained"
    if kind != contest.card.classifier:
        train, validation = (contest.samples.of_set(name) for name in SETS[:2])
        fitted = fit_classifier(kind, contest.options(kind), train, validation)
        classifier, scaling, how = fitted.classifier, fitted.scaling, "fitted to the same training blocks"
    predicted = classify(classifier, test, scaling, contest.threads).argmax(axis=1)
    contest.advance()
    blocks = _blocks(test)
    basis = (
        f"{NAMES[kind]} {how}, on the test blocks: {len(test):,} labelled pixels in {blocks} "
        f"blocks of {contest.card.split.block_m} m that neither training nor validation has seen."
    )
    learnt = np.unique(np.concatenate([contest.samples.of_set(name).classes for name in SETS[:2]]))
    unlearnt = _names(test, np.setdiff1d(test.classes, learnt))
    scores = score(test.classes, predicted, test.legend.names)
    return Accuracy(NAMES[kind], basis, scores, blocks, unlearnt=unlearnt)


def over_folds(contest: Contest, kind: str, count: int) -> Accuracy:
    """Score a classifier that is fitted anew for every fold of blocks and tested on the fold; all folds pooled.

    Parameters
    ----------
    contest
        See there.
    kind
        `cropnet` or `forest`.
    count
        Number of folds, at least 2.
    """
    samples = contest.samples
    fold_of = folds(samples.index.block, samples.index.label, count, contest.card.split.seed)
    predicted = np.zeros(len(samples), np.int64)
    for fold in range(count):
        held = fold_of == fold
        fitted = fit_classifier(kind, contest.options(kind), samples.select(~held))
        found = classify(fitted.classifier, samples.select(held), fitted.scaling, contest.threads)
        predicted[held] = found.argmax(axis=1)
        contest.advance()
    blocks = _blocks(samples)
    basis = (
        f"{NAMES[kind]}, fitted anew {count} times, each time without one of {count} groups of blocks and tested on "
        f"it: all {len(samples):,} labelled pixels in {blocks} blocks of {contest.card.split.block_m} m, pooled."
    )
    places = np.unique(np.stack([samples.classes, fold_of]), axis=1)[0]
    unlearnt = _names(samples, np.flatnonzero(np.bincount(places) == 1))
    scores = score(samples.classes, predicted, samples.legend.names)
    return Accuracy(NAMES[kind], basis, scores, blocks, unlearnt=unlearnt)


def of_map(store: Store, index: SampleIndex, names: tuple[str, ...], basis: str) -> Accuracy:
    """Score the map on labelled pixels; those without data in the map are counted apart.

    Parameters
    ----------
    store
        The map.
    index
        Labelled pixels.
    names
        Of the classes of the map's legend, which is also that of the labels.
    basis
        Where the labels are from, in a sentence.
    """
    mapped = map_values(store, index)
    seen = mapped > 0
    if not seen.any():
        raise InvalidInputError(
            "the map has no data at any of the labelled pixels", "Run `cropcube predict`, or give labels of its region."
        )
    scores = score(index.label[seen].astype(np.int64) - 1, mapped[seen].astype(np.int64) - 1, names)
    return Accuracy("The map", basis, scores, 0, int((~seen).sum()))


def map_values(store: Store, index: SampleIndex) -> NDArray[np.uint8]:
    """Return the map's classes at the samples of an index, (N,), read tile by tile."""
    values = np.zeros(len(index), np.uint8)
    for name in index.zones:
        zone = store.zone(name)
        mine = np.flatnonzero(index.in_zone(name))
        key = np.stack([index.row[mine] // zone.tile_px, index.col[mine] // zone.tile_px])
        tiles, tile_of = np.unique(key, axis=1, return_inverse=True)
        for number, (row, col) in enumerate(tiles.T.tolist()):
            where = mine[tile_of == number]
            box = Tile(zone.lattice, zone.tile_px, row, col).box(FINEST_M)
            crop = store.read(name, CROP, box)
            values[where] = crop[index.row[where] - box.row, index.col[where] - box.col]
    return values


def _names(samples: Samples, classes: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(samples.legend.names[number] for number in classes.tolist())


def _blocks(samples: Samples) -> int:
    return len(np.unique(samples.index.block))
