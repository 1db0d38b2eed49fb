"""What a build task is projected to need, and what it does need."""

from pathlib import Path

import pytest

from cropcube.domain.lattice import Lattice, Tile
from cropcube.domain.sensor import SENTINEL2
from cropcube.pipeline import build_memory
from cropcube.pipeline.build_memory import bounding_box, day_bytes, passes, task_memory_bytes
from tests.support import console
from tests.support.granules import LEFT_M, TOP_M, random_granule, region_text, write_catalog

UTM31 = Lattice.utm(31, True)
SQUARE = tuple(Tile(UTM31, 768, 500 + row, 70 + col) for row in range(5) for col in range(5))


def test_day_of_a_tile() -> None:
    """Four bands at 10 m, six at 20 m, two bytes each; a byte of quality and two of the scene at 20 m."""
    assert day_bytes(SENTINEL2, SQUARE[0].box(10)) == 768 * 768 * 2 * 4 + 384 * 384 * (2 * 6 + 3)
    assert day_bytes(SENTINEL2, SQUARE[0].box(20)) == day_bytes(SENTINEL2, SQUARE[0].box(10))


def test_box_around_tiles() -> None:
    box = bounding_box((SQUARE[1], SQUARE[13]), 20)
    assert (box.row, box.col, box.height, box.width) == (500 * 384, 71 * 384, 3 * 384, 3 * 384)


def test_few_days_are_one_pass() -> None:
    assert passes(SENTINEL2, SQUARE, 6) == [SQUARE]


@pytest.mark.parametrize("days", [1, 12, 20, 32])
def test_passes_are_whole_rows_that_fit(days: int) -> None:
    groups = passes(SENTINEL2, SQUARE, days)
    assert tuple(tile for group in groups for tile in group) == SQUARE
    for group in groups:
        assert {tile.row for tile in group}.isdisjoint(tile.row for other in groups if other != group for tile in other)
    assert task_memory_bytes(SENTINEL2, SQUARE, days) <= build_memory.PASS_BYTES + build_memory.PROCESS_BYTES


def test_memory_grows_with_days() -> None:
    needed = [task_memory_bytes(SENTINEL2, SQUARE[:5], days) for days in (0, 1, 10, 30)]
    assert needed == sorted(needed)
    assert needed[0] == build_memory.PROCESS_BYTES


@pytest.mark.slow
def test_peak_is_within_the_projection(tmp_path: Path) -> None:
    bands = ("B03", "B04", "B11")
    days = [f"2020-06-{day:02d}" for day in range(3, 27, 3)]
    made = [random_granule(f"g{day}", day, 1920, (LEFT_M, TOP_M), bands=bands) for day in days]
    catalog = write_catalog(made, tmp_path / "scenes")
    region = region_text(LEFT_M + 9_600, TOP_M - 19_200, LEFT_M + 19_200, TOP_M - 8_000)
    options = ["--region", region, "--season", "2020-06-01/2020-07-01", "--bands", ",".join(bands), "--tile-px", 480]
    command = ["build", "--project", tmp_path / "p", "--catalog", catalog, "--cluster", "serial", "--quiet", *options]
    projected = console.as_json(*command, "--dry-run")["task_memory_bytes"]
    done = console.as_json(*command)
    assert done["good"]
    assert projected / 3 < done["peak_memory_bytes"] <= projected
