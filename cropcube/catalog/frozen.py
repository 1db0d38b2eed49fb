"""The frozen answer of a catalogue: `scenes.parquet`, read slab by slab and never held whole as objects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cropcube.catalog.schema import scenes_of, schema_of
from cropcube.domain.scene import Scene
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError, MissingError
from cropcube.location import Location, ObjectPath

_SUMMARY_COLUMNS = ("cropcube:solar_day", "proj:code", "s2:processing_baseline", "cropcube:radiometry_reason")
_DAY = "cropcube:solar_day"


@dataclass(frozen=True)
class CatalogSummary:
    """What a frozen catalogue holds, counted without making scenes of it."""

    scenes: int
    "Number of scenes."
    days: int
    "Solar days with at least one scene."
    first: date | None
    "First solar day; None if there is no scene."
    last: date | None
    "Last solar day."
    bytes_known: int
    "Sum of `file:size` over all bands that state one."
    files_without_size: int
    "Files that state no size."
    crs: Mapping[str, int]
    "Scenes by CRS; the empty name counts those that state none."
    baselines: Mapping[str, int]
    "Scenes by processing baseline; the empty name counts those that state none."
    radiometry: Mapping[str, int]
    "Scenes by the reason that decided their scale and offset."
    missing: Mapping[str, int]
    "Scenes that lack a band, by band; bands that none lacks are left out."

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON."""
        kept = {name: dict(getattr(self, name)) for name in ("crs", "baselines", "radiometry", "missing")}
        return {
            "scenes": self.scenes,
            "days": self.days,
            "first": None if self.first is None else self.first.isoformat(),
            "last": None if self.last is None else self.last.isoformat(),
            "bytes_known": self.bytes_known,
            "files_without_size": self.files_without_size,
            **kept,
        }


@dataclass(frozen=True)
class FrozenCatalog:
    """Scenes of one search, on disk; small, picklable, opened again for every read."""

    path: Location
    "The file or object."
    request: Mapping[str, Any]
    "What was asked: catalog, collection, season, region, max_cloud; and what was dropped."
    spans: tuple[tuple[datetime, datetime], ...]
    "First and last acquisition of every row group."
    count: int
    "Number of scenes."
    labels: tuple[str, ...] = SENTINEL2.file_labels
    "Of the files that a scene may have."

    @classmethod
    def open(cls, path: Location) -> FrozenCatalog:
        """Open a frozen catalogue.

        Raises
        ------
        MissingError
            If there is none.
        InvalidInputError
            If the file is damaged, or no frozen catalogue of this version.
        """
        if not path.is_file():
            raise MissingError(f"there is no frozen catalogue {path}", "`cropcube build` makes it.")
        try:
            metadata = pq.read_metadata(_readable(path))
            request = _request(path, metadata)
            labels = _labels(metadata.schema.to_arrow_schema())
            column = next(i for i in range(metadata.num_columns) if metadata.schema[i].path == "datetime")
            stated = [metadata.row_group(i).column(column).statistics for i in range(metadata.num_row_groups)]
            spans = tuple((_utc(found.min), _utc(found.max)) for found in stated)
        except (pa.ArrowException, OSError, ValueError, AttributeError, StopIteration) as error:
            raise _damaged(path, error) from error
        return cls(path, request, spans, metadata.num_rows, labels)

    def __len__(self) -> int:
        return self.count

    @property
    def refusals(self) -> tuple[tuple[str, str], ...]:
        """What was wrong with items that the search left out, and the next step of each (of EMIT granules)."""
        return tuple((str(what), str(next_step)) for what, next_step in self.request.get("refusals", ()))

    def scenes(self, days: range, season: Season, ids: Collection[str] | None = None) -> list[Scene]:
        """Return the scenes of some days, ordered by id; only the months around them are read.

        Parameters
        ----------
        days
            Solar days counted from the season's start.
        season
            The season that they are counted in.
        ids
            Only these scenes; no other becomes an object.

        Raises
        ------
        InvalidInputError
            If the file is damaged.
        """
        if len(days) == 0:
            return []
        first, last = season.date_of(min(days)), season.date_of(max(days))
        wanted = pa.array([season.date_of(day).isoformat() for day in days])
        found: list[Scene] = []
        for table in self._tables(self._groups(first, last), None):
            kept = table.filter(pc.is_in(table[_DAY], value_set=wanted))
            if ids is not None:
                kept = kept.filter(pc.is_in(kept["id"], value_set=pa.array(sorted(ids), pa.string())))
            found += scenes_of(kept, self.path.parent)
        return sorted(found, key=lambda scene: scene.id)

    def summary(self) -> CatalogSummary:
        """Count what the catalogue holds."""
        counts: dict[str, Counter[str]] = {name: Counter() for name in _SUMMARY_COLUMNS}
        missing: Counter[str] = Counter()
        size, without = 0, 0
        sizes = [f"assets.{label}.{leaf}" for label in self.labels for leaf in ("href", "file:size")]
        for table in self._tables(range(len(self.spans)), [*_SUMMARY_COLUMNS, *sizes]):
            for name in _SUMMARY_COLUMNS:
                counts[name].update(value or "" for value in table[name].to_pylist())
            missing.update(bands_missing(table))
            assets = table["assets"].combine_chunks()
            for label in self.labels:
                stated = pc.struct_field(assets, [label, "file:size"])
                size += pc.sum(stated).as_py() or 0
                without += (
                    pc.sum(pc.and_(pc.is_valid(pc.struct_field(assets, [label, "href"])), pc.is_null(stated))).as_py()
                    or 0
                )
        days = sorted(map(date.fromisoformat, counts[_DAY]))
        return CatalogSummary(
            scenes=self.count,
            days=len(days),
            first=days[0] if days else None,
            last=days[-1] if days else None,
            bytes_known=size,
            files_without_size=without,
            crs=dict(sorted(counts["proj:code"].items())),
            baselines=dict(sorted(counts["s2:processing_baseline"].items())),
            radiometry=dict(sorted(counts["cropcube:radiometry_reason"].items())),
            missing=dict(sorted(missing.items())),
        )

    def lacking(self, band: str, limit: int = 10) -> list[str]:
        """Return the ids of scenes that lack a band, at most `limit`."""
        found: list[str] = []
        for table in self._tables(range(len(self.spans)), ["id", f"assets.{band}.href"]):
            absent = pc.is_null(pc.struct_field(table["assets"].combine_chunks(), [band, "href"]))
            found += table["id"].filter(absent).to_pylist()
            if len(found) >= limit:
                break
        return found[:limit]

    def _groups(self, first: date, last: date) -> list[int]:
        """Return the row groups that may hold solar days: those are within a day of the days in UTC."""
        start = datetime.combine(first - timedelta(days=1), time(), UTC)
        stop = datetime.combine(last + timedelta(days=2), time(), UTC)
        return [i for i, (earliest, latest) in enumerate(self.spans) if earliest < stop and latest >= start]

    def _tables(self, groups: range | list[int], columns: list[str] | None) -> Iterator[pa.Table]:
        try:
            with pq.ParquetFile(_readable(self.path), page_checksum_verification=True) as file:
                for group in groups:
                    yield file.read_row_group(group, columns=columns, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(self.path, error) from error


def bands_missing(table: pa.Table) -> dict[str, int]:
    """Return the number of rows that lack a band, by band, without those that none lacks."""
    assets = table["assets"].combine_chunks()
    absent = {label: pc.struct_field(assets, [label, "href"]).null_count for label in _labels(table.schema)}
    return {label: count for label, count in absent.items() if count}


def _labels(schema: pa.Schema) -> tuple[str, ...]:
    return tuple(field.name for field in schema.field("assets").type)


def _readable(path: Location) -> Any:
    """Return what Arrow reads a file or an object from."""
    return path.open_reader() if isinstance(path, ObjectPath) else path


def _request(path: Location, metadata: pq.FileMetaData) -> dict[str, Any]:
    kept = metadata.metadata or {}
    if b"cropcube" not in kept or metadata.schema.to_arrow_schema().names != schema_of(SENTINEL2.file_labels).names:
        raise InvalidInputError(
            f"{path} is no frozen catalogue of this version of cropcube",
            "Delete it, `cropcube build` asks the catalogue again.",
        )
    request: dict[str, Any] = json.loads(kept[b"cropcube"])
    return request


def _utc(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _damaged(path: Location, error: BaseException) -> InvalidInputError:
    if isinstance(error, InvalidInputError):
        return error
    return InvalidInputError(
        f"the frozen catalogue {path} is damaged ({' '.join(str(error).split())})",
        "Delete it, `cropcube build` asks the catalogue again.",
    )
