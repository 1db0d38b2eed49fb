"""The sample laid out as a catalogue: per-date GeoTIFFs with STAC items around them, labels, legend and outline.

The wrapper is ours; pixels, dates, clouds and labels are real.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from affine import Affine

from cropcube.demo.granule import Granule, lonlat_polygon, write_granule, write_raster
from cropcube.demo.sample import PATCH, Sample, load_sample, sample_legend
from cropcube.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

COLLECTION = "cropcube-demo-flanders"
ATTRIBUTION = (
    "Contains modified Copernicus Sentinel data 2018-2019. Bron: Departement Landbouw en Visserij. "
    "ESA WorldCereal extraction, MIT licence."
)


@dataclass(frozen=True)
class DemoScenes:
    """Where the wrapped sample lies."""

    folder: Path

    @property
    def catalog(self) -> Path:
        """The ItemCollection; written last, so that where it stands all else does."""
        return self.folder / "scenes.json"

    @property
    def outline(self) -> Path:
        """GeoJSON polygon of the square of ground."""
        return self.folder / "flanders.geojson"

    @property
    def labels(self) -> Path:
        """Class raster of crop-type codes."""
        return self.folder / "labels.tif"

    @property
    def legend(self) -> Path:
        """CSV with code, name, colour."""
        return self.folder / "legend.csv"


def _granule(sample: Sample, number: int) -> Granule:
    when = sample.when[number]
    angles = {"view:sun_elevation": sample.sun_elevation[number], "view:sun_azimuth": sample.sun_azimuth[number]}
    properties: dict[str, Any] = {name: round(value, 3) for name, value in angles.items() if value is not None}
    return Granule(
        id=f"flanders_{sample.mgrs_tile}_{when:%Y%m%dT%H%M%S}",
        collection=COLLECTION,
        when=when,
        epsg=sample.epsg,
        left_m=sample.left_m,
        top_m=sample.top_m,
        bands={name: pixels[number] for name, pixels in sample.bands.items()},
        properties=properties | {"grid:code": f"MGRS-{sample.mgrs_tile}"},
    )


def _write_text(path: Path, text: str) -> None:
    """Write beside and move into place, so that a stopped write leaves no half file."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _legend_text(patch: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["code", "name", "colour"])
    writer.writerows([row.code, row.name, row.colour] for row in sample_legend(patch))
    return text.getvalue()


def write_scenes(folder: Path, progress: Callable[[str], None] | None = None, patch: str = PATCH) -> DemoScenes:
    """Lay a shipped sample out in `folder`, unless it stands there already.

    Parameters
    ----------
    folder
        Created if needed; files of the same names are written again unless the catalogue stands.
    progress
        Called with a line of text now and then.
    patch
        Which sample.

    Returns
    -------
    DemoScenes
        Paths of catalogue, outline, labels and legend.

    Raises
    ------
    ResourceError
        If the disk is full or cannot be written.
    """
    scenes = DemoScenes(folder)
    if scenes.catalog.exists():
        return scenes
    sample = load_sample(patch)
    if progress:
        progress(f"writing {len(sample.when)} dates x {len(sample.bands)} bands as GeoTIFFs into {folder}")
    try:
        _write_all(scenes, patch, sample)
    except OSError as error:
        raise ResourceError(
            f"the sample's scenes cannot be written to {folder}: {error.strerror or error}",
            "Make room, or give another folder.",
        ) from error
    return scenes


def _write_all(scenes: DemoScenes, patch: str, sample: Sample) -> None:
    scenes.folder.mkdir(parents=True, exist_ok=True)
    items = [write_granule(_granule(sample, number), scenes.folder) for number in range(len(sample.when))]
    outline = lonlat_polygon(sample.bounds, sample.epsg)
    feature = {"type": "Feature", "geometry": outline, "properties": {"name": "Flanders sample"}}
    _write_text(scenes.outline, json.dumps({"type": "FeatureCollection", "features": [feature]}, indent=1))
    transform = Affine(10, 0, sample.left_m, 0, -10, sample.top_m)
    write_raster(scenes.labels, sample.labels_YX, sample.epsg, transform)
    _write_text(scenes.legend, _legend_text(patch))
    collection = {"type": "FeatureCollection", "attribution": ATTRIBUTION, "features": items}
    _write_text(scenes.catalog, json.dumps(collection, indent=1))
