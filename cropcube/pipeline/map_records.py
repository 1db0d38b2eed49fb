"""What the ledger says of a map: its counted pixels, and which boxes of a tile are mapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.cube.ledger import Ledger, digest
from cropcube.domain.lattice import FINEST_M
from cropcube.pipeline.stage import DONE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cropcube.config import Project
    from cropcube.cube.ledger import Record
    from cropcube.cube.objects import SizeOf
    from cropcube.domain.legend import Legend

STAGE = "predict"
PARTS, KEPT = "parts", "kept"
"""Where records keep the boxes of a tile that are mapped, and what of it stood when a box was begun."""


@dataclass(frozen=True)
class MappedArea:
    """Counted pixels of the map, by class; not an estimate of area."""

    names: tuple[str, ...]
    "Of the classes."
    pixels: tuple[int, ...]
    "Of each class."
    unclassified: int
    "Pixels of the region without a class: never seen clear, or too seldom."

    @property
    def counted(self) -> int:
        """All pixels of the region that may be mapped, with a class or without."""
        return sum(self.pixels) + self.unclassified

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


def mapped_area(project: Project, legend: Legend, of: Collection[str] | None = None) -> MappedArea:
    """Return the counted pixels of the map, added up over its finished tiles, or those of some keys."""
    counts = np.zeros(len(legend) + 1, np.int64)
    for record in Ledger(project.ledger_path).records(STAGE):
        pixels = record.details.get("pixels") if of is None or record.key in of else None
        if isinstance(pixels, list) and len(pixels) == len(counts):
            counts += np.asarray(pixels, np.int64)
    return MappedArea(legend.names, tuple(counts[1:].tolist()), int(counts[0]))


def boxes_of(record: Record) -> tuple[str, ...]:
    """Return the boxes of a tile that were mapped; none where it was mapped whole."""
    details: Mapping[str, Any] = record.details
    return tuple(details.get(PARTS, ()))


def part_digest(whole: str, parts: Sequence[str]) -> str:
    """Return the digest of a tile that is mapped in some boxes, or whole where there are none."""
    return digest(whole, list(parts)) if parts else whole


@dataclass(frozen=True)
class Mapped:
    """What a tile of the map is known to hold."""

    digest: str
    "As `part_digest` makes it; empty where nothing is known."
    parts: tuple[str, ...] = ()
    "Its boxes; none where it is mapped whole."

    @classmethod
    def of(cls, record: Record | None, size_of: SizeOf) -> Mapped:
        """Return what a record says: a task that is not done, of a box, holds what it began with."""
        if record is None or record.damaged(size_of):
            return cls("")
        if record.state == DONE:
            return cls(record.digest, boxes_of(record))
        details: Mapping[str, Any] = record.details
        kept = details.get(KEPT, {"digest": "", PARTS: ()})
        return cls(kept["digest"], tuple(kept[PARTS]))

    def as_details(self) -> dict[str, Any]:
        """Return what the record of a box that is begun keeps of it."""
        return {KEPT: {"digest": self.digest, PARTS: list(self.parts)}} if self.digest else {}
