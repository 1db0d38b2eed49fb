"""The tasks of a build: one square of tiles for 32 days each, with the scenes that touch it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from cropcube.catalog.hrefs import is_remote
from cropcube.cube.ledger import digest
from cropcube.domain.emit import EMIT
from cropcube.domain.lattice import FINEST_M, Tile
from cropcube.domain.sensor import SENTINEL2
from cropcube.location import Location, ObjectPath
from cropcube.observations.extent import footprints_in
from cropcube.pipeline.build_memory import bounding_box, task_memory_bytes
from cropcube.pipeline.scene_sizes import bytes_per_pixel, file_bytes
from cropcube.pipeline.stage import StageTask

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

    from cropcube.catalog.frozen import FrozenCatalog
    from cropcube.config import Project, ProjectSpec
    from cropcube.cube.layout import JSON
    from cropcube.domain.lattice import Lattice
    from cropcube.domain.scene import Scene
    from cropcube.domain.sensor import Sensor

REVISIONS = {SENTINEL2.name: 2, EMIT.name: 1}
"""Of everything that turns a sensor's scenes into the cube's numbers: raised when a build of the same would differ."""
MARGIN_M = 1000.0
"""Footprints are drawn by hand in some catalogues: a scene this close to a square is looked at."""


@dataclass(frozen=True)
class BuildSquare:
    """What one build task is told; the worker looks its scenes up in the frozen catalogue."""

    zone: str
    square: tuple[int, int]
    "Row and column of the square of tiles, absolute on the zone's lattice."
    slab: int
    "Which 32 days of the season."
    tiles: tuple[Tile, ...]
    "The region's tiles in the square."
    scenes: tuple[str, ...]
    "Ids."
    verify: bool = False
    "Check the checksums of remote files too."


@dataclass(frozen=True)
class PlannedTask:
    """A task and what it is expected to cost."""

    task: StageTask
    scenes: int
    days: int
    read_bytes: int
    store_bytes: int
    "Before compression."
    fetched_bytes: int = 0
    "Of those to read: from beyond this machine."


def plan(project: Project, catalog: FrozenCatalog, verify: bool, known: frozenset[str]) -> Iterator[PlannedTask]:
    """Yield the tasks of a build, slab by slab, so that only one slab's scenes are in memory.

    Parameters
    ----------
    project
        Gives region, season, sensor and grid.
    catalog
        The frozen scenes.
    verify
        Passed on to the tasks; changes no pixel and so no digest.
    known
        Keys that the ledger holds: such a task is planned even if it has lost all its scenes, so that what it wrote
        goes.
    """
    spec = project.spec
    squares_of = {zone.lattice.name: zone.squares() for zone in spec.grid.zones}
    boxes_of = {
        name: np.array([shapely.box(*bounding_box(tiles, FINEST_M).bounds) for tiles in squares.values()], dtype=object)
        for name, squares in squares_of.items()
    }
    for slab in range(spec.season.slabs):
        scenes = catalog.scenes(spec.season.slab_days(slab), spec.season)
        facts = [_facts(scene, spec, project.root) for scene in scenes]
        for zone in spec.grid.zones:
            name = zone.lattice.name
            seen = facts if spec.epsg else own_scenes(facts, zone.lattice)
            touching = _touching(zone.lattice, boxes_of[name], seen)
            for number, (square, tiles) in enumerate(squares_of[name].items()):
                here = touching.get(number, [])
                key = task_key(name, slab, square, project.build_stage)
                if here or key in known:
                    yield _planned(key, spec, BuildSquare(name, square, slab, tiles, (), verify), here)


def task_key(zone: str, slab: int, square: tuple[int, int], stage: str = "build") -> str:
    """Return a task's place in the ledger."""
    return f"{stage}/{zone}/s{slab:03d}/r{square[0]:04d}c{square[1]:04d}"


def own_scenes(facts: Sequence[SceneFacts], lattice: Lattice) -> list[SceneFacts]:
    """Return the scenes that Sentinel-2's own lattice of a UTM zone is built from.

    Those of another zone are left out: the granules of a zone cover all that the zone owns, on its own grid.
    """
    return [each for each in facts if each.scene.epsg == lattice.epsg or not _is_utm(each.scene.epsg)]


def build_digest(square: BuildSquare, scenes: Sequence[str], spec: ProjectSpec) -> str:
    """Return the digest of everything that decides a task's data: its own scenes, tiles, bands and the algorithm.

    Parameters
    ----------
    square
        The task.
    scenes
        Fingerprints of its scenes, in the order of their ids.
    spec
        The project's.
    """
    return digest(
        {
            "revision": REVISIONS[spec.sensor.name],
            "sensor": spec.sensor.name,
            "bands": [band.name for band in spec.sensor.bands],
            "days": [str(spec.season.start), spec.season.days, square.slab],
            "zone": square.zone,
            "tiles": [tile.name for tile in square.tiles],
            "tile_px": spec.tile_px,
            "scenes": list(scenes),
        }
    )


def fingerprint(scene: Scene, sensor: Sensor, root: Location) -> str:
    """Return the digest of all that a scene gives to the cube: its files, radiometry, day and place in the order."""
    files: dict[str, JSON] = {}
    for label in sensor.file_labels:
        asset = scene.assets.get(label)
        if asset is not None:
            files[label] = [_portable(asset.href, root), asset.checksum, asset.size]
    return digest(
        {
            "id": scene.id,
            "day": str(scene.solar_day),
            "baseline": scene.baseline,
            "epsg": scene.epsg,
            "radiometry": [scene.radiometry.scale, scene.radiometry.offset],
            "files": files,
        }
    )


@dataclass(frozen=True)
class SceneFacts:
    """A scene and what planning needs of it, worked out once and not for every square."""

    scene: Scene
    day: date
    fingerprint: str
    file_bytes: float
    remote_bytes: float
    "Of files that do not lie on this machine."


def _facts(scene: Scene, spec: ProjectSpec, root: Location) -> SceneFacts:
    sizes = {label: file_bytes(scene, spec.sensor, label) for label in spec.sensor.file_labels}
    remote = sum(sizes[name] for name, asset in scene.assets.items() if name in sizes and is_remote(asset.href))
    return SceneFacts(scene, scene.solar_day, fingerprint(scene, spec.sensor, root), sum(sizes.values()), remote)


def _planned(key: str, spec: ProjectSpec, square: BuildSquare, overlaps: Sequence[_Overlap]) -> PlannedTask:
    whole = replace(square, scenes=tuple(overlap.facts.scene.id for overlap in overlaps))
    covered: dict[date, float] = {}
    for overlap in overlaps:
        covered[overlap.facts.day] = min(1.0, covered.get(overlap.facts.day, 0.0) + overlap.of_square)
    task = StageTask(
        key,
        build_digest(whole, [overlap.facts.fingerprint for overlap in overlaps], spec),
        whole,
        task_memory_bytes(spec.sensor, square.tiles, len(covered)),
    )
    pixels = sum(tile.tile_px**2 for tile in square.tiles)
    read = sum(overlap.facts.file_bytes * min(1.0, overlap.of_scene) for overlap in overlaps)
    fetched = sum(overlap.facts.remote_bytes * min(1.0, overlap.of_scene) for overlap in overlaps)
    store = sum(covered.values()) * pixels * bytes_per_pixel(spec.sensor)
    return PlannedTask(task, len(overlaps), len(covered), round(read), round(store), round(fetched))


@dataclass(frozen=True)
class _Overlap:
    """A scene that touches a square."""

    facts: SceneFacts
    of_scene: float
    "Share of the footprint that lies in the square."
    of_square: float
    "Share of the square that lies in the footprint."


def _touching(lattice: Lattice, boxes: NDArray[Any], facts: Sequence[SceneFacts]) -> dict[int, list[_Overlap]]:
    """Return by number of the box the scenes whose footprint comes near it, in the order of `facts`."""
    if not facts:
        return {}
    footprints = footprints_in([each.scene.geometry for each in facts], lattice)
    pairs = shapely.STRtree(footprints).query(boxes, predicate="dwithin", distance=MARGIN_M)
    common = _common_m2(boxes[pairs[0]], _valid(footprints)[pairs[1]])
    own, of = shapely.area(footprints)[pairs[1]], shapely.area(boxes)[pairs[0]]
    found: dict[int, list[_Overlap]] = {}
    for number in np.lexsort((pairs[1], pairs[0])):
        of_scene, of_square = common[number] / max(own[number], 1.0), common[number] / of[number]
        overlap = _Overlap(facts[pairs[1][number]], float(of_scene), float(of_square))
        found.setdefault(int(pairs[0][number]), []).append(overlap)
    return found


def _common_m2(boxes: NDArray[Any], footprints: NDArray[Any]) -> NDArray[np.float64]:
    """Return the area that each box shares with a footprint; most lie within it, which is soon seen."""
    common = shapely.area(boxes)
    shapely.prepare(footprints)
    cut = ~shapely.covers(footprints, boxes)
    common[cut] = shapely.area(shapely.intersection(boxes[cut], footprints[cut]))
    return common


def _valid(footprints: Any) -> Any:
    invalid = ~shapely.is_valid(footprints)
    if invalid.any():
        footprints = footprints.copy()
        footprints[invalid] = shapely.make_valid(footprints[invalid])
    return footprints


def _is_utm(epsg: int | None) -> bool:
    return epsg is not None and (32601 <= epsg <= 32660 or 32701 <= epsg <= 32760)


def _portable(href: str, root: Location) -> str:
    """Return a local href relative to the project where it lies within, so that the folder can be moved."""
    if is_remote(href) or isinstance(root, ObjectPath):
        return href
    relative = os.path.relpath(href, root)
    return href if relative.startswith("..") else relative
