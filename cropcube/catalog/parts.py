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
from cropcube.catalog.schema import SCHEMA, file_schema, table_of
from cropcube.domain.scene import Scene

BATCH_SCENES = 256
"""Scenes that are objects at one time."""
PART_NAME = re.compile(r"\.?(part|files)-[0-9a-f-]+\.parquet(\.\d+\.partial)?")
"""Names of the files that a search leaves on its way."""
WRITE_OPTIONS: Mapping[str, Any] = {"compression": "zstd", "write_page_checksum": True}


@dataclass
class Tally:
    """What became of the items of an answer."""

    counts: Counter[str] = field(default_factory=Counter)
    "Items by fate: `kept`, `time`, `region`, `cloud`, `collection`, `refused`."
    refusal: tuple[str, str] = ("", "")
    "What was wrong with the first refused item, and the next step."

    def add(self, other: Tally) -> None:
        """Count another answer's items too."""
        self.counts.update(other.counts)
        self.refusal = self.refusal if self.refusal[0] else other.refusal

    @property
    def items(self) -> int:
        """All items."""
        return sum(self.counts.values())


class PartWriter:
    """Writes the scenes of one answer; the file takes its name when the answer is whole."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path, self._folder = path, folder
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._scenes: list[Scene] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._partial, SCHEMA, **WRITE_OPTIONS)

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
        said = json.dumps({"counts": tally.counts, "refusal": tally.refusal}, sort_keys=True)
        self._writer.add_key_value_metadata({"tally": said})
        self._writer.close()
        os.replace(self._partial, self._path)

    def _flush(self) -> None:
        if self._scenes:
            self._writer.write_table(table_of(self._scenes, self._folder))
            self._scenes.clear()


def read_tally(path: Path) -> Tally | None:
    """Return what a part says of its answer; None if it is no whole part."""
    try:
        metadata = pq.read_metadata(path)
        said = json.loads(metadata.metadata[b"tally"])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError):
        return None
    what, next_step = said["refusal"]
    return Tally(Counter(said["counts"]), (what, next_step))


@dataclass(frozen=True)
class Merged:
    """What a merge wrote."""

    scenes: int
    "Rows, each id once."
    duplicates: int
    "Rows that were dropped because their id had come before."
    missing: Mapping[str, int]
    "Scenes that lack a band, by band."


def merge_parts(months: Iterable[Sequence[Path]], path: Path, request: Mapping[str, Any]) -> Merged:
    """Write the frozen catalogue: one row group a month, ordered by acquisition and id, every id once.

    Parameters
    ----------
    months
        The parts of each month, in order; scenes of a month are in no part of another.
    path
        Where to write; not visible under its name to others before it is whole if the caller renames it.
    request
        What was asked, kept in the file.
    """
    seen: set[str] = set()
    rows, duplicates = 0, 0
    missing: Counter[str] = Counter()
    with pq.ParquetWriter(path, file_schema(request), **WRITE_OPTIONS) as writer:
        for table in map(_month, months):
            first = np.array([scene_id not in seen for scene_id in _once(table, seen)], dtype=bool)
            kept = table.filter(pa.array(first))
            duplicates += table.num_rows - kept.num_rows
            if kept.num_rows:
                writer.write_table(kept.replace_schema_metadata(None), row_group_size=kept.num_rows)
                missing.update(bands_missing(kept))
                rows += kept.num_rows
    return Merged(rows, duplicates, dict(missing))


def _month(parts: Sequence[Path]) -> pa.Table:
    table = pa.concat_tables([SCHEMA.empty_table(), *(pq.read_table(part, schema=SCHEMA) for part in parts)])
    # The first band's file decides between two rows of one id, so that the order of the answers does not.
    tie = pc.struct_field(table["assets"], ["B02", "href"])
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
