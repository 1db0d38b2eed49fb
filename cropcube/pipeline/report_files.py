"""The report of a project: its pictures and facts, gathered for the page."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cropcube.catalog.frozen import FrozenCatalog
from cropcube.catalog.vectors import VECTOR_SUFFIXES
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.lattice import FINEST_M, PixelBox
from cropcube.domain.map_product import CLEAR_COUNT, CROP, legend_of
from cropcube.errors import ResourceError
from cropcube.maps.extent import covered_box
from cropcube.pipeline.map_records import MappedArea, mapped_area
from cropcube.pipeline.model_check import is_of_other_model
from cropcube.pipeline.scoring import NAMES
from cropcube.report.composite import composite
from cropcube.report.mosaic import overview
from cropcube.report.page import Illustration, Page, Section, percent, render
from cropcube.report.pictures import (
    Caption,
    Panel,
    Swatch,
    count_picture,
    map_picture,
    paint_classes,
    paint_composite,
    panels_picture,
)
from cropcube.report.raster import Raster

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.domain.legend import Legend
    from cropcube.domain.model_card import ModelCard
    from cropcube.report.accuracy import Accuracy
    from cropcube.samples.index import SampleIndex

DETAIL_PX = 512
"""Longer side of the closer look."""
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
    picture = _map_png(content) if standing else None
    page = Page(
        title=f"Crop types: {place_name(project.spec.region.name)}",
        subtitle=_where_and_when(project),
        remarks=(*content.accuracies[0].remarks(), *_map_remarks(content)),
        accuracies=content.accuracies,
        opening=(_map_section(content, picture), _detail_section(content, standing)),
        closing=(*([_seen_section(content)] if standing else []), _made_section(content)),
        credit=_credit(project),
    )
    report = project.root / REPORT_NAME
    place(report, render(page).encode("utf-8"))
    if picture is not None:
        place(project.root / PICTURE_NAME, picture)
    return ReportFiles(report, project.root / PICTURE_NAME if picture else None)


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


def _map_legend(project: Project) -> Legend:
    return legend_of(Store.open(project.map_path).array(CROP, FINEST_M).attrs)


def swatches(legend: Legend, areas: MappedArea | None = None) -> tuple[Swatch, ...]:
    """Return the lines of a picture's legend, with the mapped area where it is known."""
    notes = [hectares_text(area) for area in areas.hectares()] if areas else [""] * len(legend)
    return tuple(Swatch(c.name, c.colour, note) for c, note in zip(legend.classes, notes, strict=True))


def place_name(region: str) -> str:
    """Return a region's name for a title: without a file's suffix, and with a capital."""
    name = region if region.count(",") == 3 else Path(region).name
    stem = name.removesuffix(Path(name).suffix) if Path(name).suffix.lower() in VECTOR_SUFFIXES else name
    return stem[:1].upper() + stem[1:]


def hectares_text(hectares: float) -> str:
    """Return `13.8 ha`, `1,380 ha`, or `2.31 Mha`."""
    if hectares >= 1e6:
        return f"{hectares / 1e6:,.2f} Mha"
    return f"{hectares:,.1f} ha" if hectares < 100 else f"{hectares:,.0f} ha"


def _where_and_when(project: Project) -> str:
    season = project.spec.season
    last = season.date_of(season.days - 1)
    return f"{season.start.day} {season.start:%B %Y} to {last.day} {last:%B %Y}"


def _credit(project: Project) -> str:
    season = project.spec.season
    years = sorted({season.start.year, season.date_of(season.days - 1).year})
    return f"Contains modified Copernicus Sentinel data {'–'.join(map(str, years))}."


def _map_png(content: ReportInput) -> bytes:
    project, card = content.project, content.card
    classes = overview(Store.open(project.map_path), CROP, project.spec.grid, project.spec.region)
    legend = _map_legend(project)
    grids = ", ".join(zone.lattice.crs for zone in project.spec.grid.zones)
    lines = f"{_credit(project)} {_classifier(card)} on {card.feature}, mapped with cropcube on {grids}."
    caption = Caption(f"Crop types: {place_name(project.spec.region.name)}", _where_and_when(project), lines)
    return map_picture(classes, swatches(legend, mapped_area(project, legend)), caption)


def _map_section(content: ReportInput, picture: bytes | None) -> Section:
    if picture is None:
        return Section("The map", ("There is no map yet: `cropcube predict` makes it.",))
    legend = _map_legend(content.project)
    areas = mapped_area(content.project, legend)
    total = sum(areas.pixels) + areas.unclassified
    text = (
        "Every pixel that was seen gets one of the legend's classes, whatever grows or stands there. Areas in the "
        "legend are counted pixels; they carry the errors of the map and are not estimates of area."
    )
    if areas.unclassified:
        text += f" {percent(areas.unclassified / max(total, 1))} of the region has no class: it was never seen clear."
    alt = f"Map of crop types: {', '.join(legend.names)}"
    return Section("The map", (), (Illustration(picture, text, alt),))


def _detail_section(content: ReportInput, standing: bool) -> Section:
    """Return composite, labels and map of the place with the most labels, side by side."""
    project = content.project
    box = detail_box(project, content.index)
    features = project.features_path(content.card.feature)
    zone, panels, words = box.lattice.name, [], []
    seen = composite(Store.open(features), zone, box) if Store.exists(features) else None
    if seen is not None:
        panels.append(Panel("Near infrared, red, green", paint_composite(_raster(box, seen.values))))
        words.append(_composite_words(content.card, project, seen.step, seen.filled))
    labels = _raster(box, label_picture(content.index, box))
    panels.append(Panel("Labels", paint_classes(labels, swatches(content.legend))))
    if standing:
        crop = Store.open(project.map_path).read(zone, CROP, box)
        panels.append(Panel("Map", paint_classes(_raster(box, crop), swatches(_map_legend(project)))))
    whole = box == covered_box(project.spec.region, project.spec.grid.zone(zone))
    where = "The whole region" if whole else "The place with the most labels"
    alt = "Colour composite, labels and map of the same place"
    return Section(
        "A closer look", (), (Illustration(panels_picture(tuple(panels)), f"{where}. {' '.join(words)}", alt),)
    )


def detail_box(project: Project, index: SampleIndex) -> PixelBox:
    """Return the box of the closer look: the square of a fixed grid with the most labelled pixels."""
    zone = project.spec.grid.zone(index.zones[int(np.bincount(index.zone).argmax())])
    whole = covered_box(project.spec.region, zone)
    height, width = min(DETAIL_PX, whole.height), min(DETAIL_PX, whole.width)
    mine = index.select(index.in_zone(zone.lattice.name))
    rows = np.clip((mine.row - whole.row) // height, 0, (whole.height - 1) // height)
    cols = np.clip((mine.col - whole.col) // width, 0, (whole.width - 1) // width)
    across = (whole.width - 1) // width + 1
    best = int(np.bincount(rows * across + cols).argmax())
    row = min(whole.row + best // across * height, whole.row + whole.height - height)
    col = min(whole.col + best % across * width, whole.col + whole.width - width)
    return PixelBox(zone.lattice, FINEST_M, row, col, height, width)


def label_picture(index: SampleIndex, box: PixelBox) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the labels within a box, uint8 (y, x): 1-based rows of the legend, 0 = none."""
    rows, cols = index.row - box.row, index.col - box.col
    here = index.in_zone(box.lattice.name)
    here &= (rows >= 0) & (rows < box.height) & (cols >= 0) & (cols < box.width)
    image = np.zeros(box.shape, np.uint8)
    image[rows[here], cols[here]] = index.label[here]
    return image


def _raster(box: PixelBox, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Raster:
    left, _, _, top = box.bounds
    return Raster(values, box.lattice.crs, left, top, float(box.resolution_m))


def _composite_words(card: ModelCard, project: Project, step: int, filled: float) -> str:
    spec = FeatureSpec.from_dict(card.feature_spec)
    if spec.kind == "harmonic":
        return "The composite shows the mean of the season; vegetation is red."
    first = project.spec.season.start if spec.kind != "median" else spec.window_starts(project.spec.season)[step]
    length = f"{spec.window_days} days from" if spec.kind == "median" else "the season from"
    said = f"The composite shows the medians of {length} {first.day} {first:%B %Y}; vegetation is red."
    return said + (f" {percent(filled)} is from the nearest other window." if filled > 0.0005 else "")


def _seen_section(content: ReportInput) -> Section:
    project = content.project
    store = Store.open(project.map_path)
    counts = overview(store, CLEAR_COUNT, project.spec.grid, project.spec.region)
    seen = counts.values[counts.values > 0]
    if not seen.size:
        return Section("How often the ground was seen", ("Not once: no pixel of the map was ever clear.",))
    low, middle, high = (round(float(q)) for q in np.percentile(seen, (5, 50, 95)))
    text = (
        f"Half of the pixels were seen clear at least {middle} times in the season; "
        f"nine in ten between {low} and {high} times. Where there are few, trust the map less."
    )
    caption = Caption("Clear observations", _where_and_when(project), _credit(project))
    picture = count_picture(counts, caption, "clear observations in the season")
    return Section("How often the ground was seen", (text,), (Illustration(picture, "", "Map of clear observations"),))


def _map_remarks(content: ReportInput) -> tuple[str, ...]:
    return (OTHER_MODEL,) if is_of_other_model(content.project, dict(content.digests)["Model"]) else ()


def _made_section(content: ReportInput) -> Section:
    project, card = content.project, content.card
    spec = FeatureSpec.from_dict(card.feature_spec)
    labels = card.labels
    dropped = ", ".join(f"{count:,} {why}" for why, count in sorted(labels.dropped.items()) if count)
    counts = {name: sum(values.values()) for name, values in card.split.counts.items()}
    facts = [
        ("Region", project.spec.region.name),
        ("Season", f"{project.spec.season} (the last day not included)"),
        ("Grid", ", ".join(f"{z.lattice.crs}, {len(z.cells)} tiles" for z in project.spec.grid.zones)),
        *_catalogue_facts(project),
        ("Features", f"{card.feature}: {len(card.bands)} bands x {len(card.steps)} steps ({' '.join(card.bands)})"),
        ("Clear means", f"scene classes {', '.join(map(str, spec.classes))}; grown by {spec.dilate_m} m around others"),
        ("Gaps", card.gap_fill),
        ("Classifier", f"{_classifier(card)}: {_settings(card)}"),
        ("Labels", f"{labels.file}" + (f"; left out: {dropped}" if dropped else "")),
        ("Split", f"{card.split.words}, seed {card.split.seed}: "
         + ", ".join(f"{count:,} {name}" for name, count in counts.items()) + " pixels"),
        ("Software", ", ".join(f"{name} {version}" for name, version in sorted(card.versions.items()))),
        *((f"{name} digest", value) for name, value in content.digests),
    ]  # fmt: skip
    return Section("How it was made", (), (), tuple(facts))


def _settings(card: ModelCard) -> str:
    """Return the classifier's settings in words; an epoch of 0 is none."""
    told = {name: value for name, value in card.options.items() if name != "best_epoch" or value}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items())


def _catalogue_facts(project: Project) -> list[tuple[str, str]]:
    if not project.scenes_path.is_file():
        return []
    catalogue = FrozenCatalog.open(project.scenes_path)
    summary = catalogue.summary()
    asked = " · ".join(
        f"{key} {catalogue.request[key]}" for key in ("catalog", "collection") if catalogue.request.get(key)
    )
    span = f" from {summary.first} to {summary.last}" if summary.first else ""
    return [("Catalogue", asked or "-"), ("Scenes", f"{summary.scenes:,} on {summary.days} days{span}")]


def _classifier(card: ModelCard) -> str:
    return NAMES.get(card.classifier, card.classifier)
