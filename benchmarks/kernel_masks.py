"""Masks with dilation, beside SciPy and NumPy: quality at 20 m and ten bands at 10 m to what is clear at 10 m."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from kernel_timing import SIDE, THREADS, Case, series, speeds
from numpy.typing import NDArray
from scipy import ndimage

from cropcube.kernels import clear_pixels

NAME = "masks"
CLASSES = (4, 5, 6, 7)
PART = (slice(8, 8 + SIDE // 2), slice(8, 8 + SIDE // 2))


def clouds(dates: int) -> NDArray[np.uint8]:
    """Return quality (dates, y, x) of a frame of 8 pixels around the tile, half of it under smooth clouds."""
    generator = np.random.default_rng(1)
    field = ndimage.gaussian_filter(generator.random((dates, SIDE // 2 + 16, SIDE // 2 + 16)), (0, 12, 12))
    return np.where(field > np.median(field), 9, 4).astype(np.uint8)


def by_scipy(quality: NDArray[np.uint8], reflectance: NDArray[np.uint16], radius: int) -> Any:
    """Return the same by a binary dilation with a disc, repeated and joined with the bands."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    clear = np.isin(quality, CLASSES)
    for date in clear if radius else ():
        date[...] &= ~ndimage.binary_dilation(~date, y**2 + x**2 <= radius**2)
    whole = clear[(slice(None), *PART)].repeat(2, axis=1).repeat(2, axis=2)
    return whole & (reflectance != 0).all(axis=1)


def cases() -> Iterator[Case]:
    """Yield one table for each distance."""
    reflectance, _ = series(73)
    quality = clouds(73)
    few = quality[:8], reflectance[:8]
    for radius in (0, 3, 10):
        ours = partial(clear_pixels, quality, CLASSES, radius, PART, 2, reflectance)
        np.testing.assert_array_equal(ours(THREADS)[:8], by_scipy(*few, radius))
        ways: list[tuple[str, Callable[[], Any] | None]] = [
            (f"cropcube, {THREADS} threads", partial(ours, THREADS)),
            ("cropcube, 1 thread", partial(ours, 1)),
            ("", None),
            ("SciPy binary_dilation and NumPy", partial(by_scipy, *few, radius)),
        ]
        title = f"73 dates, 10 bands, {SIDE} x {SIDE}, clouds over half, grown by {radius} pixels of 20 m"
        yield Case(NAME, title, speeds(reflectance.nbytes, ways, few[1].nbytes))
