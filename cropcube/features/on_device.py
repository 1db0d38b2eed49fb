"""A tile's season on a device: in blocks of rows, each moved there once and its features back once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cropcube.kernels.device import Device

BLOCK_BYTES = 64 * 2**20
"""Reflectance that is on the device at once for each thread, beside its mask and its features."""
MOST_THREADS = 8
"""Each copies blocks and starts kernels in a stream of its own, so that copies and kernels overlap; more than some are
not needed to keep a device busy."""


def reduce_on_device(
    device: Device,
    kernel: Callable[[Any, Any], tuple[Any, ...]],
    reflectance_TBYX: NDArray[Any],
    clear_TYX: NDArray[np.bool_],
    threads: int = 1,
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
    threads
        Thread budget of the caller.

    Raises
    ------
    ResourceError
        If not even one row fits.
    """
    height = reflectance_TBYX.shape[2]
    rows = max(1, BLOCK_BYTES // max(1, reflectance_TBYX[:, :, :1].nbytes))
    while True:
        try:
            return _by_rows(device, kernel, (reflectance_TBYX, clear_TYX), rows, min(threads, MOST_THREADS))
        except MemoryError as error:
            if rows == 1:
                size = reflectance_TBYX[:, :, :1].nbytes / 2**20
                raise ResourceError(
                    f"the device has no memory for one row of {size:.0f} MiB: {error}",
                    "Use --device cpu, or create the project with a smaller --tile-px.",
                ) from error
            rows = max(1, min(rows, height) // 2)


def _by_rows(
    device: Device,
    kernel: Callable[[Any, Any], tuple[Any, ...]],
    series: tuple[NDArray[Any], ...],
    rows: int,
    threads: int,
) -> tuple[NDArray[Any], ...]:
    """Return what the kernel makes of blocks of some rows."""
    height = series[0].shape[2]
    whole: list[NDArray[Any]] = []
    first_come = threading.Lock()

    def reduce(first: int) -> None:
        some = slice(first, first + rows)
        with device.stream():
            made = kernel(*(device.put(array[..., some, :]) for array in series))
            with first_come:
                if not whole:
                    shapes = ((*array.shape[:-2], height, array.shape[-1]) for array in made)
                    whole.extend(np.empty(shape, array.dtype) for shape, array in zip(shapes, made, strict=True))
            for array, into in zip(made, whole, strict=True):
                device.get(array, into[..., some, :])

    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(reduce, range(0, max(1, height), rows)))
    return tuple(whole)
