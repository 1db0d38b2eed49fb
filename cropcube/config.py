"""A project: its frozen specification (`cropcube.toml`) and where its parts lie."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import tempfile
import tomllib
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shapely.geometry import mapping, shape

from cropcube.domain.grid import Grid, plan_grid
from cropcube.domain.lattice import check_tile_px
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2, Sensor
from cropcube.errors import ConflictError, InvalidInputError, MissingError, ResourceError
from cropcube.location import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cropcube.location import Location

FILE_NAME = "cropcube.toml"
REGION_NAME = "region.geojson"
FORMAT = 1
SENSORS = {SENTINEL2.name: SENTINEL2}


@dataclass(frozen=True)
class ProjectSpec:
    """What a project is of; frozen when the project is created."""

    region: Region
    season: Season
    sensor: Sensor
    "With the project's bands only."
    tile_px: int
    "Side of a tile at 10 m."
    epsg: int | None = None
    "One CRS for the whole project; None for Sentinel-2's own UTM zones."

    def __post_init__(self) -> None:
        check_tile_px(self.tile_px)

    @cached_property
    def grid(self) -> Grid:
        """The region's tiles, zone by zone."""
        return plan_grid(self.region, self.tile_px, self.epsg)

    def fields(self) -> dict[str, Any]:
        """Return the specification as the tables of `cropcube.toml`."""
        grid: dict[str, Any] = {"tile_px": self.tile_px}
        if self.epsg is not None:
            grid["crs"] = f"EPSG:{self.epsg}"
        return {
            "region": {"name": self.region.name, "digest": self.region.digest},
            "season": {"start": self.season.start, "stop": self.season.stop},
            "grid": grid,
            "sensor": {"name": self.sensor.name, "bands": [band.name for band in self.sensor.bands]},
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the specification; the region counts by its geometry, not by its name."""
        fields = self.fields()
        del fields["region"]["name"]
        return hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()

    def differences(self, other: ProjectSpec) -> list[str]:
        """Return, in words, where two specifications differ; regions by their names, though outlines count."""
        found = []
        if self.region.digest != other.region.digest:
            same = self.region.name == other.region.name
            asked = "another outline of that name" if same else other.region.name
            found.append(f"region: {self.region.name} here, {asked} asked for")
        if self.season != other.season:
            found.append(f"season: {self.season} here, {other.season} asked for")
        mine, theirs = self.fields(), other.fields()
        for table in ("grid", "sensor"):
            for key in sorted(mine[table].keys() | theirs[table].keys()):
                here, asked = (_in_words(fields[table].get(key)) for fields in (mine, theirs))
                if here != asked:
                    found.append(f"{table}.{key}: {here} here, {asked} asked for")
        return found


def _in_words(value: Any) -> str:
    return "none" if value is None else " ".join(value) if isinstance(value, list) else str(value)


@dataclass(frozen=True)
class Project:
    """A folder, or a prefix of an object store, that holds one region and one season."""

    root: Location
    spec: ProjectSpec
    cluster: Mapping[str, Any] = field(default_factory=dict, compare=False)
    "The table of that name: where its tasks run if nothing else is said. Not of the specification: it may be changed."

    @property
    def scenes_path(self) -> Location:
        """The frozen catalogue (stac-geoparquet)."""
        return self.root / "scenes.parquet"

    @property
    def emit_scenes_path(self) -> Location:
        """The frozen catalogue of EMIT granules, beside that of Sentinel-2."""
        return self.root / "scenes-emit.parquet"

    @property
    def cube_path(self) -> Location:
        """The cube of observations."""
        return self.root / "cube.zarr"

    def features_path(self, name: str) -> Location:
        """Return where the features called `name` (`median-5d`) lie."""
        return self.root / "features" / f"{name}.zarr"

    @property
    def model_path(self) -> Location:
        """The default model folder."""
        return self.root / "model"

    @property
    def map_path(self) -> Location:
        """The crop-type map."""
        return self.root / "map.zarr"

    @property
    def map_before_path(self) -> Location:
        """The map that stood before one that is not whole yet."""
        return self.root / "map-before.zarr"

    @property
    def ledger_path(self) -> Location:
        """The records of tasks done."""
        return self.root / "ledger"

    @property
    def output_folder(self) -> Path:
        """Where reports and extracts go: the project's folder; of a project in an object store, the current one."""
        return self.root if isinstance(self.root, Path) else Path.cwd()

    @property
    def place(self) -> ProjectPlace:
        """Where it is, as it travels to a worker: a country's tiles are half a megabyte."""
        return ProjectPlace(self.root, self.spec.digest)


@dataclass(frozen=True)
class ProjectPlace:
    """A project by its place; the process that opens it reads its specification once."""

    root: Location
    digest: str

    def open(self) -> Project:
        """Return the project.

        Raises
        ------
        MissingError
            If this process does not see it: a worker on another machine, most often.
        ConflictError
            If another one is there now.
        """
        return _opened(self)


@lru_cache(maxsize=8)
def _opened(place: ProjectPlace) -> Project:
    if not (place.root / FILE_NAME).is_file():
        raise MissingError(
            f"{socket.gethostname()} does not see the project in {place.root}",
            "Workers of a cluster need the project and its scenes at the same paths, on a shared file system, or a "
            "project in an object store.",
        )
    project = read_project(place.root)
    if project.spec.digest != place.digest:
        raise ConflictError(f"{place.root} holds another project now", "Start the command again.")
    return project


def create_project(root: Location, spec: ProjectSpec) -> Project:
    """Create the project's specification, or find the same one standing.

    The file appears whole or not at all and is never replaced, so two drivers that start at once agree.

    Raises
    ------
    ConflictError
        If the folder holds a project of another specification.
    ResourceError
        If the folder cannot be made or written.
    """
    root = root.resolve()
    try:
        _place_specification(root, spec)
    except OSError as error:
        raise ResourceError(
            f"no project can be made in {root}: {error.strerror or error}",
            "Make room, mend the folder, or use another --project folder.",
        ) from error
    project = read_project(root)
    if project.spec.digest != spec.digest:
        raise ConflictError(
            f"{root} holds another project ({'; '.join(project.spec.differences(spec))})",
            "Use another --project folder, or leave the option out to go on with this one.",
        )
    return project


def _place_specification(root: Location, spec: ProjectSpec) -> None:
    """Write what is not there yet: the specification, and the region's outline if it is of the same region."""
    if isinstance(root, Path):
        root.mkdir(parents=True, exist_ok=True)
    target = root / FILE_NAME
    if not target.is_file():
        _place(target, _to_toml(spec), replace=False)
    standing = tomllib.loads(target.read_text(encoding="utf-8"))
    if standing.get("region", {}).get("digest") == spec.region.digest and not (root / REGION_NAME).is_file():
        _place(root / REGION_NAME, _to_geojson(spec.region), replace=True)


def discard_project(project: Project) -> None:
    """Take back a specification that nothing has been built on, so that the folder is free for another."""
    for name in (FILE_NAME, REGION_NAME):
        (project.root / name).unlink(missing_ok=True)
    if isinstance(project.root, Path) and not any(project.root.iterdir()):
        project.root.rmdir()


def find_project(start: Location) -> Project:
    """Return the project that holds a folder: the folder itself or its nearest parent with a `cropcube.toml`.

    Raises
    ------
    MissingError
        If there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return read_project(folder)
    raise MissingError(f"no {FILE_NAME} in {start} or above", "Create a project with `cropcube build --region ...`.")


def read_project(root: Location) -> Project:
    """Read the specification of the project in a folder.

    Raises
    ------
    InvalidInputError
        If `cropcube.toml` or the region's outline is damaged.
    """
    path = root / FILE_NAME
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        if tables["format"] != FORMAT:
            raise InvalidInputError(
                f"{path} has format {tables['format']}; this cropcube reads {FORMAT}",
                "Use the cropcube that made it, or build the region again in another folder.",
            )
        cluster = tables.get("cluster", {})
        if not isinstance(cluster, dict):
            raise InvalidInputError(f"{path}: cluster = {cluster!r} is no table", 'Write [cluster] and kind = "local".')
        return Project(root, _to_spec(root, tables), cluster)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{path} is damaged ({type(error).__name__}: {error})",
            "Restore it, or build the region again in another folder.",
        ) from error


def _to_spec(root: Location, tables: dict[str, Any]) -> ProjectSpec:
    sensor, season, grid = tables["sensor"], tables["season"], tables["grid"]
    if sensor["name"] not in SENSORS:
        raise InvalidInputError(f"{root / FILE_NAME}: unknown sensor {sensor['name']!r}", f"Known: {' '.join(SENSORS)}")
    if not all(isinstance(season[key], date) for key in ("start", "stop")):
        raise InvalidInputError(
            f"{root / FILE_NAME}: season.start and season.stop must be dates", "Restore them: start = 2024-03-01, say."
        )
    crs = grid.get("crs")
    return ProjectSpec(
        region=_read_region(root, tables["region"]),
        season=Season(season["start"], season["stop"]),
        sensor=SENSORS[sensor["name"]].select(tuple(sensor["bands"])),
        tile_px=grid["tile_px"],
        epsg=int(crs.removeprefix("EPSG:")) if crs else None,
    )


def _read_region(root: Location, table: dict[str, Any]) -> Region:
    path = root / REGION_NAME
    try:
        region = Region(table["name"], shape(json.loads(path.read_text(encoding="utf-8"))["geometry"]))
    except FileNotFoundError:
        raise MissingError(
            f"{path} is missing", "Run `cropcube build` with the same --region again; it writes the outline anew."
        ) from None
    except (ValueError, KeyError) as error:
        raise InvalidInputError(f"{path} is damaged ({error})", "Restore it, or delete it and build again.") from error
    if region.digest != table["digest"]:
        raise InvalidInputError(
            f"{path} is not the outline that {FILE_NAME} was created with",
            "Restore it; a project's region never changes. Another region needs another folder.",
        )
    return region


def _to_geojson(region: Region) -> str:
    feature = {"type": "Feature", "properties": {"name": region.name}, "geometry": mapping(region.geometry)}
    return json.dumps(feature) + "\n"


def _to_toml(spec: ProjectSpec) -> str:
    lines = [
        "# Written once by `cropcube build`; another region, season, grid, sensor or band list needs another folder.",
        "# A table [cluster] (kind, workers, memory_limit) may be added: where tasks run, if no --cluster is given.",
        f"format = {FORMAT}",
    ]
    for table, values in spec.fields().items():
        lines += ["", f"[{table}]"]
        for key, value in values.items():
            # JSON strings, lists and integers are TOML too (but for surrogate pairs and a bare DEL); dates are bare.
            text = json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")
            lines.append(f"{key} = {value.isoformat() if isinstance(value, date) else text}")
    return "\n".join(lines) + "\n"


def _place(target: Location, text: str, replace: bool) -> None:
    """Put a whole file in place; one that another driver was first with stands where it is not to be replaced."""
    if isinstance(target, ObjectPath):
        with contextlib.suppress(FileExistsError):
            target.write([text.encode()], replace)
        return
    put = os.replace if replace else os.link
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        put(name, target)
    except FileExistsError:
        return  # another driver was first; the caller compares what stands
    finally:
        Path(name).unlink(missing_ok=True)
