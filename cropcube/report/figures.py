"""Pictures for the page: narrow enough that their words can still be read on a phone. PNG bytes, without a display."""

from __future__ import annotations

from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from cropcube.report.pictures import EMPTY, INK, QUIET, png_of
from cropcube.report.raster import Raster, frame_ticks, length_text, scale_bar_m

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cropcube.report.curves import Curve, Curves

_WIDTH_IN, _DPI = 4.2, 200
_CURVE_IN, _CURVE_DPI = (3.4, 2.0), 130
_THUMB_PX = 480
"""Shorter side of a picture of the row, at least."""


def ground_picture(image: Raster) -> bytes:
    """Return an RGB raster (y, x, 3) uint8 as a PNG with coordinates and a scale bar."""
    figure, axes = _sheet(image, 0.0)
    axes.imshow(image.values, extent=image.extent, interpolation="nearest", aspect="equal")
    _frame(axes, image)
    return png_of(figure)


def quantity_picture(values: Raster, unit: str, span: tuple[float, float] | None = None) -> bytes:
    """Return a quantity (y, x) as a PNG with a colour bar; 0 = no data.

    Parameters
    ----------
    values
        Numbers, 0 = none.
    unit
        Written along the colour bar.
    span
        Ends of the colour bar; None for the least and greatest value.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure, axes = _sheet(values, 0.92)
    shown = np.ma.masked_equal(values.values, 0)
    low, high = span or ((float(shown.min()), float(shown.max())) if shown.count() else (0.0, 1.0))
    norm = Normalize(low, max(high, low + 1))
    axes.set_facecolor(EMPTY)
    axes.imshow(shown, extent=values.extent, cmap="cividis", norm=norm, interpolation="nearest", aspect="equal")
    _frame(axes, values)
    bar_axes = axes.inset_axes((0.0, -0.72 / _inches(values), 1.0, 0.13 / _inches(values)))
    bar = figure.colorbar(ScalarMappable(norm, "cividis"), cax=bar_axes, orientation="horizontal")
    bar.set_label(unit, fontsize=10, color=INK)
    bar.ax.tick_params(labelsize=9.5, colors=INK)
    return png_of(figure)


def thumbnail(image: Raster) -> bytes:
    """Return an RGB raster (y, x, 3) uint8 as a bare PNG, its pixels enlarged so that they stay sharp."""
    from matplotlib.image import imsave

    times = max(1, -(-_THUMB_PX // min(image.values.shape[:2])))
    buffer = BytesIO()
    larger = np.repeat(np.repeat(image.values, times, axis=0), times, axis=1)
    imsave(buffer, larger, format="png", metadata={"Software": "cropcube"})
    return buffer.getvalue()


def curve_picture(curves: Curves, shown: Curve) -> bytes:
    """Return the course of one class as a PNG: median and quartiles, before those of the others in grey.

    Parameters
    ----------
    curves
        All classes.
    shown
        One of them.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=_CURVE_IN, dpi=_CURVE_DPI, facecolor="white")
    axes = figure.add_axes((0.125, 0.13, 0.86, 0.84))
    days = np.array([(day - curves.days[0]).days for day in curves.days], float)
    for other in curves.curves:
        axes.plot(days, other.middle, color="#c9ced2", linewidth=0.9)
    axes.fill_between(days, shown.low, shown.high, color=shown.colour, alpha=0.42, linewidth=0)
    axes.plot(days, shown.middle, color=INK, linewidth=3.4)
    axes.plot(days, shown.middle, color=shown.colour, linewidth=2.2)
    seen = [float((day - curves.days[0]).days) for day in curves.seen]
    for first, last in ((days[0], seen[0]), (seen[1], days[-1])):
        axes.axvspan(first, last, color=INK, alpha=0.09, linewidth=0)
    _season_axes(axes, curves)
    return png_of(figure)


def _season_axes(axes: Axes, curves: Curves) -> None:
    """Label months and the index; the same for every class, so that pictures can be compared."""
    first, last = curves.days[0], curves.days[-1]
    least = min(float(curve.low.min()) for curve in curves.curves)
    axes.set_ylim(min(0.0, np.floor(10 * least) / 10), 1.0)
    axes.set_xlim(0, (last - first).days)
    number = range(first.year * 12 + first.month, last.year * 12 + last.month)
    months = [date(month // 12, month % 12 + 1, 1) for month in number[:: max(1, -(-len(number) // 6))]]
    axes.set_xticks([(month - first).days for month in months], [f"{month:%b}" for month in months])
    axes.tick_params(labelsize=9.5, colors=INK, length=3, width=0.6)
    axes.grid(axis="y", color="#e4e7e9", linewidth=0.6)
    axes.set_axisbelow(True)
    _quiet_spines(axes, ("top", "right"))


def _inches(raster: Raster) -> float:
    """Return the height of a drawn raster, within what fits a page."""
    return float(np.clip(_width(raster) * raster.height_m / raster.width_m, 0.6, 5.2))


def _width(raster: Raster) -> float:
    """Return the width of a drawn raster: all there is, unless it would be taller than a page."""
    return min(_WIDTH_IN - 0.76, 5.2 * raster.width_m / raster.height_m)


def _sheet(raster: Raster, below_in: float) -> tuple[Figure, Axes]:
    """Return a figure with room for coordinates, a scale bar and, below, something else."""
    from matplotlib.figure import Figure

    left, right, foot, head = 0.42, 0.34, 0.34 + below_in, 0.34
    map_in = (max(_width(raster), 1.2), _inches(raster))
    width, height = left + map_in[0] + right, foot + map_in[1] + head
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    axes = figure.add_axes((left / width, foot / height, map_in[0] / width, map_in[1] / height))
    length = scale_bar_m(raster.width_m)
    bar = figure.add_axes((left / width, (foot + map_in[1]) / height, map_in[0] / width, head / height))
    bar.set(xlim=(0, raster.width_m), ylim=(0, 1))
    bar.axis("off")
    bar.plot((0, length), (0.45, 0.45), color=INK, linewidth=3, solid_capstyle="butt")
    bar.text(length + 0.02 * raster.width_m, 0.45, length_text(length), fontsize=10, color=INK, va="center_baseline")
    bar.text(raster.width_m, 0.45, "N ↑", fontsize=10, color=INK, ha="right", va="center_baseline")
    return figure, axes


def _frame(axes: Axes, raster: Raster) -> None:
    """Label round longitudes and latitudes on the frame."""
    bottom, left = frame_ticks(raster, 2)
    axes.set_xticks([tick.position_m for tick in bottom], [tick.label for tick in bottom])
    axes.set_yticks([tick.position_m for tick in left], [tick.label for tick in left], rotation=90, va="center")
    axes.tick_params(labelsize=8.5, colors=QUIET, length=3, width=0.6)
    _quiet_spines(axes, ())


def _quiet_spines(axes: Axes, hidden: Sequence[str]) -> None:
    for side, spine in axes.spines.items():
        spine.set(color=QUIET, linewidth=0.6, visible=side not in hidden)
