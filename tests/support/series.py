"""Random series with the traits that break kernels, and slow oracles that share no code with the library."""

import warnings

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


def nan_median(reflectance, valid, window, windows):
    """Medians by `np.nanmedian` on float64, rounded half up, and counts."""
    values = np.where(valid[:, None], reflectance.astype(np.float64), np.nan)
    medians = np.zeros((windows, *reflectance.shape[1:]), np.uint16)
    counts = np.zeros((windows, *valid.shape[1:]), np.uint16)
    for number in range(windows):
        inside = window == number
        if not inside.any():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            middle = np.nanmedian(values[inside], axis=0)
        medians[number] = np.floor(np.nan_to_num(middle) + 0.5)
        counts[number] = valid[inside].sum(axis=0)
    return medians, counts


def least_squares(reflectance, valid, days, order, ridge=0.0):
    """Harmonic fits by `np.linalg.lstsq` pixel by pixel, with the condition number of each pixel's design."""
    angle = 2 * np.pi * np.asarray(days, np.float64) / 365.25
    design = np.ones((len(days), 2 * order + 1))
    for n in range(1, order + 1):
        design[:, 2 * n - 1], design[:, 2 * n] = np.cos(n * angle), np.sin(n * angle)
    terms = design.shape[1]
    coefficient = np.full((terms, *reflectance.shape[1:]), np.nan)
    rmse = np.full(reflectance.shape[1:], np.nan)
    condition = np.full(valid.shape[1:], np.inf)
    extra = np.diag([0.0] + [np.sqrt(ridge)] * (terms - 1))
    for y, x in np.ndindex(valid.shape[1:]):
        seen = valid[:, y, x]
        if seen.sum() < terms:
            continue
        values = np.linalg.svd(design[seen], compute_uv=False)
        condition[y, x] = values[0] / values[-1] if values[-1] > 0 else np.inf
        series = reflectance[seen, :, y, x].astype(np.float64)
        rows = np.concatenate([design[seen], extra])
        answer = np.linalg.lstsq(rows, np.concatenate([series, np.zeros((terms, series.shape[1]))]), rcond=None)[0]
        coefficient[:, :, y, x] = answer
        rmse[:, y, x] = np.sqrt(((design[seen] @ answer - series) ** 2).mean(axis=0))
    return coefficient, rmse, condition


@st.composite
def shapes(draw, dates=40):
    """Dates, bands, rows, columns, down to nothing at all."""
    return (
        draw(st.integers(0, dates)),
        draw(st.integers(1, 3)),
        draw(st.integers(0, 9)),
        draw(st.integers(0, 40)),
    )


@st.composite
def observed_series(draw):
    """A series with its mask and windows: ties, extremes, empty windows, ignored and unsorted dates."""
    shape = draw(shapes())
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    palette = draw(st.sampled_from(["any", "ties", "extremes", "one"]))
    if palette == "any":
        reflectance = generator.integers(0, 65536, shape)
    elif palette == "ties":
        reflectance = generator.integers(500, 503, shape)
    elif palette == "extremes":
        reflectance = generator.choice([0, 1, 2, 32767, 32768, 65534, 65535], shape)
    else:
        reflectance = np.full(shape, draw(st.sampled_from([1, 65535])))
    clear = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    valid = generator.random((shape[0], *shape[2:])) < clear
    windows = draw(st.integers(0, 6))
    window = draw(hnp.arrays(np.int32, shape[0], elements=st.integers(-1, windows - 1))).astype(
        draw(st.sampled_from([np.int32, np.int64, np.int16]))
    )
    reflectance = reflectance.astype(np.uint16)
    order = draw(st.sampled_from(["C", "F", "sliced", "reversed"]))
    return (*ordered(order, reflectance, valid), window, windows)


def ordered(order, *arrays):
    """The same values in another order of memory."""
    if order == "F":
        return tuple(np.asfortranarray(array) for array in arrays)
    if order == "sliced":
        return tuple(np.repeat(array, 2, axis=-1)[..., ::2] for array in arrays)
    if order == "reversed":
        return tuple(array[::-1].copy()[::-1] for array in arrays)
    return arrays
