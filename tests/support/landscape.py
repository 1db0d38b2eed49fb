"""The real series laid out as a landscape: overlapping granules on both sides of a UTM zone border.

Pixels, dates and clouds are those of the shipped 64 x 64 sample, mirrored at its edges so that borders are natural,
with a faint brightness ramp (a DN per cell) so that no two places are alike. Granules overlap within a zone and across
the border at 6 degrees east, two days have a second product of one granule, and one pass ends inside a granule.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from cropcube.demo.granule import Granule, write_granule, write_raster
from cropcube.demo.sample import Sample, load_sample

COLLECTION = "sentinel-2-landscape"
CELL_PX = 64
BORDER_LON = 6.0
LABELS_PX = 192
"""Side of the labelled square in the middle of the first granule."""
BEYOND_DEG = 0.02
"""How far granules reach over the zone border (1.4 km)."""
OVERLAP_PX = 100
"""How far the northern and the southern granule of a zone overlap."""
DATES = (
    "2019-03-22",
    "2019-04-01",
    "2019-04-16",
    "2019-04-26",
    "2019-05-11",
    "2019-05-16",
    "2019-06-10",
    "2019-06-20",
    "2019-06-30",
    "2019-07-05",
    "2019-07-25",
    "2019-07-30",
)
SEASON = "2019-03-15/2019-08-10"
TWICE = {"2019-04-26": "2019-03-17", "2019-06-10": "2019-05-06"}
"""Days with a second product of the first granule, and the date whose pixels it has."""
CUT_SHORT = "2019-05-16"
"""The pass that ends inside the first granule: its western third was not acquired."""


@dataclass(frozen=True)
class Frame:
    """Rectangle of one granule in its zone, in 10 m pixels of the zone's lattice."""

    name: str
    epsg: int
    left_m: int
    top_m: int
    height: int
    width: int


@dataclass(frozen=True)
class Landscape:
    """What the acceptance run needs to know."""

    folder: Path
    items: tuple[dict[str, Any], ...]
    bbox: tuple[float, float, float, float]
    frames: tuple[Frame, ...]

    @property
    def region(self) -> str:
        """As `--region` takes it."""
        return ",".join(str(value) for value in self.bbox)

    @property
    def labels(self) -> Path:
        """Class raster of crop-type codes over part of the western zone."""
        return self.folder / "labels.tif"

    @property
    def catalog(self) -> Path:
        """The same items as an ItemCollection with relative hrefs."""
        return self.folder / "scenes.json"

    def absolute_items(self) -> list[dict[str, Any]]:
        """Return items whose hrefs are absolute paths, for a server that knows no folder."""
        items = json.loads(json.dumps(self.items))
        for item in items:
            for asset in item["assets"].values():
                asset["href"] = str((self.folder / asset["href"]).resolve())
        return items


def bbox_of(side_px: int) -> tuple[float, float, float, float]:
    """Return west, south, east, north around the border with at least `side_px` squared pixels of 10 m."""
    lat, half_m = 50.75, side_px * 10 / 2
    lon_deg = half_m / (111_320 * np.cos(np.radians(lat))) * 1.01
    lat_deg = half_m / 111_200 * 1.01
    west, south, east, north = BORDER_LON - lon_deg, lat - lat_deg, BORDER_LON + lon_deg, lat + lat_deg
    return round(float(west), 4), round(south, 4), round(float(east), 4), round(north, 4)


def frames_of(bbox: tuple[float, float, float, float]) -> tuple[Frame, ...]:
    """Return two overlapping granules in each of the two zones that cover the box."""
    west, south, east, north = bbox
    frames = []
    for epsg, lons in ((32631, (west, BORDER_LON + BEYOND_DEG)), (32632, (BORDER_LON - BEYOND_DEG, east))):
        to_utm = Transformer.from_crs(4326, epsg, always_xy=True)
        x, y = to_utm.transform([lons[0], lons[0], lons[1], lons[1]], [south, north, south, north])
        left, right = int(min(x) // 20 * 20) - 200, int(max(x) // 20 * 20) + 200
        bottom, top = int(min(y) // 20 * 20) - 200, int(max(y) // 20 * 20) + 200
        height, width = (top - bottom) // 10, (right - left) // 10
        upper = height // 4 * 2
        frames.append(Frame(f"{epsg}north", epsg, left, top, upper + OVERLAP_PX, width))
        frames.append(Frame(f"{epsg}south", epsg, left, top - upper * 10, height - upper, width))
    return tuple(frames)


def _mirrored(first: int, count: int, side: int) -> NDArray[np.intp]:
    """Return indices into a patch of `side` pixels that run up and down again."""
    index = np.arange(first, first + count) % (2 * side)
    return np.minimum(index, 2 * side - 1 - index)


@cache
def _sample() -> Sample:
    return load_sample()


def sample_number(day: str) -> int:
    """Return the row of a date in the sample."""
    return [f"{when:%Y-%m-%d}" for when in _sample().when].index(day)


def pixels(frame: Frame, band: str, number: int) -> NDArray[Any]:
    """Return one band of one date on a granule's grid, as it should be read back."""
    patch = _sample().bands[band][number]
    step = 640 // patch.shape[0]
    side = patch.shape[0]
    height, width = frame.height * 10 // step, frame.width * 10 // step
    row, col = -frame.top_m // step, frame.left_m // step
    laid = patch[np.ix_(_mirrored(row, height, side), _mirrored(col, width, side))]
    if band == "SCL":
        return laid
    ramp = ((row + np.arange(height)) // side % CELL_PX)[:, None] + (col + np.arange(width)) // side % CELL_PX
    return np.where(laid > 0, laid + ramp.astype(np.uint16), 0).astype(np.uint16)


def _granule(frame: Frame, day: str, pixels_of: str, baseline: str) -> Granule:
    bands = {name: pixels(frame, name, sample_number(pixels_of)) for name in _sample().bands}
    if day == CUT_SHORT and frame.name == "32631north":
        for values in bands.values():
            values[:, : values.shape[1] // 3] = 0
    when = _sample().when[sample_number(day)]
    if day != pixels_of:
        when += timedelta(seconds=25)
    return Granule(
        id=f"landscape_{frame.name}_{when:%Y%m%dT%H%M%S}_N{baseline.replace('.', '')}",
        collection=COLLECTION,
        when=when,
        epsg=frame.epsg,
        left_m=frame.left_m,
        top_m=frame.top_m,
        bands=bands,
        properties={"s2:processing_baseline": baseline},
    )


def write_labels(path: Path, frame: Frame, side_px: int) -> None:
    """Write the sample's crop types, mirrored as the pixels are, over the middle of a granule."""
    side = min(side_px, frame.height, frame.width)
    row = -frame.top_m // 10 + (frame.height - side) // 2
    col = frame.left_m // 10 + (frame.width - side) // 2
    labels = _sample().labels_YX[np.ix_(_mirrored(row, side, CELL_PX), _mirrored(col, side, CELL_PX))]
    write_raster(path, labels, frame.epsg, Affine(10, 0, col * 10, 0, -10, -row * 10))


def write_landscape(folder: Path, side_px: int = 2048, days: tuple[str, ...] = DATES) -> Landscape:
    """Write the granules of every date, the labels and the ItemCollection."""
    folder.mkdir(parents=True, exist_ok=True)
    bbox = bbox_of(side_px)
    frames = frames_of(bbox)
    wanted = [(frame, day, day, "02.12") for day in days for frame in frames]
    wanted += [(frames[0], day, other, "02.09") for day, other in TWICE.items() if day in days]

    def write(one: tuple[Frame, str, str, str]) -> dict[str, Any]:
        return write_granule(_granule(*one), folder)

    _sample()
    with ThreadPoolExecutor(2) as pool:
        items = tuple(pool.map(write, wanted))
    write_labels(folder / "labels.tif", frames[0], LABELS_PX)
    landscape = Landscape(folder, items, bbox, frames)
    landscape.catalog.write_text(json.dumps({"type": "FeatureCollection", "features": list(items)}))
    return landscape
