"""The engine over all of India: what a tile costs the driver, what memory a run takes, how long a resume takes.

Usage: python benchmarks/bench_country.py [--region india] [--sleep 0] [--real 2000] [--results FILE]

Tasks of the first two stages only sleep and mark: they go the whole way of a real one (record read, `begun`, work,
`done`) but write no pixels. One stage has a task for each tile of 768 px, as `features` and `predict`, the other for
each square of tiles and 32 days, as `build`. A real scheduler and two real worker processes run them. The driver's
seconds are of its processor, all threads; its memory and the scheduler's are looked at ten times on the way. Then one
record of a hundred is withdrawn and the same command given again. Last, `features` runs for real: tiles of 96 px of the
sample's pixels, on the same two workers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench_country  # tasks travel by the name of this module
import numpy as np
import psutil
from kernel_timing import machine
from shapely.geometry import box as lonlat_box

from cropcube.catalog.outlines import find_region
from cropcube.config import Project, ProjectSpec, create_project
from cropcube.cube.layout import cube_spec
from cropcube.cube.ledger import Ledger, Record, digest
from cropcube.cube.store import Store
from cropcube.demo.sample import load_sample
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.pipeline.build_plan import task_key
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.pipeline.stage import StageTask, StageWork, TaskResult, run_stage
from cropcube.run.options import RunOptions

TILE_PX, SMALL_PX, SEASON, MEMORY = 768, 96, Season.of_year(2023), 1 << 28
SMALL_SEASON, SMALL_DAYS = Season.parse("2023-05-01/2023-06-02"), range(0, 30, 5)
DASK = Path(sys.executable).with_name("dask")


def nothing(project: Project, task: StageTask) -> None:
    """Remove nothing."""


def sleep(project: Project, task: StageTask) -> TaskResult:
    """Sleep as long as the task says, and leave the details that a tile of features leaves."""
    time.sleep(task.payload)
    return TaskResult(details={"days": 73, "acquired": 43_057_152, "clear": 20_000_000, "never_clear": 0})


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[RunOptions, psutil.Process]]:
    """Start a scheduler and workers of one thread, in processes of their own."""
    file, here = folder / "scheduler.json", Path(__file__).parent
    paths = {"PYTHONPATH": str(here), "PATH": str(DASK.parent)}
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "env": paths}
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = subprocess.Popen([DASK, "scheduler", "--host", "127.0.0.1", "--port", "0", *common], **quiet)
    command = [DASK, "worker", *common, "--nworkers", str(workers), "--nthreads", "1"]
    running = [scheduler, subprocess.Popen(command, **quiet)]
    try:
        yield RunOptions(str(file), quiet=True), psutil.Process(scheduler.pid)
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()


def sleeping(stage: str, project: Project, seconds: float) -> list[StageTask]:
    """Return the tasks of a stage that only sleep: one a tile, or one a square of tiles and slab of days."""
    keys = []
    for zone in project.spec.grid.zones:
        if stage == "tiles":
            keys += [f"tiles/{zone.lattice.name}/{tile.name}" for tile in zone.tiles()]
        else:
            places = [(square, slab) for square in zone.squares() for slab in range(SEASON.slabs)]
            keys += [task_key(zone.lattice.name, slab, square) for square, slab in places]
    return [StageTask(key, digest(key), seconds, MEMORY) for key in keys]


class Watch(threading.Thread):
    """Notes, once a second, the resident megabytes of the driver and the scheduler."""

    def __init__(self, scheduler: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.processes = (psutil.Process(), scheduler)
        self.over = threading.Event()
        self.noted: list[tuple[int, ...]] = []

    def run(self) -> None:
        """Note until it is over."""
        while not self.over.wait(1.0):
            self.noted.append(tuple(process.memory_info().rss >> 20 for process in self.processes))

    def ten_times(self) -> list[list[int]]:
        """Return the megabytes of each process at a tenth of the time, two tenths, ..., the end."""
        at = [max(0, len(self.noted) * tenth // 10 - 1) for tenth in range(1, 11)]
        return [[self.noted[i][which] for i in at] for which in range(len(self.processes))]


def run(project: Project, tasks: list[StageTask], stage: str, options: RunOptions) -> dict[str, Any]:
    """Run a stage that sleeps; return seconds of the wall and of the driver's processor."""
    work = StageWork(stage, project.root / f"{stage}.zarr", bench_country.nothing, bench_country.sleep)
    wall, processor = time.perf_counter(), time.process_time()
    summary = run_stage(project, tasks, work, options)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    summary.raise_failed()
    return {
        "tasks": len(tasks),
        "done": summary.count("done"),
        "reused": summary.count("reused"),
        "seconds": round(wall, 2),
        "driver_seconds": round(processor, 2),
    }


def simulated(project: Project, stage: str, sleep_s: float, options: RunOptions, scheduler: psutil.Process) -> Any:
    """Run a stage whole and once more with one of a hundred missing; return what was measured."""
    tasks = sleeping(stage, project, sleep_s)
    ledger, watch = Ledger(project.ledger_path), Watch(scheduler)
    watch.start()
    found = run(project, tasks, stage, options)
    watch.over.set()
    watch.join()
    found["driver_ms_a_task"] = round(1e3 * found["driver_seconds"] / len(tasks), 3)
    found["wall_ms_a_task"] = round(1e3 * found["seconds"] / len(tasks), 3)
    found["driver_mb"], found["scheduler_mb"] = watch.ten_times()
    began = time.perf_counter()
    found["records"] = sum(1 for _ in ledger.records(stage))
    found["listing_seconds"] = round(time.perf_counter() - began, 2)
    for task in tasks[::100]:
        ledger.withdraw(task.key)
    found["resume"] = run(project, tasks, stage, options)
    return found


def small_tiles(folder: Path, count: int) -> Project:
    """Return a project of about so many tiles of 96 px, whose cube holds six days of the sample's pixels."""
    side = 0.0087 * count**0.5  # degrees of latitude; of longitude as many metres
    outline = lonlat_box(4.0, 50.0, 4.0 + side * 1.555, 50.0 + side)
    spec = ProjectSpec(Region("here", outline), SMALL_SEASON, SENTINEL2, SMALL_PX)
    project = create_project(folder, spec)
    store = Store.create(project.cube_path, spec.grid, cube_spec(SMALL_SEASON, SENTINEL2, SMALL_PX))
    sample, ledger = load_sample(), Ledger(project.ledger_path)
    made = {}
    for name, metres in store.arrays:
        bands = store.labels("band", metres) if name != "quality" else ("SCL",)
        pixels = np.stack([sample.bands[band] for band in bands], axis=1)
        side_px = SMALL_PX * 10 // metres
        days = [np.pad(pixels[day], ((0, 0), (0, side_px), (0, side_px)), "wrap") for day in SMALL_DAYS]
        cut = [day[:, :side_px, :side_px] for day in days]
        made[name, metres] = dict(zip(SMALL_DAYS, [day[0] if name == "quality" else day for day in cut], strict=True))
    for zone in spec.grid.zones:
        for square, inside in zone.squares().items():
            for slab in range(SMALL_SEASON.slabs):
                span = SMALL_SEASON.slab_days(slab)
                for tile in inside:
                    for (name, metres), values in made.items():
                        seen = {day: pixels for day, pixels in values.items() if day in span}
                        store.write_days(tile.lattice.name, name, tile.box(metres), span, seen)
                present = {tile: [day for day in SMALL_DAYS if day in span] for tile in inside}
                store.mark_present(zone.lattice.name, slab, square, present)
                ledger.write(Record(task_key(zone.lattice.name, slab, square), "made", "done", {}))
    return project


def real(folder: Path, count: int, options: RunOptions, scheduler: psutil.Process) -> dict[str, Any]:
    """Run `features` on small tiles of real pixels; return what was measured."""
    project, watch = small_tiles(folder, count), Watch(scheduler)
    watch.start()
    wall, processor = time.perf_counter(), time.process_time()
    summary = features(project.root, FeaturesOptions(FeatureSpec("median", 30)), options).stage
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    watch.over.set()
    watch.join()
    tiles = summary.count("done")
    found = {
        "tasks": tiles,
        "seconds": round(wall, 2),
        "driver_seconds": round(processor, 2),
        "driver_ms_a_task": round(1e3 * processor / tiles, 3),
        "wall_ms_a_task": round(1e3 * wall / tiles, 3),
        "task_ms": round(1e3 * sum(report.seconds for report in summary.reports) / tiles, 3),
    }
    found["driver_mb"], found["scheduler_mb"] = watch.ten_times()
    return found


def show(name: str, found: dict[str, Any]) -> None:
    """Print what was measured of one stage."""
    print(f"{name}: {found['tasks']:,} tasks in {found['seconds']:.0f} s ({found['wall_ms_a_task']:.2f} ms each)")
    print(f"  driver: {found['driver_ms_a_task']:.2f} ms of its processor a task")
    for who in ("driver", "scheduler"):
        print(f"  {who}, MB at tenths of the run: {' '.join(map(str, found[f'{who}_mb']))}")
    if "task_ms" in found:
        print(f"  a task by itself takes {found['task_ms']:.1f} ms")
        return
    again = found["resume"]
    print(f"  listing {found['records']:,} records: {found['listing_seconds']:.1f} s")
    print(f"  resume with {again['reused']:,} done: {again['seconds']:.1f} s for {again['done']:,} tasks", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--region", default="india")
    parser.add_argument("--sleep", type=float, default=0.0, help="seconds that a simulated task takes")
    parser.add_argument("--real", type=int, default=2000, help="small tiles of real pixels, about")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {"machine": machine(), "region": arguments.region, "workers": arguments.workers}
        with cluster(folder, arguments.workers) as (options, scheduler):
            spec = ProjectSpec(find_region(arguments.region), SEASON, SENTINEL2, TILE_PX)
            project = create_project(folder / "country", spec)
            for stage, words in {"tiles": "tiles", "build": "squares and slabs"}.items():
                found[stage] = simulated(project, stage, arguments.sleep, options, scheduler)
                show(f"{arguments.region}, {words}", found[stage])
            shutil.rmtree(project.root)
            found["real"] = real(folder / "small", arguments.real, options, scheduler)
            show("small tiles of real pixels", found["real"])
    if arguments.results:
        arguments.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
