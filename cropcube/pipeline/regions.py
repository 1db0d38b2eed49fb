"""`cropcube regions`: which outlines have a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cropcube.catalog.outlines import HOW_TO_NAME, Outline, search_outlines, suggestion


@dataclass(frozen=True)
class RegionsSummary:
    """The outlines found."""

    outlines: tuple[Outline, ...]
    "Countries first, then by name."
    advice: str = ""
    "Where nothing was found: the nearest names, and what else a region can be."

    def as_dict(self) -> dict[str, Any]:
        """Return the outlines, JSON-ready; areas in square kilometres."""
        return {
            "count": len(self.outlines),
            "advice": self.advice,
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
    found = tuple(search_outlines(text))
    return RegionsSummary(found, "" if found else suggestion(text) + HOW_TO_NAME)
