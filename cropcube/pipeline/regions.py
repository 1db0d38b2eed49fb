"""`cropcube regions`: which outlines have a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cropcube.catalog.outlines import Outline, search_outlines


@dataclass(frozen=True)
class RegionsSummary:
    """The outlines found."""

    outlines: tuple[Outline, ...]
    "Countries first, then by name."

    def as_dict(self) -> dict[str, Any]:
        """Return the outlines, JSON-ready; areas in square kilometres."""
        return {
            "count": len(self.outlines),
            "regions": [
                {
                    "name": outline.name,
                    "kind": outline.kind,
                    "code": outline.code,
                    "country": outline.country,
                    "continent": outline.continent,
                    "area_km2": round(outline.area_km2, 1),
                    "bounds": list(outline.geometry.bounds),
                }
                for outline in self.outlines
            ],
        }


def regions(text: str = "") -> RegionsSummary:
    """Return the countries and states whose name, code, country or continent contains a text (all for none)."""
    return RegionsSummary(tuple(search_outlines(text)))
