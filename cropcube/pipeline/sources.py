"""The stores of a project as sources: what verbs read, by the name that users give, and whether it is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropcube.cube.ledger import Ledger
from cropcube.cube.objects import sizes_of
from cropcube.cube.store import Store
from cropcube.domain.emit import EMIT
from cropcube.domain.feature_spec import DEFAULT_CLASSES, DEFAULT_PERCENTILES, IN_WINDOWS, FeatureSpec
from cropcube.errors import InvalidInputError, MissingError, ReadError
from cropcube.features.layout import feature_spec_of

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.location import Location

CUBE, CUBE_EMIT, MAP = "cube", "cube-emit", "map"
STORES = (CUBE, CUBE_EMIT, MAP)
"""Sources that are no features."""


def stage_of(name: str) -> str:
    """Return the prefix of a source's records in the ledger."""
    return {CUBE: "build", CUBE_EMIT: "build-emit", MAP: "predict"}.get(name, f"features/{name}")


def path_of(project: Project, name: str) -> Location:
    """Return the store of a source."""
    stores = {CUBE: project.cube_path, CUBE_EMIT: project.seen_by(EMIT).cube_path, MAP: project.map_path}
    return stores.get(name) or project.features_path(name)


def open_source(project: Project, name: str) -> Store:
    """Open a source for reading.

    Parameters
    ----------
    project
        Whose.
    name
        `cube`, `cube-emit`, `map` or a name of features, such as `median-5d`.

    Raises
    ------
    MissingError
        If it is not made yet; the message names the command, and the features that are made.
    """
    path = path_of(project, name)
    if name in STORES or Store.exists(path):
        return Store.open(path)
    made = stored_features(project)
    raise MissingError(
        f"{project.root} has no features {name!r}; made: {' '.join(made) or 'none'}",
        f"`{command_of(project, name)}` makes them.",
    )


def refuse_damaged(project: Project, name: str) -> None:
    """Refuse a source of which something is gone that the ledger says was written.

    Raises
    ------
    ReadError
        Naming the first object and the command that makes what is gone.
    """
    path = path_of(project, name)
    records = Ledger(project.ledger_path).records(stage_of(name))
    size_of = sizes_of(path, True)
    damaged = [found for record in records for found in record.damaged(size_of)]
    if damaged:
        raise ReadError(
            f"{len(damaged)} objects of {path} are gone or cut short since they were written, the first {damaged[0]}",
            f"`{command_of(project, name)}` makes them again, and nothing else.",
        )


def stored_features(project: Project) -> tuple[str, ...]:
    """Return the names of the features that stand."""
    folder = project.features_path("any").parent
    found = folder.iterdir() if folder.is_dir() else ()
    return tuple(sorted(path.stem for path in found if path.name.endswith(".zarr") and Store.exists(path)))


def command_of(project: Project, name: str) -> str:
    """Return the command that makes a source."""
    if name in STORES:
        return {CUBE: "cropcube build", CUBE_EMIT: "cropcube build --sensor emit", MAP: "cropcube predict"}[name]
    path = project.features_path(name)
    try:
        return features_command(feature_spec_of(Store.open(path)) if Store.exists(path) else FeatureSpec.parse(name))
    except InvalidInputError:
        return "cropcube features"


def features_command(spec: FeatureSpec) -> str:
    """Return the command that makes some features."""
    words = ["cropcube", "features", "--kind", spec.kind]
    words += ["--window", str(spec.window_days)] if spec.kind in IN_WINDOWS else []
    given = ",".join(f"{p:g}" for p in spec.percentiles)
    words += ["--percentiles", given] if spec.percentiles != DEFAULT_PERCENTILES else []
    words += ["--order", str(spec.order)] if spec.kind == "harmonic" else []
    words += ["--ridge", f"{spec.ridge:g}"] if spec.ridge else []
    words += ["--mask", "scl:" + ",".join(map(str, spec.classes))] if spec.classes != DEFAULT_CLASSES else []
    words += ["--dilate", str(spec.dilate_m)] if spec.dilate_m else []
    words += ["--view", spec.view] if spec.view != "best" else []
    words += ["--resample", spec.resample] if spec.resample else []
    words += ["--join", spec.join] if spec.join else []
    words += ["--continuum"] if spec.continuum else []
    words += [word for name in spec.indices for word in ("--index", name)]
    return " ".join(words)
