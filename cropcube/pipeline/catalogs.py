"""`cropcube catalogs`: which catalogues have a name."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cropcube.catalog.known import DEFAULT_CATALOG, KNOWN_CATALOGS, KnownCatalog


@dataclass(frozen=True)
class CatalogsSummary:
    """The catalogues that `--catalog` knows by name."""

    default: str
    "Asked when none is given."
    catalogs: tuple[KnownCatalog, ...]
    "In the order of the table."

    def as_dict(self) -> dict[str, Any]:
        """Return the catalogues, JSON-ready."""
        known = [{**asdict(found), "others": list(found.others)} for found in self.catalogs]
        return {"default": self.default, "catalogs": known}


def catalogs() -> CatalogsSummary:
    """Return the known catalogues; asks no network."""
    return CatalogsSummary(DEFAULT_CATALOG, tuple(KNOWN_CATALOGS.values()))
