"""Checks of what kernels are handed: the message names the argument, what it is and what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels.device import device_of, on_host

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.kernels.device import Device


def check_array(name: str, array: Any, kinds: str, dimensions: int) -> None:
    """Refuse an array of the wrong library, type or number of dimensions.

    Parameters
    ----------
    name
        Name of the argument.
    array
        What was given for it.
    kinds
        Types that will do: NumPy type names separated by spaces (`uint16`, `integer floating`).
    dimensions
        Number of dimensions.

    Raises
    ------
    InvalidInputError
        If it does not fit.
    """
    try:
        device_of(array)
    except InvalidInputError:
        raise InvalidInputError(f"{name} is a {type(array).__name__}; expected a numpy array of {kinds}") from None
    kinds_known = {"integer": np.integer, "floating": np.floating}
    if not any(np.issubdtype(array.dtype, kinds_known.get(kind, kind)) for kind in kinds.split()):
        raise InvalidInputError(f"{name} has dtype {array.dtype} and shape {array.shape}; expected dtype {kinds}")
    if array.ndim != dimensions:
        raise InvalidInputError(f"{name} has shape {array.shape}; expected {dimensions} dimensions")


def check_series(reflectance_TBYX: NDArray[Any], valid_TYX: NDArray[np.bool_], kinds: str) -> Device | None:
    """Refuse a series and a mask that do not belong together; return the device that both lie on.

    Raises
    ------
    InvalidInputError
        If a type, a number of dimensions or a length does not fit.
    """
    check_array("reflectance_TBYX", reflectance_TBYX, kinds, 4)
    check_array("valid_TYX", valid_TYX, "bool", 3)
    dates, _, height, width = reflectance_TBYX.shape
    if valid_TYX.shape != (dates, height, width):
        raise InvalidInputError(
            f"valid_TYX has shape {valid_TYX.shape}; expected {(dates, height, width)} "
            f"for reflectance_TBYX of shape {reflectance_TBYX.shape}"
        )
    return device_of(reflectance_TBYX, valid_TYX)


def check_windows(
    window_T: NDArray[np.integer], dates: int, windows: int, threads: int, most: int
) -> NDArray[np.int32]:
    """Refuse windows that do not fit a series; return them on the host, as the kernels take them.

    Parameters
    ----------
    window_T
        Window of each date; -1 = none.
    dates, windows, threads
        Of the series, of the result, of the caller.
    most
        Dates that a window may have.

    Raises
    ------
    InvalidInputError
        If a type, length or value does not fit.
    """
    check_array("window_T", window_T, "integer", 1)
    window_T = on_host(window_T)
    if window_T.shape != (dates,):
        raise InvalidInputError(f"window_T has shape {window_T.shape}; expected ({dates},), one window for each date")
    if windows < 0 or threads < 1:
        raise InvalidInputError(f"windows = {windows}, threads = {threads}; expected windows >= 0 and threads >= 1")
    if dates and not (int(window_T.min()) >= -1 and int(window_T.max()) < windows):
        raise InvalidInputError(
            f"window_T runs from {window_T.min()} to {window_T.max()}; expected -1 (ignore) to {windows - 1}"
        )
    if dates > most and np.bincount(window_T[window_T >= 0], minlength=1).max() > most:
        raise InvalidInputError(f"a window of window_T has over {most} dates")
    return np.ascontiguousarray(window_T, np.int32)


def in_native_order(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in C order and the processor's byte order; itself where it is so."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def check_host(name: str, array: Any, kinds: str, dimensions: int) -> None:
    """Refuse what `check_array` does, and arrays that lie on a device; parameters as there.

    Raises
    ------
    InvalidInputError
        If it does not fit.
    """
    check_array(name, array, kinds, dimensions)
    if device_of(array) is not None:
        raise InvalidInputError(f"{name} lies on a device; this is computed on the processor alone", "Copy it there.")


def check_good(good_W: Any, bands: int) -> None:
    """Refuse a list of good bands that does not fit a spectrum of so many, or has none.

    Raises
    ------
    InvalidInputError
        If it does not fit.
    """
    check_host("good_W", good_W, "bool", 1)
    if good_W.shape != (bands,):
        raise InvalidInputError(f"good_W has shape {good_W.shape}; expected ({bands},), one for each band")
    if not good_W.any():
        raise InvalidInputError(f"good_W has none of {bands} bands", "Take the good-band list of the product.")
