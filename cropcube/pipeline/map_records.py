"""What the ledger says of a map: its counted pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.cube.ledger import Ledger
from cropcube.domain.lattice import FINEST_M

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.domain.legend import Legend

STAGE = "predict"


@dataclass(frozen=True)
class MappedArea:
    """Counted pixels of the map, by class; not an estimate of area."""

    names: tuple[str, ...]
    "Of the classes."
    pixels: tuple[int, ...]
    "Of each class."
    unclassified: int
    "Pixels of the region without a class: never seen clear, or too seldom."

    def hectares(self) -> tuple[float, ...]:
        """Return the area of each class in hectares of the map's projection."""
        return tuple(count * FINEST_M**2 / 10_000 for count in self.pixels)

    def rows(self) -> list[tuple[str, str, str]]:
        """Return class, hectares and share as text, one row a class."""
        total = max(sum(self.pixels), 1)
        return [
            (name, f"{area:,.1f}", f"{100 * count / total:.1f} %")
            for name, count, area in zip(self.names, self.pixels, self.hectares(), strict=True)
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {"pixels": dict(zip(self.names, self.pixels, strict=True)), "unclassified": self.unclassified}


def mapped_area(project: Project, legend: Legend) -> MappedArea:
    """Return the counted pixels of the map, added up over its finished tiles."""
    counts = np.zeros(len(legend) + 1, np.int64)
    for record in Ledger(project.ledger_path).records(STAGE):
        pixels = record.details.get("pixels")
        if isinstance(pixels, list) and len(pixels) == len(counts):
            counts += np.asarray(pixels, np.int64)
    return MappedArea(legend.names, tuple(counts[1:].tolist()), int(counts[0]))
