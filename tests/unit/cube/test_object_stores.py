"""Stores and ledgers in an object store: the objects are the files of a folder, byte for byte."""

import numpy as np
import pytest

from cropcube.cube import objects
from cropcube.cube.lazy import lazy_tree
from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import MARK, Store
from cropcube.errors import MissingError, ReadError, ResourceError
from tests.support.object_store import object_store
from tests.support.small_store import TILES, fill_slab, small_cube

DAYS = {0: [3, 9, 30], 1: [33, 60], 2: [64, 95], 3: [96, 98]}


@pytest.fixture(scope="module")
def running():
    with pytest.MonkeyPatch.context() as environment, object_store(environment) as store:
        yield store


@pytest.fixture
def bucket(running):
    running.fails = None
    running.asked.clear()
    return running.bucket()


def contents(path):
    if hasattr(path, "rglob"):
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    return {name: (path / name).read_bytes() for name, _ in path.below()}


def filled(path):
    store = small_cube(path)
    for tile in TILES:
        for slab, days in DAYS.items():
            fill_slab(store, tile, slab, days)
    return store


def test_a_store_in_a_bucket_has_the_bytes_of_one_in_a_folder(bucket, tmp_path):
    here, there = filled(tmp_path / "cube.zarr"), filled(bucket / "project" / "cube.zarr")
    assert contents(here.path) == contents(there.path)
    assert here.written == there.written
    assert objects.sizes_of(there.path, True)(next(iter(there.written))) == next(iter(there.written.values()))
    for one, other in zip(_arrays(here), _arrays(there), strict=True):
        np.testing.assert_array_equal(one, other)
    tile = TILES[0]
    here.erase(tile.lattice.name, "reflectance", tile.box(10), (range(32),))
    there.erase(tile.lattice.name, "reflectance", tile.box(10), (range(32),))
    assert contents(here.path) == contents(there.path)


def _arrays(store):
    for tile in TILES:
        yield store.days_present(tile)
        for (name, resolution), _ in sorted(store.arrays.items()):
            yield store.read(tile.lattice.name, name, tile.box(resolution))
            yield store.read(tile.lattice.name, name, tile.box(resolution), ([3, 64, 65],))
    for node in lazy_tree(store).subtree:
        for array in node.data_vars.values():
            yield array.values


def test_few_requests_read_a_shard(bucket, running):
    store = filled(bucket / "cube.zarr")
    tile = TILES[0]
    running.asked.clear()
    store.read(tile.lattice.name, "reflectance", tile.box(10), (slice(0, 32),))
    assert running.asked["GET"] <= 3  # its index, and its chunks together


def test_a_store_appears_whole_or_not_at_all(bucket, running):
    path = bucket / "cube.zarr"
    running.fails = lambda number: ("400 Bad Request", "Broken") if number == 9 else None
    with pytest.raises(ResourceError, match="cannot be made"):
        small_cube(path)
    assert not Store.exists(path)
    assert contents(path)
    running.fails = None
    small_cube(path)
    small_cube(path)
    assert Store.exists(path)


def test_a_store_is_moved_and_removed(bucket):
    before = contents(filled(bucket / "map.zarr").path)
    (bucket / "map-before.zarr" / "left").write([b"of a move that broke off"])
    Store.move(bucket / "map.zarr", bucket / "map-before.zarr")
    assert not contents(bucket / "map.zarr")
    assert contents(bucket / "map-before.zarr").items() >= before.items()
    Store.remove(bucket / "map-before.zarr")
    Store.remove(bucket / "map-before.zarr")
    assert not contents(bucket / "map-before.zarr")
    with pytest.raises(MissingError, match="there is no store s3://"):
        Store.open(bucket / "map-before.zarr")


def test_a_move_that_breaks_off_leaves_one_store_whole(bucket, running):
    filled(bucket / "map.zarr")
    for number in range(0, 60, 7):
        running.fails, count = None, iter(range(1000))
        running.fails = lambda _, n=number, c=count: ("400 Bad Request", "Broken") if next(c) >= n else None
        with pytest.raises(ResourceError):
            Store.move(bucket / "map.zarr", bucket / "other.zarr")
        running.fails = None
        assert Store.exists(bucket / "map.zarr") or Store.exists(bucket / "other.zarr")
    Store.move(bucket / "map.zarr", bucket / "other.zarr")
    assert MARK in contents(bucket / "other.zarr")


def test_a_damaged_object_is_named(bucket):
    store = filled(bucket / "cube.zarr")
    name = next(name for name in store.written if "reflectance" in name)
    path = store.path / name
    path.write([path.read_bytes()[:-1]])
    with pytest.raises(ReadError, match=r"s3://.* is damaged"):
        list(_arrays(store))


def test_a_store_that_refuses_is_said(bucket, running):
    store = filled(bucket / "cube.zarr")
    running.fails = lambda number: ("403 Forbidden", "AccessDenied")
    with pytest.raises(ReadError, match=r"cannot be read: the store refuses it \(AccessDenied\)"):
        list(_arrays(store))
    with pytest.raises(ResourceError, match=r"cannot be written: the store refuses it"):
        fill_slab(store, TILES[0], 0, [3])


def test_a_ledger_in_a_bucket_is_that_of_a_folder(bucket, tmp_path):
    ledgers = Ledger(tmp_path / "ledger"), Ledger(bucket / "ledger")
    for ledger in ledgers:
        for key in ("build/utm31n/s000/r1", "build/utm31n/s000-1/r1", "features/median-5d/r1", "build/utm31n/s001/r1"):
            ledger.write(Record(key, "d", "done", {"key": key}, {"x": 1}))
    assert contents(ledgers[0].path) == contents(ledgers[1].path)
    for prefix in ("", "build", "build/utm31n/s000", "features", "nothing"):
        assert list(ledgers[0].records(prefix)) == list(ledgers[1].records(prefix))
    for ledger in ledgers:
        assert ledger.read("features/median-5d/r1") is not None
        assert ledger.read("features/median-5d/r2") is None
        ledger.withdraw("features/median-5d/r1")
        ledger.withdraw("features/median-5d/r1")
        assert ledger.withdraw_all("build/utm31n/s000") == 1
        assert ledger.sweep() == 0
    assert list(ledgers[0].records()) == list(ledgers[1].records())
