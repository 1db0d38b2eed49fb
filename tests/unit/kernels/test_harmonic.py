import numpy as np
import pytest

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native, harmonic_fit
from cropcube.kernels.harmonic import MAX_CONDITION, harmonic_design, with_products
from tests.support.series import least_squares


def one_pixel(days, values):
    reflectance = np.asarray(values, np.float64).reshape(-1, 1, 1, 1)
    return reflectance, np.ones((len(days), 1, 1), bool), np.asarray(days, np.float64)


def test_a_pure_wave_is_found():
    days = np.arange(0, 365, 5)
    angle = 2 * np.pi * days / 365.25
    values = 3000 + 500 * np.cos(angle) - 200 * np.sin(2 * angle)
    coefficient, rmse, count = harmonic_fit(*one_pixel(days, values), order=2)
    np.testing.assert_allclose(coefficient[:, 0, 0, 0], [3000, 500, 0, 0, -200], atol=1e-3)
    assert rmse.item() < 1e-3
    assert count.item() == len(days)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_too_few_dates_are_nan(order):
    terms = 2 * order + 1
    days = np.linspace(0, 300, terms)
    reflectance, valid, days = one_pixel(days, 1000 + days)
    coefficient, rmse, _ = harmonic_fit(reflectance, valid, days, order)
    assert np.isfinite(coefficient).all()
    assert np.isfinite(rmse).all()
    valid[0] = False
    for ridge in (0.0, 1.0):
        coefficient, rmse, count = harmonic_fit(reflectance, valid, days, order, ridge)
        assert np.isnan(coefficient).all()
        assert np.isnan(rmse).all()
        assert count.item() == terms - 1


def test_the_ridge_decides_where_all_dates_are_of_one_month():
    days = np.linspace(0, 3, 30)
    values = 2000 + np.sin(np.arange(30)) * 50
    without, _, _ = harmonic_fit(*one_pixel(days, values), order=3)
    assert np.isnan(without).all()
    reflectance, valid, days = one_pixel(days, values)
    found, rmse, _ = harmonic_fit(reflectance, valid, days, 3, ridge=0.1)
    expected, expected_rmse, _ = least_squares(reflectance, valid, days, 3, ridge=0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(rmse, expected_rmse, rtol=1e-3)


def test_the_ridge_leaves_the_constant_alone():
    days = np.arange(0, 360, 6)
    found, _, _ = harmonic_fit(*one_pixel(days, np.full(60, 5000.0)), order=2, ridge=1e9)
    np.testing.assert_allclose(found[:, 0, 0, 0], [5000, 0, 0, 0, 0], atol=1e-3)


def test_values_that_are_not_clear_are_not_looked_at():
    days = np.arange(0, 360, 10)
    reflectance, valid, days = one_pixel(days, 1000 + days)
    expected, _, _ = harmonic_fit(reflectance[1:], valid[1:], days[1:], 2)
    reflectance[0], valid[0] = np.nan, False
    found, _, _ = harmonic_fit(reflectance, valid, days, 2)
    np.testing.assert_array_equal(found, expected)


def test_blocks_of_pixels_do_not_show():
    generator = np.random.default_rng(3)
    reflectance = generator.integers(1, 10000, (146, 4, 30, 60)).astype(np.uint16)
    valid = generator.random((146, 30, 60)) < 0.4
    days = np.sort(generator.choice(365, 146, replace=False))
    found, rmse, _ = harmonic_fit(reflectance, valid, days, 2)
    expected, expected_rmse, _ = least_squares(reflectance[:, :, -1:], valid[:, -1:], days, 2)
    np.testing.assert_allclose(found[:, :, -1:], expected, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(rmse[:, -1:], expected_rmse, rtol=1e-4)


@pytest.mark.parametrize("variant", _native.variants())
@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("order", [1, 2, 4, 10])
def test_threads_and_instruction_sets_change_nothing(variant, dtype, order):
    generator = np.random.default_rng(order)
    reflectance = generator.integers(1, 65536, (64, 2, 7, 93)).astype(dtype)
    valid = generator.random((64, 7, 93)) < 0.5
    days = generator.integers(0, 365, 64)
    expected = harmonic_fit(reflectance, valid, days, order)
    found = tuple(np.full_like(array, 7) for array in expected)
    design = with_products(harmonic_design(days, order))
    for threads in (1, 2, 5, 1000):
        _native.harmonic_fit(reflectance, valid, design, 0.0, MAX_CONDITION**2, *found, threads, variant)
        assert [array.tobytes() for array in found] == [array.tobytes() for array in expected]
        shared = harmonic_fit(reflectance, valid, days, order, threads=threads)
        assert [array.tobytes() for array in shared] == [array.tobytes() for array in expected]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_other_types_are_fitted_as_well(dtype):
    generator = np.random.default_rng(5)
    values = generator.integers(0, 128, (40, 2, 3, 5))
    valid = generator.random((40, 3, 5)) < 0.7
    days = np.sort(generator.integers(0, 365, 40))
    expected = harmonic_fit(values.astype(np.uint16), valid, days, 2)
    for found, wanted in zip(harmonic_fit(values.astype(dtype), valid, days, 2), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_highest_order_is_that_of_lstsq():
    generator = np.random.default_rng(6)
    reflectance = generator.integers(1, 10000, (200, 2, 2, 9)).astype(np.uint16)
    valid = generator.random((200, 2, 9)) < 0.8
    days = np.sort(generator.choice(365, 200, replace=False))
    found, rmse, _ = harmonic_fit(reflectance, valid, days, 10)
    expected, expected_rmse, condition = least_squares(reflectance, valid, days, 10)
    assert (condition < 1e3).all()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(rmse, expected_rmse, rtol=1e-4)


def test_the_native_module_refuses_what_would_read_out_of_bounds():
    reflectance, valid, days, _ = GOOD.values()
    shapes = ((5, 2, 4, 5), (2, 4, 5))
    made = [np.zeros(shape, np.float32) for shape in shapes] + [np.zeros((4, 5), np.uint16)]
    with pytest.raises(ValueError, match="shapes"):
        _native.harmonic_fit(reflectance, valid, np.zeros((9, 4)), 0.0, 1e12, *made, 1, "")
    with pytest.raises(ValueError, match="vax"):
        _native.harmonic_fit(reflectance, valid, with_products(harmonic_design(days, 2)), 0.0, 1e12, *made, 1, "vax")


@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (5, 2, 0, 4), (5, 2, 3, 0)])
def test_empty_arrays(shape):
    reflectance = np.zeros(shape, np.uint16)
    valid = np.ones((shape[0], *shape[2:]), bool)
    coefficient, rmse, count = harmonic_fit(reflectance, valid, np.arange(shape[0]), 2)
    assert coefficient.shape == (5, *shape[1:])
    assert np.isnan(coefficient).all()
    assert rmse.shape == shape[1:]
    assert not count.any() or shape[0] == 5


GOOD = {
    "reflectance_TBYX": np.ones((9, 2, 4, 5), np.uint16),
    "valid_TYX": np.ones((9, 4, 5), bool),
    "days_T": np.arange(9.0),
    "order": 2,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reflectance_TBYX", np.ones((9, 2, 4, 5), bool)),
        ("reflectance_TBYX", np.ones((9, 2, 4, 5), complex)),
        ("valid_TYX", np.ones((8, 4, 5), bool)),
        ("days_T", np.arange(8.0)),
        ("days_T", np.full(9, np.nan)),
        ("days_T", np.array(["a"] * 9)),
        ("order", 0),
        ("order", 11),
        ("threads", 0),
        ("ridge", -1.0),
        ("ridge", np.nan),
    ],
)
def test_bad_input_is_named(name, value):
    with pytest.raises(InvalidInputError, match=name):
        harmonic_fit(**(GOOD | {name: value}))
