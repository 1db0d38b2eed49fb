"""Completing a series that has gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels.arguments import check_array
from cropcube.xp import is_numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gap_fill(values: NDArray[Any], valid: NDArray[np.bool_], positions_T: NDArray[Any] | None = None) -> NDArray[Any]:
    """Fill gaps linearly in time; before the first and after the last value, that value is held.

    Parameters
    ----------
    values
        Integer or floating point, time first: (T, ...), such as (W, B, Y, X) or (W, B, N).
    valid
        bool, where there is a value: the shape of `values`, or that without the second dimension (shared by bands).
    positions_T
        Where the steps lie in time, strictly ascending; equally spaced if left out.

    Returns
    -------
    NDArray
        A new array of the same type. Integers are rounded half up. A series without any value is 0 throughout.

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit, or positions do not ascend.
    """
    valid = _check(values, valid, positions_T)
    steps = values.shape[0]
    order = np.arange(steps, dtype=np.int32).reshape(-1, *[1] * (valid.ndim - 1))
    before = np.maximum.accumulate(np.where(valid, order, np.int32(-1)), axis=0)
    after = np.minimum.accumulate(np.where(valid, order, np.int32(steps))[::-1], axis=0)[::-1]
    never = before[-1:] < 0 if steps else before
    before, after = np.where(before < 0, after, before), np.where(after == steps, before, after)
    before, after = (np.clip(index, 0, max(0, steps - 1)) for index in (before, after))
    place_T = np.arange(steps) if positions_T is None else positions_T
    place_T = np.asarray(place_T, np.float64)
    place = place_T.reshape(order.shape)
    span = place_T[after] - place_T[before]
    since = np.where(span > 0, place - place_T[before], 0.0)
    span = np.where(span > 0, span, 1.0)
    start = np.take_along_axis(values, _to_shape(before, values), axis=0).astype(np.float64)
    stop = np.take_along_axis(values, _to_shape(after, values), axis=0).astype(np.float64)
    # The product first: a quotient that is a half comes out as exactly a half, so that rounding half up is exact.
    filled = start + (stop - start) * _to_shape(since, values) / _to_shape(span, values)
    if np.issubdtype(values.dtype, np.integer):
        filled = np.floor(filled + 0.5)
    filled = np.where(_to_shape(never, values), 0.0, filled)
    return np.where(_to_shape(valid, values), values, filled.astype(values.dtype))


def _check(values: NDArray[Any], valid: NDArray[np.bool_], positions_T: NDArray[Any] | None) -> NDArray[np.bool_]:
    check_array("values", values, "integer floating", max(1, values.ndim) if is_numpy(values) else 1)
    if not is_numpy(valid) or valid.dtype != np.bool_:
        raise InvalidInputError(f"valid is {getattr(valid, 'dtype', type(valid).__name__)}; expected a bool array")
    shared = (*values.shape[:1], *values.shape[2:])
    if valid.shape not in (values.shape, shared):
        raise InvalidInputError(f"valid has shape {valid.shape}; expected {values.shape} or {shared}")
    if positions_T is not None:
        check_array("positions_T", positions_T, "integer floating", 1)
        if positions_T.shape != values.shape[:1]:
            raise InvalidInputError(f"positions_T has shape {positions_T.shape}; expected {values.shape[:1]}")
        if not (np.diff(positions_T.astype(np.float64)) > 0).all():
            raise InvalidInputError(f"positions_T of shape {positions_T.shape} does not ascend; expected ascending")
    return valid


def _to_shape(array: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return the array with a dimension for the bands where it is shared by them."""
    return array if array.ndim == values.ndim else array[:, None]
