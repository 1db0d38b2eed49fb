"""Which scenes, of which processing baselines, a tile of the map rests on: followed down the records of the ledger."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from cropcube.config import find_project
from cropcube.cube.ledger import Ledger, Record
from cropcube.domain.lattice import Tile
from cropcube.errors import InvalidInputError, MissingError
from cropcube.pipeline.map_records import PARTS, STAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cropcube.config import Project
    from cropcube.domain.scene import Scene
    from cropcube.location import Location

USED, USED_IN, BUILDS, ORIGIN = "used_scenes", "used_in", "builds", "from"
"""Where records keep it: scenes as [id, day, baseline]; numbers of them by tile; [key, digest] of the build records
that a tile is made from; and what a tile of the map was made from: `features`, `cube` or `catalog`."""


@dataclass
class UsedScenes:
    """The scenes that the pixels of each tile are from, as a task gathers them."""

    scenes: dict[str, Scene] = field(default_factory=dict)
    tiles: dict[str, set[str]] = field(default_factory=dict)
    "Ids by name of the tile."

    def add(self, tile: Tile, scenes: Iterable[Scene]) -> None:
        """Take in scenes that pixels of a tile are from."""
        for scene in scenes:
            self.scenes[scene.id] = scene
            self.tiles.setdefault(tile.name, set()).add(scene.id)

    def as_details(self) -> dict[str, Any]:
        """Return what a record keeps."""
        ids = sorted(self.scenes)
        place = {name: number for number, name in enumerate(ids)}
        found = (self.scenes[name] for name in ids)
        return {
            USED: [[scene.id, scene.solar_day.isoformat(), scene.baseline] for scene in found],
            USED_IN: {tile: sorted(place[name] for name in names) for tile, names in sorted(self.tiles.items())},
        }


@dataclass(frozen=True, order=True)
class UsedScene:
    """A scene that pixels of a tile are from."""

    day: str
    id: str
    baseline: str
    "Processing baseline; empty if the catalogue does not say."


@dataclass(frozen=True)
class Provenance:
    """What a tile of the map rests on."""

    key: str
    "Of the record: `predict/utm31n/r0573c0074`."
    state: str
    origin: str
    "`features`, `cube` or `catalog`."
    details: Mapping[str, Any]
    "Counted pixels, model, failed reads: what else the record says."
    builds: tuple[str, ...]
    "Keys of the build records in between; none where the map was made straight from the catalogue."
    scenes: tuple[UsedScene, ...]
    "By day."
    notes: tuple[str, ...]
    "What cannot be followed any more, and why."

    @property
    def days(self) -> tuple[str, ...]:
        """Days with a pixel of the tile, ascending."""
        return tuple(sorted({scene.day for scene in self.scenes}))

    @property
    def baselines(self) -> dict[str, int]:
        """Number of scenes of each processing baseline."""
        return dict(sorted(Counter(scene.baseline for scene in self.scenes).items()))

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, JSON-ready."""
        return {
            "tile": self.key,
            "state": self.state,
            "from": self.origin,
            "days": list(self.days),
            "baselines": self.baselines,
            "scenes": [asdict(scene) for scene in self.scenes],
            "builds": list(self.builds),
            "details": dict(self.details),
            "notes": list(self.notes),
        }


def provenance(project_root: Location, tile: str) -> Provenance:
    """Return what a tile of the map rests on.

    Parameters
    ----------
    project_root
        The project's folder, or one below it.
    tile
        Its name, `r0573c0074`, after its zone where several have such a tile: `utm31n/r0573c0074`.

    Raises
    ------
    MissingError
        If the region has no such tile, or the map does not have it yet.
    InvalidInputError
        If several zones have such a tile.
    """
    project = find_project(project_root)
    found = _find(project, tile)
    key = f"{STAGE}/{found.lattice.name}/{found.name}"
    ledger = Ledger(project.ledger_path)
    record = ledger.read(key)
    if record is None or ORIGIN not in record.details:
        raise MissingError(f"the map does not have the tile {tile} yet", "`cropcube predict` makes it.")
    return follow(ledger, record, found.name)


def follow(ledger: Ledger, record: Record, tile: str) -> Provenance:
    """Return what a tile of the map rests on, from its record."""
    details: dict[str, Any] = dict(record.details)
    scenes, notes = _used(details, tile), []
    builds: list[Any] = details.pop(BUILDS, [])
    for key, digest in builds:
        build = ledger.read(key)
        if build is None or build.content_digest != digest:
            notes.append(f"{key} was done anew since the tile was made: its scenes of then are not known")
        else:
            scenes |= _used(build.details, tile)
    origin = str(details.pop(ORIGIN, ""))
    if details.get(PARTS):
        notes.append(f"only what touches {' and '.join(details[PARTS])} is known; the rest is as it stood before")
    if origin != "catalog" and not builds:
        notes.append("no build lies under the tile, or its features were made of builds that are not known")
    for name in (USED, USED_IN):
        details.pop(name, None)
    keys = tuple(str(key) for key, _ in builds)
    return Provenance(record.key, record.state, origin, details, keys, tuple(sorted(scenes)), tuple(notes))


def _used(details: Mapping[str, Any], tile: str) -> set[UsedScene]:
    scenes, numbers = details.get(USED, []), details.get(USED_IN, {}).get(tile, [])
    return {UsedScene(str(day), str(name), str(baseline)) for name, day, baseline in (scenes[n] for n in numbers)}


def _find(project: Project, text: str) -> Tile:
    zone, _, name = text.rpartition("/")
    tiles = [tile for tile in project.spec.grid.tiles() if tile.name == name and zone in ("", tile.lattice.name)]
    if not tiles:
        names = sorted(tile.name for tile in project.spec.grid.tiles())
        raise MissingError(
            f"the region has no tile {text!r}", f"It has {len(names)}, from {names[0]} to {names[-1]}, in its zones."
        )
    if len(tiles) > 1:
        zones = [f"{tile.lattice.name}/{tile.name}" for tile in tiles]
        raise InvalidInputError(f"{len(tiles)} zones have a tile {text}", f"Say which: {' or '.join(zones)}.")
    return tiles[0]
