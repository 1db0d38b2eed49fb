"""The map as a sheet of its own with its legend, and the colours of classes and composites. Needs no display."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from cropcube.report.raster import Raster, frame_ticks, length_text, scale_bar_m

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

INK, QUIET, EMPTY = "#1b1f23", "#5c6670", "#f1f1ee"
"""Text, secondary text, and pixels without a value."""
_MAP_CM, _NARROW_CM, _WIDE_CM = 17.0, 5.4, 8.4
"""Longer side of the map; least and greatest width of the column beside it."""
_DPI = 160


@dataclass(frozen=True)
class Swatch:
    """One line of a legend."""

    name: str
    "Class name."
    colour: str
    "`#rrggbb`."
    note: str = ""
    "Said after the name, quietly: an area, say."


@dataclass(frozen=True)
class Caption:
    """The words around a map."""

    title: str
    "What is shown."
    subtitle: str
    "Where and when."
    credit: str
    "Who the data are from, and how they were made; small, at the foot."


def class_colours(swatches: tuple[Swatch, ...]) -> NDArray[np.uint8]:
    """Return the colours of values 0 (no data) to 255, (256, 3); values beyond the legend are black."""
    table = np.zeros((256, 3), np.uint8)
    for value, colour in enumerate((EMPTY, *(swatch.colour for swatch in swatches))):
        table[value] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return table


def paint_classes(classes: Raster, swatches: tuple[Swatch, ...]) -> Raster:
    """Return a class raster (uint8, 1-based rows of the legend, 0 = no data) as RGB."""
    return classes.with_values(class_colours(swatches)[classes.values])


def paint_composite(reflectance: Raster) -> Raster:
    """Return three bands (y, x, 3) of reflectance as RGB, stretched per band from its 2nd to its 98th percentile.

    Pixels with a zero in any band have no data.
    """
    values = reflectance.values.astype(np.float32)
    valid = np.all(np.isfinite(values) & (values > 0), axis=2)
    image = np.empty(values.shape, np.uint8)
    image[:] = class_colours(())[0]
    if valid.any():
        low, high = np.percentile(values[valid], (2, 98), axis=0)
        scaled = (values[valid] - low) / np.maximum(high - low, 1e-6)
        image[valid] = np.round(255 * np.clip(scaled, 0, 1) ** 0.9).astype(np.uint8)
    return reflectance.with_values(image)


def map_picture(classes: Raster, swatches: tuple[Swatch, ...], caption: Caption) -> bytes:
    """Return the map as a PNG: classes, legend, scale bar, north and coordinates.

    Parameters
    ----------
    classes
        uint8 (y, x): 1-based rows of the legend, 0 = no data.
    swatches
        The legend, in the order of its rows.
    caption
        The words around it.
    """
    figure, axes, side = _sheet(classes, caption, _legend_cm(swatches))
    _show(axes, paint_classes(classes, swatches))
    _graticule(axes, classes)
    _legend(side, swatches)
    _scale_and_north(side, classes)
    return png_of(figure)


def _cm_per_m(raster: Raster) -> float:
    """Return the scale of the drawn map."""
    return _MAP_CM / max(raster.width_m, raster.height_m)


def _legend_cm(swatches: tuple[Swatch, ...]) -> float:
    """Return the width that a legend needs, within bounds."""
    longest = max(len(swatch.name) for swatch in swatches)
    wanted = 1.2 + 0.18 * longest + (1.9 if any(swatch.note for swatch in swatches) else 0.0)
    return float(np.clip(wanted, _NARROW_CM, _WIDE_CM))


def _sheet(raster: Raster, caption: Caption, side_cm: float) -> tuple[Figure, Axes, Axes]:
    """Return a figure with the map's axes and a column beside it, both measured in centimetres."""
    from matplotlib.figure import Figure

    map_cm = tuple(max(side * _cm_per_m(raster), 4.0) for side in (raster.width_m, raster.height_m))
    body_cm = max(map_cm[1], 9.0)
    left, right, head, foot, gap = 1.9, 0.4, 1.75, 1.75, 0.6
    width, height = left + map_cm[0] + gap + side_cm + right, head + body_cm + foot
    figure = Figure(figsize=(width / 2.54, height / 2.54), dpi=_DPI, facecolor="white")
    axes = figure.add_axes((left / width, (height - head - map_cm[1]) / height, map_cm[0] / width, map_cm[1] / height))
    side = figure.add_axes(
        ((left + map_cm[0] + gap) / width, foot / height, side_cm / width, body_cm / height),
        xlim=(0, side_cm),
        ylim=(0, body_cm),
    )
    side.axis("off")
    at = left / width
    figure.text(at, 1 - 0.55 / height, caption.title, fontsize=14, weight="bold", color=INK, va="center")
    figure.text(at, 1 - 1.2 / height, caption.subtitle, fontsize=9.5, color=QUIET, va="center")
    figure.text(at, 0.3 / height, caption.credit, fontsize=7, color=QUIET, va="bottom")
    for text in figure.texts:
        text.set_parse_math(False)
    return figure, axes, side


def _show(axes: Axes, image: Raster) -> None:
    """Draw an RGB raster pixel by pixel."""
    axes.imshow(image.values, extent=image.extent, interpolation="nearest", aspect="equal")
    for spine in axes.spines.values():
        spine.set(color=QUIET, linewidth=0.6)


def _graticule(axes: Axes, raster: Raster) -> None:
    """Label round longitudes and latitudes on the frame."""
    bottom, left = frame_ticks(raster)
    axes.set_xticks([tick.position_m for tick in bottom], [tick.label for tick in bottom])
    axes.set_yticks([tick.position_m for tick in left], [tick.label for tick in left], rotation=90, va="center")
    axes.tick_params(labelsize=7.5, colors=QUIET, length=3, width=0.6)


def _legend(side: Axes, swatches: tuple[Swatch, ...]) -> None:
    """Draw the legend from the top of the side column, packed where there are many classes."""
    from matplotlib.patches import Rectangle

    right, top = side.get_xlim()[1], side.get_ylim()[1]
    step = min(0.62, (top - 2.6) / (len(swatches) + 1))
    size = 9.0 if step > 0.45 else max(4.0, 9.0 * step / 0.45)
    rows = [*swatches, Swatch("No data", EMPTY)]
    for index, swatch in enumerate(rows):
        middle = top - (index + 0.5) * step
        height = step * 0.64
        corner = (0.0, middle - height / 2)
        side.add_patch(Rectangle(corner, 0.75, height, facecolor=swatch.colour, edgecolor=QUIET, linewidth=0.4))
        room = max(8, int((26 if swatch.note else 34) * 9.0 / size))
        side.text(1.0, middle, shorten(swatch.name, room), fontsize=size, color=INK, va="center", parse_math=False)
        side.text(right, middle, swatch.note, fontsize=size * 0.88, color=QUIET, va="center", ha="right")


def shorten(name: str, room: int) -> str:
    """Return a name cut to `room` characters, with an ellipsis where something is cut."""
    return name if len(name) <= room else name[: room - 1].rstrip() + "…"


def _scale_and_north(side: Axes, raster: Raster) -> None:
    """Draw a scale bar in the map's own scale, and an arrow to grid north, at the foot of the side column."""
    right = side.get_xlim()[1]
    length = scale_bar_m(min(raster.width_m, 2 * right / _cm_per_m(raster)))
    bar_cm = length * _cm_per_m(raster)
    side.plot((0, bar_cm), (0.35, 0.35), color=INK, linewidth=3, solid_capstyle="butt")
    side.text(0, 0.6, length_text(length), fontsize=8, color=INK, va="bottom")
    side.annotate(
        "N",
        xy=(right - 0.4, 1.5),
        xytext=(right - 0.4, 0.3),
        fontsize=9,
        weight="bold",
        color=INK,
        ha="center",
        arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.4},
    )


def png_of(figure: Figure) -> bytes:
    """Return the drawn figure; the same figure gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "cropcube"})
    return buffer.getvalue()
