"""The whole job on a landscape through the console script: from a STAC API to a forest's map."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from cropcube.demo.sample import sample_legend
from tests.support import console
from tests.support.landscape import COLLECTION, SEASON, Landscape
from tests.support.stac_server import StacServer

TWO_WORKERS = ("--cluster", "local", "--workers", "2")
SERIAL = ("--cluster", "serial")


@dataclass(frozen=True)
class Run:
    """A run of the job in one folder."""

    root: Path
    cluster: tuple[str, ...]
    "Options that say where tasks run."
    model: Path

    def node(self, store: str, group: str) -> zarr.Group:
        """Return a group of one of the run's stores, read by zarr-python."""
        found = zarr.open_group(self.root / store, mode="r")[group]
        assert isinstance(found, zarr.Group)
        return found


def build_command(landscape: Landscape, server: StacServer, season: str = SEASON) -> tuple[str, ...]:
    """Return the words that build the landscape from a server."""
    return (
        "build", "--region", landscape.region, "--season", season, "--catalog", server.url,
        "--collection", COLLECTION,
    )  # fmt: skip


def finish(run: Run, landscape: Landscape, train: bool) -> Run:
    """Make features, a small forest where one is wanted, and its map."""
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
    """Write the sample's codes and names."""
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


def box_of(group: Any, step: int, left_m: int, top_m: int, side_m: int) -> tuple[slice, slice]:
    """Return rows and columns of a square in a group's arrays."""
    x, y = group["x"][:], group["y"][:]
    col = int(np.flatnonzero(x == left_m + step / 2)[0])
    row = int(np.flatnonzero(y == top_m - step / 2)[0])
    return slice(row, row + side_m // step), slice(col, col + side_m // step)
