"""Answers on their way into a frozen catalogue: one small file each, so that a broken search goes on where it was."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cropcube.catalog.frozen import bands_missing
from cropcube.catalog.schema import file_schema, schema_of, table_of
from cropcube.domain.scene import Scene
from cropcube.domain.sensor import SENTINEL2, Sensor

BATCH_SCENES = 256
"""Scenes that are objects at one time."""
REFUSALS_KEPT = 500
"""Refused items that are remembered by what was wrong with them; all are counted."""
PART_NAME = re.compile(r"\.?(part|files)-[0-9a-f-]+\.parquet(\.\d+\.partial)?")
"""Names of the files that a search leaves on its way."""
WRITE_OPTIONS: Mapping[str, Any] = {"compression": "zstd", "write_page_checksum": True}


@dataclass
class Tally:
    """What became of the items of an answer."""

    counts: Counter[str] = field(default_factory=Counter)
    "Items by fate: `kept`, `time`, `region`, `cloud`, `collection`, `refused`."
    refusals: list[tuple[str, str]] = field(default_factory=list)
    "What was wrong with the first refused items, and the next step of each."

    def add(self, other: Tally) -> None:
        """Count another answer's items too."""
        self.counts.update(other.counts)
        self.refusals = list(dict.fromkeys([*self.refusals, *other.refusals]))[:REFUSALS_KEPT]

    @property
    def items(self) -> int:
        """All items."""
        return sum(self.counts.values())


class PartWriter:
    """Writes the scenes of one answer; the file takes its name when the answer is whole."""

    def __init__(self, path: Path, folder: Path, sensor: Sensor = SENTINEL2) -> None:
        self._path, self._folder, self._sensor = path, folder, sensor
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._scenes: list[Scene] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._partial, schema_of(sensor.file_labels), **WRITE_OPTIONS)

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._partial.unlink(missing_ok=True)

    def add(self, scene: Scene) -> None:
        """Add one scene."""
        self._scenes.append(scene)
        if len(self._scenes) >= BATCH_SCENES:
            self._flush()

    def finish(self, tally: Tally) -> None:
        """Say that the answer is whole; without this nothing is kept."""
        self._flush()
        said = json.dumps({"counts": tally.counts, "refusals": tally.refusals}, sort_keys=True)
        self._writer.add_key_value_metadata({"tally": said})
        self._writer.close()
        os.replace(self._partial, self._path)

    def _flush(self) -> None:
        if self._scenes:
            self._writer.write_table(table_of(self._scenes, self._folder, self._sensor))
            self._scenes.clear()


def read_tally(path: Path) -> Tally | None:
    """Return what a part says of its answer; None if it is no whole part."""
    try:
        metadata = pq.read_metadata(path)
        said = json.loads(metadata.metadata[b"tally"])
        return Tally(Counter(said["counts"]), [(what, next_step) for what, next_step in said["refusals"]])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Merged:
    """What a merge wrote."""

    scenes: int
    "Rows, each id once."
    duplicates: int
    "Rows that were dropped because their id had come before."
    missing: Mapping[str, int]
    "Scenes that lack a band, by band."


def merge_parts(
    months: Iterable[Sequence[Path]], path: Path, request: Mapping[str, Any], sensor: Sensor = SENTINEL2
) -> Merged:
    """Write the frozen catalogue: one row group a month, ordered by acquisition and id, every id once.

    Parameters
    ----------
    months
        The parts of each month, in order; scenes of a month are in no part of another.
    path
        Where to write; not visible under its name to others before it is whole if the caller renames it.
    request
        What was asked, kept in the file.
    sensor
        Whose scenes they are, with all of its bands.
    """
    seen: set[str] = set()
    rows, duplicates = 0, 0
    missing: Counter[str] = Counter()
    with pq.ParquetWriter(path, file_schema(request, sensor), **WRITE_OPTIONS) as writer:
        for table in (_month(parts, sensor.file_labels) for parts in months):
            first = np.array([scene_id not in seen for scene_id in _once(table, seen)], dtype=bool)
            kept = table.filter(pa.array(first))
            duplicates += table.num_rows - kept.num_rows
            if kept.num_rows:
                writer.write_table(kept.replace_schema_metadata(None), row_group_size=kept.num_rows)
                missing.update(bands_missing(kept))
                rows += kept.num_rows
    return Merged(rows, duplicates, dict(missing))


def _month(parts: Sequence[Path], labels: tuple[str, ...]) -> pa.Table:
    schema = schema_of(labels)
    table = pa.concat_tables([schema.empty_table(), *(pq.read_table(part, schema=schema) for part in parts)])
    # The first file decides between two rows of one id, so that the order of the answers does not.
    tie = pc.struct_field(table["assets"], [labels[0], "href"])
    order = pc.sort_indices(
        pa.table({"datetime": table["datetime"], "id": table["id"], "tie": tie}),
        sort_keys=[("datetime", "ascending"), ("id", "ascending"), ("tie", "ascending")],
    )
    return table.take(order)


def _once(table: pa.Table, seen: set[str]) -> Iterator[str]:
    """Yield the ids of a table, each remembered only after its row was looked at."""
    for scene_id in table["id"].to_pylist():
        yield scene_id
        seen.add(scene_id)


def sweep_parts(folder: Path) -> None:
    """Delete the parts of finished and forgotten searches, and the folder if nothing else is in it."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if PART_NAME.fullmatch(path.name):
            path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
