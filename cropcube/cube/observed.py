"""What the cube holds of a tile, on the days that have anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropcube.domain.lattice import grown
from cropcube.errors import InvalidInputError
from cropcube.observations.tile import TileObservations

if TYPE_CHECKING:
    from cropcube.cube.store import Store
    from cropcube.domain.lattice import Tile


def read_observations(
    store: Store, tile: Tile, halo_m: int = 0, bands: tuple[str, ...] | None = None
) -> TileObservations:
    """Read the days of a tile that have any observation.

    Parameters
    ----------
    store
        The cube.
    tile
        The tile, or a cell of it: the days are those of the tile.
    halo_m
        Width of the frame around the tile over which `quality` is wanted too (for dilation of the mask).
    bands
        Labels to read; all by default.

    Raises
    ------
    InvalidInputError
        If the cube has not all the bands asked for.
    """
    zone = tile.lattice.name
    days = store.days_present(tile)
    here = [int(day) for day in days]
    chosen, reflectance = _choose(store, bands), {}
    for resolution_m, names in chosen.items():
        have = store.labels("band", resolution_m)
        index = [have.index(name) for name in names]
        every = slice(None) if len(index) == len(have) else index
        reflectance[resolution_m] = store.read(zone, "reflectance", tile.box(resolution_m), (here, every))
    quality_m = next(resolution_m for name, resolution_m in store.arrays if name == "quality")
    box = grown(tile.box(quality_m), halo_m).intersection(store.zone(zone).box(quality_m))
    box = box or tile.box(quality_m)
    return TileObservations(tile, days, chosen, reflectance, store.read(zone, "quality", box, (here,)), box)


def _choose(store: Store, bands: tuple[str, ...] | None) -> dict[int, tuple[str, ...]]:
    have = {m: store.labels("band", m) for name, m in store.arrays if name == "reflectance"}
    known = {name for names in have.values() for name in names}
    missing = [name for name in bands or () if name not in known]
    if missing:
        raise InvalidInputError(
            f"{store.path} has no band {' '.join(missing)}", f"It was built with: {' '.join(sorted(known))}"
        )
    chosen = {m: tuple(name for name in names if bands is None or name in bands) for m, names in have.items()}
    return {m: names for m, names in chosen.items() if names}
