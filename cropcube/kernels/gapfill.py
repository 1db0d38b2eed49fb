"""Completing a series that has gaps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native, cuda
from cropcube.kernels.arguments import check_array
from cropcube.kernels.device import device_of, on_host

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.kernels.device import Device


NATIVE_TYPES = (np.uint16, np.float32, np.float64)
"""What is filled as it is; other types are filled as float64 and rounded (not on a device)."""


def gap_fill(
    values: NDArray[Any], valid: NDArray[np.bool_], positions_T: NDArray[Any] | None = None, threads: int = 1
) -> NDArray[Any]:
    """Fill gaps linearly in time; before the first and after the last value, that value is held.

    Parameters
    ----------
    values
        Integer or floating point, time first: (T, ...), such as (W, B, Y, X) or (W, B, N).
    valid
        bool, where there is a value: the shape of `values`, or that without the second dimension (shared by bands).
    positions_T
        Where the steps lie in time, strictly ascending; equally spaced if left out.
    threads
        Threads to share the series among: the caller's budget.

    Returns
    -------
    NDArray
        A new array of the same type, of CuPy where `values` is. Integers are rounded half up. A series without any
        value is 0 throughout.

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit, or positions do not ascend.
    """
    device, positions = _check(values, valid, positions_T, threads)
    steps = values.shape[0]
    # Bands of their own only where they share a mask; elsewhere each series has one.
    bands, first = (values.shape[1], 2) if valid.shape != values.shape else (1, 1)
    shape = (steps, bands, math.prod(values.shape[first:]))
    held = np.dtype(values.dtype).newbyteorder("=")
    if device is not None:
        if held not in NATIVE_TYPES:
            raise InvalidInputError(f"values has dtype {held} on a device; expected uint16, float32 or float64")
        on_device: NDArray[Any] = cuda.gap_fill(device, values, valid, positions, shape, held)
        return on_device
    native = held if held in NATIVE_TYPES else np.dtype(np.float64)
    filled = np.empty(shape, native)
    given = np.ascontiguousarray(values, native).reshape(shape)
    _native.gap_fill(given, np.ascontiguousarray(valid).reshape(shape[::2]), positions, filled, threads)
    if native != held:
        filled = (np.floor(filled + 0.5) if np.issubdtype(held, np.integer) else filled).astype(held)
    return filled.reshape(values.shape)


def _check(
    values: NDArray[Any], valid: NDArray[np.bool_], positions_T: NDArray[Any] | None, threads: int
) -> tuple[Device | None, NDArray[np.float64]]:
    check_array("values", values, "integer floating", max(1, getattr(values, "ndim", 1)))
    check_array("valid", valid, "bool", max(1, getattr(valid, "ndim", 1)))
    shared = (*values.shape[:1], *values.shape[2:])
    if valid.shape not in (values.shape, shared):
        raise InvalidInputError(f"valid has shape {valid.shape}; expected {values.shape} or {shared}")
    if threads < 1:
        raise InvalidInputError(f"threads = {threads}; expected at least 1")
    if positions_T is None:
        return device_of(values, valid), np.arange(values.shape[0], dtype=np.float64)
    check_array("positions_T", positions_T, "integer floating", 1)
    positions = np.ascontiguousarray(on_host(positions_T), np.float64)
    if positions.shape != values.shape[:1]:
        raise InvalidInputError(f"positions_T has shape {positions.shape}; expected {values.shape[:1]}")
    if not (np.diff(positions) > 0).all():
        raise InvalidInputError(f"positions_T of shape {positions.shape} does not ascend; expected ascending")
    return device_of(values, valid), positions
