"""`evaluate --table`: how good a classifier is on series that lie in a table; no project is needed, and no map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.lattice import FINEST_M
from cropcube.domain.model_window import ModelWindow
from cropcube.domain.words import counted
from cropcube.errors import InvalidInputError, ModelMismatchError, UsageError
from cropcube.model.checkpoint import load_model, load_samples, read_card
from cropcube.pipeline.evaluate_notes import of_table
from cropcube.pipeline.evaluate_unseen import unseen_rows
from cropcube.pipeline.labels import grouped_rows
from cropcube.pipeline.scoring import Contest, fold_rule, on_test_blocks, over_folds, rivals
from cropcube.pipeline.train import model_folder
from cropcube.run.memory import processors
from cropcube.run.progress import progress_bar
from cropcube.samples.index import SETS
from cropcube.samples.read import Samples
from cropcube.samples.series_table import read_series
from cropcube.samples.table import TableSource, known_samples, table_samples

if TYPE_CHECKING:
    from pathlib import Path

    from cropcube.domain.model_card import ModelCard
    from cropcube.location import Location
    from cropcube.pipeline.evaluate import EvaluateOptions
    from cropcube.pipeline.labels import LabelFiles
    from cropcube.report.accuracy import Accuracy
    from cropcube.run.options import RunOptions
    from cropcube.samples.table import TableSamples


def evaluate_table(
    root: Location, options: EvaluateOptions, given: LabelFiles, run: RunOptions
) -> tuple[tuple[Accuracy, ...], tuple[str, ...]]:
    """Score a classifier on a table: on its test set if the model was trained on it, else where it has not learnt.

    With folds, classifiers are fitted anew to the table.

    Returns
    -------
    accuracies, notes

    Raises
    ------
    ModelMismatchError
        If the table lacks bands of the model, or has another number of steps.
    MissingError, InvalidInputError, UsageError
        If there is no model, the table cannot be used or lies where the model learnt, or a classifier of another kind
        is to be scored beside a model that was not trained on it.
    """
    folder = (options.model or model_folder(root)).resolve()
    card, path = read_card(folder), given.table
    if path is None:
        raise InvalidInputError("no table is given", "Give --table FILE.")
    window = ModelWindow.parse(card.model_window) if card.model_window else None
    kinds = rivals(card, options.classifier, options.compare)
    fields = given.rules.fields or tuple(card.labels.label_field.split(", ") if card.labels.label_field else ())
    series, unlisted = known_samples(path, read_series(path, card.feature), card.legend, fields)
    found = _fitting(card, table_samples(path, series, card.legend, fields, window), folder)
    notes, split = of_table(path.name, found.counts, unlisted), card.split
    words = split.words
    if options.folds is not None:
        rule = fold_rule(options.split, split)
        index, blocks = grouped_rows(path, found, rule)
        words = replace(split, by=rule.by, block_m=blocks.block_px * FINEST_M).words
    elif given.digest == card.labels.digest and ", ".join(fields or (found.label_field,)) == card.labels.label_field:
        index = load_samples(folder, card)
        notes.append(f"the model was trained with {path.name}: only its test set is scored")
    else:
        _refuse_rivals(options, card, path)
        index, words, said = unseen_rows((folder, card), path, found, series.season)
        index = index.with_blocks(index.block, np.full(len(index), SETS.index("test"), np.uint8))
        notes += said
    samples = Samples(found.source, found.layout, index.select(index.block >= 0), card.legend)
    with progress_bar("evaluate", len(kinds) * (options.folds or 1) * options.seeds, run.quiet) as advance:
        contest = Contest(card, samples, words, processors(), lambda: advance(0))
        if options.folds is not None:
            accuracies = tuple(over_folds(contest, kind, options.folds, options.seeds) for kind in kinds)
        else:
            trained, _ = load_model(folder)
            accuracies = tuple(on_test_blocks(contest, kind, trained) for kind in kinds)
    return accuracies, tuple(notes)


def _refuse_rivals(options: EvaluateOptions, card: ModelCard, path: Path) -> None:
    """Refuse other kinds of classifier on a table that they would have nothing to be fitted to beside."""
    others = {options.classifier or card.classifier, *options.compare} - {card.classifier}
    if others:
        raise UsageError(
            f"a {' and a '.join(sorted(others))} would have nothing to learn from: the model was trained with "
            f"{card.labels.file}, and {path.name} is only scored",
            f"Add --folds 4 to fit and test both on {path.name}, or leave --classifier and --compare out.",
        )


def _fitting(card: ModelCard, found: TableSamples, folder: Location) -> TableSamples:
    """Return a table's samples with the model's bands alone."""
    layout = found.layout
    lacking = [band for band in card.bands if band not in layout.bands]
    if lacking or len(layout.steps) != len(card.steps):
        what = f"no {' '.join(lacking)}" if lacking else counted(len(layout.steps), "step")
        raise ModelMismatchError(
            f"{found.source.name} has {what}; {folder} takes {' '.join(card.bands)} in "
            f"{counted(len(card.steps), 'step')}",
            _what_to_do(lacking),
        )
    if layout.bands == card.bands:
        return found
    places = [layout.bands.index(band) for band in card.bands]
    fewer = replace(layout, bands=card.bands, resolutions_m=tuple(layout.resolutions_m[place] for place in places))
    source = TableSource(found.source.name, found.source.values_NBS[:, places])
    return replace(found, layout=fewer, source=source)


def _what_to_do(lacking: list[str]) -> str:
    """Return what gives a table the model's bands or steps, or the model the table's."""
    other = "`cropcube train --table FILE` makes a model of those that this table has."
    if not lacking:
        return f"Give series of the model's season and steps, or another model: {other}"
    bands = " ".join(lacking)
    return (
        f"Add columns of {bands}: `cropcube extract` writes all bands of a project, which `cropcube build --bands` "
        f"chooses. Or take another model: {other}"
    )
