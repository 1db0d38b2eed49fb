"""What the report shows: the map, a closer look, the crops over the season, how sure the map is, what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cropcube.cube.store import Store
from cropcube.domain.feature_spec import IN_WINDOWS, FeatureSpec
from cropcube.domain.lattice import FINEST_M, PixelBox
from cropcube.domain.map_product import CLEAR_COUNT, CONFIDENCE, CROP
from cropcube.maps.extent import covered_box
from cropcube.pipeline.map_records import mapped_area
from cropcube.pipeline.report_words import map_legend, swatches
from cropcube.report.composite import composite
from cropcube.report.curves import season_curves
from cropcube.report.figures import curve_picture, ground_picture, quantity_picture, thumbnail
from cropcube.report.mosaic import overview
from cropcube.report.page import Illustration, Section
from cropcube.report.pictures import EMPTY, Swatch, paint_classes, paint_composite
from cropcube.report.raster import Raster
from cropcube.report.tables import percent
from cropcube.samples.read import Samples

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.domain.model_card import ModelCard
    from cropcube.pipeline.report_files import ReportInput
    from cropcube.report.curves import Curves
    from cropcube.samples.index import SampleIndex

DETAIL_PX = 512
"""Longer side of the closer look."""
MOST_CURVES = 24
"""Classes whose courses are drawn, those with the most labels."""


def map_section(content: ReportInput, classes: Raster | None) -> Section:
    """Return the map with its legend; `classes` is what of it can be drawn."""
    if classes is None:
        return Section("The map", ("There is no map yet: `cropcube predict` makes it.",))
    legend = map_legend(content.project)
    areas = mapped_area(content.project, legend)
    total = sum(areas.pixels) + areas.unclassified
    text = (
        "Every pixel that was seen gets one of the legend's classes, whatever grows or stands there. Areas in the "
        "legend are counted pixels; they carry the errors of the map and are not estimates of area."
    )
    if areas.unclassified:
        text += f" {percent(areas.unclassified / max(total, 1))} of the region has no class: it was never seen clear."
    alt = f"Map of crop types: {', '.join(legend.names)}"
    colours = swatches(legend, areas)
    picture = ground_picture(paint_classes(classes, colours))
    key = (*colours, Swatch("No data", EMPTY))
    return Section("The map", (), (Illustration(picture, "", alt),), key, closing=(text,))


def detail_section(content: ReportInput, standing: bool) -> Section:
    """Return composite, labels and map of the place with the most labels, side by side."""
    project = content.project
    box = detail_box(project, content.index)
    features = project.features_path(content.card.feature)
    zone, panels = box.lattice.name, []
    seen = composite(Store.open(features), zone, box) if Store.exists(features) else None
    if seen is not None:
        picture = thumbnail(paint_composite(_raster(box, seen.values)))
        said = _composite_words(content.card, project, seen.step, seen.filled)
        panels.append(Illustration(picture, said, "Colour composite", "From space: near infrared, red, green"))
    labels = thumbnail(paint_classes(_raster(box, label_picture(content.index, box)), swatches(content.legend)))
    panels.append(Illustration(labels, "What is known from the ground.", "Labels of the same place", "Labels"))
    if standing:
        crop = Store.open(project.map_path).read(zone, CROP, box)
        mapped = thumbnail(paint_classes(_raster(box, crop), swatches(map_legend(project))))
        panels.append(Illustration(mapped, "Colours as in the legend above.", "Map of the same place", "Map"))
    whole = box == covered_box(project.spec.region, project.spec.grid.zone(zone))
    where = "The whole region" if whole else "The place with the most labels"
    ground = f"{box.width * FINEST_M:,} m from west to east, {box.height * FINEST_M:,} m from south to north"
    return Section("A closer look", (f"{where}: {ground}.",), strip=tuple(panels))


def curves_section(content: ReportInput) -> Section:
    """Return the course of each crop over the season."""
    heading = "The crops over the season"
    if content.source is None:
        return Section(heading, (f"The features {content.card.feature} are not there any more.",))
    samples = Samples(content.source, content.layout, content.index, content.legend)
    curves = season_curves(samples, content.project.spec.season)
    if curves is None or not curves.curves:
        return Section(heading, (f"{content.card.feature} holds no course of a vegetation index over the season.",))
    drawn = sorted(curves.curves, key=lambda curve: -curve.pixels)[:MOST_CURVES]
    strip = tuple(
        Illustration(
            curve_picture(curves, curve), f"{curve.pixels:,} labelled pixels", f"{curves.index} of {curve.name}",
            curve.name,
        )
        for curve in drawn
    )  # fmt: skip
    return Section(heading, (_curves_words(curves, content.card.feature),), strip=strip)


def confidence_section(content: ReportInput) -> Section:
    """Return how sure the classifier is, pixel by pixel."""
    project, heading = content.project, "How sure the map is"
    store = Store.open(project.map_path)
    confidence = overview(store, CONFIDENCE, project.spec.grid, project.spec.region)
    known = confidence.values[confidence.values > 0]
    if not known.size:
        return Section(heading, ("No pixel of the map has a class.",))
    low, middle = (round(float(q)) for q in np.percentile(known, (10, 50)))
    text = (
        f"Confidence is the probability that the classifier gives the class it maps: {middle} % or more for half of "
        f"the pixels, less than {low} % for one in ten. Where it is low, look twice."
    )
    picture = quantity_picture(confidence, "confidence (percent)", (0, 100))
    return Section(heading, (text, _calibration_words(content.card)), (Illustration(picture, "", "Map of confidence"),))


def seen_section(content: ReportInput) -> Section:
    """Return how many clear observations each pixel has."""
    project, heading = content.project, "How often the ground was seen"
    store = Store.open(project.map_path)
    counts = overview(store, CLEAR_COUNT, project.spec.grid, project.spec.region)
    seen = counts.values[counts.values > 0]
    if not seen.size:
        return Section(heading, ("Not once: no pixel of the map was ever clear.",))
    low, middle, high = (round(float(q)) for q in np.percentile(seen, (5, 50, 95)))
    text = (
        f"Half of the pixels were seen clear at least {middle} times in the season; "
        f"nine in ten between {low} and {high} times. Where there are few, trust the map less."
    )
    picture = quantity_picture(counts, "clear observations in the season")
    return Section(heading, (text,), (Illustration(picture, "", "Map of clear observations"),))


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
        return "The mean of the season; vegetation is red."
    in_windows = spec.kind in IN_WINDOWS
    first = spec.window_starts(project.spec.season)[step] if in_windows else project.spec.season.start
    length = f"{spec.window_days} days from" if in_windows else "the season from"
    what = {"geomedian": "Geometric medians", "percentiles": f"Percentiles ({spec.steps(project.spec.season)[step]})"}
    said = f"{what.get(spec.kind, 'Medians')} of {length} {first.day} {first:%B %Y}; vegetation is red."
    return said + (f" {percent(filled)} is from the nearest other window." if filled > 0.0005 else "")


def _calibration_words(card: ModelCard) -> str:
    """Return what the confidence is worth, as measured on the validation places."""
    found = card.calibration
    if found is None:
        return "No place was left to check it on: it is what the classifier states, and may be too sure."
    said = f"It was set right on {found.samples:,} pixels of places kept for validation"
    if found.ece_after is None:
        return f"{said}, which are one place: how far it is off elsewhere was not measured."
    return (
        f"{said}. Each half of these places judged by the other, stated confidence and the share that is right differ "
        f"by {100 * found.ece_after:.1f} percentage points on average ({100 * found.ece_before:.1f} before)."
    )


def _curves_words(curves: Curves, feature: str) -> str:
    """Return what the pictures of the courses show."""
    meant = {
        "NDVI": "NDVI is near 0 on bare ground and near 1 where leaves cover it.",
        "NDRE": "NDRE (of the bands of 20 m) grows with the leaves.",
    }[curves.index]
    how = f"the curve fitted by {feature}" if curves.fitted else f"of {feature}, gaps filled as for the classifier"
    text = (
        f"{meant} Line: half of the labelled pixels of the crop are above it, half below ({how}). Band: the middle "
        "half of the pixels. Grey lines: the other crops. Crops whose courses are alike are easily confused."
    )
    if curves.seen != (curves.days[0], curves.days[-1]):
        text += " The model does not see the shaded parts of the season."
    return text
