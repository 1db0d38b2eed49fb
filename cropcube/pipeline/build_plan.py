"""The tasks of a build: one square of tiles for 32 days each, with the scenes that touch it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from cropcube.catalog.hrefs import is_remote
from cropcube.cube.ledger import digest
from cropcube.domain.lattice import FINEST_M, Tile
from cropcube.observations.extent import footprints_in
from cropcube.pipeline.build_estimate import bytes_per_pixel, file_bytes
from cropcube.pipeline.build_memory import bounding_box, task_memory_bytes
from cropcube.pipeline.stage import StageTask

if TYPE_CHECKING:
    from pathlib import Path

    from cropcube.catalog.frozen import FrozenCatalog
    from cropcube.config import Project, ProjectSpec
    from cropcube.domain.lattice import Lattice, ZoneGrid
    from cropcube.domain.scene import Scene
    from cropcube.domain.sensor import Sensor

REVISION = 1
"""Of everything that turns scenes into the cube's numbers: raise it when a build of the same scenes would differ."""
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
    for slab in range(spec.season.slabs):
        scenes = catalog.scenes(spec.season.slab_days(slab), spec.season)
        for zone in spec.grid.zones:
            touching = _touching(zone, scenes if spec.epsg else own_scenes(scenes, zone.lattice))
            for square, tiles in zone.squares().items():
                key = task_key(zone.lattice.name, slab, square)
                here = touching.get(square, [])
                if here or key in known:
                    yield _planned(project, BuildSquare(zone.lattice.name, square, slab, tiles, (), verify), here)


def task_key(zone: str, slab: int, square: tuple[int, int]) -> str:
    """Return a task's place in the ledger."""
    return f"build/{zone}/s{slab:03d}/r{square[0]:04d}c{square[1]:04d}"


def own_scenes(scenes: Sequence[Scene], lattice: Lattice) -> list[Scene]:
    """Return the scenes that Sentinel-2's own lattice of a UTM zone is built from.

    Those of another zone are left out: the granules of a zone cover all that the zone owns, on its own grid.
    """
    return [scene for scene in scenes if scene.epsg == lattice.epsg or not _is_utm(scene.epsg)]


def build_digest(square: BuildSquare, scenes: Sequence[Scene], spec: ProjectSpec, root: Path) -> str:
    """Return the digest of everything that decides a task's data: its own scenes, tiles, bands and the algorithm."""
    names = [band.name for band in (*spec.sensor.bands, spec.sensor.quality)]
    return digest(
        {
            "revision": REVISION,
            "sensor": spec.sensor.name,
            "bands": names,
            "days": [str(spec.season.start), spec.season.days, square.slab],
            "zone": square.zone,
            "tiles": [tile.name for tile in square.tiles],
            "tile_px": spec.tile_px,
            "scenes": [_identity(scene, names, root) for scene in scenes],
        }
    )


def _planned(project: Project, square: BuildSquare, scenes: Sequence[_Overlap]) -> PlannedTask:
    spec, own = project.spec, [overlap.scene for overlap in scenes]
    days = {scene.solar_day for scene in own}
    whole = BuildSquare(
        square.zone, square.square, square.slab, square.tiles, tuple(scene.id for scene in own), square.verify
    )
    task = StageTask(
        task_key(square.zone, square.slab, square.square),
        build_digest(whole, own, spec, project.root),
        whole,
        task_memory_bytes(spec.sensor, square.tiles, len(days)),
    )
    covered: dict[Any, float] = {}
    for overlap in scenes:
        day = overlap.scene.solar_day
        covered[day] = min(1.0, covered.get(day, 0.0) + overlap.of_square)
    pixels = sum(tile.tile_px**2 for tile in square.tiles)
    per_pixel = bytes_per_pixel(spec.sensor)
    read = sum(_read_bytes(overlap, spec.sensor) for overlap in scenes)
    return PlannedTask(task, len(own), len(days), round(read), round(sum(covered.values()) * pixels * per_pixel))


@dataclass(frozen=True)
class _Overlap:
    """A scene that touches a square."""

    scene: Scene
    of_scene: float
    "Share of the footprint that lies in the square."
    of_square: float
    "Share of the square that lies in the footprint."


def _touching(zone: ZoneGrid, scenes: Sequence[Scene]) -> dict[tuple[int, int], list[_Overlap]]:
    """Return by square the scenes whose footprint comes near it, ordered by id."""
    if not scenes:
        return {}
    footprints = footprints_in([scene.geometry for scene in scenes], zone.lattice)
    squares = zone.squares()
    boxes = np.array([shapely.box(*bounding_box(tiles, FINEST_M).bounds) for tiles in squares.values()], dtype=object)
    pairs = shapely.STRtree(footprints).query(boxes, predicate="dwithin", distance=MARGIN_M)
    common = shapely.area(shapely.intersection(boxes[pairs[0]], _valid(footprints[pairs[1]])))
    own, of = shapely.area(footprints[pairs[1]]), shapely.area(boxes[pairs[0]])
    keys = list(squares)
    found: dict[tuple[int, int], list[_Overlap]] = {}
    for number in np.lexsort((pairs[1], pairs[0])):
        overlap = _Overlap(
            scenes[pairs[1][number]], common[number] / max(own[number], 1.0), common[number] / of[number]
        )
        found.setdefault(keys[pairs[0][number]], []).append(overlap)
    return found


def _valid(footprints: Any) -> Any:
    invalid = ~shapely.is_valid(footprints)
    if invalid.any():
        footprints = footprints.copy()
        footprints[invalid] = shapely.make_valid(footprints[invalid])
    return footprints


def _is_utm(epsg: int | None) -> bool:
    return epsg is not None and (32601 <= epsg <= 32660 or 32701 <= epsg <= 32760)


def _identity(scene: Scene, names: Sequence[str], root: Path) -> Mapping[str, Any]:
    files = {}
    for name in names:
        asset = scene.assets.get(name)
        if asset is not None:
            files[name] = [_portable(asset.href, root), asset.checksum, asset.size]
    return {
        "id": scene.id,
        "day": str(scene.solar_day),
        "baseline": scene.baseline,
        "epsg": scene.epsg,
        "radiometry": [scene.radiometry.scale, scene.radiometry.offset],
        "files": files,
    }


def _portable(href: str, root: Path) -> str:
    """Return a local href relative to the project where it lies within, so that the folder can be moved."""
    if is_remote(href):
        return href
    relative = os.path.relpath(href, root)
    return href if relative.startswith("..") else relative


def _read_bytes(overlap: _Overlap, sensor: Sensor) -> float:
    """Return the bytes to read of one scene: its files' sizes, or what such files take, times the share needed."""
    share = min(1.0, overlap.of_scene)
    return sum(file_bytes(overlap.scene, band) for band in (*sensor.bands, sensor.quality)) * share
