"""From quality classes to what counts as clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.sensor import NOT_ACQUIRED, READ_FAILED
from cropcube.errors import InvalidInputError
from cropcube.kernels import _native, cuda
from cropcube.kernels.arguments import check_array
from cropcube.kernels.device import device_of
from cropcube.xp import is_numpy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

KEPT, SPREADS = 1, 2
"""Kinds of classes for the native kernel; 0 is what is neither clear nor spreads."""


def clear_mask(
    quality: NDArray[np.uint8], classes: Iterable[int], dilate_px: int = 0, threads: int = 1
) -> NDArray[np.bool_]:
    """Return where the quality class is one of those kept, away from those that are not.

    The same for any number of threads; the global interpreter lock is released.

    Parameters
    ----------
    quality
        uint8 (..., y, x): 0 not acquired, 254 read failed (never clear, whatever `classes` says), else a class.
    classes
        Classes that count as clear.
    dilate_px
        Pixels whose centre lies within this many pixels of a pixel of a class that is not kept are not clear either.
        Pixels without a class (0, 254) do not spread: their border is known exactly, a cloud's is not.
    threads
        Threads to share the dates among: the caller's budget.

    Raises
    ------
    InvalidInputError
        If `quality` is not uint8 with two or more dimensions, or `dilate_px` is negative.
    """
    if not is_numpy(quality) or quality.dtype != np.uint8 or quality.ndim < 2:
        shape, dtype = getattr(quality, "shape", None), getattr(quality, "dtype", type(quality).__name__)
        raise InvalidInputError(f"quality has dtype {dtype} and shape {shape}; expected uint8 (..., y, x)")
    height, width = quality.shape[-2:]
    dates = int(np.prod(quality.shape[:-2]))
    whole = clear_pixels(
        quality.reshape(dates, height, width), classes, dilate_px, (slice(0, height), slice(0, width)), threads=threads
    )
    return whole.reshape(quality.shape)


def clear_pixels(
    quality_TYX: NDArray[np.uint8],
    classes: Iterable[int],
    dilate_px: int,
    part: tuple[slice, slice],
    repeats: int = 1,
    reflectance_TBYX: NDArray[np.uint16] | None = None,
    threads: int = 1,
) -> NDArray[np.bool_]:
    """Return where a part of a frame is clear, at the resolution of its reflectance, in one pass over it.

    What `clear_mask` says of the part, each quality pixel as many pixels as it covers, and no band zero there.

    Parameters
    ----------
    quality_TYX
        uint8, see `clear_mask`; a frame around the part, so that what lies beside it can spread into it.
    classes, dilate_px
        See `clear_mask`; in quality pixels.
    part
        Rows and columns of the frame, in quality pixels.
    repeats
        Pixels of reflectance along a side of a quality pixel.
    reflectance_TBYX
        uint16 of the part at the finer resolution, 0 = no value; None where there is none to look at.
    threads
        Threads to share the dates among: the caller's budget.

    Returns
    -------
    NDArray[np.bool_]
        (T, rows x repeats, cols x repeats).

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit, or a number is out of range.
    """
    check_array("quality_TYX", quality_TYX, "uint8", 3)
    if dilate_px < 0 or repeats < 1 or threads < 1:
        raise InvalidInputError(
            f"dilate_px = {dilate_px}, repeats = {repeats}, threads = {threads}; expected at least 0, 1 and 1"
        )
    dates, height, width = quality_TYX.shape
    rows, cols = (range(size)[section] for size, section in zip((height, width), part, strict=True))
    shape = (dates, len(rows) * repeats, len(cols) * repeats)
    if reflectance_TBYX is not None:
        check_array("reflectance_TBYX", reflectance_TBYX, "uint16", 4)
    if reflectance_TBYX is not None and (reflectance_TBYX.shape[0], *reflectance_TBYX.shape[2:]) != shape:
        raise InvalidInputError(
            f"reflectance_TBYX has shape {reflectance_TBYX.shape}; expected {(dates, 'bands', *shape[1:])} for the "
            f"part {part} of quality_TYX of shape {quality_TYX.shape}, {repeats} x {repeats} pixels each"
        )
    kind = np.full(256, SPREADS, np.uint8)
    kind[[c for c in classes if 0 < c < READ_FAILED]] = KEPT
    kind[[NOT_ACQUIRED, READ_FAILED]] = 0
    radius = min(dilate_px, height + width)  # farther than anything there
    device = device_of(quality_TYX, *([] if reflectance_TBYX is None else [reflectance_TBYX]))
    if device is not None:
        where = (rows, cols), repeats
        on_device: NDArray[np.bool_] = cuda.clear_pixels(device, quality_TYX, kind, radius, *where, reflectance_TBYX)
        return on_device
    clear_TYX = np.empty(shape, np.bool_)
    if reflectance_TBYX is None:
        reflectance_TBYX = np.empty((dates, 0, *shape[1:]), np.uint16)
    _native.clear_mask(
        np.ascontiguousarray(quality_TYX),
        kind,
        radius,
        rows.start,
        cols.start,
        repeats,
        np.ascontiguousarray(reflectance_TBYX, reflectance_TBYX.dtype.newbyteorder("=")),
        clear_TYX,
        threads,
        "",
    )
    return clear_TYX
