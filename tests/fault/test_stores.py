"""Stores under kills, full disks and two writers."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr

from cropcube.cube import objects
from cropcube.cube.layout import cube_spec
from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.objects import FOREIGN_LEFTOVER_S, discard_leftovers, partial_folder
from cropcube.cube.observed import read_observations
from cropcube.cube.store import Store
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import ResourceError
from tests.support.small_store import (
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
from tests.support.store_faults import DAYS, create, fill_tile, stop_in_the_middle, wait_for, work_until_killed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPAWN = multiprocessing.get_context("spawn")
FIRST, _, THIRD = TILES
APART = (FIRST, THIRD)


def filled(path: Path, *numbers: int) -> Store:
    store = small_cube(path)
    for number in numbers:
        for slab, days in DAYS.items():
            fill_slab(store, TILES[number], slab, days)
    return store


def test_two_processes_in_neighbouring_shards_lose_nothing(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    others = [SPAWN.Process(target=fill_tile, args=(str(store.path), number)) for number in (0, 2)]
    for process in others:
        process.start()
    for process in others:
        process.join(120)
    assert [process.exitcode for process in others] == [0, 0]
    assert tree(store.path) == tree(filled(tmp_path / "clean.zarr", 0, 2).path)
    for tile in (FIRST, THIRD):
        seen = read_observations(store, tile)
        assert seen.days.tolist() == sorted(day for days in DAYS.values() for day in days)
        for number, day in enumerate(seen.days.tolist()):
            np.testing.assert_array_equal(seen.reflectance[10][number], values_of(tile, day, 4, 10))


def test_two_processes_doing_the_same_task_leave_one_result(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    others = [SPAWN.Process(target=fill_tile, args=(str(store.path), 0)) for _ in range(2)]
    for process in others:
        process.start()
    for process in others:
        process.join(120)
    assert [process.exitcode for process in others] == [0, 0]
    assert tree(store.path) == tree(filled(tmp_path / "clean.zarr", 0).path)


def test_two_processes_create_one_store(tmp_path: Path) -> None:
    path = tmp_path / "cube.zarr"
    start_at = time.time() + 4.0
    others = [SPAWN.Process(target=create, args=(str(path), start_at)) for _ in range(3)]
    for process in others:
        process.start()
    for process in others:
        process.join(120)
    assert [process.exitcode for process in others] == [0, 0, 0]
    assert tree(path) == tree(small_cube(tmp_path / "clean.zarr").path)
    discard_leftovers(path)
    assert sorted(os.listdir(tmp_path)) == ["clean.zarr", "cube.zarr"]


def test_a_kill_in_mid_write_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    before = tree(store.path)
    flag = tmp_path / "flag"
    process = SPAWN.Process(target=stop_in_the_middle, args=(str(store.path), str(flag), 600.0))
    process.start()
    wait_for(flag)
    process.kill()
    process.join(60)
    assert tree(store.path) == before
    assert len(list(partial_folder(store.path).iterdir())) == 1
    assert read_observations(store, FIRST).days.size == 0
    assert discard_leftovers(store.path) == 1
    assert not partial_folder(store.path).exists()
    fill_slab(store, FIRST, 0, DAYS[0])
    clean = small_cube(tmp_path / "clean.zarr")
    fill_slab(clean, FIRST, 0, DAYS[0])
    assert tree(store.path) == tree(clean.path)


def test_sweeping_does_not_hurt_a_second_live_driver(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    flag = tmp_path / "flag"
    process = SPAWN.Process(target=stop_in_the_middle, args=(str(store.path), str(flag), 3.0))
    process.start()
    wait_for(flag)
    assert discard_leftovers(store.path) == 0
    assert len(list(partial_folder(store.path).iterdir())) == 1
    process.join(120)
    assert process.exitcode == 0
    clean = small_cube(tmp_path / "clean.zarr")
    fill_slab(clean, FIRST, 0, DAYS[0])
    assert tree(store.path) == tree(clean.path)


def test_leftovers_of_another_host_go_by_age(tmp_path: Path) -> None:
    store = small_cube(tmp_path / "cube.zarr")
    folder = partial_folder(store.path)
    folder.mkdir(exist_ok=True)
    for name, age in (("far.1~77~5~0", 0.0), ("far.1~78~5~0", FOREIGN_LEFTOVER_S + 10), ("notes.txt", 1e6)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - age, time.time() - age))
    assert discard_leftovers(store.path) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["far.1~77~5~0", "notes.txt"]


def test_random_kills_always_leave_a_store_that_reads_and_heals(tmp_path: Path) -> None:
    store, ledger = small_cube(tmp_path / "cube.zarr"), Ledger(tmp_path / "ledger")
    random = np.random.default_rng(7)
    for round_number in range(4):
        flag = tmp_path / f"flag{round_number}"
        process = SPAWN.Process(target=work_until_killed, args=(str(store.path), str(ledger.path), str(flag)))
        process.start()
        wait_for(flag)
        time.sleep(float(random.uniform(0, 0.3)))
        process.kill()
        process.join(60)
        _check_recorded(store, ledger)
    opened = xr.open_datatree(store.path, engine="zarr", chunks=None, consolidated=False)
    assert opened[f"{ZONE}/r10m"]["reflectance"].load().dtype == np.uint16
    discard_leftovers(store.path)
    ledger.sweep()
    for tile, slab in itertools.product(APART, DAYS):
        if ledger.read(f"build/{tile.name}/s{slab:03d}") is None:
            erase_slab(store, tile, slab)
            fill_slab(store, tile, slab, DAYS[slab])
    assert tree(store.path) == tree(filled(tmp_path / "clean.zarr", 0, 2).path)
    discard_leftovers(store.path)
    discard_leftovers(tmp_path / "clean.zarr")
    assert not list(tmp_path.rglob("*.partial"))


def _check_recorded(store: Store, ledger: Ledger) -> None:
    """What is recorded is whole."""
    for record in ledger.records("build"):
        _, name, slab = record.key.split("/")
        tile = next(tile for tile in TILES if tile.name == name)
        days = DAYS[int(slab[1:])]
        read = store.read(ZONE, "reflectance", tile.box(10), (days,))
        np.testing.assert_array_equal(read, np.stack([values_of(tile, day, 4, 10) for day in days]))


def test_a_full_disk_is_told_and_nothing_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, ledger = filled(tmp_path / "cube.zarr", 0), Ledger(tmp_path / "ledger")
    discard_leftovers(store.path)
    before = tree(tmp_path)

    def full(file: object, part: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(objects, "_write_whole", full)
    with pytest.raises(ResourceError, match=r"cube\.zarr cannot be written: No space left") as caught:
        fill_slab(store, FIRST, 0, [1, 2])
    assert "run the same command again" in caught.value.next_step
    with pytest.raises(ResourceError, match="ledger cannot be written"):
        ledger.write(Record("build/x", "d", "done", {}))
    monkeypatch.undo()
    discard_leftovers(store.path)
    ledger.sweep()
    assert tree(tmp_path) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of 512 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    store, ledger = small_cube(small_disk / "cube.zarr"), Ledger(small_disk / "ledger")
    done: list[str] = []

    def work() -> None:
        for tile, slab in itertools.product(APART, DAYS):
            fill_slab(store, tile, slab, DAYS[slab])
            ledger.write(Record(f"build/{tile.name}/s{slab:03d}", "d", "done", {}))
            done.append(f"build/{tile.name}/s{slab:03d}")

    with pytest.raises(ResourceError, match="No space left"):
        work()
    assert 0 < len(done) < 8
    assert [record.key for record in ledger.records()] == done
    _check_recorded(store, ledger)
    assert not partial_folder(store.path).exists() or not list(partial_folder(store.path).iterdir())
    erase_slab(store, FIRST, 0)
    fill_slab(store, FIRST, 0, [3])
    np.testing.assert_array_equal(store.read(ZONE, "reflectance", FIRST.box(10))[3], values_of(FIRST, 3, 4, 10))


def test_a_store_is_made_whole_or_not_at_all(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(500 * 1024))
    with pytest.raises(ResourceError, match=r"cube\.zarr cannot be made: No space left"):
        small_cube(small_disk / "cube.zarr")
    assert not Store.exists(small_disk / "cube.zarr")
    (small_disk / "ballast").unlink()
    assert small_cube(small_disk / "cube.zarr").days_present(FIRST).size == 0


def test_a_foreign_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "cube.zarr").mkdir()
    (tmp_path / "cube.zarr" / "notes.txt").write_text("mine")
    with pytest.raises(ResourceError, match=r"cube\.zarr cannot be made"):
        Store.create(tmp_path / "cube.zarr", grid_of(*TILES), cube_spec(SEASON, SENTINEL2, TILE_PX))
    assert (tmp_path / "cube.zarr" / "notes.txt").read_text() == "mine"
