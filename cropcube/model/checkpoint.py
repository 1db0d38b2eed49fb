"""Saving and loading a model: weights in safetensors and a sample index in Parquet, both named by their digest in a
JSON card that is put in place last. A save that is killed leaves the model that stood before."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.numpy import load, save

from cropcube.cube.objects import discard_leftovers, replace_file
from cropcube.domain.model_card import ModelCard
from cropcube.errors import InvalidInputError, MissingError, ResourceError
from cropcube.kernels.device import CPU, CUDA
from cropcube.model.boosting import BoostingClassifier
from cropcube.model.classifier import need_torch
from cropcube.model.forest import ForestClassifier
from cropcube.samples.index import LEFT_OUT, SampleIndex

if TYPE_CHECKING:
    from cropcube.location import Location
    from cropcube.model.classifier import Classifier, Tensors

CARD_NAME = "card.json"


def save_model(folder: Location, classifier: Classifier, card: ModelCard, index: SampleIndex) -> ModelCard:
    """Write a model over the one that may stand in a folder, whole or not at all.

    Parameters
    ----------
    folder
        Made if it is not there.
    classifier, card
        The model; `card.files` is filled in here.
    index
        All its samples, so that `evaluate` needs no labels again; also those that are in no set.

    Returns
    -------
    card
        As written.

    Raises
    ------
    ResourceError
        If the disk is full or cannot be written.
    """
    try:
        if isinstance(folder, Path):
            folder.mkdir(parents=True, exist_ok=True)
        contents = {"weights": save(dict(classifier.tensors())), "samples": index.encode()}
        files = {}
        for what, suffix in (("weights", ".safetensors"), ("samples", ".parquet")):
            sha256 = hashlib.sha256(contents[what]).hexdigest()
            files[what] = {"name": f"{what}-{sha256[:12]}{suffix}", "sha256": sha256}
            replace_file(folder, files[what]["name"], (contents[what],))
        card = replace(card, files=files)
        replace_file(folder, CARD_NAME, (card.to_json().encode(),))
        _sweep(folder, {entry["name"] for entry in files.values()})
    except OSError as error:
        raise ResourceError(
            f"the model cannot be written to {folder} ({error.strerror or error})",
            "Make room or give another folder; a model that stood there stands still.",
        ) from error
    return card


def load_model(folder: Location, device: str = CPU) -> tuple[Classifier, ModelCard]:
    """Read a model.

    Parameters
    ----------
    folder
        Where it lies.
    device
        What a CropNet is to classify on, `cpu` or `cuda`; other classifiers know the processor only.

    Raises
    ------
    MissingError
        If the folder holds none.
    InvalidInputError
        If it is damaged, foreign or of another version, or there is no GPU.
    MissingExtraError
        For a CropNet without PyTorch.
    """
    card = read_card(folder)
    content = _content(folder, card, "weights")
    try:
        tensors: Tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise InvalidInputError(f"the weights in {folder} are no safetensors, or damaged ({error})", _AGAIN) from error
    classifier = _classifier(card, tensors, device)
    if (classifier.classes, classifier.input_shape) != (len(card.legend), (len(card.bands), len(card.steps))):
        raise InvalidInputError(
            f"the weights in {folder} are for {classifier.classes} classes and {classifier.input_shape} inputs, "
            f"its card says {len(card.legend)} and {(len(card.bands), len(card.steps))}",
            _AGAIN,
        )
    return classifier, card


def read_card(folder: Location) -> ModelCard:
    """Read the card alone; raises as `load_model` does."""
    path = folder / CARD_NAME
    try:
        return ModelCard.from_json(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        raise MissingError(f"there is no model in {folder}", "`cropcube train --labels FILE` makes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read ({error})", _AGAIN) from error


def check_files(folder: Location, card: ModelCard) -> None:
    """Refuse a model of which a file is gone or changed; raises as `load_model` does."""
    for what in ("weights", "samples"):
        _content(folder, card, what)


def load_samples(folder: Location, card: ModelCard) -> SampleIndex:
    """Read the index of the samples (train, validation and test) that a model was made with; raises as `load_model`."""
    index = load_places(folder, card)
    return index.select(index.part != LEFT_OUT)


def load_places(folder: Location, card: ModelCard) -> SampleIndex:
    """Read the same with the samples that are in no set, as their field is in one; raises as `load_model`."""
    index = SampleIndex.decode(_content(folder, card, "samples"), str(folder))
    if len(index) and not 1 <= int(index.label.min()) <= int(index.label.max()) <= len(card.legend):
        raise InvalidInputError(f"the samples in {folder} do not fit the model's legend", _AGAIN)
    return index


def _classifier(card: ModelCard, tensors: Tensors, device: str) -> Classifier:
    if card.classifier == "forest":
        return ForestClassifier(tensors)
    if card.classifier == "boosting":
        return BoostingClassifier(tensors)
    need_torch()
    from cropcube.model import cropnet

    where = cropnet.gpu() if device == CUDA else cropnet.PROCESSOR
    return cropnet.CropNetClassifier.of(tensors, (len(card.bands), len(card.steps)), where)


def _content(folder: Location, card: ModelCard, what: str) -> bytes:
    """Return a file's bytes, refused unless they are those that the card names."""
    try:
        name, wanted = card.files[what]["name"], card.files[what]["sha256"]
    except KeyError:
        raise InvalidInputError(f"the card in {folder} names no {what}", _AGAIN) from None
    path = folder / Path(name).name
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingError(f"{path}, named by the model's card, is not there", _AGAIN) from None
    if hashlib.sha256(content).hexdigest() != wanted:
        raise InvalidInputError(f"{path} is not the file that was saved: its sha256 differs from the card's", _AGAIN)
    return content


def _sweep(folder: Location, kept: set[str]) -> None:
    """Remove the files of earlier models and of killed saves; foreign files stay."""
    discard_leftovers(folder)
    for path in folder.iterdir():
        if path.name.startswith(("weights-", "samples-")) and path.name not in kept:
            path.unlink(missing_ok=True)


_AGAIN = "Train the model again: `cropcube train`."
