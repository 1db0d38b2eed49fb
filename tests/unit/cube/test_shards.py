from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cropcube.cube.layout import ArraySpec
from cropcube.cube.shards import Planes, pack, read_selection, split

if TYPE_CHECKING:
    from pathlib import Path

SHARDED = ArraySpec("values", 10, (("time", 6),), "uint16", 0, (1, 8, 8), (4, 16, 16))


def whole(*shape: int) -> tuple[slice, ...]:
    return tuple(slice(0, length) for length in shape)


def put(folder: Path, spec: ArraySpec, values: np.ndarray, at: str) -> None:
    path = folder / "c" / at
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(pack(spec, values, whole(*values.shape), 1)))


def test_bytes_do_not_depend_on_threads_even_of_large_chunks() -> None:
    """Blosc's own threads, which it starts on the main thread, would order the blocks of a chunk as they end."""
    spec = ArraySpec("values", 10, (("time", 32),), "uint16", 0, (32, 256, 256), None)
    values = np.random.default_rng(0).integers(900, 1100, (32, 256, 256), dtype=np.uint16)
    found = set()

    def work(threads: int) -> None:
        found.add(hashlib.sha256(b"".join(pack(spec, values, whole(*values.shape), threads))).hexdigest())

    for threads in (1, 1, 2, 3, 4):
        work(threads)
    other = threading.Thread(target=work, args=(2,))
    other.start()
    other.join()
    assert len(found) == 1


def test_chunks_of_a_day_are_neighbours(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1, 900, (4, 16, 16), dtype=np.uint16)
    parts = pack(SHARDED, values, whole(4, 16, 16), 2)
    assert len(parts) == 16 + 1
    assert len(parts[-1]) == 16 * 16 + 4
    index = np.frombuffer(parts[-1][:-4], "<u8").reshape(4, 2, 2, 2)
    assert (np.diff(index[..., 0].ravel()) > 0).all()
    assert index[-1, -1, -1].sum() == sum(map(len, parts[:-1]))


def test_absent_chunks_take_no_room(tmp_path: Path) -> None:
    values = np.zeros((4, 16, 16), np.uint16)
    assert pack(SHARDED, values, whole(4, 16, 16), 1) == []
    values[2, 9, 3] = 5
    parts = pack(SHARDED, values, whole(4, 16, 16), 1)
    assert len(parts) == 2
    put(tmp_path, SHARDED, values, "0/0/0")
    np.testing.assert_array_equal(read_selection(tmp_path, SHARDED, (range(4), range(16), range(16)), 1), values)


def test_planes_are_what_a_dense_array_is() -> None:
    spec = ArraySpec("values", 10, (("time", 6),), "uint16", 7, (2, 8, 8), (4, 16, 16))
    values = np.random.default_rng(0).integers(1, 900, (16, 16), dtype=np.uint16)
    dense = np.full((4, 16, 16), 7, np.uint16)
    dense[3] = values
    planes = Planes({3: values}, 4, spec)
    assert pack(spec, planes, whole(4, 16, 16), 1) == pack(spec, dense, whole(4, 16, 16), 1)
    assert planes[slice(0, 2), slice(0, 8), slice(0, 8)].size == 0


def test_a_file_at_the_end_of_the_array_is_padded(tmp_path: Path) -> None:
    spec = ArraySpec("values", 10, (), "float32", float("nan"), (8, 8), (16, 16))
    values = np.random.default_rng(0).random((13, 5), dtype=np.float32)
    put(tmp_path, spec, values, "0/0")
    np.testing.assert_array_equal(read_selection(tmp_path, spec, (range(13), range(5)), 1), values)
    assert np.isnan(read_selection(tmp_path, spec, (range(13, 16), range(16)), 1)).all()


@pytest.mark.parametrize(
    "rows", [range(3, 14), range(0, 16, 5), range(15, 2, -4), [5], [1, 9, 3], [2, 2], [], range(0)]
)
@pytest.mark.parametrize("threads", [1, 3])
def test_any_selection_is_read(tmp_path: Path, rows: range | list[int], threads: int) -> None:
    values = np.random.default_rng(0).integers(1, 900, (4, 16, 16), dtype=np.uint16)
    put(tmp_path, SHARDED, values, "0/0/0")
    found = read_selection(tmp_path, SHARDED, ([3, 1, 5], rows, range(2, 11)), threads)
    padded = np.concatenate([values, np.zeros((2, 16, 16), np.uint16)])
    np.testing.assert_array_equal(found, padded[np.ix_([3, 1, 5], np.asarray(rows, int), range(2, 11))])


def test_ranges_are_split_by_file() -> None:
    found = list(split(SHARDED, (range(4, 6), range(32), range(16, 32))))
    assert [where for where, _ in found] == [(1, 0, 1), (1, 1, 1)]
    assert [part for _, part in found] == [
        (slice(0, 2), slice(0, 16), slice(0, 16)),
        (slice(0, 2), slice(16, 32), slice(0, 16)),
    ]
