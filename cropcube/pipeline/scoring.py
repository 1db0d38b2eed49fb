"""What is set against what: classifiers on held-out blocks, or the map on labels of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.lattice import FINEST_M, Tile
from cropcube.domain.map_product import CROP
from cropcube.errors import InvalidInputError, UsageError
from cropcube.model.classifier import classify
from cropcube.model.fit import fit_classifier
from cropcube.model.fit_options import FitOptions
from cropcube.model.metrics import mean_of, score
from cropcube.report.accuracy import Accuracy
from cropcube.samples.index import NO_FIELD, SETS
from cropcube.samples.places import BLOCKS, FIELD, SplitRule, with_patches
from cropcube.samples.split import apart_from, folds, places
from cropcube.samples.table import ZONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cropcube.cube.store import Store
    from cropcube.domain.model_card import ModelCard, SplitRecord
    from cropcube.model.classifier import Classifier
    from cropcube.samples.index import SampleIndex
    from cropcube.samples.read import Samples

NAMES = {"cropnet": "CropNet", "forest": "Random forest", "boosting": "Gradient boosting"}
"""Classifiers as people call them."""


@dataclass(frozen=True)
class Contest:
    """Classifiers that are scored on the same pixels."""

    card: ModelCard
    "Of the trained model: its settings are used again where a classifier of its kind is fitted anew."
    samples: Samples
    "All labelled pixels, with their blocks and sets."
    split: str
    "What samples were dealt by, in words: `blocks of 160 m`; empty where nothing is known of places."
    threads: int
    "Thread budget."
    advance: Callable[[], None]
    "Called after every fit."

    def options(self, kind: str) -> FitOptions:
        """Return the settings of a kind of classifier: the card's for its own kind, the usual ones otherwise."""
        if kind == self.card.classifier:
            own = FitOptions.from_card(self.card.options)
        else:
            own = FitOptions.of_words(kind, {"seed": self.card.split.seed})
        return replace(own, threads=self.threads)


def rivals(card: ModelCard, classifier: str | None, compare: tuple[str, ...]) -> tuple[str, ...]:
    """Return the kinds of classifier that are scored, the judged one first.

    Raises
    ------
    UsageError
        If one is to be compared with itself.
    """
    judged = classifier or card.classifier
    if judged in compare:
        raise UsageError(
            f"--compare {judged} is what is judged already", "Name another kind of classifier, or leave it out."
        )
    return (judged, *dict.fromkeys(compare))


def fold_rule(asked: SplitRule | None, split: SplitRecord) -> SplitRule:
    """Return how folds are dealt: as asked, else as a model's sets, by its blocks where that would take a file."""
    rule = asked or SplitRule(FIELD if split.by == FIELD else BLOCKS)
    return SplitRule(block_m=split.block_m) if rule == SplitRule() else rule


def on_test_blocks(contest: Contest, kind: str, trained: Classifier) -> Accuracy:
    """Score a classifier on the test blocks, which neither training nor validation saw.

    Parameters
    ----------
    contest
        See there.
    kind
        `cropnet`, `forest` or `boosting`; the trained model's own kind is not fitted again.
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
    blocks = _blocks(test) if contest.split else 0
    where = f" in {blocks} {contest.split} that neither training nor validation has seen" if contest.split else ""
    basis = f"{NAMES[kind]} {how}, on the test set: {len(test):,} labelled pixels{where}."
    counts = contest.card.split.counts
    tested = _names(test, np.unique(test.classes))
    unlearnt = tuple(name for name in tested if not any(counts[part][name] for part in SETS[:2]))
    scores = score(test.classes, predicted, test.legend.names)
    cut = cut_patches(contest.samples.index, contest.samples.index.part == SETS.index("test"))
    return Accuracy(
        NAMES[kind], basis, scores, blocks, contest.split,
        unlearnt=unlearnt, untestable=contest.card.split.untestable, cut=cut,
    )  # fmt: skip


def over_folds(contest: Contest, kind: str, count: int, seeds: int = 1) -> Accuracy:
    """Score a classifier that is fitted anew for every fold of places and tested on the fold; all folds pooled.

    What a fold is learnt from shares neither a block nor a field with it. So a class that lies in a single place is
    missed there; its pixels count all the same, and it is named as untestable.

    Parameters
    ----------
    contest
        See there.
    kind
        The kind of classifier.
    count
        Number of folds, at least 2.
    seeds
        How often all is done, each time with another deal of the places and another start of the fit.
    """
    samples = contest.samples
    index = samples.index
    lone = np.unique(index.label)[places(index.block, index.field, index.label) == 1]
    if np.isin(index.label, lone).all():
        raise InvalidInputError(
            "every class lies in a single place, so none can be learnt in one and tested in another",
            "Give labels of more places, or smaller blocks (--block-m).",
        )
    runs = [_one_seed(contest, kind, count, contest.card.split.seed + number) for number in range(seeds)]
    repeats = tuple(score(samples.classes, said, samples.legend.names) for said, _, _ in runs)
    by_fold = tuple(
        score(samples.classes[held], said[held], samples.legend.names)
        for said, fold_of, _ in runs
        for fold in range(count)
        if (held := fold_of == fold).any()
    )
    groups = _blocks(samples)
    basis = (
        f"{NAMES[kind]}, fitted anew {count} times, each time without one of {count} groups of {contest.split} and "
        f"tested on it: {len(samples):,} labelled pixels in {groups} of them, pooled"
        + (f"; all of it with {seeds} seeds, whose means these figures are." if seeds > 1 else ".")
    )
    unlearnt = _names(samples, np.unique(np.concatenate([lacking for _, _, lacking in runs])))
    untestable = _names(samples, lone.astype(np.int64) - 1)
    return Accuracy(
        NAMES[kind], basis, mean_of(repeats), groups, contest.split,
        unlearnt=unlearnt, untestable=untestable, repeats=repeats, folds=by_fold,
        cut=sum(cut_patches(index, runs[0][1] == fold) for fold in range(count)),
    )  # fmt: skip


def _one_seed(contest: Contest, kind: str, count: int, seed: int) -> tuple[NDArray[np.int64], ...]:
    """Fit and test every fold of one deal.

    Returns
    -------
    What is said of each sample by the classifier that has not seen its fold; the fold of each sample; the classes that
    a fold tested when not one sample was left to learn them from.
    """
    samples = contest.samples
    index, options = samples.index, replace(contest.options(kind), seed=seed)
    fold_of = folds(index.block, index.label, count, seed)
    said, lacking = np.zeros(len(samples), np.int64), np.zeros(0, np.int64)
    for fold in range(count):
        held = fold_of == fold
        rest = samples.select(apart_from(held, index.field))
        lacking = np.union1d(lacking, np.setdiff1d(samples.classes[held], rest.classes))
        fitted = fit_classifier(kind, options, rest)
        found = classify(fitted.classifier, samples.select(held), fitted.scaling, contest.threads)
        said[held] = found.argmax(axis=1)
        contest.advance()
    return said, fold_of, lacking


def cut_patches(index: SampleIndex, tested: NDArray[np.bool_]) -> int:
    """Return how many tested pixels lie in a connected patch of their class of which other pixels are not tested.

    Patches stand for the fields that a raster of classes does not know; other samples are in none.
    """
    alone = (index.field != NO_FIELD) | index.in_zone(ZONE)
    bare, tested = with_patches(index.select(~alone)), tested[~alone]
    return int((tested & np.isin(bare.field, bare.field[~tested])).sum())


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
    return Accuracy("The map", basis, scores, unmapped=int((~seen).sum()))


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
