"""`model show`: the card of a model, for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cropcube.config import find_project
from cropcube.domain.words import counted
from cropcube.errors import MissingError
from cropcube.model.checkpoint import CARD_NAME, check_files, read_card
from cropcube.pipeline.model_check import digest_of
from cropcube.samples.index import SETS

if TYPE_CHECKING:
    from cropcube.domain.model_card import ModelCard
    from cropcube.location import Location


@dataclass(frozen=True)
class ClassFigures:
    """One class of the legend: how often it was seen, and how well it was told on the validation samples."""

    code: int
    name: str
    samples: dict[str, int]
    "By set."
    f1: float | None
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class ShownModel:
    """A model's card, with what follows from it."""

    folder: Location
    card: ModelCard
    digest: str
    "Of all that a map depends on."

    @property
    def classes(self) -> tuple[ClassFigures, ...]:
        """The classes in the legend's order."""
        scored = {entry["name"]: entry for entry in self.card.scores.get("classes", ())}
        counts = self.card.split.counts
        return tuple(
            ClassFigures(
                entry.code,
                entry.name,
                {part: counts.get(part, {}).get(entry.name, 0) for part in SETS},
                *(scored.get(entry.name, {}).get(figure) for figure in ("f1", "precision", "recall")),
            )
            for entry in self.card.legend.classes
        )

    @property
    def limits(self) -> tuple[str, ...]:
        """What the model should not be trusted with, in sentences."""
        card, found = self.card, []
        unlearnt = [each.name for each in self.classes if not each.samples["train"]]
        if unlearnt:
            found.append(f"Never maps {', '.join(unlearnt)}: no training sample.")
        untested = [each.name for each in self.classes if each.samples["train"] and not each.samples["test"]]
        if untested:
            found.append(f"Not tested on {', '.join(untested)}: no sample in the test places.")
        if card.calibration is None:
            found.append("Confidence is not calibrated: no place was left for validation.")
        seen = f" from {card.model_window}" if card.model_window else ""
        found.append(
            f"Takes {card.sensor}, {counted(len(card.steps), 'step')} of {card.feature}{seen}; learnt in "
            f"{card.region}, {card.season}: elsewhere, score it on labels of that place first."
        )
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """Return the whole card and what follows from it, JSON-ready."""
        content = asdict(self.card) | {"legend": self.card.legend.as_json()}
        return {
            "folder": str(self.folder),
            "digest": self.digest,
            "classes": [asdict(entry) for entry in self.classes],
            "limits": list(self.limits),
            "card": content,
        }


def show_model(place: Location) -> ShownModel:
    """Read the card of a model, and check that its files are those that it names.

    Parameters
    ----------
    place
        The model's folder, or a project (or a folder below it) for its own model.

    Raises
    ------
    MissingError
        If there is no model.
    InvalidInputError
        If the card or a file is damaged or was changed.
    """
    folder = place
    if not (place / CARD_NAME).exists():
        try:
            folder = find_project(place).model_path
        except MissingError:
            raise MissingError(
                f"{place} holds no model, and is in no project that could have one",
                "Give a folder that `cropcube train` wrote, or a project.",
            ) from None
    card = read_card(folder)
    check_files(folder, card)
    return ShownModel(folder.resolve(), card, digest_of(card))
