"""From quality classes to what counts as clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.sensor import NOT_ACQUIRED, READ_FAILED
from cropcube.errors import InvalidInputError
from cropcube.xp import is_numpy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def clear_mask(quality: NDArray[np.uint8], classes: Iterable[int], dilate_px: int = 0) -> NDArray[np.bool_]:
    """Return where the quality class is one of those kept, away from those that are not.

    Parameters
    ----------
    quality
        uint8 (..., y, x): 0 not acquired, 254 read failed (never clear, whatever `classes` says), else a class.
    classes
        Classes that count as clear.
    dilate_px
        Pixels whose centre lies within this many pixels of a pixel of a class that is not kept are not clear either.
        Pixels without a class (0, 254) do not spread: their border is known exactly, a cloud's is not.

    Raises
    ------
    InvalidInputError
        If `quality` is not uint8 with two or more dimensions, or `dilate_px` is negative.
    """
    if not is_numpy(quality) or quality.dtype != np.uint8 or quality.ndim < 2:
        shape, dtype = getattr(quality, "shape", None), getattr(quality, "dtype", type(quality).__name__)
        raise InvalidInputError(f"quality has dtype {dtype} and shape {shape}; expected uint8 (..., y, x)")
    if dilate_px < 0:
        raise InvalidInputError(f"dilate_px = {dilate_px}; expected 0 or more")
    kept = np.zeros(256, bool)
    kept[[c for c in classes if 0 < c < READ_FAILED]] = True
    clear = kept[quality]
    if dilate_px == 0:
        return clear
    spreading = ~clear & (quality != NOT_ACQUIRED) & (quality != READ_FAILED)
    return np.logical_and(clear, ~dilate(spreading, dilate_px), out=clear)


def dilate(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    """Return where a pixel of the mask lies within `radius_px` (Euclidean, between centres); beyond the edge is none.

    Parameters
    ----------
    mask
        bool (..., y, x).
    radius_px
        At least 0.
    """
    height, width = mask.shape[-2:]
    counts = np.zeros((*mask.shape[:-1], width + 1), np.int32)
    np.cumsum(mask, axis=-1, out=counts[..., 1:])
    grown = np.zeros_like(mask)
    columns = np.arange(width)
    for dy in range(min(radius_px, height - 1) + 1):
        reach = int(np.sqrt(radius_px**2 - dy**2))
        right, left = np.minimum(columns + reach + 1, width), np.maximum(columns - reach, 0)
        near = counts[..., right] > counts[..., left]
        grown[..., dy:, :] |= near[..., : height - dy, :]
        grown[..., : height - dy, :] |= near[..., dy:, :]
    return grown
