"""A tile's season on a device: in blocks of rows, each moved there once and its features back once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cropcube.kernels.device import Device

BLOCK_BYTES = 64 * 2**20
"""Reflectance and masks that are on the device at once for each thread, beside their features."""
MOST_THREADS = 8
"""Each copies blocks and starts kernels in a stream of its own, so that copies and kernels overlap; more than some are
not needed to keep a device busy."""


def reduce_on_device(
    device: Device,
    kernel: Callable[..., tuple[Any, ...]],
    series: Sequence[NDArray[Any]],
    height: int,
    threads: int = 1,
) -> tuple[NDArray[Any], ...]:
    """Return what a kernel makes of series, pixel by pixel, on the device.

    Where the device has no memory for a block, blocks are halved until they fit.

    Parameters
    ----------
    device
        Where the kernel runs.
    kernel
        Some rows of the series to arrays (..., y, x), all on the device.
    series
        Reflectances and masks (..., y, x) of the host.
    height
        Rows of the result; those of each of the series are a multiple.
    threads
        Thread budget of the caller.

    Raises
    ------
    ResourceError
        If not even one row fits.
    """
    row_bytes = max(1, sum(array.nbytes for array in series) // max(1, height))
    rows = max(1, BLOCK_BYTES // row_bytes)
    while True:
        try:
            return _by_rows(device, kernel, series, height, rows, min(threads, MOST_THREADS))
        except MemoryError as error:
            if rows == 1:
                raise ResourceError(
                    f"the device has no memory for one row of {row_bytes / 2**20:.0f} MiB: {error}",
                    "Use --device cpu, or create the project with a smaller --tile-px.",
                ) from error
            rows = max(1, min(rows, height) // 2)


def _by_rows(
    device: Device,
    kernel: Callable[..., tuple[Any, ...]],
    series: Sequence[NDArray[Any]],
    height: int,
    rows: int,
    threads: int,
) -> tuple[NDArray[Any], ...]:
    """Return what the kernel makes of blocks of some rows."""
    whole: list[NDArray[Any]] = []
    first_come = threading.Lock()

    def reduce(first: int) -> None:
        some = slice(first, first + rows)
        with device.stream():
            made = kernel(*(device.put(_rows_of(array, some, height)) for array in series))
            with first_come:
                if not whole:
                    shapes = ((*array.shape[:-2], height, array.shape[-1]) for array in made)
                    whole.extend(np.empty(shape, array.dtype) for shape, array in zip(shapes, made, strict=True))
            for array, into in zip(made, whole, strict=True):
                device.get(array, into[..., some, :])

    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(reduce, range(0, max(1, height), rows)))
    return tuple(whole)


def _rows_of(array: NDArray[Any], some: slice, height: int) -> NDArray[Any]:
    """Return the part of an array that some rows of the result are made of."""
    times = array.shape[-2] // max(1, height)
    return array[..., some.start * times : some.stop * times, :]
