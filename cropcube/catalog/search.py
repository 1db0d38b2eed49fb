"""Region and season in, frozen catalogue out.

Whatever a catalogue does with the filters it is given, they are applied again here; an answer is on disk before the
next question is asked.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import shapely

from cropcube.catalog.api import StacApi
from cropcube.catalog.files import is_file_catalog
from cropcube.catalog.frozen import FrozenCatalog
from cropcube.catalog.hrefs import is_remote, is_zarr, redact, resolve_href
from cropcube.catalog.known import KNOWN_CATALOGS, known_catalog
from cropcube.catalog.parts import Merged, PartWriter, Tally, merge_parts, read_tally, sweep_parts
from cropcube.catalog.queries import Query, queries
from cropcube.catalog.rules import RULES, ItemRules
from cropcube.domain.grid import Grid
from cropcube.domain.region import Region
from cropcube.domain.scene import Scene
from cropcube.domain.season import Season
from cropcube.domain.sensor import Sensor
from cropcube.errors import ConflictError, CropcubeError, InvalidInputError, MissingError, ResourceError
from cropcube.location import Location, ObjectPath

REVISION = 1
"""Counts changes to how items become rows; answers of another revision are asked again."""
PARTS_FOLDER = "search"
PARTS_KEPT_S = 24 * 3600
"""A broken search is resumed within this time; after it, catalogues may have changed and everything is asked again."""
REFUSED_SHARE = 0.01
"""Share of a catalogue's items that may be beyond understanding; they are counted and said."""
REFUSALS_SAID = 20
"""Refused items that are said one by one; what is left out is in the frozen catalogue too."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class SearchRequest:
    """What is asked of a catalogue."""

    catalog: str
    "Known name, URL of a STAC API, or a file: catalog.json, ItemCollection, stac-geoparquet; of EMIT a folder as well."
    region: Region
    "Scenes that do not touch it are left out."
    season: Season
    "Solar days that are wanted."
    sensor: Sensor
    "Bands that are wanted."
    max_cloud: float = 100.0
    "Percent; scenes that state more are left out."
    collection: str | None = None
    "None: the catalogue's own default."

    def __post_init__(self) -> None:
        if not 0 <= self.max_cloud <= 100:
            raise InvalidInputError(f"--max-cloud {self.max_cloud:g} is no percentage", "Give 0 to 100.")
        if is_remote(self.catalog):
            resolve_href(self.catalog, None)  # refuses what is no address
        known = known_catalog(self.catalog)
        if known is not None and known.sensor != self.sensor.name:
            fitting = " ".join(name for name, other in KNOWN_CATALOGS.items() if other.sensor == self.sensor.name)
            raise InvalidInputError(
                f"catalogue {known.name} has {RULES[known.sensor].title}, not {self.rules.title}",
                f"Give --catalog one of: {fitting}.",
            )

    @property
    def rules(self) -> ItemRules:
        """How items of the sensor are understood."""
        return RULES[self.sensor.name]

    def as_dict(self) -> dict[str, Any]:
        """Return what was asked as JSON, fit to be kept and shown."""
        return {
            "catalog": redact(self.catalog),
            "collection": self.collection,
            "season": str(self.season),
            "region": self.region.name,
            "region_digest": self.region.digest,
            # Where one file holds all bands, the answer is the same whichever are wanted.
            "bands": [] if self.sensor.files else [band.name for band in self.sensor.bands],
            "sensor": self.sensor.name,
            "max_cloud": self.max_cloud,
        }


def freeze(
    request: SearchRequest, grid: Grid, destination: Location, progress: Progress | None = None
) -> FrozenCatalog:
    """Ask a catalogue for the scenes of a region and season, and keep the answer.

    Parameters
    ----------
    request
        What to ask.
    grid
        Its zones are asked one by one.
    destination
        The file or object to write; replaced at once when the whole answer is there. Answers on the way are kept in a
        folder beside it (`search_folder`; of an object, in the user's cache), and a search that broke off goes on from
        them.
    progress
        Called with one line for every answer.

    Returns
    -------
    FrozenCatalog
        The scenes, each once, ordered by acquisition.

    Raises
    ------
    CatalogError
        If the catalogue cannot be reached or answers nonsense.
    MissingError
        If there is no such catalogue or collection, no scene fits, or a wanted band is in none of the scenes.
    InvalidInputError
        If its items cannot be understood or are of a kind that cannot be read.
    ResourceError
        If the disk is full.

    Notes
    -----
    An EMIT granule that cannot be used ends no search: it is said, and is in the `refusals` of the answer.
    """
    say = progress or _silent
    folder = search_folder(destination)
    by_file = request.catalog not in KNOWN_CATALOGS and is_file_catalog(request.catalog)
    with _told_apart(destination):
        folder.parent.mkdir(parents=True, exist_ok=True)
        answer = (_from_files if by_file else _from_api)(request, grid, folder, say)
        _check_refused(request, answer.tally)
        _say_refused(request, answer.tally, say)
        merged = _publish(answer, folder, destination)
    say(f"{merged.scenes} scenes kept of {answer.tally.items} items ({_fates(answer.tally, merged)})")
    frozen = FrozenCatalog.open(destination)
    for label in request.sensor.file_labels:
        if merged.missing.get(label):
            say(f"{merged.missing[label]} scenes lack band {label}: {' '.join(frozen.lacking(label))} ...")
    sweep_parts(folder)
    return frozen


def search_folder(destination: Location) -> Path:
    """Return where the answers of a search are kept until the whole is there."""
    if isinstance(destination, ObjectPath):
        name = hashlib.sha256(str(destination).encode()).hexdigest()[:16]
        return Path.home() / ".cache" / "cropcube" / name / PARTS_FOLDER
    # Two sensors of a project may be searched at the same time: scenes-emit.parquet has search-emit.
    return destination.parent / f"{PARTS_FOLDER}{destination.stem.removeprefix('scenes')}"


@contextmanager
def _told_apart(destination: Location) -> Iterator[None]:
    """Say what the file system's errors mean for a search."""
    try:
        yield
    except CropcubeError:
        raise
    except FileNotFoundError as error:
        raise ConflictError(
            f"answers beside {destination} went away during the search ({error.filename})",
            "Another search of this project has ended meanwhile; run the command again.",
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC or "No space left" in str(error):
            raise ResourceError(
                f"the disk is full; the catalogue's answer cannot be kept beside {destination}",
                "Free some space and run the command again; answers that are whole are kept.",
            ) from error
        raise InvalidInputError(f"{destination} cannot be written ({error})", "Check the folder.") from error


@dataclass(frozen=True)
class _Answer:
    """Parts by month, in order."""

    months: Mapping[str, tuple[Path, ...]]
    tally: Tally
    request: SearchRequest


class _Sieve:
    """Applies the filters of a request to items."""

    def __init__(self, request: SearchRequest) -> None:
        self._request = request
        self.tally = Tally()
        shapely.prepare(request.region.geometry)

    def scene(self, item: Mapping[str, Any], base: str | None, query: Query | None) -> Scene | None:
        """Return the scene of an item, None if it is not wanted; either way it is counted."""
        if self._request.collection is not None and item.get("collection") != self._request.collection:
            self.tally.counts["collection"] += 1
            return None
        rules = self._request.rules
        try:
            scene = rules.parse(item, base)
            _refuse_unreadable(scene)
            fate = self._fate(scene, query)
            if fate == "kept" and rules.check is not None:
                rules.check(scene)
        except InvalidInputError as error:
            self.tally.add(Tally(refusals=[(error.what, error.next_step)]))
            self.tally.counts["refused"] += 1
            return None
        self.tally.counts[fate] += 1
        return scene if fate == "kept" else None

    def _fate(self, scene: Scene, query: Query | None) -> str:
        if query is not None and not query.start <= scene.when < query.stop:
            return "time"
        if self._request.season.day_of(scene.solar_day) is None:
            return "time"
        if scene.cloud_cover is not None and scene.cloud_cover > self._request.max_cloud:
            return "cloud"
        return "kept" if shapely.intersects(self._request.region.geometry, scene.geometry) else "region"


def _from_api(request: SearchRequest, grid: Grid, folder: Path, say: Progress) -> _Answer:
    known = KNOWN_CATALOGS.get(request.catalog)
    api = StacApi.connect(known.url if known else request.catalog, request.collection, request.rules)
    asked = replace(request, collection=api.collection)
    months: dict[str, tuple[Path, ...]] = {}
    total = Tally()
    for query in queries(request.region, request.season, grid):
        part = folder / f"part-{_digest(asked, api.url, query)}.parquet"
        tally = _fresh_tally(part)
        if tally is None:
            tally = _ask(api, (asked, query), part, say)
            say(f"{query.month} {query.zone}: {tally.counts['kept']} scenes")
        total.add(tally)
        months[query.month] = (*months.get(query.month, ()), part)
    return _Answer(months, total, asked)


def _ask(api: StacApi, asked: tuple[SearchRequest, Query], part: Path, say: Progress) -> Tally:
    request, query = asked
    sieve = _Sieve(request)
    matched, handed_out = 0, set()
    with PartWriter(part, part.parent.parent, request.rules.sensor) as writer:
        for page in api.pages(query):
            matched = max(matched, page.matched or 0)
            for item in page.items:
                handed_out.add(item["id"])
                scene = sieve.scene(item, None, query)
                if scene is not None:
                    writer.add(scene)
        if sieve.tally.counts["refused"] == sieve.tally.items:
            _check_refused(request, sieve.tally)
        writer.finish(sieve.tally)
    if len(handed_out) < matched:
        # Not an error: some servers estimate this number.
        say(f"{query.month} {query.zone}: the catalogue speaks of {matched} items and hands out {len(handed_out)}")
    return sieve.tally


def _digest(request: SearchRequest, url: str, query: Query) -> str:
    asked = {**request.as_dict(), "url": url, "interval": query.interval, "box": query.box, "revision": REVISION}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def _fresh_tally(part: Path) -> Tally | None:
    """Return what a part of an earlier, broken search says; None if there is none, or it is too old to build on."""
    try:
        age_s = time.time() - part.stat().st_mtime
    except FileNotFoundError:
        return None
    return read_tally(part) if age_s < PARTS_KEPT_S else None


def _from_files(request: SearchRequest, grid: Grid, folder: Path, say: Progress) -> _Answer:
    """Sort the scenes of files into months in one pass; what a broken pass left is written over."""
    sieve = _Sieve(request)
    months: dict[str, Path] = {}
    with ExitStack() as open_parts:
        writers: dict[str, PartWriter] = {}
        for item, base in request.rules.items(request.catalog):
            scene = sieve.scene(item, base, None)
            if scene is not None:
                month = f"{scene.when:%Y-%m}"
                if month not in writers:
                    months[month] = folder / f"files-{month}.parquet"
                    part = PartWriter(months[month], folder.parent, request.rules.sensor)
                    writers[month] = open_parts.enter_context(part)
                writers[month].add(scene)
        for writer in writers.values():
            writer.finish(Tally())
    say(f"{redact(request.catalog)}: {sieve.tally.counts['kept']} scenes")
    return _Answer({month: (months[month],) for month in sorted(months)}, sieve.tally, request)


def _publish(answer: _Answer, folder: Path, destination: Location) -> Merged:
    request = answer.request
    asked = {**request.as_dict(), "refused": answer.tally.counts["refused"]}
    if request.rules.one_by_one:
        asked["refusals"] = answer.tally.refusals
    # Among the parts, so that what a kill leaves is swept with them.
    partial = folder / f".part-0.parquet.{os.getpid()}.partial"
    partial.parent.mkdir(exist_ok=True)
    try:
        merged = merge_parts(answer.months.values(), partial, asked, request.rules.sensor)
        _refuse_empty(request, answer.tally, merged)
        if isinstance(destination, ObjectPath):
            destination.write([partial.read_bytes()])
        else:
            os.replace(partial, destination)
    finally:
        partial.unlink(missing_ok=True)
    return merged


def _refuse_empty(request: SearchRequest, tally: Tally, merged: Merged) -> None:
    asked = f"{redact(request.catalog)}" + (f" ({request.collection})" if request.collection else "")
    if merged.scenes == 0:
        refused = tally.refusals[0] if request.rules.one_by_one and tally.refusals else None
        raise MissingError(
            f"{asked} has no scene over {request.region.name} in {request.season} ({_fates(tally, merged)})"
            + (f"; {refused[0]}" if refused else ""),
            refused[1] if refused else "Check --region, --season, --max-cloud and --collection.",
        )
    for label in request.sensor.file_labels:
        if merged.missing.get(label, 0) == merged.scenes:
            raise MissingError(
                f"no scene of {asked} has band {label} (all {merged.scenes} lack it)",
                "Leave the band out with --bands, or choose another --collection.",
            )


def _check_refused(request: SearchRequest, tally: Tally) -> None:
    refused = tally.counts["refused"]
    if refused > REFUSED_SHARE * tally.items and not request.rules.one_by_one:
        what, next_step = tally.refusals[0]
        more = f" (so are {refused - 1} more of {tally.items} items)" if refused > 1 else ""
        raise InvalidInputError(f"{redact(request.catalog)}: {what}{more}", next_step)


def _say_refused(request: SearchRequest, tally: Tally, say: Progress) -> None:
    if request.rules.one_by_one:
        for what, _ in tally.refusals[:REFUSALS_SAID]:
            say(f"left out: {what}")
        if len(tally.refusals) > REFUSALS_SAID:
            say(f"left out: {len(tally.refusals) - REFUSALS_SAID} more, named in the frozen catalogue")


def _refuse_unreadable(scene: Scene) -> None:
    for label, asset in scene.assets.items():
        if is_zarr(asset.href):
            raise InvalidInputError(
                f"scene {scene.id}: {label} is a Zarr array ({redact(asset.href)}), which this version cannot read",
                "Choose a catalogue of GeoTIFF or JPEG 2000 files; `cropcube catalogs` lists some.",
            )


def _fates(tally: Tally, merged: Merged) -> str:
    words = {
        "time": "outside the season",
        "region": "outside the region",
        "cloud": "too cloudy",
        "collection": "of other collections",
        "refused": "not understood",
    }
    said = [f"{tally.counts[fate]} {word}" for fate, word in words.items() if tally.counts[fate]]
    if merged.duplicates:
        said.append(f"{merged.duplicates} duplicates")
    return ", ".join(said) or f"{tally.items} items in all"


def _silent(line: str) -> None:
    """Say nothing."""
