"""The acceptance run on one other CRS, through stackstac: the same landscape, two of its dates, two workers.

What the cube must hold is worked out here from the granules by pyproj alone.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import Transformer

from tests.support import console
from tests.support.landscape import TWICE, Frame, Landscape, pixels, sample_number, write_landscape
from tests.support.stac_server import StacServer, serve
from tests.support.whole_job import SERIAL, TWO_WORKERS, Run, build_command, finish, tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SEASON = "2019-06-10/2019-06-21"
DAYS = ("2019-06-10", "2019-06-20")
"""The first has clouds and a second product of one granule."""
BANDS = "B04,B08,B05,B11"
EVERY = 5
"""Of the pixels compared, along rows and columns."""
APPROXIMATE_PX = 0.126
"""GDAL's warp may be this far off: it interpolates between exactly projected points."""


@pytest.fixture(scope="module")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> Landscape:
    return write_landscape(tmp_path_factory.mktemp("landscape"), days=DAYS)


@pytest.fixture(scope="module")
def server(landscape: Landscape) -> Iterator[StacServer]:
    with serve(landscape.absolute_items(), page=3) as running:
        yield running


def build(landscape: Landscape, server: StacServer, run: Run) -> None:
    said = console.as_json(
        *build_command(landscape, server, SEASON), "--crs", "EPSG:3035", "--bands", BANDS, *run.cluster,
        "--project", run.root,
    )  # fmt: skip
    assert said["failed"] == said["incomplete"] == said["failed_reads"] == 0
    assert said["scenes"] == len(landscape.items) == 9


@pytest.fixture(scope="module")
def parallel(landscape: Landscape, server: StacServer, tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("parallel")
    run = Run(root, TWO_WORKERS, root / "model")
    build(landscape, server, run)
    return finish(run, landscape, train=True)


@pytest.fixture(scope="module")
def serial(landscape: Landscape, server: StacServer, parallel: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("serial"), SERIAL, parallel.model)
    build(landscape, server, run)
    return finish(run, landscape, train=False)


@pytest.mark.parametrize("store", ["cube.zarr", "features/median-30d.zarr", "map.zarr", "ledger"])
def test_two_workers_equal_one_process_byte_for_byte(parallel: Run, serial: Run, store: str) -> None:
    ours, theirs = tree(parallel.root / store), tree(serial.root / store)
    assert len(ours) > 10
    assert ours == theirs


def day_of(day: str) -> int:
    return (date.fromisoformat(day) - date.fromisoformat(SEASON.split("/")[0])).days


@dataclass(frozen=True)
class Places:
    """Pixel centres of a group, some of them, in the granules' own zones."""

    step: int
    in_zone: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]
    "x and y by EPSG code."

    def nearest(self, frame: Frame, of_day: str, band: str, by: tuple[float, float] = (0, 0)) -> NDArray[np.intp]:
        """Return a granule's pixel under each place, moved by a part of a pixel; -1 beside it."""
        (x, y), values = self.in_zone[frame.epsg], pixels(frame, band, sample_number(of_day))
        rows = np.floor((frame.top_m - y) / self.step + by[0]).astype(int)
        cols = np.floor((x - frame.left_m) / self.step + by[1]).astype(int)
        inside = (rows >= 0) & (rows < values.shape[0]) & (cols >= 0) & (cols < values.shape[1])
        return np.where(inside, values[np.where(inside, rows, 0), np.where(inside, cols, 0)].astype(int), -1)


def around(part: float) -> list[tuple[float, float]]:
    """Return nine moves by a part of a pixel or not at all."""
    return list(itertools.product((-part, 0, part), repeat=2))


@pytest.mark.parametrize("step", [10, 20])
def test_every_pixel_is_the_nearest_of_a_granule(landscape: Landscape, parallel: Run, step: int) -> None:
    """As far as a warp is exact; a pixel that two granules show may be of either, one that none shows is nothing."""
    group, coarse = (parallel.node("cube.zarr", f"epsg3035/r{metres}m") for metres in (step, 20))
    xy = np.meshgrid(group["x"][::EVERY], group["y"][::EVERY])
    zones = {frame.epsg for frame in landscape.frames}
    places = Places(step, {epsg: Transformer.from_crs(3035, epsg, always_xy=True).transform(*xy) for epsg in zones})
    names = list(group["band"][:])
    for day, band in itertools.product(DAYS, names if step == 10 else [*names, "SCL"]):
        time = day_of(day)
        shown = [(frame, day) for frame in landscape.frames]
        shown += [(landscape.frames[0], TWICE[day])] if day in TWICE else []
        seen = coarse["quality"][time].repeat(20 // step, 0).repeat(20 // step, 1)[::EVERY, ::EVERY]
        found = seen if band == "SCL" else group["reflectance"][time, names.index(band)][::EVERY, ::EVERY]
        exactly = np.array([places.nearest(*one, band) for one in shown])
        nearly = np.array([places.nearest(*one, band, by) for by in around(APPROXIMATE_PX) for one in shown])
        assert (nearly == found).any(0)[seen > 0].all(), (day, band)
        assert (exactly == found).any(0)[seen > 0].mean() > 0.98, (day, band)
        assert not found[seen == 0].any(), (day, band)
        if band == "SCL":  # nothing is seen only beside all granules, or where the edge of one cuts through the pixel
            beside = [[places.nearest(*one, band, by) < 0 for by in around(0.75)] for one in shown]
            assert np.array(beside).any(1).all(0)[seen == 0].all(), (day, band)


def inside_region(landscape: Landscape, group) -> NDArray[np.bool_]:
    """Return which pixels have their centre inside, but for those within a metre or so of an edge."""
    lon, lat = Transformer.from_crs(3035, 4326, always_xy=True).transform(*np.meshgrid(group["x"][:], group["y"][:]))
    west, south, east, north = landscape.bbox
    edge = 1e-5
    return (lon > west + edge) & (lon < east - edge) & (lat > south + edge) & (lat < north - edge)


def test_all_of_the_region_is_observed_and_mapped(landscape, parallel):
    mapped, coarse = parallel.node("map.zarr", "epsg3035/r10m"), parallel.node("cube.zarr", "epsg3035/r20m")
    inside = inside_region(landscape, mapped)
    assert inside.sum() >= 2048 * 2048
    np.testing.assert_array_equal(mapped["crop"][:][inside] > 0, mapped["clear_count"][:][inside] > 0)
    fine = parallel.node("cube.zarr", "epsg3035/r10m")
    for day in DAYS:
        assert (fine["reflectance"][day_of(day)][:, inside] > 0).all()
        assert (coarse["quality"][day_of(day)][inside_region(landscape, coarse)] > 0).all()


@pytest.mark.parametrize("step", [10, 20])
def test_medians_are_those_of_the_cube(parallel: Run, step: int) -> None:
    cube, features = (parallel.node(store, f"epsg3035/r{step}m") for store in ("cube.zarr", "features/median-30d.zarr"))
    rows, cols = slice(20_000 // step, 23_000 // step), slice(14_000 // step, 17_000 // step)
    halves = (
        slice(rows.start * step // 20, rows.stop * step // 20),
        slice(cols.start * step // 20, cols.stop * step // 20),
    )
    days = [day_of(day) for day in DAYS]
    seen = np.stack([cube["reflectance"][day, :, rows, cols] for day in days]).astype(int)
    quality = parallel.node("cube.zarr", "epsg3035/r20m")["quality"]
    kept = np.stack([np.isin(quality[day, *halves], (4, 5, 6, 7)) for day in days])
    clear = kept.repeat(20 // step, 1).repeat(20 // step, 2) & (seen > 0).all(1)
    count, total = clear.sum(0), (seen * clear[:, None]).sum(0)
    np.testing.assert_array_equal(features["clear_count"][0, rows, cols], count)
    np.testing.assert_array_equal(features["median"][0, :, rows, cols], np.where(count == 2, (total + 1) // 2, total))
    assert {1, 2} <= set(np.unique(count))


def test_the_map_knows_the_labelled_fields(landscape, parallel):
    import rasterio

    group = parallel.node("map.zarr", "epsg3035/r10m")
    with rasterio.open(landscape.labels) as raster:
        codes, bounds, epsg = raster.read(1), raster.bounds, raster.crs.to_epsg()
    xy = np.meshgrid(group["x"][::2], group["y"][::2])
    x, y = Transformer.from_crs(3035, epsg, always_xy=True).transform(*xy)
    inside = (x > bounds.left) & (x < bounds.right) & (y > bounds.bottom) & (y < bounds.top)
    rows, cols = (np.floor(m / 10).astype(int) for m in (bounds.top - y[inside], x[inside] - bounds.left))
    wanted = codes[rows, cols]
    known = np.array([0, *group["crop"].attrs["flag_codes"]])
    assert (known[group["crop"][::2, ::2][inside]] == wanted)[wanted > 0].mean() > 0.8
