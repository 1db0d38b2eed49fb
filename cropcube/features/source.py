"""Where features come from: read from their store, or made on the fly from the cube."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cropcube.domain.lattice import FINEST_M
from cropcube.errors import ModelMismatchError
from cropcube.features.compute import CLEAR_COUNT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.cube.store import Store
    from cropcube.domain.lattice import Lattice, PixelBox
    from cropcube.features.model_input import InputLayout


class FeatureSource(Protocol):
    """Gives the features of any ground; all sources of the same features give the same numbers, bit for bit."""

    @property
    def name(self) -> str:
        """What it is, for messages."""

    def lattice(self, zone: str) -> Lattice:
        """Return the lattice of a zone."""

    def cell_px(self, layout: InputLayout) -> int:
        """Return the side at 10 m of the squares of ground that are best read at once, aligned on the lattice."""

    def read(self, layout: InputLayout, box: PixelBox) -> dict[int, NDArray[Any]]:
        """Return the layout's features of a box at 10 m whose sides are whole pixels at every resolution.

        Returns
        -------
        features
            By resolution: (steps, bands of that resolution in the layout's order, y, x).
        """

    def clear_count(self, box: PixelBox) -> NDArray[np.uint16]:
        """Return the clear observations ([window,] y, x) of a box at 10 m, at the finest resolution there is."""


@dataclass(frozen=True)
class StoredFeatures:
    """Features read from their store."""

    store: Store

    @property
    def name(self) -> str:
        """Where the store lies."""
        return str(self.store.path)

    def lattice(self, zone: str) -> Lattice:
        """Return the lattice of a zone."""
        return self.store.zone(zone).lattice

    def cell_px(self, layout: InputLayout) -> int:
        """Return the side at 10 m of the smallest square made of whole chunks at every resolution."""
        sides = [self.store.array(layout.array, r).chunk[-1] * r // FINEST_M for r in set(layout.resolutions_m)]
        return math.lcm(*sides)

    def read(self, layout: InputLayout, box: PixelBox) -> dict[int, NDArray[Any]]:
        """Return the layout's features of a box; see `FeatureSource`."""
        found = {}
        for resolution_m in sorted(set(layout.resolutions_m)):
            known = list(map(str, self.store.labels("band", resolution_m)))
            wanted = [known.index(band) for band in layout.bands_at(resolution_m)]
            bands = slice(None) if wanted == list(range(len(known))) else sorted(wanted)
            values = self.store.read(box.lattice.name, layout.array, box.at(resolution_m), (slice(None), bands))
            found[resolution_m] = values[:, np.argsort(np.argsort(wanted))]
        return found

    def clear_count(self, box: PixelBox) -> NDArray[np.uint16]:
        """Return the clear observations of a box; see `FeatureSource`."""
        resolution_m = min(r for name, r in self.store.arrays if name == CLEAR_COUNT)
        return self.store.read(box.lattice.name, CLEAR_COUNT, box.at(resolution_m))


def check_store(store: Store, layout: InputLayout) -> None:
    """Refuse a feature store that lacks what a layout needs.

    Raises
    ------
    ModelMismatchError
        Naming the array, bands or steps that do not fit.
    """
    for resolution_m in sorted(set(layout.resolutions_m)):
        known = tuple(map(str, store.labels("band", resolution_m)))
        lacking = [band for band in layout.bands_at(resolution_m) if band not in known]
        if (layout.array, resolution_m) not in store.arrays or lacking:
            raise ModelMismatchError(
                f"{store.path} has no {layout.array} of {' '.join(lacking or layout.bands_at(resolution_m))} "
                f"at {resolution_m} m",
                f"The model takes {layout.feature} with the bands {' '.join(layout.bands)}.",
            )
        steps = store.array(layout.array, resolution_m).leading[0][1]
        if steps != len(layout.series_steps):
            raise ModelMismatchError(
                f"{store.path} has {steps} steps, the model takes {len(layout.series_steps)}",
                "A model needs a season of the same length in windows of the same length.",
            )
