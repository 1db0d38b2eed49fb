"""Checks of what kernels are handed: the message names the argument, what it is and what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels.device import device_of

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
