"""A scene: when, where, which bands, how cloudy, which radiometric rule. Never pixels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np
import shapely

from cropcube.domain.season import solar_day
from cropcube.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True)
class Radiometry:
    """Surface reflectance = DN x scale + offset, and why."""

    scale: float
    offset: float
    reason: str
    "Which rule decided, in words."

    @property
    def offset_dn(self) -> int:
        """Offset in counts of the file: -1000 for -0.1 at a scale of 1e-4."""
        return round(self.offset / self.scale)


@dataclass(frozen=True)
class Asset:
    """One file of a scene."""

    href: str
    "Absolute path or URL, never signed."
    transform: tuple[float, ...] | None = None
    "Six affine numbers (a, b, c, d, e, f) if the item states them."
    shape: tuple[int, int] | None = None
    "Rows, columns if the item states them."
    checksum: str | None = None
    "Multihash in hex (`file:checksum`)."
    size: int | None = None
    "Bytes (`file:size`)."


@dataclass(frozen=True)
class Scene:
    """One granule on one date."""

    id: str
    collection: str
    when: datetime
    "Acquisition, UTC."
    geometry: BaseGeometry
    "Footprint in lon/lat."
    epsg: int | None
    "CRS of the assets; None where the catalogue does not say."
    cloud_cover: float | None
    "Percent."
    baseline: str
    "Processing baseline such as `05.10`; empty if unknown."
    radiometry: Radiometry
    assets: Mapping[str, Asset]
    "By band label (`B02` ... `SCL`), or by file (`RFL`, ...) where one file holds all bands."

    @property
    def solar_day(self) -> date:
        """Calendar day at the mean solar time of the footprint's centre."""
        return solar_day(self.when, _centre_longitude(self.geometry))

    def asset(self, band: str) -> Asset:
        """Return the file of a band.

        Raises
        ------
        MissingError
            If the scene lacks the band.
        """
        try:
            return self.assets[band]
        except KeyError:
            raise MissingError(
                f"scene {self.id} has no band {band}", f"It has: {' '.join(sorted(self.assets))}"
            ) from None


def _centre_longitude(footprint: BaseGeometry) -> float:
    """Return the longitude of a footprint's centroid, also of one that is split at the antimeridian."""
    west, _, east, _ = footprint.bounds
    if east - west <= 180:
        return float(footprint.centroid.x)
    joined = shapely.transform(footprint, lambda lonlat: np.column_stack([lonlat[:, 0] % 360, lonlat[:, 1]]))
    centre = float(joined.centroid.x)
    return centre - 360 if centre > 180 else centre
