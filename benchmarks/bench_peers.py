"""One composite by lazy stackstac and dask, by odc-stac and dask, and by us, on the same two workers.

Usage: python benchmarks/bench_peers.py [DATES] [--tiles 5] [--results FILE]          (default 24 dates of 5 x 5 tiles)

The clear median (SCL 4, 5, 6, 7) of four bands of 10 m over some dates of a square, from GeoTIFFs on this machine to a
Zarr store, by a fresh LocalCluster of two processes with one thread each for every contender.
Pixels are the shipped sample's. Peers are written as their manuals do it: chunks of 1024 px, all dates of a chunk
together for the median. Ours is both verbs: `build` leaves the cube, from which any other feature is made without
reading a file again, and `features --kind annual-median`. Tasks are those given to the scheduler, after dask's own
optimization. Memory is the largest sum of what both workers hold. The medians must agree to rounding.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dask
import numpy as np
import odc.stac
import psutil
import pystac
import stackstac
import xarray as xr
from bench_feature_stage import TILE_PX, patched
from distributed import Client, LocalCluster
from kernel_timing import machine

import cropcube
from cropcube.config import read_project
from cropcube.cube.store import Store
from cropcube.demo.granule import Granule, lonlat_polygon, write_granule
from cropcube.demo.sample import load_sample
from cropcube.domain.lattice import SQUARE_PX, Lattice, Tile

BANDS, CLEAR, CHUNK, EPSG = ["B02", "B03", "B04", "B08"], (4, 5, 6, 7), 1024, 32631
SQUARE = Tile(Lattice.utm(31, True), SQUARE_PX, 115, 14)


def write_scenes(folder: Path, dates: int, across: int) -> tuple[list[pystac.Item], tuple[int, int, int, int]]:
    """Write the files, their catalogue and the outline; return the items and the square's bounds in metres."""
    sample, side_px = load_sample(), across * TILE_PX
    left, _, _, top = SQUARE.box(10).bounds
    items = []
    for date in range(dates):
        bands = {}
        for band, px in {**dict.fromkeys(BANDS, side_px), "SCL": side_px // 2}.items():
            tiles = [patched(sample, (band,), 11 * date + 3 * number)[0] for number in range(across * across)]
            rows = [np.hstack(tiles[row * across : (row + 1) * across]) for row in range(across)]
            bands[band] = np.vstack(rows) if px == side_px else np.ascontiguousarray(np.vstack(rows)[:px, :px])
        when = datetime(2023, 3, 1, 10, 50, tzinfo=UTC) + timedelta(days=5 * date)
        items.append(write_granule(Granule(f"d{date}", "sentinel-2-l2a", when, EPSG, left, top, bands), folder, CHUNK))
    (folder / "scenes.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    bounds = (left, top - side_px * 10, left + side_px * 10, top)
    inside = lonlat_polygon((bounds[0] + 50, bounds[1] + 50, bounds[2] - 50, bounds[3] - 50), EPSG)
    (folder / "outline.geojson").write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": inside}))
    found = [pystac.Item.from_dict(item) for item in items]
    for item in found:
        item.set_self_href(str(folder / f"{item.id}.json"))
        item.make_asset_hrefs_absolute()
    return found, bounds


def median_of(bands: xr.DataArray, scl: xr.DataArray) -> xr.DataArray:
    """Return the lazy median of what is clear."""
    clear = scl.isin(CLEAR) & (bands != 0)
    return bands.where(clear).chunk(time=-1).median("time", skipna=True).astype("float32")


def by_stackstac(items: list[pystac.Item], bounds: tuple[int, ...]) -> xr.DataArray:
    """Return the lazy composite by stackstac."""
    stack = stackstac.stack(
        items, assets=[*BANDS, "SCL"], epsg=EPSG, resolution=10, bounds=bounds, chunksize=CHUNK, dtype="uint16",
        fill_value=np.uint16(0), rescale=False, properties=False, band_coords=False,
    )  # fmt: skip
    made = median_of(stack.sel(band=BANDS), stack.sel(band="SCL", drop=True))
    return made.drop_vars([name for name in made.coords if name not in ("x", "y", "band")]).drop_attrs()


def by_odc(items: list[pystac.Item], bounds: tuple[int, ...]) -> xr.DataArray:
    """Return the lazy composite by odc-stac."""
    loaded = odc.stac.load(
        items, bands=[*BANDS, "SCL"], crs=f"EPSG:{EPSG}", resolution=10, x=bounds[::2], y=bounds[1::2],
        chunks={"x": CHUNK, "y": CHUNK, "time": 1},
    )  # fmt: skip
    made = median_of(loaded[BANDS].to_dataarray("band"), loaded["SCL"])
    return made.drop_vars([name for name in made.coords if name not in ("x", "y", "band")]).drop_attrs()


@contextlib.contextmanager
def watched(cluster: LocalCluster) -> Iterator[dict[str, float]]:
    """Measure wall seconds, and the largest memory that all workers held together."""
    held, over = [0], threading.Event()
    workers = [psutil.Process(worker.pid) for worker in cluster.workers.values()]

    def watch() -> None:
        while not over.wait(0.1):
            held.append(sum(process.memory_info().rss for process in workers))

    thread = threading.Thread(target=watch)
    found: dict[str, float] = {}
    thread.start()
    began = time.perf_counter()
    try:
        yield found
    finally:
        found["seconds"] = round(time.perf_counter() - began, 1)
        over.set()
        thread.join()
        found["peak_mb"] = max(held) >> 20


def a_peer(make: Callable[[], xr.DataArray], store: Path, cluster: LocalCluster) -> dict[str, float]:
    """Compute a lazy composite into a store and return what was measured."""
    with watched(cluster) as found:
        delayed = make().to_dataset(name="median").to_zarr(store, mode="w", compute=False)
        (optimized,) = dask.optimize(delayed)
        found["tasks"] = len(optimized.__dask_graph__())
        optimized.compute()
    return found


def ours(folder: Path, cluster: LocalCluster) -> dict[str, float]:
    """Build and reduce by us and return what was measured."""
    root, run = folder / "project", {"cluster": cluster.scheduler_address, "quiet": True}
    scenes = {"catalog": str(folder / "scenes.json"), "region": str(folder / "outline.geojson")}
    with watched(cluster) as found:
        built = cropcube.build(root, season="2023-03-01/2023-12-01", bands=BANDS, **scenes, **run).as_dict()
        began = time.perf_counter()
        made = cropcube.features(root, kind="annual-median", **run).as_dict()
        reduced = round(time.perf_counter() - began, 1)
    return {**found, "features_seconds": reduced, "tasks": built["tasks"] + made["tasks"]}


def largest_difference(folder: Path, store: Path, bounds: tuple[int, ...]) -> float:
    """Return by how much our median and a peer's differ at most, where the region is."""
    project = read_project(folder / "project")
    features = Store.open(project.features_path("annual-median"))
    (zone,) = project.spec.grid.zones
    theirs = xr.open_zarr(store)["median"]
    worst = 0.0
    for tile in zone.tiles():
        left, bottom, right, top = tile.box(10).bounds
        rows = slice((bounds[3] - top) // 10, (bounds[3] - bottom) // 10)
        cols = slice((left - bounds[0]) // 10, (right - bounds[0]) // 10)
        mine = features.read(zone.lattice.name, "median", tile.box(10))
        part = theirs.isel(y=rows, x=cols).values
        worst = max(worst, float(np.nanmax(np.abs(np.where(mine > 0, mine, np.nan) - part))))
    return worst


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dates", nargs="?", type=int, default=24)
    parser.add_argument("--tiles", type=int, default=SQUARE_PX // TILE_PX, help="of 768 px along each side")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items, bounds = write_scenes(folder, arguments.dates, arguments.tiles)
        found: dict[str, dict[str, float]] = {}
        for contender, make in {"stackstac + dask": by_stackstac, "odc-stac + dask": by_odc, "cropcube": None}.items():
            store = folder / f"{contender[:4]}.zarr"
            with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
                if make is None:
                    found[contender] = ours(folder, cluster)
                else:
                    found[contender] = a_peer(lambda make=make: make(items, bounds), store, cluster)  # type: ignore[misc]
        side_px = arguments.tiles * TILE_PX
        print(f"{arguments.dates} dates, {side_px} x {side_px} px, {len(BANDS)} bands")
        for contender, row in found.items():
            ratio = row["seconds"] / found["cropcube"]["seconds"]
            figures = f"{row['seconds']:8.1f} s {ratio:5.1f} x{row['peak_mb']:7.0f} MB {row['tasks']:8,.0f} tasks"
            print(f"{contender:18s}{figures}")
        print(f"cropcube: of which features {found['cropcube']['features_seconds']} s")
        for contender in ("stackstac + dask", "odc-stac + dask"):
            differs = largest_difference(folder, folder / f"{contender[:4]}.zarr", bounds)
            print(f"largest difference of the medians, {contender}: {differs}")
            assert differs <= 0.5
        shutil.rmtree(folder / "project")
    if arguments.results:
        result = {"machine": machine(), "dates": arguments.dates, "side_px": side_px, "contenders": found}
        arguments.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
