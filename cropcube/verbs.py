"""The verbs for Python: what the command line does, with keywords instead of options.

Each takes the project's folder first and then, as keywords, the fields of its options (`BuildOptions`, `FeatureSpec`,
...) and of `RunOptions` (`cluster`, `workers`, `memory_limit`, `quiet`). They return summaries with `as_dict()` and
raise `cropcube.errors.CropcubeError` for everything the user can cause.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cropcube.run.options import RunOptions

if TYPE_CHECKING:
    from os import PathLike

    from cropcube.pipeline.build_summary import BuildSummary, DryRun
    from cropcube.pipeline.catalogs import CatalogsSummary
    from cropcube.pipeline.demo import DemoSummary
    from cropcube.pipeline.evaluate import EvaluateSummary
    from cropcube.pipeline.export import ExportSummary
    from cropcube.pipeline.extract import ExtractSummary
    from cropcube.pipeline.features import FeaturesSummary
    from cropcube.pipeline.info import MachineInfo
    from cropcube.pipeline.predict import PredictSummary
    from cropcube.pipeline.regions import RegionsSummary
    from cropcube.pipeline.status import Status
    from cropcube.pipeline.train import TrainSummary

    Folder = str | PathLike[str]

T = TypeVar("T")
PATHS = {"labels", "legend", "model", "cog", "points", "polygons", "output"}
"""Option fields that are paths; strings are taken too."""


def build(project: Folder = ".", **options: Any) -> BuildSummary | DryRun:
    """Build the cube of a region and season: fields of `BuildOptions`."""
    from cropcube.pipeline.build import build as run
    from cropcube.pipeline.build_options import BuildOptions

    chosen, where = _options(BuildOptions, options)
    summary = run(Path(project), chosen, where)
    if hasattr(summary, "check"):
        summary.check()
    return summary


def status(project: Folder = ".") -> Status:
    """Say what of a project is done, and what is missing."""
    from cropcube.pipeline.status import status as run

    return run(Path(project))


def features(project: Folder = ".", **options: Any) -> FeaturesSummary:
    """Reduce the cube's time axis: fields of `FeatureSpec` (`kind`, `window_days`, `order`, ...)."""
    from cropcube.pipeline.features import FeaturesOptions
    from cropcube.pipeline.features import features as run

    return run(Path(project), *_options(FeaturesOptions, options))


def train(project: Folder = ".", **options: Any) -> TrainSummary:
    """Train a classifier: fields of `TrainOptions` and `FitOptions` (`labels`, `classifier`, `epochs`, ...)."""
    from cropcube.pipeline.train import TrainOptions
    from cropcube.pipeline.train import train as run

    return run(Path(project), *_options(TrainOptions, options))


def predict(project: Folder = ".", **options: Any) -> PredictSummary:
    """Make the map: fields of `PredictOptions`."""
    from cropcube.pipeline.predict import PredictOptions
    from cropcube.pipeline.predict import predict as run

    return run(Path(project), *_options(PredictOptions, options))


def evaluate(project: Folder = ".", **options: Any) -> EvaluateSummary:
    """State the accuracy and write the report: fields of `EvaluateOptions`."""
    from cropcube.pipeline.evaluate import EvaluateOptions
    from cropcube.pipeline.evaluate import evaluate as run

    return run(Path(project), *_options(EvaluateOptions, options))


def export(project: Folder = ".", **options: Any) -> ExportSummary:
    """Write the map as COGs: fields of `ExportOptions`."""
    from cropcube.pipeline.export import ExportOptions
    from cropcube.pipeline.export import export as run

    return run(Path(project), *_options(ExportOptions, options))


def extract(project: Folder = ".", **options: Any) -> ExtractSummary:
    """Write the series at places: fields of `ExtractOptions`."""
    from cropcube.pipeline.extract import ExtractOptions
    from cropcube.pipeline.extract import extract as run

    return run(Path(project), *_options(ExtractOptions, options))


def regions(text: str = "") -> RegionsSummary:
    """List the regions known by name."""
    from cropcube.pipeline.regions import regions as run

    return run(text)


def catalogs() -> CatalogsSummary:
    """List the catalogues known by name."""
    from cropcube.pipeline.catalogs import catalogs as run

    return run()


def demo(folder: Folder = "demo", **options: Any) -> DemoSummary:
    """Run the whole job on the shipped sample: fields of `DemoOptions`."""
    from cropcube.pipeline.demo import DemoOptions
    from cropcube.pipeline.demo import demo as run

    return run(Path(folder), *_options(DemoOptions, options))


def info() -> MachineInfo:
    """Say what this machine has."""
    from cropcube.pipeline.info import info as run

    return run()


def _options(kind: type[T], keywords: dict[str, Any]) -> tuple[T, RunOptions]:
    """Deal keywords out to the options of a verb (nested ones too) and of the run.

    Raises
    ------
    TypeError
        If a keyword belongs to neither, as for any Python function.
    """
    left = {name: Path(value) if name in PATHS and value is not None else value for name, value in keywords.items()}
    chosen = _take(kind, left)
    where = _take(RunOptions, left)
    if left:
        raise TypeError(f"{kind.__name__} has no field {' '.join(sorted(left))}; it has: {' '.join(_names(kind))}")
    return chosen, where


def _take(kind: type[T], left: dict[str, Any]) -> T:
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]
        nested = _nested(field)
        if field.name in left:
            values[field.name] = left.pop(field.name)
        elif nested is not None:
            values[field.name] = _take(nested, left)
    return kind(**values)


def _names(kind: Any) -> list[str]:
    found = []
    for field in fields(kind):
        nested = _nested(field)
        found += [field.name] if nested is None else _names(nested)
    return found


def _nested(field: Any) -> Any:
    """Return the type of a field that is options itself, or None."""
    return field.default_factory if is_dataclass(field.default_factory) else None
