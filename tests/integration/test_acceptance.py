"""The acceptance run: a landscape over a UTM zone border from a STAC API to a map, killed, resumed and run again.

2048 x 2048 pixels and more, a dozen dates, four overlapping granules in two zones, two same-day duplicates.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import zarr
from pyproj import Transformer

from cropcube.cube.ledger import Ledger
from tests.support import console
from tests.support.landscape import (
    COLLECTION,
    CUT_SHORT,
    DATES,
    LABELS_PX,
    SEASON,
    TWICE,
    Frame,
    Landscape,
    pixels,
    sample_number,
    write_landscape,
)
from tests.support.stac_server import StacServer, serve

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

START = date.fromisoformat(SEASON.split("/")[0])
ZONES = {"utm31n": 32631, "utm32n": 32632}
TOP_M = 9_999_960
"""Where tile rows are counted from in the north."""
TILE_M = 1920
"""Of the run with CropNet."""
FINE_BANDS = ("B02", "B03", "B04", "B08")
COARSE_BANDS = ("B05", "B06", "B07", "B8A", "B11", "B12")


@dataclass(frozen=True)
class Run:
    """A finished run."""

    root: Path
    cluster: tuple[str, ...]
    model: Path


@pytest.fixture(scope="module")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> Landscape:
    return write_landscape(tmp_path_factory.mktemp("landscape"))


@pytest.fixture(scope="module")
def server(landscape: Landscape) -> Iterator[StacServer]:
    with serve(landscape.absolute_items(), page=7) as running:
        yield running


def build_command(landscape: Landscape, server: StacServer, season: str = SEASON) -> tuple[str, ...]:
    return (
        "build", "--region", landscape.region, "--season", season, "--catalog", server.url,
        "--collection", COLLECTION,
    )  # fmt: skip


@pytest.fixture(scope="module")
def resumed(landscape: Landscape, server: StacServer, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two dask worker processes; killed in mid-build with all of them, and started again."""
    root, cluster = tmp_path_factory.mktemp("parallel"), ("--cluster", "local", "--workers", "2")
    command = (*build_command(landscape, server), *cluster, "--project", root)

    def two_done() -> bool:
        return sum(record.state == "done" for record in Ledger(root / "ledger").records("build")) >= 2

    assert console.kill_when(two_done, *command), "the build ended before it could be killed"
    before = [record.key for record in Ledger(root / "ledger").records("build") if record.state == "done"]
    assert len(before) >= 2
    asked = server.searches
    said = console.as_json(*command)
    assert said["reused"] >= len(before)
    assert said["done"] > 0
    assert said["failed"] == said["incomplete"] == said["failed_reads"] == 0
    assert said["scenes"] == len(landscape.items)
    assert server.searches == asked, "the frozen catalogue was asked for again"
    return finish(Run(root, cluster, root / "model"), landscape, train=True)


@pytest.fixture(scope="module")
def serial(landscape: Landscape, server: StacServer, resumed: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One process, never killed."""
    root, cluster = tmp_path_factory.mktemp("serial"), ("--cluster", "serial")
    said = console.as_json(*build_command(landscape, server), *cluster, "--project", root)
    assert (said["reused"], said["failed"], said["incomplete"]) == (0, 0, 0)
    return finish(Run(root, cluster, resumed.model), landscape, train=False)


def finish(run: Run, landscape: Landscape, train: bool) -> Run:
    """Features, a small forest, its map."""
    place = ("--project", run.root)
    console.as_json("features", "--kind", "median", "--window", 30, *run.cluster, *place)
    if train:
        legend = write_legend(run.root)
        console.as_json(
            "train", "--labels", landscape.labels, "--legend", legend, "--features", "median-30d", "--classifier",
            "forest", "--trees", 10, "--block-m", 320, "--model", run.model, *place,
        )  # fmt: skip
    said = console.as_json("predict", "--model", run.model, *run.cluster, *place)
    assert said["failed"] == said["tiles_without_features"] == 0
    return run


def write_legend(folder: Path) -> Path:
    from cropcube.demo.sample import sample_legend

    path = folder / "legend.csv"
    path.write_text("\n".join(["code,name", *(f"{row.code},{row.name}" for row in sample_legend())]))
    return path


def tree(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def box_of(group: zarr.Group, step: int, left_m: int, top_m: int, side_m: int) -> tuple[slice, slice]:
    x, y = group["x"][:], group["y"][:]
    col = int(np.flatnonzero(x == left_m + step / 2)[0])
    row = int(np.flatnonzero(y == top_m - step / 2)[0])
    return slice(row, row + side_m // step), slice(col, col + side_m // step)


def test_the_catalogue_was_paged(server, resumed):
    assert server.searches > len(DATES)
    assert all(body["collections"] == [COLLECTION] for body in server.bodies if "collections" in body)


def test_the_region_is_large_enough(serial):
    mapped = 0
    for zone in ZONES:
        crop = zarr.open_group(serial.root / "map.zarr", mode="r")[f"{zone}/r10m/crop"]
        mapped += int(np.count_nonzero(crop[:]))
    assert mapped >= 2048 * 2048 * 0.999


@pytest.mark.parametrize("store", ["cube.zarr", "features/median-30d.zarr", "map.zarr"])
def test_killed_and_resumed_in_parallel_equals_serial_byte_for_byte(resumed, serial, store):
    ours, theirs = tree(resumed.root / store), tree(serial.root / store)
    assert len(ours) > 10
    assert ours == theirs


def test_nothing_is_left_of_the_killed_run(resumed, serial):
    assert tree(resumed.root / "ledger") == tree(serial.root / "ledger")
    states = {record.state for record in Ledger(resumed.root / "ledger").records()}
    assert states == {"done"}


@pytest.mark.parametrize("frame_index", [0, 1, 2, 3])
@pytest.mark.parametrize("day", [DATES[0], DATES[9]])
def test_pixels_are_where_the_granules_have_them(landscape, serial, frame_index, day):
    """Away from the overlaps, the cube holds exactly the granule's pixels."""
    frame = landscape.frames[frame_index]
    zone = {epsg: name for name, epsg in ZONES.items()}[frame.epsg]
    side_m = 2560
    left_m = frame.left_m + (3000 if zone == "utm31n" else frame.width * 10 - 3000 - side_m)
    top_m = frame.top_m - (3000 if frame_index % 2 == 0 else frame.height * 10 - 3000 - side_m)
    time = (date.fromisoformat(day) - START).days
    for step, names in ((10, FINE_BANDS), (20, COARSE_BANDS)):
        group = zarr.open_group(serial.root / "cube.zarr", mode="r")[f"{zone}/r{step}m"]
        rows, cols = box_of(group, step, left_m, top_m, side_m)
        for band, name in enumerate(names):
            found = group["reflectance"][time, band, rows, cols]
            np.testing.assert_array_equal(found, cut(frame, name, day, step, (left_m, top_m, side_m)))
    quality = group["quality"][time, rows, cols]
    np.testing.assert_array_equal(quality, cut(frame, "SCL", day, 20, (left_m, top_m, side_m)))


def cut(frame: Frame, band: str, day: str, step: int, place: tuple[int, int, int]) -> np.ndarray:
    left_m, top_m, side_m = place
    row, col = (frame.top_m - top_m) // step, (left_m - frame.left_m) // step
    return pixels(frame, band, sample_number(day))[row : row + side_m // step, col : col + side_m // step]


def test_same_day_duplicates_prefer_clear_then_the_newer_baseline(landscape, serial):
    frame = landscape.frames[0]
    group = zarr.open_group(serial.root / "cube.zarr", mode="r")["utm31n/r20m"]
    place = (frame.left_m + 3000, frame.top_m - 3000, 2560)
    rows, cols = box_of(group, 20, *place)
    mixed = 0
    for day, other in TWICE.items():
        time = (date.fromisoformat(day) - START).days
        newer, older = (cut(frame, "SCL", one, 20, place) for one in (day, other))
        use_older = ~np.isin(newer, (4, 5, 6, 7)) & np.isin(older, (4, 5, 6, 7))
        np.testing.assert_array_equal(group["quality"][time, rows, cols], np.where(use_older, older, newer))
        b11 = [cut(frame, "B11", one, 20, place) for one in (day, other)]
        found = group["reflectance"][time, COARSE_BANDS.index("B11"), rows, cols]
        np.testing.assert_array_equal(found, np.where(use_older, b11[1], b11[0]))
        mixed += int(use_older.any() and not use_older.all())
    assert mixed


def test_where_a_pass_ends_nothing_was_acquired(landscape, serial):
    frame = landscape.frames[0]
    group = zarr.open_group(serial.root / "cube.zarr", mode="r")["utm31n/r20m"]
    rows, cols = box_of(group, 20, frame.left_m + 2000, frame.top_m - 3000, 1280)
    time = (date.fromisoformat(CUT_SHORT) - START).days
    assert not group["quality"][time, rows, cols].any()
    assert not group["reflectance"][time, :, rows, cols].any()


def test_zones_share_the_map_without_gap_or_overlap(serial):
    """Points along the border and across it are mapped in exactly one zone."""
    lon = np.linspace(5.99, 6.01, 41)
    lat = np.linspace(50.67, 50.83, 33)
    lons, lats = (grid.ravel() for grid in np.meshgrid(lon, lat))
    times_mapped = np.zeros(lons.shape, int)
    for zone, epsg in ZONES.items():
        group = zarr.open_group(serial.root / "map.zarr", mode="r")[f"{zone}/r10m"]
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lons, lats)
        col = np.floor((x - group["x"][0] + 5) / 10).astype(int)
        row = np.floor((group["y"][0] + 5 - y) / 10).astype(int)
        crop = group["crop"][:]
        inside = (row >= 0) & (col >= 0) & (row < crop.shape[0]) & (col < crop.shape[1])
        times_mapped[inside] += crop[row[inside], col[inside]] > 0
    away = np.abs(lons - 6) > 2e-4
    assert (times_mapped[away] == 1).all()
    assert (times_mapped <= 2).all()


def test_the_map_knows_the_labelled_fields(landscape, serial):
    import rasterio

    with rasterio.open(landscape.labels) as raster:
        codes, bounds = raster.read(1), raster.bounds
    group = zarr.open_group(serial.root / "map.zarr", mode="r")["utm31n/r10m"]
    rows, cols = box_of(group, 10, int(bounds.left), int(bounds.top), LABELS_PX * 10)
    crop = group["crop"]
    known = np.array([0, *crop.attrs["flag_codes"]])
    labelled = codes > 0
    assert (known[crop[rows, cols]][labelled] == codes[labelled]).mean() > 0.9


def test_cropnet_on_one_tile(landscape, server, tmp_path):
    """The same job with CropNet, where a region fills a part of one tile."""
    frame = landscape.frames[0]
    col = (frame.left_m + frame.width * 5) // TILE_M
    row = (TOP_M - frame.top_m + frame.height * 5) // TILE_M
    centre_x, centre_y = (col + 0.5) * TILE_M, TOP_M - (row + 0.5) * TILE_M
    to_lonlat = Transformer.from_crs(frame.epsg, 4326, always_xy=True)
    west, south = to_lonlat.transform(centre_x - 300, centre_y - 300)
    east, north = to_lonlat.transform(centre_x + 300, centre_y + 300)
    place = ("--project", tmp_path)
    build = list(build_command(landscape, server))
    build[build.index("--region") + 1] = f"{west:.5f},{south:.5f},{east:.5f},{north:.5f}"
    console.as_json(*build, "--tile-px", TILE_M // 10, "--cluster", "serial", *place)
    console.as_json("features", "--kind", "median", "--window", 30, "--cluster", "serial", *place)
    console.as_json(
        "train", "--labels", landscape.labels, "--legend", write_legend(tmp_path), "--features", "median-30d",
        "--classifier", "cropnet", "--width", 8, "--epochs", 1, "--block-m", 160, *place,
    )  # fmt: skip
    said = console.as_json("predict", "--cluster", "serial", *place)
    assert (said["done"], said["failed"], said["tiles_without_features"]) == (1, 0, 0)
    crop = zarr.open_group(tmp_path / "map.zarr", mode="r")["utm31n/r10m/crop"][:]
    assert np.count_nonzero(crop) >= 58 * 58


def test_one_crs_for_all_through_stackstac(landscape, server, tmp_path):
    """EPSG:3035: every pixel of the region is observed, and nearly all are the nearest pixel of a granule."""
    day = "2019-06-30"
    command = (*build_command(landscape, server, f"{day}/2019-07-01"), "--crs", "EPSG:3035", "--cluster", "serial")
    said = console.as_json(*command, "--project", tmp_path)
    assert said["failed"] == said["incomplete"] == said["failed_reads"] == 0
    group = zarr.open_group(tmp_path / "cube.zarr", mode="r")["epsg3035/r10m"]
    frame = landscape.frames[1]
    to_3035 = Transformer.from_crs(frame.epsg, 3035, always_xy=True)
    x0, y0 = to_3035.transform(frame.left_m + 5000, frame.top_m - 6000)
    x, y = group["x"][:], group["y"][:]
    col, row = int(np.argmin(abs(x - x0))), int(np.argmin(abs(y - y0)))
    window = slice(row, row + 200), slice(col, col + 200)
    found = group["reflectance"][0, FINE_BANDS.index("B08"), window[0], window[1]]
    xs, ys = np.meshgrid(x[window[1]], y[window[0]])
    east, north = Transformer.from_crs(3035, frame.epsg, always_xy=True).transform(xs, ys)
    rows = np.floor((frame.top_m - north) / 10).astype(int)
    cols = np.floor((east - frame.left_m) / 10).astype(int)
    expected = pixels(frame, "B08", sample_number(day))[rows, cols]
    assert (found == expected).mean() > 0.97
    console.as_json("features", "--kind", "annual-median", "--cluster", "serial", "--project", tmp_path)
    count = zarr.open_group(tmp_path / "features" / "annual-median.zarr", mode="r")["epsg3035/r10m/clear_count"][:]
    assert set(np.unique(count)) <= {0, 1}
    assert count.sum() > 0.5 * 2048 * 2048
