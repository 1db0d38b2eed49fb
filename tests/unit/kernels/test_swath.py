"""Gathering, the nearest pixel and polynomials against NumPy, on every instruction set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cropcube.errors import InvalidInputError
from cropcube.kernels import CellGrid, Polynomial, _native, empty_planes, gather_spectra, nearest_pixels

FILL = -9999.0


def case(seed, bands, cells, pixels=50):
    random = np.random.default_rng(seed)
    source = random.normal(size=(pixels, bands)).astype(np.float32)
    source[random.random(source.shape) < 0.1] = FILL
    pixel = random.integers(-1, pixels, cells).astype(np.int32)
    marked = random.random((cells, bands)) < 0.3
    return source, pixel, marked


def oracle(source, pixel, marked=None):
    found = source[pixel].astype(np.float32)
    found[(pixel < 0)[:, None] | (found == np.float32(FILL))] = np.nan
    if marked is not None:
        found[marked] = np.nan
    return found.T


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bands=st.integers(1, 40),
    cells=st.integers(0, 100) | st.sampled_from([512, 544, 1100]),
    marks=st.sampled_from([None, 0, 3]),
    variant=st.sampled_from(_native.variants()),
)
def test_planes_hold_what_indexing_gives(seed, bands, cells, marks, variant):
    source, pixel, marked = case(seed, bands, cells)
    packed = None
    if marks is not None:
        packed = np.ascontiguousarray(np.pad(np.packbits(marked, axis=1), ((0, 0), (0, marks))))
    planes = empty_planes(bands, cells)
    planes[:] = 7
    _native.gather_spectra(source, pixel, FILL, packed, planes, 2, variant)
    np.testing.assert_array_equal(planes, oracle(source, pixel, None if marks is None else marked))


@pytest.mark.parametrize("skipped", [0, 1, 2, 3])
@pytest.mark.parametrize("variant", _native.variants())
def test_spectra_may_begin_at_any_byte_and_planes_at_any_float(skipped, variant):
    source, pixel, _ = case(1, 21, 64)
    room = np.empty(source.nbytes + 3, np.uint8)
    moved = np.frombuffer(room, "<f4", source.size, skipped).reshape(source.shape)
    room[skipped : skipped + source.nbytes] = source.view(np.uint8).ravel()
    planes = np.empty(21 * 64 + skipped, np.float32)[skipped:].reshape(21, 64)
    _native.gather_spectra(moved, pixel, FILL, None, planes, 1, variant)
    np.testing.assert_array_equal(planes, oracle(source, pixel))


def test_where_nothing_stands_for_no_data_all_is_kept():
    source, pixel, _ = case(2, 9, 32)
    planes = empty_planes(9, 32)
    gather_spectra(source, np.abs(pixel), planes, fill=float("nan"))
    np.testing.assert_array_equal(planes, source[np.abs(pixel)].T)


def test_any_number_of_threads_gives_the_same():
    source, pixel, marked = case(3, 30, 5000)
    first = empty_planes(30, 5000)
    gather_spectra(source, pixel, first, np.packbits(marked, axis=1), fill=FILL)
    for threads in (2, 5):
        again = empty_planes(30, 5000)
        gather_spectra(source, pixel, again, np.packbits(marked, axis=1), fill=FILL, threads=threads)
        np.testing.assert_array_equal(again, first)


def test_what_does_not_fit_is_refused():
    source, pixel, marked = case(4, 12, 20)
    planes = empty_planes(12, 20)
    for given_source, given_pixel, given_planes, given_marks in (
        (source, pixel + 50, planes, None),
        (source, pixel[:19], planes, None),
        (source[:, :11], pixel, planes, None),
        (np.ascontiguousarray(source[:, :11]), pixel, planes, None),
        (source.astype(np.float64), pixel, planes, None),
        (source, pixel.astype(np.int64), planes, None),
        (source, pixel, planes.T, None),
        (source, pixel, planes, np.packbits(marked[:, :8], axis=1)),
        (source, pixel, planes, marked),
    ):
        with pytest.raises(InvalidInputError):
            gather_spectra(given_source, given_pixel, given_planes, given_marks, fill=FILL)


@pytest.mark.parametrize("threads", [1, 2])
def test_polynomials_are_those_of_numpy(threads):
    random = np.random.default_rng(5)
    table = random.normal(size=(2, 6, 6))
    i, j = np.indices((6, 6))
    first, second = random.uniform(90, 110, 40_000), random.uniform(-3, -1, 40_000)
    first[7] = second[8] = np.nan
    found = Polynomial(np.array([[100.0, 10.0], [-2.0, 1.0]]), table)(first, second, threads)
    low = np.where(i + j < 6, table, 0)
    for result in (0, 1):
        wanted = np.polynomial.polynomial.polyval2d((first - 100) / 10, second + 2, low[result])
        np.testing.assert_allclose(found[result], wanted, rtol=0, atol=1e-12)
    assert np.isnan(found[:, 7:9]).all()


def test_polynomials_that_do_not_fit_are_refused():
    good = Polynomial(np.ones((2, 2)), np.ones((2, 3, 3)))
    with pytest.raises(InvalidInputError):
        good(np.zeros(3), np.zeros(4))
    with pytest.raises(InvalidInputError):
        Polynomial(np.ones((2, 2)), np.ones((2, 3, 4)))(np.zeros(3), np.zeros(3))


def test_threads_share_the_rows_of_a_grid():
    random = np.random.default_rng(6)
    x, y = random.uniform(0, 1000, 3000), random.uniform(-1300, 0, 3000)
    first = nearest_pixels(x, y, CellGrid(0, 0, 20, (65, 50)), 15)
    for threads in (2, 3, 100):
        np.testing.assert_array_equal(nearest_pixels(x, y, CellGrid(0, 0, 20, (65, 50)), 15, threads), first)


def test_on_a_tie_the_first_pixel_stays():
    x, y = np.array([40.0, 20.0, 30.0, 30.0]), np.array([-30.0, -30.0, -40.0, -20.0])
    assert nearest_pixels(x, y, CellGrid(0, 0, 60, (1, 1)), 45)[0, 0] == 0
    assert nearest_pixels(x[::-1], y[::-1], CellGrid(0, 0, 60, (1, 1)), 45)[0, 0] == 0


def test_a_reach_of_a_whole_cell_is_refused():
    with pytest.raises(InvalidInputError, match="reach of 60"):
        nearest_pixels(np.zeros(1), np.zeros(1), CellGrid(0, 0, 60, (1, 1)), 60)
    with pytest.raises(InvalidInputError):
        nearest_pixels(np.zeros(2), np.zeros(1), CellGrid(0, 0, 60, (1, 1)), 45)
