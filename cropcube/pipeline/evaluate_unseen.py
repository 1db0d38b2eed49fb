"""Which labels a map or a model is scored on: those that lie in no place that the model has learnt from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cropcube.domain.season import Season
from cropcube.errors import InvalidInputError
from cropcube.model.checkpoint import load_places
from cropcube.pipeline.evaluate_notes import PIXELS, SAMPLES, of_files
from cropcube.pipeline.labels import read_labels
from cropcube.samples.learnt import Learnt
from cropcube.samples.places import BLOCKS
from cropcube.samples.table import coordinates, ground_blocks, place_numbers

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cropcube.config import Project
    from cropcube.domain.legend import Legend
    from cropcube.domain.model_card import ModelCard
    from cropcube.location import Location
    from cropcube.pipeline.labels import LabelFiles
    from cropcube.samples.index import SampleIndex
    from cropcube.samples.table import TableSamples


def is_of_training(files: LabelFiles, card: ModelCard) -> bool:
    """Return whether labels are the files that the model was trained with, read by the same rules."""
    fields, source = ", ".join(files.rules.fields), card.labels
    same_rules = files.rules.as_dict() == source.rules and fields in ("", source.label_field)
    return files.digest == source.digest and same_rules


def unseen_labels(
    project: Project, model: tuple[Location, ModelCard], files: LabelFiles, legend: Legend
) -> tuple[SampleIndex, str, list[str]]:
    """Return the pixels of label files that a map can be scored on, what they are in a sentence, and notes.

    Of a model that was trained on the same season, labels in its training and validation places are left out, in
    whatever file, format or order they come. A model of another season has not seen this one: that is only said.

    Parameters
    ----------
    project
        Whose map is scored.
    model
        Folder and card of the model that made it.
    files
        Other labels than those of the training, or the same by other rules.
    legend
        Of the map.

    Raises
    ------
    InvalidInputError
        If no label is left.
    """
    folder, card = model
    notes = []
    if files.digest == card.labels.digest:
        notes.append(f"the model was trained with {files.name}, read by other rules or fields")
        if not files.rules.fields and card.labels.label_field:
            files = replace(files, rules=replace(files.rules, fields=tuple(card.labels.label_field.split(", "))))
    labels = read_labels(files, legend, project.spec, known_only=True)
    notes += of_files(labels.laid, labels.laid.dropped)
    learnt = Learnt.of(load_places(folder, card), card.split)
    held = learnt.holds_pixels(labels.index)
    index, said = _unseen(labels.index, held, (card, project.spec.season), (PIXELS, files.name), learnt.words)
    of_all = f"{len(index):,} of {len(held):,}" if len(index) < len(held) else f"{len(held):,}"
    return index, f"The map against labels of its own, {files.name}: {of_all} {PIXELS}.", notes + said


def unseen_rows(
    model: tuple[Location, ModelCard], path: Path, found: TableSamples, season: Season
) -> tuple[SampleIndex, str, list[str]]:
    """Return the samples of a table that a model can be scored on, what their blocks are, and notes.

    See `unseen_labels`. Where the model's samples or those of the table have no coordinates, all are taken.

    Parameters
    ----------
    model
        Its folder and card.
    path
        The table, another than that of the training.
    found
        Its samples.
    season
        What they lie in.

    Raises
    ------
    InvalidInputError
        If no sample is left.
    """
    folder, card = model
    learnt, lonlat = Learnt.of(load_places(folder, card), card.split), coordinates(found.about)
    if lonlat is None or not learnt.known:
        return found.index, "", [f"places are not known: {SAMPLES} of {path.name} may lie where the model learnt"]
    by_blocks = card.split.by == BLOCKS
    block = ground_blocks(lonlat, card.split.block_m) if by_blocks else place_numbers(lonlat)
    index, held = replace(found.index, block=block), learnt.holds_places(lonlat)
    index, said = _unseen(index, held, (card, season), (SAMPLES, path.name), learnt.words)
    return index, card.split.words if by_blocks else "places", said


def _unseen(
    index: SampleIndex, held: NDArray[np.bool_], of: tuple[ModelCard, Season], what: tuple[str, str], places: str
) -> tuple[SampleIndex, list[str]]:
    """Return an index without the samples that are held, if they are of the season that the model learnt from."""
    (card, season), (things, name), count = of, what, int(held.sum())
    if not _of_one_season(card.season, season):
        said = f"{count:,} {things} lie in places that the model learnt from in another season, {card.season}"
        return index, [said] if count else []
    if count == len(index):
        raise InvalidInputError(
            f"all {count:,} {things} of {name} lie in places ({places}) of the model's training or validation set",
            "Give labels of other places, or add --folds 4, which fits anew for what it tests.",
        )
    said = f"{count:,} {things} left out: in a place ({places}) of the model's training or validation set"
    return index.select(~held), [said] if count else []


def _of_one_season(learnt: str, season: Season) -> bool:
    """Return whether two seasons share half of the shorter, so that the same crops stood in them."""
    other = Season.parse(learnt)
    shared = (min(other.stop, season.stop) - max(other.start, season.start)).days
    return 2 * shared >= min(other.days, season.days)
