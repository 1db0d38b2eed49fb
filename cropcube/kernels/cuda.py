"""How the kernels of the CUDA dialect are started: what is compiled for which case, and in what blocks.

Bytes moved, operations and the times they leave are in docs/kernels.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.feature_spec import STATISTICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.kernels.device import Device

THREADS = 128
"""Of a block of the median kernels."""
HELD_THREADS = 32
"""Of blocks that hold bit planes in shared memory."""
PLANE_BYTES = 68
"""Of the bit planes and the mask of 32 dates."""
LONGEST_NETWORK = 16
DATES_A_WORD = 32
LONGEST_OF_PLANES = 384
"""Dates; the planes of longer windows do not fit into shared memory."""
ENOUGH_BLOCKS = 4096
"""Below this, bands are shared among blocks too: a device runs some 1,000 to 2,000 at once."""
MOST_BLOCKS_Y = 65535
FIT_THREADS = 128
FIT_BLOCKS = {3: 8, 5: 4, 7: 2}
"""Blocks of a fit that a multiprocessor's registers are shared among, by terms: as many as do without spilling."""
BANDS_TOGETHER = 2
"""Whose sums a thread of a fit has in registers at once: a cube's resolutions have even numbers of bands."""
SHARED_BYTES = 48 * 1024
"""Shared memory that every device gives a block without being asked."""
MOST_TERMS = 21
IN_REGISTERS = 7
"""Terms of a fit whose matrices stay in registers."""
BANDS_IN_REGISTERS = (4, 6, 10)
"""Numbers of bands that a geometric median's sums are known of to the compiler."""
CLASSES = {"uint16": "std::uint16_t", "float32": "float", "float64": "double"}


def window_median(
    device: Device, reflectance: Any, valid: Any, window_T: NDArray[Any], windows: int
) -> tuple[Any, Any]:
    """Return what `cropcube.kernels.window_median` returns, on the device; arguments are checked there."""
    _, bands, height, width = reflectance.shape
    reflectance, valid = device.in_order(reflectance, np.uint16), device.in_order(valid, np.bool_)
    median = device.empty((windows, bands, height, width), np.uint16)
    clear_count = device.empty((windows, height, width), np.uint16)
    pixels = height * width
    if pixels == 0 or windows == 0:
        return median, clear_count
    dates, number, offsets = _grouped(window_T, windows)
    follow = np.diff(dates) == 1
    follow[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < len(dates))] - 1] = True
    paired = pixels % 2 == 0 and device.address(reflectance) % 4 == 0 and device.address(valid) % 2 == 0
    kernels = _median_kernels(number, paired, bool(follow.all()))
    # One small copy to the device instead of several: each costs more than a small tile's medians.
    index = device.put(np.concatenate([offsets, dates, *(which for _, _, which in kernels)]).astype(np.int32))
    first = len(offsets) + len(dates)
    for kernel, defines, which in kernels:
        threads = HELD_THREADS if defines.get("HELD") else THREADS
        shared = PLANE_BYTES * defines["WORDS"] * threads if defines.get("HELD") else 0
        blocks = -(-pixels // (threads * defines["PIXELS"]))
        for begin in range(first, first + len(which), MOST_BLOCKS_Y):
            some = min(MOST_BLOCKS_Y, first + len(which) - begin)
            groups = min(max(1, bands), -(-ENOUGH_BLOCKS // (blocks * some)))
            each = max(1, -(-bands // groups))
            device.launch(
                kernel,
                {f"CROPCUBE_{name}": str(value).lower() for name, value in defines.items()},
                (blocks, some, max(1, -(-bands // each))),
                threads,
                shared,
                reflectance, valid, index[len(offsets) :], index, np.uint64(bands), np.uint64(pixels),
                median, clear_count, index[begin:], np.uint64(each),
            )  # fmt: skip
        first += len(which)
    return median, clear_count


def window_geomedian(
    device: Device, reflectance: Any, valid: Any, window_T: NDArray[Any], windows: int
) -> tuple[Any, Any]:
    """Return what `cropcube.kernels.window_geomedian` returns, on the device; arguments are checked there."""
    _, bands, height, width = reflectance.shape
    reflectance, valid = device.in_order(reflectance, np.uint16), device.in_order(valid, np.bool_)
    found = device.empty((windows, bands, height, width), np.uint16)
    clear_count = device.empty((windows, height, width), np.uint16)
    pixels = height * width
    if pixels == 0 or windows == 0:
        return found, clear_count
    dates, number, offsets = _grouped(window_T, windows)
    longest = int(number.max())
    threads, room = _threads_of(max(1, longest * (2 * bands + 1)))
    index = device.put(np.concatenate([offsets, dates]).astype(np.int32))
    macros = {
        "CROPCUBE_BANDS": bands if bands in BANDS_IN_REGISTERS else 0,
        "CROPCUBE_HELD": "true" if room else "false",
    }
    for first in range(0, windows, MOST_BLOCKS_Y):
        device.launch(
            "geomedian", macros, (-(-pixels // threads), min(MOST_BLOCKS_Y, windows - first), 1), threads, room,
            reflectance, valid, index[len(offsets) :], index, np.int32(longest), np.uint64(bands), np.uint64(pixels),
            found, clear_count, np.uint64(first),
        )  # fmt: skip
    return found, clear_count


def _grouped(window_T: NDArray[Any], windows: int) -> tuple[NDArray[np.int32], NDArray[Any], NDArray[Any]]:
    """Return the dates that are in a window, window by window; how many each has; where each begins (and the end)."""
    dates = np.argsort(window_T, kind="stable").astype(np.int32)[int((window_T < 0).sum()) :]
    number = np.bincount(window_T[window_T >= 0], minlength=windows)
    return dates, number, np.concatenate([[0], np.cumsum(number)])


def _threads_of(bytes_each: int) -> tuple[int, int]:
    """Return how many threads a block has whose shared memory holds so much for each, and its size; 0 = none fits."""
    for threads in (128, 64, 32):
        if threads * bytes_each <= SHARED_BYTES:
            return threads, threads * bytes_each
    return THREADS, 0


def time_percentiles(
    device: Device, reflectance: Any, valid: Any, thousandths: NDArray[np.int32], network: NDArray[np.int32]
) -> tuple[Any, Any]:
    """Return what `cropcube.kernels.time_percentiles` returns, on the device; arguments are checked there."""
    dates, bands, height, width = reflectance.shape
    reflectance, valid = device.in_order(reflectance, np.uint16), device.in_order(valid, np.bool_)
    found = device.empty((len(thousandths), bands, height, width), np.uint16)
    clear_count = device.empty((height, width), np.uint16)
    pixels = height * width
    if pixels == 0:
        return found, clear_count
    threads, room = _threads_of(max(4, 4 * dates))
    blocks = -(-pixels // (threads * (2 if room else 1)))
    groups = min(max(1, bands), -(-ENOUGH_BLOCKS // blocks))
    each = max(1, -(-bands // groups))
    device.launch(
        "percentiles", {"CROPCUBE_HELD": "true" if room else "false"}, (blocks, max(1, -(-bands // each)), 1), threads,
        room, reflectance, valid, device.put(thousandths), device.put(network), np.int32(dates), np.uint64(bands),
        np.uint64(pixels), np.uint64(len(thousandths)), np.uint64(len(network)), found, clear_count, np.uint64(each),
    )  # fmt: skip
    return found, clear_count


def _median_kernels(
    number_W: NDArray[Any], paired: bool, steady: bool
) -> list[tuple[str, dict[str, Any], NDArray[Any]]]:
    """Return kernels, their macros and the windows they do, by the windows' numbers of dates."""
    short, long = number_W <= LONGEST_NETWORK, number_W > LONGEST_OF_PLANES
    words_W = np.where(short | long, 0, -(-number_W // DATES_A_WORD))
    where = {"PAIRED": paired, "STEADY": steady}
    found = [("median_network", {"PIXELS": 2, **where}, np.flatnonzero(short))]
    for words in sorted({int(words) for words in words_W} - {0}):
        # Registers hold the planes of two pixels, or of one; shared memory those of 32 pixels of up to twelve words.
        defines = {"WORDS": words, "PIXELS": 2 if words <= 2 else 1, "HELD": words > 6}
        defines |= where
        found.append(("median_planes", defines, np.flatnonzero(words_W == words)))
    found.append(("median_counts", {"PIXELS": 1}, np.flatnonzero(long)))
    return [(kernel, defines, which) for kernel, defines, which in found if len(which)]


def harmonic_fit(
    device: Device, reflectance: Any, valid: Any, design: NDArray[np.float64], terms: int, ridge: float, limit: float
) -> tuple[Any, Any, Any]:
    """Return what `cropcube.kernels.harmonic_fit` returns, on the device; arguments are checked there."""
    dates, bands, height, width = reflectance.shape
    held = np.dtype(reflectance.dtype).newbyteorder("=")
    held = held if held.name in CLASSES else np.dtype(np.float64)
    reflectance, valid = device.in_order(reflectance, held), device.in_order(valid, np.bool_)
    coefficient = device.empty((terms, bands, height, width), np.float32)
    rmse = device.empty((bands, height, width), np.float32)
    clear_count = device.empty((height, width), np.uint16)
    pixels = height * width
    if pixels == 0:
        return coefficient, rmse, clear_count
    room = -(-dates // DATES_A_WORD) * 4 + (8 * (terms + terms * terms) if terms <= IN_REGISTERS else 0)
    threads = FIT_THREADS
    while threads * room > SHARED_BYTES:
        threads //= 2
    device.launch(
        "harmonic_fit",
        _fit_macros(held, terms),
        (-(-pixels // threads), 1, 1),
        threads,
        threads * room,
        reflectance, valid, device.put(design), np.int32(dates), np.int32(terms), np.uint64(bands), np.uint64(pixels),
        np.float64(ridge), np.float64(limit), coefficient, rmse, clear_count,
    )  # fmt: skip
    return coefficient, rmse, clear_count


def _fit_macros(dtype: np.dtype[Any], terms: int) -> dict[str, Any]:
    """Return what a fit is compiled for."""
    return {
        "CROPCUBE_VALUE": CLASSES[dtype.name],
        "CROPCUBE_TERMS": terms if terms <= IN_REGISTERS else MOST_TERMS,
        "CROPCUBE_TOGETHER": BANDS_TOGETHER,
        "CROPCUBE_AHEAD": 8 if terms <= 5 else 4,
        "CROPCUBE_BLOCKS": FIT_BLOCKS.get(terms, 1),
    }


def clear_pixels(
    device: Device,
    quality: Any,
    kind: NDArray[np.uint8],
    radius: int,
    part: tuple[range, range],
    repeats: int,
    reflectance: Any,
) -> Any:
    """Return what `cropcube.kernels.clear_pixels` returns, on the device; arguments are checked there."""
    dates, height, width = quality.shape
    rows, cols = part
    quality = device.in_order(quality, np.uint8)
    # A mask of no band needs no reflectance: the quality stands for it and is not looked at.
    reflectance, bands = (
        (quality, 0) if reflectance is None else (device.in_order(reflectance, np.uint16), reflectance.shape[1])
    )
    clear = device.empty((dates, len(rows) * repeats, len(cols) * repeats), np.bool_)
    kinds = device.put(kind)
    if not (len(rows) and len(cols)):
        return clear
    for first in range(0, dates, MOST_BLOCKS_Y):
        device.launch(
            "clear_mask",
            {},
            (-(-len(cols) // THREADS), len(rows), min(MOST_BLOCKS_Y, dates - first)),
            THREADS,
            0,
            quality, np.uint64(height), np.uint64(width), kinds, np.uint64(radius), np.uint64(rows.start),
            np.uint64(cols.start), np.uint64(len(rows)), np.uint64(len(cols)), np.uint64(repeats), reflectance,
            np.uint64(bands), clear, np.uint64(first),
        )  # fmt: skip
    return clear


def spectral_index(
    device: Device,
    places: NDArray[np.int32],
    weights: NDArray[np.float32],
    offsets: NDArray[np.int32],
    constants: NDArray[np.float32],
    sources: list[tuple[Any, Any]],
    shape: tuple[int, int, int],
    in_time: tuple[NDArray[np.int32], NDArray[np.float32]] | None,
) -> Any:
    """Return what `cropcube.kernels.spectral_indices` or, with an order and days, `index_statistics` returns."""
    steps, height, width = shape
    indices = len(constants)
    found = device.empty((steps if in_time is None else len(STATISTICS), indices, height, width), np.float32)
    pixels = height * width
    if pixels == 0 or found.shape[0] == 0:
        return found
    # The structs of index_terms.hpp, as bytes: addresses on the device among them.
    listed = [
        (device.address(held), 0 if seen is None else device.address(seen), held.shape[1], held.shape[2] // height)
        for held, seen in sources
    ]
    terms = np.empty((len(places), 4), np.int32)
    terms[:, :2], terms[:, 2:] = places, weights.view(np.int32)
    order, days = in_time or (np.zeros(1, np.int32), np.zeros(1, np.float32))
    held = [device.put(array) for array in (np.array(listed, np.uint64), terms, offsets, constants)]
    along = [device.put(array) for array in (order, days)]
    for first in range(0, 1 if in_time else steps, MOST_BLOCKS_Y):
        device.launch(
            "spectral_index", {"CROPCUBE_STATISTICS": "true" if in_time else "false"},
            (-(-pixels // THREADS), indices, 1 if in_time else min(MOST_BLOCKS_Y, steps - first)), THREADS, 0,
            *held, np.uint64(indices), np.uint64(height), np.uint64(width), *along, np.uint64(steps), np.uint64(first),
            found,
        )  # fmt: skip
    return found


def gap_fill(
    device: Device,
    values: Any,
    valid: Any,
    positions: NDArray[np.float64],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
) -> Any:
    """Return what `cropcube.kernels.gap_fill` returns, as `dtype`; `shape` is steps, bands and pixels."""
    steps, bands, pixels = shape
    filled = device.empty(values.shape, dtype)
    if not steps * bands * pixels:
        return filled
    held = [device.in_order(values, dtype), device.in_order(valid, np.bool_), device.put(positions)]
    for first in range(0, bands, MOST_BLOCKS_Y):
        device.launch(
            "gap_fill", {"CROPCUBE_VALUE": CLASSES[dtype.name]},
            (-(-pixels // THREADS), min(MOST_BLOCKS_Y, bands - first), 1), THREADS, 0,
            *held, np.uint64(steps), np.uint64(bands), np.uint64(pixels), filled, np.uint64(first),
        )  # fmt: skip
    return filled
