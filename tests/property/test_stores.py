"""Random layouts, writes, erasures and reads of a store against a NumPy array."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from cropcube.cube.layout import ArraySpec, StoreSpec
from cropcube.cube.store import Store
from cropcube.domain.grid import Grid
from cropcube.domain.lattice import Lattice, PixelBox, ZoneGrid
from tests.support.small_store import tree

TILE_PX = 96
FILLS: dict[str, tuple[Any, ...]] = {
    "uint16": (0, 7),
    "uint8": (0, 255),
    "float32": (0.0, float("nan")),
    "int16": (-1,),
}


@dataclass(frozen=True)
class Case:
    grid: Grid
    spec: ArraySpec

    @property
    def box(self) -> PixelBox:
        return self.grid.zones[0].box(self.spec.resolution_m)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spec.shape(*self.box.shape)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    resolution_m = draw(st.sampled_from([20, 60]))
    side = TILE_PX * 10 // resolution_m
    inner = draw(st.sampled_from([n for n in range(4, side + 1) if side % n == 0]))
    lengths = draw(st.lists(st.integers(1, 9), max_size=2))
    chunk = tuple(draw(st.integers(1, length)) for length in lengths)
    times = tuple(draw(st.integers(1, 3)) for _ in lengths)
    sharded = draw(st.booleans())
    shard = (*(size * number for size, number in zip(chunk, times, strict=True)), side, side) if sharded else None
    dtype = draw(st.sampled_from(sorted(FILLS)))
    leading = tuple(zip(("time", "band"), lengths, strict=False))
    array = ArraySpec(
        "values", resolution_m, leading, dtype, draw(st.sampled_from(FILLS[dtype])), (*chunk, inner, inner), shard
    )
    row, col = draw(st.integers(0, 2000)), draw(st.integers(0, 900))
    zone = ZoneGrid(Lattice.utm(31, draw(st.booleans())), TILE_PX, draw(st.integers(1, 2)), frozenset({(row, col)}))
    return Case(Grid((zone,)), array)


@st.composite
def spans(draw: st.DrawFn, length: int, unit: int) -> range:
    """Whole units, or up to the end."""
    first = draw(st.integers(0, (length - 1) // unit))
    last = draw(st.integers(first, (length - 1) // unit))
    return range(first * unit, min((last + 1) * unit, length))


def piece(case: Case, ranges: tuple[range, ...]) -> PixelBox:
    rows, cols = ranges[-2:]
    box = case.box
    return PixelBox(box.lattice, box.resolution_m, box.row + rows.start, box.col + cols.start, len(rows), len(cols))


def random_values(draw: st.DrawFn, case: Case, shape: tuple[int, ...]) -> Any:
    seed = np.random.default_rng(draw(st.integers(0, 2**31)))
    values = seed.integers(0, 200, shape).astype(case.spec.dtype)
    holes = seed.random(shape[:1] + (1,) * (len(shape) - 1)) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    return np.where(holes, np.asarray(case.spec.fill_value, case.spec.dtype), values)


@settings(max_examples=40, deadline=None)
@given(st.data(), cases())
def test_a_store_is_an_array(data: st.DataObject, case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spec = StoreSpec("features", (case.spec,))
        store = Store.create(Path(folder) / "one.zarr", case.grid, spec)
        empty = tree(store.path)
        zone = case.box.lattice.name
        model = np.full(case.shape, case.spec.fill_value, case.spec.dtype)
        for _ in range(data.draw(st.integers(1, 4))):
            owned = tuple(
                data.draw(spans(length, unit)) for length, unit in zip(case.shape, case.spec.unit, strict=True)
            )
            where = tuple(slice(span.start, span.stop) for span in owned)
            if data.draw(st.booleans(), label="erase"):
                store.erase(zone, "values", piece(case, owned), owned[:-2])
                model[where] = case.spec.fill_value
            else:
                values = random_values(data.draw, case, tuple(len(span) for span in owned))
                store.write(zone, "values", piece(case, owned), values, tuple(span.start for span in owned[:-2]))
                model[where] = values
        _check_reads(data, case, store, model)
        opened = zarr.open_group(store.path, mode="r")[f"{zone}/{case.spec.group}/values"]
        assert isinstance(opened, zarr.Array)
        np.testing.assert_array_equal(np.asarray(opened[...]), model)
        again = Store.create(Path(folder) / "two.zarr", case.grid, spec)
        again.write(zone, "values", case.box, model)
        assert tree(again.path) == tree(store.path)
        store.erase(zone, "values", case.box)
        assert tree(store.path) == empty


def _check_reads(data: st.DataObject, case: Case, store: Store, model: Any) -> None:
    box = case.box
    np.testing.assert_array_equal(store.read(box.lattice.name, "values", box), model)
    frame = 5
    padded = np.pad(model, [(0, 0)] * (model.ndim - 2) + [(frame, frame)] * 2, constant_values=case.spec.fill_value)
    for _ in range(3):
        row = data.draw(st.integers(-frame, box.height - 1))
        col = data.draw(st.integers(-frame, box.width - 1))
        height = data.draw(st.integers(1, box.height + frame - row))
        width = data.draw(st.integers(1, box.width + frame - col))
        part = PixelBox(box.lattice, box.resolution_m, box.row + row, box.col + col, height, width)
        chosen = tuple(
            data.draw(st.lists(st.integers(0, length - 1), max_size=4)) for _, length in case.spec.leading
        )  # fmt: skip
        expected = padded[..., row + frame : row + frame + height, col + frame : col + frame + width]
        for axis, indices in enumerate(chosen):
            expected = np.take(expected, np.asarray(indices, np.intp), axis=axis)
        np.testing.assert_array_equal(store.read(box.lattice.name, "values", part, chosen), expected)
