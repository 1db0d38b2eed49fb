from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest

from cropcube.cube.layout import StoreSpec, cube_spec, feature_array, map_array
from cropcube.cube.store import Store
from cropcube.domain.lattice import Lattice, PixelBox, Tile
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import ConflictError, InvalidInputError, LayoutError, MissingError, ReadError
from tests.support.small_store import (
    LATTICE,
    SEASON,
    TILE_PX,
    TILES,
    ZONE,
    erase_slab,
    fill_slab,
    grid_of,
    small_cube,
    tree,
    values_of,
)

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, THIRD = TILES


def test_what_is_written_is_read(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    fill_slab(store, SECOND, 1, [33, 40])
    read = Store.open(store.path).read(ZONE, "reflectance", SECOND.box(10))
    assert read.dtype == np.uint16
    assert read.shape == (99, 4, 96, 96)
    np.testing.assert_array_equal(read[33], values_of(SECOND, 33, 4, 10))
    np.testing.assert_array_equal(read[40], values_of(SECOND, 40, 4, 10))
    assert not np.delete(read, [33, 40], axis=0).any()


def test_outside_the_array_is_fill(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    fill_slab(store, FIRST, 0, [3])
    box = FIRST.box(10)
    around = PixelBox(LATTICE, 10, box.row - 5, box.col - 7, 20, 30)
    read = store.read(ZONE, "reflectance", around, ([3],))
    assert read.shape == (1, 4, 20, 30)
    np.testing.assert_array_equal(read[0, :, 5:, 7:], values_of(FIRST, 3, 4, 10)[:, :15, :23])
    assert not read[0, :, :5].any()
    assert not read[0, :, :, :7].any()
    far = PixelBox(LATTICE, 10, 0, 0, 4, 4)
    assert not store.read(ZONE, "reflectance", far).any()


@pytest.mark.parametrize("bands", [[0], [3, 1], [1, 2], [0, 2, 1], [2, 2]])
def test_any_order_of_bands_is_read(tmp_path: Path, bands: list[int]) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    fill_slab(store, FIRST, 0, [3, 9])
    read = store.read(ZONE, "reflectance", FIRST.box(10), ([9, 3], bands))
    expected = np.stack([values_of(FIRST, day, 4, 10)[bands] for day in (9, 3)])
    np.testing.assert_array_equal(read, expected)


def test_asking_beyond_an_axis_is_refused(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    with pytest.raises(LayoutError, match="band 0:4"):
        store.read(ZONE, "reflectance", FIRST.box(10), ([3], [4]))


def test_absent_days_cost_nothing(tmp_path: Path) -> None:
    one, many = small_cube(tmp_path / "one.zarr"), small_cube(tmp_path / "many.zarr")
    seen = values_of(FIRST, 3, 4, 10)
    dense = np.zeros((32, *seen.shape), np.uint16)
    dense[3] = seen
    one.write_days(ZONE, "reflectance", FIRST.box(10), range(32), {3: seen})
    many.write(ZONE, "reflectance", FIRST.box(10), dense)
    assert one.written == many.written
    assert sum(one.written.values()) < 1.2 * seen.nbytes
    assert tree(one.path) == tree(many.path)
    files = [path for path in one.path.glob(f"{ZONE}/*/reflectance/c/**/*") if path.is_file()]
    assert {path.relative_to(one.path).as_posix(): path.stat().st_size for path in files} == one.written


def test_an_empty_write_leaves_no_object(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    before = tree(store.path)
    store.write_days(ZONE, "reflectance", FIRST.box(10), range(32), {})
    store.write(ZONE, "quality", FIRST.box(20), np.zeros((99, 48, 48), np.uint8))
    assert (tree(store.path), store.written) == (before, {})
    fill_slab(store, FIRST, 0, [3])
    store.write_days(ZONE, "reflectance", FIRST.box(10), range(32), {})
    store.write_days(ZONE, "reflectance", FIRST.box(20), range(32), {})
    store.write_days(ZONE, "quality", FIRST.box(20), range(32), {})
    store.mark_present(ZONE, 0, (5, 10), {})
    assert (tree(store.path), store.written) == (before, {})


def test_rewriting_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = small_cube(tmp_path / "one.zarr"), small_cube(tmp_path / "other.zarr")
    fill_slab(one, FIRST, 0, [3, 9])
    fill_slab(other, FIRST, 0, [1, 2, 30])
    fill_slab(other, FIRST, 0, [3, 9])
    assert tree(one.path) == tree(other.path)


def test_threads_do_not_change_bytes(tmp_path: Path) -> None:
    one, other = small_cube(tmp_path / "one.zarr"), small_cube(tmp_path / "other.zarr")
    fill_slab(one, FIRST, 0, list(range(0, 32, 3)))
    fill_slab(Store.open(other.path, writable=True, threads=4), FIRST, 0, list(range(0, 32, 3)))
    assert tree(one.path) == tree(other.path)
    read = Store.open(one.path, threads=4).read(ZONE, "reflectance", FIRST.box(10))
    np.testing.assert_array_equal(read, one.read(ZONE, "reflectance", FIRST.box(10)))


def test_erased_and_rewritten_equals_clean(tmp_path: Path) -> None:
    clean, used = small_cube(tmp_path / "clean.zarr"), small_cube(tmp_path / "used.zarr")
    fill_slab(used, FIRST, 0, [3, 9])
    fill_slab(used, FIRST, 3, [97])
    fill_slab(used, THIRD, 2, [70])
    for tile, slab in ((FIRST, 0), (FIRST, 3), (THIRD, 2), (SECOND, 1)):
        erase_slab(used, tile, slab)
    assert tree(used.path) == tree(clean.path)
    for store in (clean, used):
        fill_slab(store, FIRST, 3, [98])
    assert tree(used.path) == tree(clean.path)


def test_a_write_must_own_its_shard(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    before = tree(store.path)
    box = FIRST.box(10)
    half = PixelBox(LATTICE, 10, box.row, box.col, 48, 96)
    outside = Tile(LATTICE, TILE_PX, 14, 20).box(10)
    with pytest.raises(LayoutError, match="y 0:48 cuts a shard of 96"):
        store.write(ZONE, "reflectance", half, np.ones((32, 4, 48, 96), np.uint16))
    with pytest.raises(LayoutError, match="time 0:31 cuts a shard of 32"):
        store.write(ZONE, "reflectance", box, np.ones((31, 4, 96, 96), np.uint16))
    with pytest.raises(LayoutError, match="time 5:37 cuts"):
        store.write(ZONE, "reflectance", box, np.ones((32, 4, 96, 96), np.uint16), (5,))
    with pytest.raises(LayoutError, match="outside"):
        store.write(ZONE, "reflectance", outside, np.ones((32, 4, 96, 96), np.uint16))
    with pytest.raises(LayoutError, match="time 0:10 cuts"):
        store.erase(ZONE, "reflectance", box, (range(10),))
    with pytest.raises(LayoutError, match="time 4:36 cuts"):
        store.write_days(ZONE, "reflectance", box, range(4, 36), {5: values_of(FIRST, 5, 4, 10)})
    assert tree(store.path) == before


def test_a_write_must_fit(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    before = tree(store.path)
    box = FIRST.box(10)
    with pytest.raises(LayoutError, match="takes uint16"):
        store.write(ZONE, "reflectance", box, np.ones((32, 4, 96, 96), np.float32))
    with pytest.raises(LayoutError, match="takes uint16"):
        store.write(ZONE, "reflectance", box, np.ones((32, 4, 95, 96), np.uint16))
    with pytest.raises(LayoutError, match="takes uint16"):
        store.write_days(ZONE, "reflectance", box, range(32), {0: np.ones((32, 4, 96, 96), np.uint16)})
    with pytest.raises(LayoutError, match="day 40 is not in 0:32"):
        store.write_days(ZONE, "reflectance", box, range(32), {40: values_of(FIRST, 40, 4, 10)})
    with pytest.raises(LayoutError, match="band 0:3 cuts"):
        store.write(ZONE, "reflectance", box, np.ones((32, 3, 96, 96), np.uint16))
    assert tree(store.path) == before


def test_a_store_open_for_reading_is_not_written(tmp_path: Path) -> None:
    store = Store.open(small_cube(tmp_path / "cube.zarr").path)
    with pytest.raises(LayoutError, match="open for reading"):
        fill_slab(store, FIRST, 0, [3])
    with pytest.raises(LayoutError, match="open for reading"):
        store.erase(ZONE, "reflectance", FIRST.box(10))
    with pytest.raises(LayoutError, match="open for reading"):
        store.mark_present(ZONE, 0, (5, 10), {})


def test_days_present(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    store.mark_present(ZONE, 0, (5, 10), {FIRST: [3, 9], SECOND: [9]})
    store.mark_present(ZONE, 3, (5, 10), {FIRST: [98]})
    store.mark_present(ZONE, 0, (6, 10), {THIRD: [0]})
    assert store.days_present(FIRST).tolist() == [3, 9, 98]
    assert store.days_present(SECOND).tolist() == [9]
    assert store.days_present(THIRD).tolist() == [0]
    assert store.days_present(FIRST).dtype == np.int32
    assert store.days_present(Tile(LATTICE, TILE_PX, 99, 99)).tolist() == []
    assert store.present(ZONE).shape == (99, 4, 2)
    assert store.present(ZONE).sum() == 5
    store.mark_present(ZONE, 0, (5, 10), {SECOND: [4]})
    assert store.days_present(FIRST).tolist() == [98]
    assert store.days_present(SECOND).tolist() == [4]


def test_days_of_others_are_not_marked(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    with pytest.raises(LayoutError, match="day 32"):
        store.mark_present(ZONE, 0, (5, 10), {FIRST: [32]})
    with pytest.raises(LayoutError, match="r0012c0020"):
        store.mark_present(ZONE, 0, (5, 10), {THIRD: [3]})
    for slab, square in ((4, (5, 10)), (-1, (5, 10)), (0, (7, 10)), (0, (5, 9))):
        with pytest.raises(LayoutError, match="no slab"):
            store.mark_present(ZONE, slab, square, {})


def test_creating_twice_changes_nothing(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    fill_slab(store, FIRST, 0, [3])
    before = tree(store.path)
    again = small_cube(store.path)
    assert tree(store.path) == before
    assert again.days_present(FIRST).tolist() == [3]


def test_another_layout_is_a_conflict(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    before = tree(store.path)
    grid = grid_of(*TILES)
    others = [
        (grid_of(FIRST), cube_spec(SEASON, SENTINEL2, TILE_PX), "zones"),
        (grid, cube_spec(Season.of_year(2019), SENTINEL2, TILE_PX), "season"),
        (grid, cube_spec(SEASON, SENTINEL2.select(("B02",)), TILE_PX), "arrays"),
        (grid, StoreSpec("map", (map_array("crop", "uint8", TILE_PX, {}),)), "kind"),
    ]
    for other_grid, spec, word in others:
        with pytest.raises(ConflictError, match=word):
            Store.create(store.path, other_grid, spec)
    assert tree(store.path) == before


def test_stores_hold_no_path_and_no_clock(tmp_path: Path) -> None:
    one = small_cube(tmp_path / "here" / "cube.zarr")
    other = small_cube(tmp_path / "elsewhere" / "there" / "cube.zarr")
    assert tree(one.path) == tree(other.path)
    for data in tree(one.path).values():
        assert str(tmp_path).encode() not in (data or b"")


def test_missing_things_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="cropcube build"):
        Store.open(tmp_path / "cube.zarr")
    with pytest.raises(MissingError, match="cropcube predict"):
        Store.open(tmp_path / "map.zarr")
    with pytest.raises(MissingError, match="cropcube features"):
        Store.open(tmp_path / "median-5d.zarr")
    store = small_cube(tmp_path / "cube.zarr")
    with pytest.raises(MissingError, match="no zone 'utm32n'"):
        store.read("utm32n", "reflectance", FIRST.box(10))
    with pytest.raises(MissingError, match="no quality at 10 m"):
        store.read(ZONE, "quality", FIRST.box(10))
    with pytest.raises(LayoutError, match="utm32n"):
        store.read(ZONE, "reflectance", Tile(Lattice.utm(32, True), TILE_PX, 10, 20).box(10))


@pytest.mark.parametrize("content", ["{", "{}", '{"attributes": {}}', '{"attributes": {"cropcube": {"kind": "cube"}}}'])
def test_a_foreign_store_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "cube.zarr").mkdir()
    (tmp_path / "cube.zarr" / "zarr.json").write_text(content)
    with pytest.raises(LayoutError, match="not a store"):
        Store.open(tmp_path / "cube.zarr")


def test_another_revision_of_the_layout_is_refused(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    path = store.path / "zarr.json"
    meta = json.loads(path.read_text())
    meta["attributes"]["cropcube"]["layout_revision"] = 99
    path.write_text(json.dumps(meta))
    with pytest.raises(LayoutError, match="revision 99"):
        Store.open(store.path)


@pytest.mark.parametrize("where", ["index", "header", "payload", "short"])
def test_damage_is_told(tmp_path: Path, where: str) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    fill_slab(store, FIRST, 0, [3])
    path = store.path / ZONE / "r10m" / "reflectance" / "c" / "0" / "0" / "0" / "0"
    data = bytearray(path.read_bytes())
    if where == "index":
        data[-30] ^= 255
    elif where == "header":
        data[:16] = bytes(16)
    elif where == "payload":
        data[5000] ^= 1
    else:
        del data[10:]
    path.write_bytes(data)
    with pytest.raises(ReadError, match="damaged"):
        store.read(ZONE, "reflectance", FIRST.box(10))
    erase_slab(store, FIRST, 0)
    fill_slab(store, FIRST, 0, [3])
    np.testing.assert_array_equal(store.read(ZONE, "reflectance", FIRST.box(10))[3], values_of(FIRST, 3, 4, 10))


@pytest.mark.parametrize("where", ["empty", "header", "short", "longer"])
def test_damage_of_the_map_is_told(tmp_path: Path, where: str) -> None:
    spec = StoreSpec("map", (map_array("crop", "uint8", TILE_PX, {}),))
    store = Store.create(tmp_path / "map.zarr", grid_of(FIRST), spec)
    store.write(ZONE, "crop", FIRST.box(10), np.arange(96 * 96, dtype=np.uint8).reshape(96, 96))
    path = store.path / ZONE / "r10m" / "crop" / "c" / "0" / "0"
    data = path.read_bytes()
    spoilt = {"empty": b"", "header": bytes(16) + data[16:], "short": data[:-9], "longer": data + b"x"}
    path.write_bytes(spoilt[where])
    with pytest.raises(ReadError, match="damaged"):
        store.read(ZONE, "crop", FIRST.box(10))


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    (store.path / ZONE / "r10m" / "reflectance" / "c" / "0" / "0" / "0" / "0").mkdir(parents=True)
    with pytest.raises(ReadError, match="cannot be read"):
        store.read(ZONE, "reflectance", FIRST.box(10))


def test_a_store_crosses_processes(tmp_path: Path) -> None:
    store = Store.open(small_cube(tmp_path / "cube.zarr").path, writable=True, threads=2)
    again = pickle.loads(pickle.dumps(store))
    assert (again.path, again.writable, again.threads) == (store.path, True, 2)


def test_a_store_is_removed_as_a_whole(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    Store.remove(store.path)
    assert not Store.exists(store.path)
    Store.remove(store.path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_unsharded_map_and_nan_features(tmp_path: Path) -> None:
    grid = grid_of(*TILES)
    made = Store.create(tmp_path / "map.zarr", grid, StoreSpec("map", (map_array("crop", "uint8", TILE_PX, {}),)))
    values = np.arange(96 * 96, dtype=np.uint8).reshape(96, 96)
    made.write(ZONE, "crop", FIRST.box(10), values)
    np.testing.assert_array_equal(made.read(ZONE, "crop", FIRST.box(10)), values)
    with pytest.raises(LayoutError, match="holds no days present"):
        made.days_present(FIRST)
    array = feature_array("coefficient", 20, (("term", 5), ("band", 6)), "float32", TILE_PX)
    features = Store.create(tmp_path / "features" / "h.zarr", grid, StoreSpec("features", (array,)))
    fit = np.full((5, 6, 48, 48), np.nan, np.float32)
    features.write(ZONE, "coefficient", FIRST.box(20), fit)
    assert features.written == {}
    fit[:, :, 7, 9] = 0.0
    features.write(ZONE, "coefficient", FIRST.box(20), fit)
    assert len(features.written) == 1
    np.testing.assert_array_equal(features.read(ZONE, "coefficient", FIRST.box(20)), fit)
    assert np.isnan(features.read(ZONE, "coefficient", SECOND.box(20))).all()


def test_details_that_are_not_json_are_refused(tmp_path: Path) -> None:
    spec = StoreSpec("map", (map_array("crop", "uint8", TILE_PX, {"seen": np.float32(1)}),))  # type: ignore[dict-item]
    with pytest.raises(InvalidInputError, match="JSON"):
        Store.create(tmp_path / "map.zarr", grid_of(FIRST), spec)
    assert not (tmp_path / "map.zarr").exists()
