"""A search through a STAC API that others wrote: the server of rustac."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import shapely

from cropcube.catalog.search import SearchRequest, freeze
from cropcube.domain.grid import plan_grid
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from tests.support.stac_items import REAL, real_items

ITEMS = "earthsearch_v1_sentinel-2-c1-l2a_10items_13TDE.json"
DENVER = Region.of("denver", shapely.box(-105.2, 39.9, -105.0, 40.2))


@pytest.fixture
def rustac_url() -> Iterator[str]:
    program = shutil.which("rustac", path=str(Path(sys.executable).parent)) or "rustac"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    files = [str(REAL / "earthsearch_v1_sentinel-2-c1-l2a_collection.json"), str(REAL / ITEMS)]
    server = subprocess.Popen(
        [program, "serve", *files, "--use-duckdb", "false", "--addr", address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(f"http://{address}", server)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(timeout=10)


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if server.poll() is not None:
            raise RuntimeError(f"rustac ended with {server.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                json.load(answer)
            return
        except urllib.error.URLError:
            time.sleep(0.1)
    raise RuntimeError("rustac does not answer")


def test_another_server_gives_the_same_scenes(tmp_path: Path, rustac_url: str) -> None:
    season = Season.parse("2024-04-01/2024-05-01")
    request = SearchRequest(rustac_url, DENVER, season, SENTINEL2, max_cloud=60.0)
    frozen = freeze(request, plan_grid(DENVER, 768), tmp_path / "scenes.parquet")
    expected = [
        item["id"]
        for item in real_items(ITEMS)
        if item["properties"]["eo:cloud_cover"] <= 60 and item["properties"]["datetime"] >= "2024-04-01"
    ]
    assert frozen.request["collection"] == "sentinel-2-c1-l2a"
    assert [scene.id for scene in frozen.scenes(range(30), season)] == sorted(expected)
