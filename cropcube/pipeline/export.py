"""`export`: the map as files that desktop GIS opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropcube.config import find_project
from cropcube.cube.ledger import Ledger
from cropcube.cube.store import Store
from cropcube.domain.map_product import CROP, legend_of
from cropcube.errors import InvalidInputError, MissingError
from cropcube.maps.export import LAYERS, CogSpec, write_cog
from cropcube.maps.extent import covered_box
from cropcube.pipeline.map_records import STAGE, boxes_of
from cropcube.pipeline.model_check import is_of_other_model
from cropcube.pipeline.sources import MAP, open_source, refuse_damaged
from cropcube.pipeline.stage import DONE
from cropcube.run.options import RunOptions

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.domain.lattice import ZoneGrid
    from cropcube.location import Location


@dataclass(frozen=True)
class ExportOptions:
    """What to write, and where."""

    cog: Path
    "The file; with several zones each one's name goes before the suffix."
    layer: str = "crop"
    "`crop`, `confidence`, `margin`, `clear-count`, or `probability` with a band for each class."

    def __post_init__(self) -> None:
        if self.layer not in LAYERS:
            raise InvalidInputError(f"the map has no layer {self.layer!r}", f"Layers: {', '.join(LAYERS)}")


@dataclass(frozen=True)
class ExportedFile:
    """One file that was written."""

    path: Location
    "Where it is."
    zone: str
    "Which zone it holds."
    crs: str
    "Its CRS."
    width: int
    "Pixels a row."
    height: int
    "Rows."
    size_bytes: int
    "Bytes."


@dataclass(frozen=True)
class ExportSummary:
    """What was written."""

    layer: str
    files: tuple[ExportedFile, ...]
    tiles: int
    "Tiles of the region."
    missing_tiles: int
    "Of these, tiles that the map does not have yet: no data in the files."
    partial_tiles: int
    "And tiles of which it has boxes only."
    other_model: bool
    "Whether the project's model is not the one that made the map."

    def as_dict(self) -> dict[str, Any]:
        """Return the summary, JSON-ready."""
        files = [vars(file) | {"path": str(file.path)} for file in self.files]
        return {
            "layer": self.layer,
            "files": files,
            "tiles": self.tiles,
            "missing_tiles": self.missing_tiles,
            "partial_tiles": self.partial_tiles,
            "other_model": self.other_model,
        }


def export(project_root: Location, options: ExportOptions, run: RunOptions | None = None) -> ExportSummary:
    """Write one layer of the map as a cloud-optimised GeoTIFF, one file a zone.

    Parameters
    ----------
    project_root
        The project's folder, or one below it.
    options
        What to write, and where.
    run
        Not used: one file has one writer.

    Raises
    ------
    MissingError
        If there is no map, not one tile of it is done, or it has no probabilities and they are wanted.
    InvalidInputError
        If the target cannot be written.
    """
    del run
    project = find_project(project_root)
    store = open_source(project, MAP)
    refuse_damaged(project, MAP)
    done = [record for record in Ledger(project.ledger_path).records(STAGE) if record.state == DONE]
    tiles = len(project.spec.grid)
    if not done:
        raise MissingError(f"{project.map_path} has no finished tile", "Run `cropcube predict` first.")
    if not any(name == LAYERS[options.layer] for name, _ in store.arrays):
        raise MissingError(
            f"{project.map_path} has no {options.layer}",
            "Run `cropcube predict --rebuild --probabilities`, with the other options that the map was made with.",
        )
    zones = project.spec.grid.zones
    files = tuple(_export_zone(project, store, zone, options, len(zones) > 1) for zone in zones)
    partial, missing = sum(bool(boxes_of(record)) for record in done), max(tiles - len(done), 0)
    return ExportSummary(options.layer, files, tiles, missing, partial, is_of_other_model(project))


def zone_file(cog: Path, zone: str, several: bool) -> Path:
    """Return the file of one zone: `map.tif`, or `map-utm31n.tif` where there are several."""
    return cog.with_name(f"{cog.stem}-{zone}{cog.suffix or '.tif'}") if several else cog


def _export_zone(project: Project, store: Store, zone: ZoneGrid, options: ExportOptions, several: bool) -> ExportedFile:
    name = zone.lattice.name
    box = covered_box(project.spec.region, zone)
    legend = legend_of(store.array(CROP, box.resolution_m).attrs)
    target = zone_file(options.cog, name, several)
    spec = CogSpec(LAYERS[options.layer], box, legend, _tags(project, store))
    size = write_cog(store, spec, target)
    return ExportedFile(target, name, zone.lattice.crs, box.width, box.height, size)


def _tags(project: Project, store: Store) -> dict[str, str]:
    """Return, as text, how the map was made."""
    made = {key: str(value) for key, value in store.attrs.items() if isinstance(value, str | int | float)}
    return {"region": project.spec.region.name, "season": str(project.spec.season), **made}
