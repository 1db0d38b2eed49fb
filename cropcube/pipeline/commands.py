"""The commands that make a map and its report, written out of what is recorded.

Files are told by name, without their folders; where work ran, and how wide, is not told, since it decides no byte.
"""

from __future__ import annotations

import shlex
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropcube.catalog.files import is_file_catalog
from cropcube.catalog.frozen import FrozenCatalog
from cropcube.catalog.known import DEFAULT_CATALOG, DEFAULT_CATALOGS, KNOWN_CATALOGS
from cropcube.config import SENSORS
from cropcube.cube.ledger import Ledger
from cropcube.cube.store import Store
from cropcube.domain.emit import EMIT
from cropcube.domain.lattice import DEFAULT_TILE_PX
from cropcube.domain.map_product import PROBABILITY
from cropcube.model.fit_options import FitOptions, augmentation_name
from cropcube.pipeline.feature_sources import FEATURES
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.map_records import STAGE as MAP_STAGE
from cropcube.pipeline.provenance import ORIGIN
from cropcube.samples.label_rules import LabelRules
from cropcube.samples.places import SplitRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cropcube.config import Project

WORD_OF = {
    "paths": "labels",
    "fields": "label-field",
    "erode_m": "erode",
    "radius_m": "radius",
    "min_area_ha": "min-area",
    "by": "split",
    "feature": "features",
    "origin": "from",
}
"""Options of the command line for fields of options that have another name."""
GROUPS = (LabelFiles, LabelRules, SplitRule, FitOptions)
"""Fields that are options of their own."""


def command(verb: str, options: Any, usual: Any = None) -> str:
    """Return the command that gives a verb its options.

    Parameters
    ----------
    verb
        `train`, say.
    options
        A dataclass; its fields and those of `GROUPS` in it are the command's words.
    usual
        Options that need not be told; None for the defaults of the dataclass.
    """
    return shlex.join(["cropcube", verb, *(word for option in _told(options, usual) for word in option)])


def build_command(project: Project) -> str:
    """Return the command that built the project, from its frozen specification and catalogue."""
    spec = project.spec
    words = [("--region", file_name(spec.region.name)), ("--season", str(spec.season))]
    request = FrozenCatalog.open(project.scenes_path).request if project.scenes_path.is_file() else {}
    catalog = str(request.get("catalog") or DEFAULT_CATALOG)
    if catalog != DEFAULT_CATALOG:
        known = catalog in KNOWN_CATALOGS or not is_file_catalog(catalog)
        words.append(("--catalog", catalog if known else file_name(catalog)))
    words += [("--collection", str(request["collection"]))] if request.get("collection") else []
    words += [("--max-cloud", f"{request['max_cloud']:g}")] if request.get("max_cloud", 100.0) < 100 else []
    if spec.sensor != SENSORS[spec.sensor.name]:
        words.append(("--bands", ",".join(band.name for band in spec.sensor.bands)))
    words += [("--tile-px", str(spec.tile_px))] if spec.tile_px != DEFAULT_TILE_PX else []
    words += [("--crs", f"EPSG:{spec.epsg}")] if spec.epsg is not None else []
    return shlex.join(["cropcube", "build", *(word for pair in words for word in pair)])


def build_commands(project: Project) -> tuple[str, ...]:
    """Return the commands that built the cubes of a project."""
    emit = project.seen_by(EMIT)
    if not emit.scenes_path.is_file():
        return (build_command(project),)
    request = FrozenCatalog.open(emit.scenes_path).request
    words = ["cropcube", "build", "--sensor", "emit"]
    catalog = str(request["catalog"])
    if catalog != DEFAULT_CATALOGS[EMIT.name]:
        words += ["--catalog", catalog if not is_file_catalog(catalog) else file_name(catalog)]
    words += ["--max-cloud", f"{request['max_cloud']:g}"] if request.get("max_cloud", 100.0) < 100 else []
    return build_command(project), shlex.join(words)


def predict_commands(project: Project) -> tuple[str, ...]:
    """Return the commands that made the map that stands, one for each source of features."""
    store = Store.open(project.map_path)
    words = ["--probabilities"] if any(name == PROBABILITY for name, _ in store.arrays) else []
    words += ["--crop-mask", "FILE"] if "crop_mask" in store.attrs else []
    records = Ledger(project.ledger_path).records(MAP_STAGE)
    origins = sorted({str(record.details[ORIGIN]) for record in records if ORIGIN in record.details})
    return tuple(
        shlex.join(["cropcube", "predict", *(["--from", origin] if origin != FEATURES else []), *words])
        for origin in origins or [FEATURES]
    )


def file_name(text: str) -> str:
    """Return the name of a file that is given with its folder, and any other text as it is."""
    return Path(text).name if Path(text).is_absolute() else text


def _told(options: Any, usual: Any) -> Iterator[tuple[str, ...]]:
    """Yield the option and value of every field that differs from the usual one."""
    for entry in fields(options):
        value = getattr(options, entry.name)
        if usual is not None:
            other = getattr(usual, entry.name)
        else:
            other = entry.default_factory() if entry.default_factory is not MISSING else entry.default
        option = f"--{WORD_OF.get(entry.name, entry.name.replace('_', '-'))}"
        if value == other or value is False or (value is None and entry.name != "augment"):
            continue
        if entry.name == "augment":
            yield option, augmentation_name(value)
        elif isinstance(value, GROUPS):
            yield from _told(value, other if isinstance(other, type(value)) else None)
        elif value is True:
            yield (option,)
        else:
            several = value if isinstance(value, tuple) else (value,)
            yield from ((option, each.name if isinstance(each, Path) else f"{each}") for each in several)
