"""A tile's season on a device: in blocks of rows, each moved there once and its features back once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cropcube.kernels.device import Device

BLOCK_BYTES = 256 * 2**20
"""Reflectance that is on the device at once for each of the `STREAMS`, beside its mask and its features."""
STREAMS = 2
"""One block is copied while the one before it is reduced."""


def reduce_on_device(
    device: Device,
    kernel: Callable[[Any, Any], tuple[Any, ...]],
    reflectance_TBYX: NDArray[Any],
    clear_TYX: NDArray[np.bool_],
) -> tuple[NDArray[Any], ...]:
    """Return what a kernel makes of a series, pixel by pixel, on the device.

    Where the device has no memory for a block, blocks are halved until they fit.

    Parameters
    ----------
    device
        Where the kernel runs.
    kernel
        Reflectance and mask of some rows to arrays (..., y, x), all on the device.
    reflectance_TBYX, clear_TYX
        Of the host.

    Raises
    ------
    ResourceError
        If not even one row fits.
    """
    height = reflectance_TBYX.shape[2]
    rows = max(1, BLOCK_BYTES // max(1, reflectance_TBYX[:, :, :1].nbytes))

    def reduce(first: int, rows: int) -> list[NDArray[Any]]:
        some = slice(first, first + rows)
        with device.stream():
            # Through contiguous copies: a device takes whole blocks, and a block's rows lie apart in the series.
            reflectance = device.put(np.ascontiguousarray(reflectance_TBYX[:, :, some]))
            clear = device.put(np.ascontiguousarray(clear_TYX[:, some]))
            return [device.get(array) for array in kernel(reflectance, clear)]

    while True:
        starts = range(0, max(1, height), rows)
        try:
            with ThreadPoolExecutor(min(STREAMS, len(starts))) as pool:
                blocks = list(pool.map(reduce, starts, [rows] * len(starts)))
        except MemoryError as error:
            if rows == 1:
                size = reflectance_TBYX[:, :, :1].nbytes / 2**20
                raise ResourceError(
                    f"the device has no memory for one row of {size:.0f} MiB: {error}",
                    "Set CROPCUBE_DEVICE=cpu, or create the project with a smaller --tile-px.",
                ) from error
            rows = max(1, min(rows, height) // 2)
            continue
        return tuple(
            np.concatenate(parts, axis=-2) if len(parts) > 1 else parts[0] for parts in zip(*blocks, strict=True)
        )
