"""What the features of a tile are made from: the builds under it, as they were done or as the catalogue wants them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cropcube.catalog.frozen import FrozenCatalog
from cropcube.cube.ledger import Ledger, Record, digest
from cropcube.domain.lattice import FINEST_M, Tile, grown
from cropcube.errors import MissingError
from cropcube.features.compute import REVISION
from cropcube.pipeline.build_plan import plan
from cropcube.pipeline.stage import DONE, INCOMPLETE

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.lattice import ZoneGrid
    from cropcube.pipeline.build_plan import PlannedTask


def features_digest(project: Project, spec: FeatureSpec, builds: tuple[tuple[str, str], ...]) -> str:
    """Return the digest of all that decides the features of a tile: builds, options, the algorithm."""
    return digest(REVISION, spec.as_dict(), str(project.spec.season), builds)


@dataclass(frozen=True)
class Builds:
    """Builds by zone and square."""

    squares: Mapping[tuple[str, str], tuple[tuple[str, str], ...]]
    "Key and content digest of each slab's record, by zone and name of the square."
    unfinished: Mapping[tuple[str, str], tuple[str, ...]]
    "Keys of the tasks that are not done as the frozen catalogue wants them, by the same."
    tasks: Mapping[str, PlannedTask]
    "By key; only of planned builds."

    @classmethod
    def done(cls, project: Project) -> Builds:
        """Read the ledger.

        Raises
        ------
        MissingError
            If nothing is built.
        """
        records = list(Ledger(project.ledger_path).records(project.build_stage))
        if not any(record.state in (DONE, INCOMPLETE) for record in records):
            raise MissingError(f"no part of {project.root} is built yet", "Run `cropcube build` first.")
        squares = _by_square((record.key, record.content_digest) for record in records)
        unfinished = _by_square((key, key) for key in sorted(_unfinished(project, records)))
        return cls(squares, {place: tuple(key for key, _ in found) for place, found in unfinished.items()}, {})

    @classmethod
    def planned(cls, project: Project) -> Builds:
        """Return what the ledger would hold if every scene of the frozen catalogue were read.

        Raises
        ------
        MissingError
            If no catalogue was searched.
        """
        catalog = FrozenCatalog.open(project.scenes_path)
        known = frozenset(record.key for record in Ledger(project.ledger_path).records(project.build_stage))
        tasks = {planned.task.key: planned for planned in plan(project, catalog, verify=False, known=known)}
        whole: dict[str, Any] = {"failed": []}  # as a build records it
        squares = _by_square(
            (key, Record(key, each.task.digest, DONE, whole).content_digest) for key, each in tasks.items()
        )
        return cls(squares, {}, tasks)

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Keys of all tasks that are not done."""
        return tuple(sorted(key for keys in self.unfinished.values() for key in keys))

    def under(self, zone: ZoneGrid, tile: Tile, halo_m: int) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
        """Return the records of the squares that a tile and its halo lie in, and the unfinished tasks among them."""
        box = grown(tile.box(FINEST_M), halo_m)
        side = zone.square * tile.tile_px
        rows = range(box.row // side, (box.row + box.height - 1) // side + 1)
        cols = range(box.col // side, (box.col + box.width - 1) // side + 1)
        names = [f"r{row:04d}c{col:04d}" for row in rows for col in cols]
        places = [(zone.lattice.name, name) for name in names]
        records = tuple(found for place in places for found in self.squares.get(place, ()))
        return records, tuple(key for place in places for key in self.unfinished.get(place, ()))


def _by_square(found: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    """Return keys of build tasks, each with a value, by zone and name of the square."""
    squares: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for key, value in found:
        _, zone, _, square = key.split("/")
        squares[zone, square].append((key, value))
    return {place: tuple(sorted(each)) for place, each in squares.items()}


def _unfinished(project: Project, records: list[Record]) -> set[str]:
    """Return the keys of build tasks that failed in part, were interrupted, never begun, or done of other scenes."""
    known = {record.key: record for record in records}
    unfinished = {record.key for record in records if record.state != DONE}
    if project.scenes_path.exists():
        catalog = FrozenCatalog.open(project.scenes_path)
        for planned in plan(project, catalog, verify=False, known=frozenset(known)):
            record = known.get(planned.task.key)
            if record is None or record.digest != planned.task.digest:
                unfinished.add(planned.task.key)
    return unfinished
