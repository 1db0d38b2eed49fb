"""An index of samples: where they lie and what they are. Coordinates only; the features stay in their store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

SETS = ("train", "validation", "test")
_COLUMNS = {
    "row": np.int32, "col": np.int32, "label": np.uint8, "block": np.int64, "field": np.int64, "part": np.uint8
}  # fmt: skip
LEFT_OUT = 255
"""`part` of a sample that is in no set, since its field reaches into blocks of several."""
NO_FIELD = -1
"""`field` where nothing is known of fields: labels from a raster, unless they are split by field."""


@dataclass(frozen=True, eq=False)
class SampleIndex:
    """Labelled pixels, one entry each, sorted by zone, row and column."""

    zones: tuple[str, ...]
    "Names that `zone` counts into."
    zone: NDArray[np.uint8]
    row: NDArray[np.int32]
    "Absolute on the zone's 10 m lattice."
    col: NDArray[np.int32]
    label: NDArray[np.uint8]
    "1-based row of the legend."
    block: NDArray[np.int64]
    "Number of the group that is dealt as a whole: a block of ground, a field, a region, a value of a column."
    field: NDArray[np.int64]
    "Number of the field (a feature of a vector file, with those that share pixels with it), or `NO_FIELD`."
    part: NDArray[np.uint8]
    "Index into `SETS`: train, validation, test; or `LEFT_OUT`."

    def __post_init__(self) -> None:
        lengths = {len(self.zone), *(len(getattr(self, name)) for name in _COLUMNS)}
        if len(lengths) != 1:
            raise InvalidInputError(f"the sample index has columns of {sorted(lengths)} entries", "Train again.")

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def of(
        cls, zone: str, row: NDArray[Any], col: NDArray[Any], label: NDArray[Any], field: NDArray[Any] | None = None
    ) -> SampleIndex:
        """Return the index of pixels of one zone, block and set still 0; without fields, none is known."""
        n = len(row)
        given = {"row": row, "col": col, "label": label, "block": np.zeros(n), "part": np.zeros(n)}
        given["field"] = np.full(n, NO_FIELD) if field is None else field
        return cls(
            (zone,), np.zeros(n, np.uint8), **{name: given[name].astype(kind) for name, kind in _COLUMNS.items()}
        )

    @classmethod
    def join(cls, parts: Iterable[SampleIndex]) -> SampleIndex:
        """Return all samples of several indices, sorted."""
        parts = list(parts)
        zones = tuple(sorted({name for part in parts for name in part.zones}))
        if len(zones) > 255:
            raise InvalidInputError(f"{len(zones)} zones in one sample index", "Train on a smaller region.")
        renumbered = [np.array([zones.index(z) for z in p.zones], dtype=np.uint8)[p.zone] for p in parts]
        columns = {name: _concatenate([getattr(p, name) for p in parts], kind) for name, kind in _COLUMNS.items()}
        joined = cls(zones, _concatenate(renumbered, np.uint8), **columns)
        return joined.select(np.lexsort((joined.col, joined.row, joined.zone)))

    def select(self, which: NDArray[Any]) -> SampleIndex:
        """Return the samples that a mask or array of positions chooses."""
        columns = {name: getattr(self, name)[which] for name in _COLUMNS}
        return SampleIndex(self.zones, self.zone[which], **columns)

    def of_set(self, name: str) -> SampleIndex:
        """Return the samples of `train`, `validation` or `test`."""
        return self.select(self.part == SETS.index(name))

    def with_blocks(self, block: NDArray[np.int64], part: NDArray[np.uint8]) -> SampleIndex:
        """Return the same samples with their blocks and sets."""
        return replace(self, block=block, part=part)

    def in_zone(self, name: str) -> NDArray[np.bool_]:
        """Return which samples lie in a zone."""
        mask: NDArray[np.bool_] = self.zone == (self.zones.index(name) if name in self.zones else 255)
        return mask

    def counts(self, names: tuple[str, ...]) -> dict[str, dict[str, int]]:
        """Return samples by set and class; `names` are the legend's classes in order."""
        table = {}
        for i, part in enumerate(SETS):
            found = np.bincount(self.label[self.part == i], minlength=len(names) + 1)[1 : len(names) + 1]
            table[part] = {name: int(n) for name, n in zip(names, found, strict=True)}
        return table

    def encode(self) -> bytes:
        """Return the index as the bytes of a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        zone = pa.DictionaryArray.from_arrays(pa.array(self.zone.astype(np.int32)), pa.array(self.zones, pa.string()))
        columns = {"zone": zone} | {name: pa.array(getattr(self, name)) for name in _COLUMNS}
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink, compression="zstd")
        content: bytes = sink.getvalue().to_pybytes()
        return content

    @classmethod
    def decode(cls, content: bytes, source: str) -> SampleIndex:
        """Read what `encode` wrote; `source` names it in messages.

        Raises
        ------
        InvalidInputError
            If the bytes are not an index of samples.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(pa.BufferReader(content))
            zone = np.array(table["zone"].to_pandas(), dtype=object)
            columns = {name: table[name].to_numpy().astype(kind) for name, kind in _COLUMNS.items()}
        except (pa.ArrowException, KeyError, OSError) as error:
            raise InvalidInputError(f"{source}: not an index of samples ({error})", "Train the model again.") from error
        names, number = np.unique(zone.astype(str), return_inverse=True)
        return cls(tuple(map(str, names)), number.astype(np.uint8), **columns)


def _concatenate(pieces: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate(pieces).astype(kind) if pieces else np.zeros(0, kind)
