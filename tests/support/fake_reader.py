"""Scenes that exist only as arrays, and a reader that serves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from cropcube.domain.lattice import Lattice, PixelBox
from cropcube.domain.scene import Asset, Radiometry, Scene
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import ReadError
from cropcube.observations.reader import ReadCounts

UTM31 = Lattice.utm(31, True)
SENSOR = SENTINEL2.select(("B02", "B04", "B11"))
BOX = UTM31.box_of_bounds((600_000, 5_699_840, 600_160, 5_700_000), 20)
WHOLE = shapely.transform(
    shapely.box(599_000, 5_699_000, 601_000, 5_701_000),
    lambda xy: np.stack(Transformer.from_crs(32631, 4326, always_xy=True).transform(xy[:, 0], xy[:, 1]), axis=1),
)


@dataclass
class FakeReader:
    """Serves arrays that cover `BOX`, counts what is asked of it, and fails where told.

    A band that is asked for at a resolution which is not its own stands under `SCL@10`.
    """

    pixels: Mapping[tuple[str, str], NDArray[Any]]
    broken: set[tuple[str, str]] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    counts: ReadCounts = field(default_factory=ReadCounts)

    def read(self, scene: Scene, band: str, box: PixelBox) -> NDArray[Any]:
        self.asked.append((scene.id, band))
        if (scene.id, band) in self.broken:
            raise ReadError(f"{scene.id} {band} is broken")
        own = self.pixels.get((scene.id, f"{band}@{box.resolution_m}"))
        return (self.pixels[scene.id, band] if own is None else own)[box.slices_in(BOX.at(box.resolution_m))]


def scene(name: str, baseline: str = "05.09", offset: float = 0.0) -> Scene:
    assets = {band: Asset(f"{name}/{band}.tif") for band in ("B02", "B04", "B11", "SCL")}
    when = datetime(2020, 6, 1, 10, tzinfo=UTC)
    return Scene(name, "c", when, WHOLE, 32631, 1.0, baseline, Radiometry(1e-4, offset, "test"), assets)


def pixels_of(name: str, quality: NDArray[Any], value: int) -> dict[tuple[str, str], NDArray[Any]]:
    """Return bands that hold `value` plus 0, 1, 2 in B02, B04, B11 everywhere."""
    fine, coarse = (16, 16), (8, 8)
    return {
        (name, "B02"): np.full(fine, value, np.uint16),
        (name, "B04"): np.full(fine, value + 1, np.uint16),
        (name, "B11"): np.full(coarse, value + 2, np.uint16),
        (name, "SCL"): quality.astype(np.uint8),
    }
