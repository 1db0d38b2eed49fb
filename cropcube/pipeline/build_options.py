"""What a build is asked for, and the specification and search that come of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cropcube.catalog.files import is_file_catalog
from cropcube.catalog.hrefs import is_remote, redact
from cropcube.catalog.known import DEFAULT_CATALOGS, KNOWN_CATALOGS
from cropcube.catalog.outlines import find_region
from cropcube.catalog.search import SearchRequest
from cropcube.config import FILE_NAME, REGION_NAME, Project, ProjectSpec, find_project
from cropcube.domain.emit import EMIT
from cropcube.domain.lattice import DEFAULT_TILE_PX, Lattice
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2, Sensor
from cropcube.errors import InvalidInputError, MissingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from cropcube.location import Location


SENSORS = ("sentinel-2", "emit")


@dataclass(frozen=True)
class BuildOptions:
    """What a build is asked for; None takes what the project has, or the default where there is no project yet."""

    region: str | None = None
    "Name, vector file, or west,south,east,north."
    season: str | None = None
    "START/STOP (half-open) or YEAR; the default is the last complete calendar year."
    catalog: str | None = None
    "Known name, URL of a STAC API, or a file."
    collection: str | None = None
    "None: the catalogue's own."
    max_cloud: float | None = None
    "Percent; scenes that state more are left out. By default none is."
    sensor: str = "sentinel-2"
    "`sentinel-2` or `emit`, which has a cube of its own beside the other's."
    bands: tuple[str, ...] | None = None
    "Labels such as B04; by default all ten."
    resolution_m: int | None = None
    "Instead of bands: all that are measured at so many metres, 20 for example."
    tile_px: int | None = None
    "Side of a tile at 10 m."
    crs: str | None = None
    "One CRS for the whole project, such as EPSG:3035; by default Sentinel-2's own UTM zones."
    dry_run: bool = False
    "Only say what would be done."
    search: bool = False
    "Ask the catalogue again (or, in a dry run, at all)."
    scenes_only: bool = False
    "Search and freeze the catalogue, read no scene: all that `predict` from the catalogue needs."
    verify: bool = False
    "Check the checksums of remote files too."
    max_failed_reads: int = 0
    "Failed reads up to which the build counts as good."
    rates: Path | None = None
    "Of a dry run: file of prices and speeds; see `pipeline.rates`."

    def __post_init__(self) -> None:
        if self.rates is not None and not self.dry_run:
            raise UsageError("--rates goes with --dry-run: a build counts no cost", "Add --dry-run, or leave it out.")
        if self.bands is not None and self.resolution_m is not None:
            raise UsageError("--bands and --resolution both choose bands", "Give one of them.")
        if self.sensor not in SENSORS:
            raise InvalidInputError(f"sensor {self.sensor!r} is not known", f"Use {' or '.join(SENSORS)}.")
        if self.max_failed_reads < 0:
            raise InvalidInputError(f"--max-failed-reads {self.max_failed_reads} is negative", "Give 0 or more.")

    def seen_by(self, spec: ProjectSpec) -> Sensor:
        """Return the sensor whose cube of a project is built."""
        return EMIT if self.sensor == "emit" else spec.sensor


def standing_project(root: Location, options: BuildOptions) -> Project | None:
    """Return the project that a build goes on with, or None if it starts one.

    Raises
    ------
    MissingError
        If there is none and no region is given either.
    """
    if (root / FILE_NAME).is_file():
        if options.region is not None and not (root / REGION_NAME).is_file():
            return None  # killed while it was created: the same command writes the outline
        return find_project(root)
    if options.region is not None:
        return None
    try:
        return find_project(root)
    except MissingError as error:
        raise MissingError(error.what, "Start one with --region NAME, FILE or west,south,east,north.") from None


def wanted_spec(options: BuildOptions, standing: ProjectSpec | None, say: Callable[[str], None]) -> ProjectSpec:
    """Return the specification that the options ask for; what they leave open is the project's, or the default.

    Raises
    ------
    InvalidInputError
        If an option cannot be understood.
    MissingError
        If the region is not known.
    """
    if standing is not None:
        region = standing.region if options.region is None else find_region(options.region, say)
        return ProjectSpec(
            region,
            standing.season if options.season is None else Season.parse(options.season),
            _sensor(options) or standing.sensor,
            standing.tile_px if options.tile_px is None else options.tile_px,
            standing.epsg if options.crs is None else parse_crs(options.crs),
        )
    if options.season is None:
        season = Season.last_complete_year(datetime.now(UTC).date())
        say(f"season: {season} (the last complete calendar year; --season START/STOP or YEAR chooses another)")
    else:
        season = Season.parse(options.season)
    return ProjectSpec(
        find_region(options.region or "", say),
        season,
        _sensor(options) or SENTINEL2,
        DEFAULT_TILE_PX if options.tile_px is None else options.tile_px,
        None if options.crs is None else parse_crs(options.crs),
    )


def wanted_request(options: BuildOptions, spec: ProjectSpec, asked: Mapping[str, Any] | None) -> SearchRequest:
    """Return what is to be asked of which catalogue.

    Parameters
    ----------
    options
        What they leave open is taken from `asked`.
    spec
        Region, season, sensor and bands.
    asked
        What the frozen catalogue was asked, if there is one.
    """
    catalog = None if options.catalog is None else _absolute(options.catalog)
    before = asked if asked is not None and catalog in (None, asked["catalog"]) else None
    max_cloud = options.max_cloud
    if max_cloud is None:
        max_cloud = float(asked["max_cloud"]) if asked is not None else 100.0
    collection = options.collection
    if collection is None and before is not None:
        collection = before["collection"]
    if catalog is None:
        catalog = str(asked["catalog"]) if asked is not None else DEFAULT_CATALOGS[spec.sensor.name]
    return SearchRequest(catalog, spec.region, spec.season, spec.sensor, max_cloud, collection)


def is_answered(request: SearchRequest, asked: Mapping[str, Any]) -> bool:
    """Return whether a frozen catalogue holds the answer to a request already."""
    wanted = request.as_dict()
    same = all(asked.get(key) == wanted[key] for key in ("catalog", "season", "region_digest", "max_cloud", "sensor"))
    return same and request.collection in (None, asked.get("collection"))


def needs_network(request: SearchRequest) -> bool:
    """Return whether asking the catalogue reaches beyond this machine."""
    return request.catalog in KNOWN_CATALOGS or not is_file_catalog(request.catalog) or is_remote(request.catalog)


def parse_crs(text: str) -> int:
    """Read `EPSG:3035` (or `3035`).

    Raises
    ------
    InvalidInputError
        If it is not an EPSG code of a projected CRS in metres.
    """
    found = re.fullmatch(r"(?:epsg:)?(\d{4,6})", text.strip(), re.IGNORECASE)
    if found is None:
        raise InvalidInputError(f"--crs {text!r} is not an EPSG code", "Example: --crs EPSG:3035")
    return Lattice.of_epsg(int(found[1])).epsg


def _sensor(options: BuildOptions) -> Sensor | None:
    """Return the sensor with the bands that are asked for, or None if nothing is said about them."""
    bands = options.bands
    if options.resolution_m is not None:
        bands = SENTINEL2.bands_at(options.resolution_m)
        if not bands:
            known = ", ".join(f"{m} ({' '.join(SENTINEL2.bands_at(m))})" for m in SENTINEL2.resolutions)
            raise InvalidInputError(
                f"no band is measured at {options.resolution_m} m", f"Give --resolution one of: {known}."
            )
    if bands is None:
        return None
    sensor = SENTINEL2.select(tuple(band.upper() for band in bands))
    if not sensor.bands:
        raise InvalidInputError("no band is asked for", f"Bands: {' '.join(b.name for b in SENTINEL2.bands)}")
    return sensor


def _absolute(catalog: str) -> str:
    """Return a catalogue so that it means the same from any folder, as the frozen catalogue writes it."""
    if catalog in KNOWN_CATALOGS or is_remote(catalog):
        return redact(catalog)
    return os.path.abspath(Path(catalog).expanduser()) if not catalog.startswith("file:") else catalog
