"""Harmonic fits, beside batched NumPy, torch and lstsq per pixel.

Two masks: random per pixel (no two pixels alike), and clouds of 16 x 16 pixels, as real ones are at least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from kernel_timing import SIDE, THREADS, Case, series, speeds
from numpy.typing import NDArray

from cropcube.kernels import _native, harmonic_design, harmonic_fit
from cropcube.kernels.harmonic import MAX_CONDITION, with_products

NAME = "harmonic fit"
ORDER, CLOUD_PX = 2, 16
Inputs = tuple[NDArray[np.uint16], NDArray[np.bool_], NDArray[np.int32]]


def batched(inputs: Inputs, solve: Callable[[Any, Any], Any]) -> Any:
    """Return coefficients by one matrix product for all normal matrices and one batched solve."""
    reflectance, valid, days = inputs
    design = harmonic_design(days, ORDER)
    terms, dates = design.shape[1], len(days)
    clear = valid.reshape(dates, -1).T.astype(np.float64)
    normal = (clear @ (design[:, :, None] * design[:, None]).reshape(dates, -1)).reshape(-1, terms, terms)
    values = reflectance.reshape(dates, reflectance.shape[1], -1) * valid.reshape(dates, 1, -1).astype(np.float64)
    right = np.tensordot(values, design, (0, 0))  # (bands, pixels, terms)
    return solve(normal, np.ascontiguousarray(right.transpose(1, 2, 0)))


def by_torch(normal: NDArray[np.float64], right: NDArray[np.float64]) -> Any:
    """Return torch's batched solution."""
    import torch

    return torch.linalg.solve(torch.from_numpy(normal), torch.from_numpy(right))


def one_by_one(inputs: Inputs) -> None:
    """Fit each pixel by `np.linalg.lstsq`."""
    reflectance, valid, days = inputs
    design = harmonic_design(days, ORDER)
    for y, x in np.ndindex(valid.shape[1:]):
        seen = valid[:, y, x]
        np.linalg.lstsq(design[seen], reflectance[seen, :, y, x].astype(np.float64), rcond=None)


def without_avx2(inputs: Inputs) -> Callable[[], None]:
    """Return the work of the portable instruction set."""
    reflectance, valid, days = inputs
    made = harmonic_fit(*inputs, ORDER)
    design = with_products(harmonic_design(days, ORDER))
    return lambda: _native.harmonic_fit(reflectance, valid, design, 0.0, MAX_CONDITION**2, *made, THREADS, "portable")


def beside_others(inputs: Inputs, title: str) -> Case:
    """Return ours, with one thread and without AVX2, and every contender."""
    reflectance, valid, days = inputs
    few = reflectance[:, :, :16], valid[:, :16], days
    rows = reflectance[:, :, :1], valid[:, :1], days
    ways: list[tuple[str, Callable[[], Any] | None]] = [
        (f"cropcube, {THREADS} threads", lambda: harmonic_fit(*inputs, ORDER, threads=THREADS)),
        ("cropcube, 1 thread", lambda: harmonic_fit(*inputs, ORDER)),
        (f"cropcube, {THREADS} threads, without AVX2", without_avx2(inputs)),
        ("", None),
        ("NumPy, batched solve", lambda: batched(few, np.linalg.solve)),
        ("torch, batched solve", lambda: batched(few, by_torch)),
    ]
    found = speeds(reflectance.nbytes, ways, few[0].nbytes)
    slow = speeds(0, [("", None), ("np.linalg.lstsq per pixel", lambda: one_by_one(rows))], rows[0].nbytes)
    return Case(NAME, title, found | slow)


def cases() -> Iterator[Case]:
    """Yield one table for each number of dates and kind of mask, and one over sizes of tile."""
    for dates in (12, 36, 73, 146, 365):
        clear = 0.9 if dates == 12 else 0.5  # with six dates of twelve, some pixels have too few for the contenders
        reflectance, random_mask = series(dates, SIDE, clear)
        days = np.linspace(0, 361, dates).astype(np.int32)
        clouds = np.kron(random_mask[:, ::CLOUD_PX, ::CLOUD_PX], np.ones((CLOUD_PX, CLOUD_PX), bool)).astype(bool)
        for name, valid in (("random mask", random_mask), (f"clouds of {CLOUD_PX} px", clouds)):
            if name == "random mask" or dates == 73:
                title = f"{dates} dates, order {ORDER}, 10 bands, {SIDE} x {SIDE}, {clear:.0%} clear, {name}"
                yield beside_others((reflectance, valid, days), title)
    found: dict[str, float] = {}
    for side in (64, 128, 256, 512):
        reflectance, valid = series(73, side)
        days = np.linspace(0, 361, 73).astype(np.int32)
        inputs = (reflectance, valid, days)
        work = [(f"cropcube, {side} x {side}", lambda inputs=inputs: harmonic_fit(*inputs, ORDER, threads=THREADS))]
        found |= speeds(reflectance.nbytes, work)
    yield Case(NAME, f"73 dates, order {ORDER}, by size of tile, {THREADS} threads", found)
