"""Packing against the array reference of gap filling, pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cropcube.errors import InvalidInputError
from cropcube.kernels import Rows, _native, gap_fill, pack_samples, take_scaled


def packed(source, pixel, bands=None, first=0, stop=None, threads=1, row_bands=None):
    count = source.shape[1]
    bands = tuple(range(count)) if bands is None else bands
    stop = source.shape[0] if stop is None else stop
    values = np.full((len(pixel), row_bands or count, stop - first), -1, np.float32)
    pack_samples(source, pixel, Rows(values, bands, first), threads)
    return values


def oracle(source, pixel, first=0, stop=None):
    if source.dtype == np.uint16:
        source = gap_fill(source, source[:, 0] != 0)
    flat = source.reshape(*source.shape[:2], -1)
    return flat[first:stop, :, pixel].transpose(2, 1, 0).astype(np.float32)


def series(seed, shape, gaps=0.6):
    random = np.random.default_rng(seed)
    values = random.integers(1, 65536, shape).astype(np.uint16)
    values.transpose(0, 2, 3, 1)[random.random((shape[0], *shape[2:])) < gaps] = 0
    return values


@settings(max_examples=200, deadline=None)
@given(
    values=hnp.arrays(
        np.uint16,
        st.tuples(st.integers(1, 12), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
        elements=st.sampled_from([0, 0, 0, 1, 2, 3, 7, 10_000, 65_534, 65_535]),
    ),
    data=st.data(),
)
def test_gaps_are_filled_as_the_reference_fills_them(values, data):
    pixels = values.shape[2] * values.shape[3]
    pixel = np.array(data.draw(st.lists(st.integers(0, pixels - 1), max_size=40)), np.int64)
    first = data.draw(st.integers(0, values.shape[0] - 1))
    stop = data.draw(st.integers(first + 1, values.shape[0]))
    np.testing.assert_array_equal(packed(values, pixel, first=first, stop=stop), oracle(values, pixel, first, stop))


@pytest.mark.parametrize("span", [2, 3, 7, 64, 365, 4095])
def test_every_span_is_rounded_half_up_exactly(span):
    random = np.random.default_rng(span)
    values = np.zeros((span + 1, 1, 6, 50), np.uint16)
    values[[0, span]] = random.integers(1, 65536, (2, 1, 6, 50))
    values[[0, span], 0, 0, :4] = [[1, 65535, 1, 65535], [65535, 1, 2, 65534]]
    pixel = np.arange(300)
    wanted = oracle(values, pixel)
    np.testing.assert_array_equal(packed(values, pixel), wanted)
    ends = values[[0, span], 0].astype(object).reshape(2, -1)
    for n in (0, 1, 2, 3, 77):
        exact = [(2 * (a * (span - t) + b * t) + span) // (2 * span) for a, b in [ends[:, n]] for t in range(span + 1)]
        assert wanted[n, 0].tolist() == exact


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_and_any_order_gives_the_same(threads):
    values = series(1, (40, 4, 48, 48))
    pixel = np.random.default_rng(2).integers(0, 48 * 48, 3001)
    np.testing.assert_array_equal(packed(values, pixel, threads=threads), oracle(values, pixel))


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("steps", [1, 7, 8, 73])
def test_neighbours_and_pixels_asked_for_in_a_row_are_as_any_others(steps, times):
    values = series(4, (steps, 3, 24, 29), 0.4)
    rows, cols = np.indices((24 * times, 29 * times)).reshape(2, -1) // times
    pixel = rows * 29 + cols
    kept = np.random.default_rng(0).random(len(pixel)) < 0.95
    np.testing.assert_array_equal(packed(values, pixel[kept]), oracle(values, pixel[kept]))


@pytest.mark.parametrize("variant", _native.variants())
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_every_instruction_set_gives_the_same(variant, kind):
    values = series(5, (73, 6, 40, 40)).astype(kind)
    pixel = np.random.default_rng(0).permutation(1600)[:700]
    pixel = np.concatenate([np.sort(pixel), pixel])
    for into in (np.float32, kind):
        rows = np.empty((len(pixel), 6, 50), into)
        _native.pack_samples(values, pixel, np.arange(len(pixel)), np.arange(6, dtype=np.int32), 11, rows, 2, variant)
        np.testing.assert_array_equal(rows, oracle(values, pixel, 11, 61))


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_rows_are_taken_and_scaled_as_by_arrays(kind):
    draw = np.random.default_rng(0)
    rows = draw.uniform(0, 9000, (50, 3, 7)).astype(kind)
    which = draw.integers(0, 50, 80)
    for steps in (1, 7):
        mean, deviation = (draw.uniform(1, 900, (3, steps)).astype(np.float32) for _ in range(2))
        np.testing.assert_array_equal(
            take_scaled(rows, which, mean, deviation), (rows[which].astype(np.float32) - mean) / deviation
        )
    assert take_scaled(rows, which[:0], mean, deviation).shape == (0, 3, 7)
    for wrong in ((rows, np.array([50])), (rows, np.array([-1])), (rows[:, :, ::2], which), (rows[0], which)):
        with pytest.raises(InvalidInputError):
            take_scaled(*wrong, mean, deviation)


def test_bands_go_where_they_belong_and_others_are_left_alone():
    values = series(3, (9, 2, 5, 5))
    pixel = np.array([24, 0, 7])
    rows = packed(values, pixel, bands=(3, 1), row_bands=5)
    np.testing.assert_array_equal(rows[:, [3, 1]], oracle(values, pixel))
    assert (rows[:, [0, 2, 4]] == -1).all()


def test_coefficients_are_copied():
    values = np.random.default_rng(0).normal(size=(5, 3, 4, 4)).astype(np.float32)
    values[:, 0, 1, 1] = np.nan
    pixel = np.arange(16)
    np.testing.assert_array_equal(packed(values, pixel), oracle(values, pixel))


def test_nothing_asked_nothing_done():
    assert packed(series(0, (4, 2, 3, 3)), np.zeros(0, np.int64)).shape == (0, 2, 4)


@pytest.mark.parametrize(
    "wrong",
    [{"pixel": np.array([9])}, {"pixel": np.array([-1])}, {"first": 2, "stop": 6}, {"bands": (0, 2)}, {"bands": (0,)},
     {"threads": 0}, {"source": np.zeros((4, 2, 3, 3), np.int32)}, {"source": np.zeros((5000, 2, 3, 3), np.uint16)}],
)  # fmt: skip
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises(InvalidInputError):
        packed(**{"source": series(0, (4, 2, 3, 3)), "pixel": np.array([0])} | wrong)


def test_rows_in_another_order_are_refused():
    values = np.zeros((4, 2, 1), np.float32).transpose(2, 1, 0)
    with pytest.raises(InvalidInputError):
        pack_samples(series(0, (4, 2, 3, 3)), np.array([0]), Rows(values, (0, 1), 0))
