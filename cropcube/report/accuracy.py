"""How well a classifier or a map did, with what a reader must know before believing the figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cropcube.model.metrics import Scores

FEW_PIXELS = 100
"""Test pixels of a class below which its scores say little."""
FEW_BLOCKS = 10
"""Test blocks below which neighbouring pixels stand for each other."""


@dataclass(frozen=True)
class Accuracy:
    """Scores, and what they are scores of."""

    classifier: str
    "What is scored: `CropNet`, `random forest`, `the map`."
    basis: str
    "On which pixels, in a sentence."
    scores: Scores
    "Over the classes of the legend."
    blocks: int = 0
    "Spatial blocks that the test pixels lie in; 0 where they were not split by blocks."
    unmapped: int = 0
    "Labelled pixels where the map has no data: not scored."
    unlearnt: tuple[str, ...] = ()
    "Classes that were tested and of which not one pixel was there to learn from: all lie in the blocks tested."

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready; `classes` are the rows and columns of `confusion`."""
        return {
            "classifier": self.classifier,
            "basis": self.basis,
            "blocks": self.blocks,
            "unmapped": self.unmapped,
            "unlearnt": list(self.unlearnt),
            **self.scores.as_json(),
            "remarks": list(self.remarks()),
        }

    @property
    def tested_classes(self) -> int:
        """Number of classes with at least one test pixel."""
        return sum(entry.support > 0 for entry in self.scores.classes)

    def remarks(self) -> tuple[str, ...]:
        """Return, in sentences, what limits these figures."""
        said = []
        absent = [entry.name for entry in self.scores.classes if entry.support == 0]
        few = [f"{c.name} ({c.support})" for c in self.scores.classes if 0 < c.support < FEW_PIXELS]
        if absent:
            said.append(f"No test pixel at all for: {', '.join(absent)}. Nothing is known about how well they do.")
        if self.unlearnt:
            said.append(
                f"All pixels of {', '.join(self.unlearnt)} lie in blocks that were tested together: there was none "
                "left to learn from, so a score of 0 tells of the labels, not of the classifier."
            )
        if few:
            said.append(
                f"Fewer than {FEW_PIXELS} test pixels for: {', '.join(few)}. Their scores are little more than a guess."
            )
        if 0 < self.blocks < FEW_BLOCKS:
            said.append(
                f"The {self.scores.samples:,} test pixels lie in only {self.blocks} "
                f"{'block' if self.blocks == 1 else 'blocks'}: neighbouring pixels are alike, so the figures are "
                "less certain than their number suggests."
            )
        if self.unmapped:
            said.append(f"{self.unmapped:,} labelled pixels have no data in the map and are not scored.")
        return tuple(said)
