"""The report of a project: its pictures and facts, gathered for the page."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cropcube.cube.store import Store
from cropcube.domain.map_product import CROP
from cropcube.errors import ResourceError
from cropcube.pipeline.map_records import mapped_area
from cropcube.pipeline.model_check import is_of_other_model
from cropcube.pipeline.report_made import classifier_name, made_section, rests_section
from cropcube.pipeline.report_sections import (
    confidence_section,
    curves_section,
    detail_section,
    map_section,
    seen_section,
)
from cropcube.pipeline.report_words import credit, map_legend, place_name, season_text, swatches
from cropcube.report.mosaic import overview
from cropcube.report.page import Page, render
from cropcube.report.pictures import Caption, map_picture

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.domain.legend import Legend
    from cropcube.domain.model_card import ModelCard
    from cropcube.features.model_input import InputLayout
    from cropcube.report.accuracy import Accuracy
    from cropcube.report.raster import Raster
    from cropcube.samples.index import SampleIndex
    from cropcube.samples.read import SampleSource

OTHER_MODEL = "The map was made by another model than the one described here; `cropcube predict` renews it."
REPORT_NAME, PICTURE_NAME = "report.html", "map.png"


@dataclass(frozen=True)
class ReportInput:
    """What the report is about."""

    project: Project
    card: ModelCard
    index: SampleIndex
    "Labelled pixels that are shown."
    legend: Legend
    "What the labels' classes mean."
    accuracies: tuple[Accuracy, ...]
    "The first is the one that the page opens with."
    digests: tuple[tuple[str, str], ...]
    "Name and value of what identifies the inputs."
    layout: InputLayout
    "How features become the model's inputs."
    source: SampleSource | None
    "The features that the model takes; None where they are not there any more."
    command: str
    "That makes the report."
    model: str = ""
    "Name of the model's folder, where it is not the project's own."


@dataclass(frozen=True)
class ReportFiles:
    """What was written."""

    report: Path
    picture: Path | None
    "The map as a picture; None where there is no map yet."


def write_report(content: ReportInput) -> ReportFiles:
    """Write `report.html` and `map.png` into the project's folder, each whole or not at all.

    Raises
    ------
    ResourceError
        If they cannot be written.
    """
    project = content.project
    standing = Store.exists(project.map_path)
    spec = project.spec
    classes = overview(Store.open(project.map_path), CROP, spec.grid, spec.region) if standing else None
    of_map = (confidence_section(content), seen_section(content), rests_section(project)) if standing else ()
    page = Page(
        title=f"Crop types: {place_name(spec.region.name)}",
        subtitle=season_text(project),
        remarks=(*content.accuracies[0].remarks(), *_map_remarks(content)),
        accuracies=content.accuracies,
        opening=(map_section(content, classes), detail_section(content, standing)),
        closing=(curves_section(content), *of_map, made_section(content)),
        credit=credit(project, content.card),
    )
    report, picture = project.output_folder / REPORT_NAME, project.output_folder / PICTURE_NAME
    place(report, render(page).encode("utf-8"))
    if classes is None:
        return ReportFiles(report, None)
    place(picture, _map_png(content, classes))
    return ReportFiles(report, picture)


def place(target: Path, content: bytes) -> None:
    """Write a file whole, beside its place, and move it there.

    Raises
    ------
    ResourceError
        If the folder cannot be written or is full.
    """
    name = ""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        raise ResourceError(
            f"{target} could not be written ({error.strerror or error})", "Make room, or mend the folder."
        ) from error


def _map_png(content: ReportInput, classes: Raster) -> bytes:
    """Return the map as a picture that stands by itself."""
    project, legend = content.project, map_legend(content.project)
    grids = ", ".join(zone.lattice.crs for zone in project.spec.grid.zones)
    made = f"{classifier_name(content.card)} on {content.card.feature}, mapped with cropcube on {grids}."
    lines = f"{credit(project, content.card)} {made}"
    caption = Caption(f"Crop types: {place_name(project.spec.region.name)}", season_text(project), lines)
    return map_picture(classes, swatches(legend, mapped_area(project, legend)), caption)


def _map_remarks(content: ReportInput) -> tuple[str, ...]:
    return (OTHER_MODEL,) if is_of_other_model(content.project, dict(content.digests)["Model"]) else ()
