"""The acceptance run: a landscape over a UTM zone border from a STAC API to a map, killed, resumed and run again.

2048 x 2048 pixels and more, a dozen dates, four overlapping granules in two zones, two same-day duplicates. The same on
one other CRS is in test_acceptance_crs.py.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import date

import numpy as np
import pytest
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
from tests.support.whole_job import SERIAL, TWO_WORKERS, Run, box_of, build_command, finish, tree, write_legend

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

START = date.fromisoformat(SEASON.split("/")[0])
ZONES = {"utm31n": 32631, "utm32n": 32632}
TOP_M = 9_999_960
"""Where tile rows are counted from in the north."""
TILE_M = 1920
"""Of the run with CropNet."""
FINE_BANDS = ("B02", "B03", "B04", "B08")
COARSE_BANDS = ("B05", "B06", "B07", "B8A", "B11", "B12")


@pytest.fixture(scope="module")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> Landscape:
    return write_landscape(tmp_path_factory.mktemp("landscape"))


@pytest.fixture(scope="module")
def server(landscape: Landscape) -> Iterator[StacServer]:
    with serve(landscape.absolute_items(), page=7) as running:
        yield running


@pytest.fixture(scope="module")
def resumed(landscape: Landscape, server: StacServer, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two dask worker processes; killed in mid-build with all of them, and started again."""
    root = tmp_path_factory.mktemp("parallel")
    command = (*build_command(landscape, server), *TWO_WORKERS, "--project", root)

    def states() -> Counter[str]:
        return Counter(record.state for record in Ledger(root / "ledger").records("build"))

    def both_at_work() -> bool:
        return states()["done"] >= 2 and states()["begun"] == 2

    assert console.kill_when(both_at_work, *command), "the build ended before it could be killed"
    killed = states()
    assert killed["done"] >= 2
    assert killed["begun"] >= 1
    asked = server.searches
    said = console.as_json(*command)
    assert said["reused"] >= killed["done"]
    assert said["done"] > 0
    assert said["failed"] == said["incomplete"] == said["failed_reads"] == 0
    assert said["scenes"] == len(landscape.items)
    assert server.searches == asked, "the frozen catalogue was asked for again"
    return finish(Run(root, TWO_WORKERS, root / "model"), landscape, train=True)


@pytest.fixture(scope="module")
def serial(landscape: Landscape, server: StacServer, resumed: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One process, never killed."""
    root = tmp_path_factory.mktemp("serial")
    said = console.as_json(*build_command(landscape, server), *SERIAL, "--project", root)
    assert (said["reused"], said["failed"], said["incomplete"]) == (0, 0, 0)
    return finish(Run(root, SERIAL, resumed.model), landscape, train=False)


def test_the_catalogue_was_paged(server, resumed):
    """Some answer had a second page, and was asked for it."""
    first_pages = [body for body in server.bodies if "token" not in body]
    assert 0 < len(first_pages) < server.searches
    assert all(body["collections"] == [COLLECTION] for body in server.bodies)


def test_the_region_is_large_enough(serial):
    mapped = {zone: serial.node("map.zarr", f"{zone}/r10m")["crop"][:] > 0 for zone in ZONES}
    assert sum(np.count_nonzero(crop) for crop in mapped.values()) >= 2048 * 2048
    assert all(crop.sum(axis=0).max() >= 2048 for crop in mapped.values())
    assert sum(crop.sum(axis=1).max() for crop in mapped.values()) >= 2048


def test_a_dozen_dates_are_seen_in_both_zones_from_granules_that_overlap(landscape, serial):
    wanted = {(date.fromisoformat(day) - START).days for day in DATES}
    assert len(wanted) == 12
    for zone, epsg in ZONES.items():
        present = serial.node("cube.zarr", f"{zone}/tiles")["present"][:]
        assert set(np.flatnonzero(present.any(axis=(1, 2)))) == wanted
        north, south = (frame for frame in landscape.frames if frame.epsg == epsg)
        assert south.top_m > north.top_m - 10 * north.height
    lonlats = [
        Transformer.from_crs(frame.epsg, 4326, always_xy=True).transform(
            frame.left_m + (10 * frame.width if frame.epsg == 32631 else 0), frame.top_m - 5000
        )
        for frame in landscape.frames
    ]
    assert min(lon for lon, _ in lonlats[:2]) > max(lon for lon, _ in lonlats[2:]), "the zones' granules overlap"


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
        group = serial.node("cube.zarr", f"{zone}/r{step}m")
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
    group = serial.node("cube.zarr", "utm31n/r20m")
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
    group = serial.node("cube.zarr", "utm31n/r20m")
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
        group = serial.node("map.zarr", f"{zone}/r10m")
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
    group = serial.node("map.zarr", "utm31n/r10m")
    rows, cols = box_of(group, 10, int(bounds.left), int(bounds.top), LABELS_PX * 10)
    crop = group["crop"]
    known = np.array([0, *crop.attrs["flag_codes"]])
    labelled = codes > 0
    assert (known[crop[rows, cols]][labelled] == codes[labelled]).mean() > 0.9


def test_cropnet_on_one_tile(landscape, server, tmp_path):
    """The same job with CropNet, where a region fills a part of one tile; a worker maps it as one process does."""
    frame = landscape.frames[0]
    col = (frame.left_m + frame.width * 5) // TILE_M
    row = (TOP_M - frame.top_m + frame.height * 5) // TILE_M
    centre_x, centre_y = (col + 0.5) * TILE_M, TOP_M - (row + 0.5) * TILE_M
    to_lonlat = Transformer.from_crs(frame.epsg, 4326, always_xy=True)
    west, south = to_lonlat.transform(centre_x - 300, centre_y - 300)
    east, north = to_lonlat.transform(centre_x + 300, centre_y + 300)
    root, apart = tmp_path / "serial", tmp_path / "workers"
    place = ("--project", root)
    build = list(build_command(landscape, server))
    build[build.index("--region") + 1] = f"{west:.5f},{south:.5f},{east:.5f},{north:.5f}"
    console.as_json(*build, "--tile-px", TILE_M // 10, *SERIAL, *place)
    console.as_json("features", "--kind", "median", "--window", 30, *SERIAL, *place)
    console.as_json(
        "train", "--labels", landscape.labels, "--legend", write_legend(tmp_path), "--features", "median-30d",
        "--classifier", "cropnet", "--width", 8, "--epochs", 1, "--block-m", 160, *place,
    )  # fmt: skip
    shutil.copytree(root, apart)
    for where, cluster in ((root, SERIAL), (apart, TWO_WORKERS)):
        said = console.as_json("predict", *cluster, "--project", where)
        assert (said["done"], said["failed"], said["tiles_without_features"]) == (1, 0, 0)
    assert tree(root / "map.zarr") == tree(apart / "map.zarr")
    crop = Run(root, SERIAL, root / "model").node("map.zarr", "utm31n/r10m")["crop"][:]
    assert np.count_nonzero(crop) >= 58 * 58
