"""How the features of a whole landscape scale over worker processes, and what memory they take beside the projection.

Usage: python benchmarks/bench_scaling.py [TILES] [--results FILE]     (default 23, which makes 31 of 768 px)

The cube is that of bench_feature_stage: 73 days in a year, ten bands and the quality, pixels of the shipped sample. The
verb runs on it as `--cluster local` with one worker on one processor, with one, two and (more than there are
processors) four workers on all. Efficiency is the throughput for each processor used, beside that of one worker on one.
The cube's 11 GB must fit in the page cache: read from a disk, it is the disk that is measured. Wall seconds of single
runs; peak memory is the largest worker's, resident.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_feature_stage import DAYS, SEASON, make_project, tiles_of
from kernel_timing import machine

from cropcube.config import Project
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.sensor import SENTINEL2
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.pipeline.features_memory import tile_memory_bytes
from cropcube.run.memory import worker_memory_bytes
from cropcube.run.options import RunOptions

SPECS = (FeatureSpec("median", 30), FeatureSpec("harmonic"))
RUNS = ((1, 1), (1, None), (2, None), (4, None))
"""Workers, and processors; None is all."""


def measure(project: Project, spec: FeatureSpec, workers: int, processors: int | None) -> dict[str, Any]:
    """Compute the features anew and return what was measured."""
    shutil.rmtree(project.features_path(spec.name), ignore_errors=True)
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[: processors or len(every)])  # which the workers inherit
    try:
        began = time.perf_counter()
        stage = features(project.root, FeaturesOptions(spec), RunOptions("local", workers=workers, quiet=True)).stage
        seconds = time.perf_counter() - began
        limit = worker_memory_bytes(workers)
    finally:
        os.sched_setaffinity(0, every)
    figures = stage.as_dict()
    needs = [tile_memory_bytes(spec, SEASON, SENTINEL2, tile, len(DAYS)) for tile in tiles_of(project)]
    return {
        "features": spec.name,
        "workers": workers,
        "processors": processors or len(every),
        "seconds": round(seconds, 2),
        "gb_read": round(figures["bytes_read"] / 1e9, 2),
        "gb_per_second": round(figures["bytes_read"] / 1e9 / seconds, 3),
        "peak_mb": figures["peak_memory_bytes"] >> 20,
        "projected_mb": max(needs) >> 20,
        "limit_mb": limit >> 20,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tiles", nargs="?", type=int, default=23)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "project", arguments.tiles)
        print(f"{len(tiles_of(project))} tiles of 768 px, {len(DAYS)} days")
        print("features      workers processors  seconds   GB/s  efficiency  peak <= projected <= limit (MB)")
        for spec in SPECS:
            for workers, processors in RUNS:
                row = measure(project, spec, workers, processors)
                alone = next((one for one in rows if one["features"] == spec.name), row)
                row["efficiency"] = round(row["gb_per_second"] / alone["gb_per_second"] / row["processors"], 3)
                rows.append(row)
                print(
                    f"{row['features']:14s}{row['workers']:7d}{row['processors']:11d}{row['seconds']:9.1f}"
                    f"{row['gb_per_second']:7.2f}{row['efficiency']:12.2f}"
                    f"  {row['peak_mb']} <= {row['projected_mb']} <= {row['limit_mb']}",
                    flush=True,
                )
                assert row["peak_mb"] <= row["projected_mb"] <= row["limit_mb"]
    if arguments.results:
        found = {"machine": machine(), "tiles": arguments.tiles, "runs": rows}
        arguments.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
