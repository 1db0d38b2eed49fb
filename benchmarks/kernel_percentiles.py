"""Percentiles of a season, beside NumPy and torch; both get float32 with NaN, laid out before the clock starts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from kernel_timing import SIDE, THREADS, Case, series, speeds

from cropcube.kernels import time_percentiles

NAME = "percentiles"
WANTED = (10, 25, 50, 75, 90)


def cases() -> Iterator[Case]:
    """Yield one table for each number of dates."""
    import torch

    warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
    shares = torch.tensor([p / 100 for p in WANTED])
    for dates in (12, 36, 73, 146, 365):
        reflectance, valid = series(dates)
        few = slice(0, SIDE // 16)
        values = np.where(valid[:, None, few], reflectance[:, :, few], np.nan).astype(np.float32)
        ours = partial(time_percentiles, reflectance, valid)
        ways: list[tuple[str, Callable[[], Any] | None]] = [
            (f"cropcube, {THREADS} threads", partial(ours, WANTED, THREADS)),
            ("cropcube, 1 thread", partial(ours, WANTED, 1)),
            (f"cropcube, one percentile, {THREADS} threads", partial(ours, (50,), THREADS)),
            ("", None),
            ("np.nanpercentile", partial(np.nanpercentile, values, WANTED, axis=0)),
            ("torch.nanquantile", partial(torch.nanquantile, torch.from_numpy(values), shares, dim=0)),
        ]
        title = f"{dates} dates, {len(WANTED)} percentiles, 10 bands, {SIDE} x {SIDE}, half clear"
        yield Case(NAME, title, speeds(reflectance.nbytes, ways))
