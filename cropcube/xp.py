"""The seam between NumPy and CuPy: the array decides which dialect of a kernel runs.

Nothing here imports CuPy; an array that comes from it brings its own namespace along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from types import ModuleType


def namespace(*arrays: Any) -> ModuleType | Any:
    """Return the array-API namespace that all arrays belong to.

    Raises
    ------
    InvalidInputError
        If they come from different libraries, or from one without the array API.
    """
    spaces = []
    for array in arrays:
        find = getattr(array, "__array_namespace__", None)
        if find is None:
            raise InvalidInputError(
                f"{type(array).__name__} is not an array of the array API", "Hand over numpy (or cupy) arrays."
            )
        spaces.append(find())
    if any(space is not spaces[0] for space in spaces):
        names = ", ".join(sorted({space.__name__ for space in spaces}))
        raise InvalidInputError(f"arrays of different libraries: {names}", "Hand over arrays of one library.")
    return spaces[0]


def is_numpy(*arrays: Any) -> bool:
    """Return whether all arrays lie in the processor's memory as NumPy arrays."""
    return all(isinstance(array, np.ndarray) for array in arrays)
