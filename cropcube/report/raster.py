"""A small georeferenced raster to draw: values, where they lie, and the places on its frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIDE_PX = 1400
"""Longer side of the rasters that pictures are made from."""
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Raster:
    """Values on a regular grid, rows downwards."""

    values: NDArray[Any]
    "(y, x) or (y, x, channel)."
    crs: str
    "A projected CRS in metres, as pyproj reads it."
    left_m: float
    "x of the left edge."
    top_m: float
    "y of the top edge."
    pixel_m: float
    "Side of a pixel."

    @property
    def width_m(self) -> float:
        """Width on the ground."""
        return float(self.values.shape[1] * self.pixel_m)

    @property
    def height_m(self) -> float:
        """Height on the ground."""
        return float(self.values.shape[0] * self.pixel_m)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top in metres, as matplotlib wants them."""
        return self.left_m, self.left_m + self.width_m, self.top_m - self.height_m, self.top_m

    def with_values(self, values: NDArray[Any]) -> Raster:
        """Return other values on the same grid."""
        return Raster(values, self.crs, self.left_m, self.top_m, self.pixel_m)


@dataclass(frozen=True)
class Tick:
    """A labelled place on the frame of a map."""

    position_m: float
    "x on the bottom edge, or y on the left edge."
    label: str
    "`4.05° E`."


def nice_step(span: float, pieces: int) -> float:
    """Return the largest of 1, 2, 2.5, 5 times a power of ten that cuts `span` into at least `pieces` parts.

    Raises
    ------
    ValueError
        If the span is not positive.
    """
    if not span > 0:
        raise ValueError(f"a span of {span} cannot be cut")
    rough = span / pieces
    power = float(10.0 ** np.floor(np.log10(rough)))
    return max(step * power for step in _NICE if step * power <= rough * (1 + 1e-9))


def frame_ticks(raster: Raster, pieces: int = 3) -> tuple[tuple[Tick, ...], tuple[Tick, ...]]:
    """Return round longitudes on the bottom edge and round latitudes on the left edge.

    Parameters
    ----------
    raster
        What the frame surrounds.
    pieces
        At least this many intervals are aimed at.
    """
    from pyproj import Transformer

    to_degrees = Transformer.from_crs(raster.crs, "EPSG:4326", always_xy=True)
    left, right, bottom, top = raster.extent
    x, y = np.linspace(left, right, 201), np.linspace(bottom, top, 201)
    longitude = np.asarray(to_degrees.transform(x, np.full_like(x, bottom))[0])
    latitude = np.asarray(to_degrees.transform(np.full_like(y, left), y)[1])
    if np.any(np.diff(longitude) < -180):  # the antimeridian crosses the frame
        longitude = np.where(longitude < 0, longitude + 360, longitude)
    return _ticks(longitude, x, pieces, "EW"), _ticks(latitude, y, pieces, "NS")


def _ticks(degrees: NDArray[np.float64], metres: NDArray[np.float64], pieces: int, sides: str) -> tuple[Tick, ...]:
    """Return the ticks of one edge, given degrees along it; none where the edge leaves the projection."""
    if not np.all(np.isfinite(degrees)) or degrees[-1] <= degrees[0]:
        return ()
    step = nice_step(float(degrees[-1] - degrees[0]), pieces)
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9)) + (1 if f"{step:e}".startswith("2.5") else 0))
    first = int(np.ceil(degrees[0] / step - 1e-9))
    last = int(np.floor(degrees[-1] / step + 1e-9))
    ticks = []
    for index in range(first, last + 1):
        value = index * step
        wrapped = (value + 180) % 360 - 180 if sides == "EW" else value
        side = sides[0] if wrapped > 0 else sides[1] if wrapped < 0 else ""
        position = float(np.interp(value, degrees, metres))
        ticks.append(Tick(position, f"{abs(wrapped):.{decimals}f}° {side}" if side else "0°"))
    return tuple(ticks)


def scale_bar_m(width_m: float) -> float:
    """Return the round length of a scale bar: between a seventh and a third of the width."""
    steps = [step * 10.0**power for power in range(-2, 8) for step in (1, 2, 5)]
    return max(step for step in steps if step <= width_m / 3)


def length_text(metres: float) -> str:
    """Return `500 m` or `20 km`."""
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
