"""What other processes do to a store: fill it, stop in the middle of a file, make it at the same time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cropcube.cube import objects
from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from tests.support.small_store import TILES, fill_slab, small_cube

if TYPE_CHECKING:
    from io import FileIO

DAYS = {0: [3, 9, 30], 1: [33, 60], 2: [64, 95], 3: [96, 98]}


def fill_tile(path: str, number: int) -> None:
    """Write all slabs of one tile, twice over."""
    store = Store.open(Path(path), writable=True)
    for _ in range(2):
        for slab, days in DAYS.items():
            fill_slab(store, TILES[number], slab, days)


def create(path: str, start_at: float) -> None:
    """Make the store at an appointed time."""
    time.sleep(max(0.0, start_at - time.time()))
    small_cube(Path(path))


def stop_in_the_middle(path: str, flag: str, seconds: float) -> None:
    """Write a slab; half-way through its first file raise a flag and wait."""
    whole = objects._write_whole

    def half(file: FileIO, part: bytes) -> None:
        file.write(part[: len(part) // 2])
        Path(flag).touch()
        time.sleep(seconds)
        whole(file, part[len(part) // 2 :])
        objects._write_whole = whole

    objects._write_whole = half
    fill_slab(Store.open(Path(path), writable=True), TILES[0], 0, DAYS[0])


def work_until_killed(path: str, ledger: str, flag: str) -> None:
    """Fill slabs of two squares and record them, over and over."""
    store, records = Store.open(Path(path), writable=True), Ledger(Path(ledger))
    while True:
        for tile in (TILES[0], TILES[2]):
            for slab, days in DAYS.items():
                key = f"build/{tile.name}/s{slab:03d}"
                records.withdraw(key)
                fill_slab(store, tile, slab, days)
                records.write(Record(key, "d", "done", {}))
                Path(flag).touch()


def wait_for(path: Path, seconds: float = 60.0) -> None:
    """Wait until a file appears."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} did not appear within {seconds} s (process {os.getpid()})")
        time.sleep(0.005)
