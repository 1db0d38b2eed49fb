"""Samples of features, packed as a classifier takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native
from cropcube.kernels.arguments import check_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_STEPS = 4096
"""Filled values are exact up to here."""


@dataclass(frozen=True)
class Rows:
    """Where packed samples go."""

    values_NBS: NDArray[Any]
    "Samples, all bands of the classifier, the steps that it sees; float32, or of the source's own type; in C order."
    bands: tuple[int, ...]
    "Which of these bands those of the source are."
    first: int
    "Step of the source that the rows begin with."


def pack_samples(source_SBYX: NDArray[Any], pixel_N: NDArray[np.integer], rows: Rows, threads: int = 1) -> None:
    """Write the features of chosen pixels into rows.

    Gaps of uint16 features (medians) are filled as `gap_fill` fills them, over the whole series: a step has a value
    where the first band is not 0. float32 features (coefficients) are copied. The same for any number of threads.

    Parameters
    ----------
    source_SBYX
        uint16 or float32: the features of one resolution.
    pixel_N
        Which pixels, y * width + x, in any order.
    rows
        See there; written to.
    threads
        Threads to share the samples among: the caller's budget.

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit, or a pixel is not in the source.
    """
    check_array("source_SBYX", source_SBYX, "uint16 float32", 4)
    check_array("pixel_N", pixel_N, "integer", 1)
    check_array("values_NBS", rows.values_NBS, f"float32 {source_SBYX.dtype}", 3)
    steps, bands, height, width = source_SBYX.shape
    samples, row_bands, row_steps = rows.values_NBS.shape
    fits = samples == len(pixel_N) and bands == len(rows.bands) and 0 <= rows.first <= steps - row_steps
    if not fits or not rows.values_NBS.flags.c_contiguous or any(not 0 <= band < row_bands for band in rows.bands):
        raise InvalidInputError(
            f"{len(pixel_N)} pixels of a source of shape {source_SBYX.shape} do not go into rows of shape "
            f"{rows.values_NBS.shape} at bands {rows.bands} from step {rows.first}"
        )
    if steps > MAX_STEPS or threads < 1:
        raise InvalidInputError(f"{steps} steps, {threads} threads; expected at most {MAX_STEPS} and at least 1")
    if samples and not 0 <= int(pixel_N.min()) <= int(pixel_N.max()) < height * width:
        raise InvalidInputError(f"pixels {pixel_N.min()} to {pixel_N.max()} are not all in {height} x {width}")
    # neighbours share lines of the cache, and a pixel that several samples have is gathered once
    order = np.argsort(pixel_N, kind="stable")
    _native.pack_samples(
        np.ascontiguousarray(source_SBYX, source_SBYX.dtype.newbyteorder("=")),
        np.ascontiguousarray(pixel_N[order], np.int64),
        order,
        np.array(rows.bands, np.int32),
        rows.first,
        rows.values_NBS,
        threads,
        "",
    )


def take_scaled(
    rows_MBS: NDArray[Any],
    which_N: NDArray[np.integer],
    mean: NDArray[np.float32],
    deviation: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return (rows[which] - mean) / deviation in one go, all in float32; the global interpreter lock is released.

    Parameters
    ----------
    rows_MBS
        float32 or uint16, in C order.
    which_N
        Which rows, in any order.
    mean, deviation
        Of shapes that spread to (bands, steps).

    Raises
    ------
    InvalidInputError
        If a type or shape does not fit, or a row is not there.
    """
    check_array("rows_MBS", rows_MBS, "float32 uint16", 3)
    check_array("which_N", which_N, "integer", 1)
    count, *shape = rows_MBS.shape
    if not rows_MBS.flags.c_contiguous:
        raise InvalidInputError(f"rows of shape {rows_MBS.shape} are not in C order")
    scale = np.empty((2, *shape), np.float32)
    scale[0], scale[1] = mean, deviation
    taken_NBS = np.empty((len(which_N), *shape), np.float32)
    length = scale[0].size
    which = np.ascontiguousarray(which_N, np.int64)
    try:
        _native.take_scaled(
            rows_MBS.reshape(count, length), which, scale.reshape(2, length), taken_NBS.reshape(len(which), length)
        )
    except IndexError as err:
        raise InvalidInputError(f"rows {which.min()} to {which.max()} are not all among {count}") from err
    return taken_NBS
