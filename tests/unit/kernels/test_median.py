import threading
import time

import numpy as np
import pytest

from cropcube.errors import InvalidInputError
from cropcube.kernels import _native, window_median
from tests.support.series import nan_median


def series(dates, height=3, width=700, bands=2, seed=0):
    generator = np.random.default_rng(seed)
    reflectance = generator.integers(0, 65536, (dates, bands, height, width)).astype(np.uint16)
    return reflectance, generator.random((dates, height, width)) < 0.5


def test_two_middle_values_are_rounded_half_up():
    reflectance = np.array([1, 4], np.uint16).reshape(2, 1, 1, 1)
    median, count = window_median(reflectance, np.ones((2, 1, 1), bool), np.zeros(2, np.int32), 1)
    assert (median.item(), count.item()) == (3, 2)


def test_the_largest_values_do_not_overflow_and_are_not_taken_for_missing():
    reflectance = np.array([65535, 65534, 65535, 1], np.uint16).reshape(4, 1, 1, 1)
    valid = np.array([True, True, True, False]).reshape(4, 1, 1)
    median, count = window_median(reflectance, valid, np.zeros(4, np.int32), 1)
    assert (median.item(), count.item()) == (65535, 3)


def test_nothing_clear_is_zero():
    reflectance, valid = series(5)
    median, count = window_median(reflectance, np.zeros_like(valid), np.zeros(5, np.int32), 2)
    assert not median.any()
    assert not count.any()


@pytest.mark.parametrize("dates", [*range(1, 19), 33, 64, 100, 365])
def test_every_length_of_window(dates):
    reflectance, valid = series(dates)
    window = np.zeros(dates, np.int32)
    median, count = window_median(reflectance, valid, window, 1)
    expected, expected_count = nan_median(reflectance, valid, window, 1)
    np.testing.assert_array_equal(median, expected)
    np.testing.assert_array_equal(count, expected_count)


@pytest.mark.parametrize("variant", _native.variants())
@pytest.mark.parametrize("threads", [1, 2, 3, 16, 1000])
def test_threads_and_instruction_sets_change_nothing(variant, threads):
    reflectance, valid = series(20, height=40, width=511)
    window = (np.arange(20) % 3 - 1).astype(np.int32)
    expected, expected_count = window_median(reflectance, valid, window, 2)
    median, count = np.full_like(expected, 9), np.full_like(expected_count, 9)
    _native.window_median(reflectance, valid, window, median, count, threads, variant)
    assert median.tobytes() == expected.tobytes()
    assert count.tobytes() == expected_count.tobytes()
    assert window_median(reflectance, valid, window, 2, threads)[0].tobytes() == expected.tobytes()


def test_other_python_threads_run_meanwhile():
    reflectance, valid = series(365, height=64, width=512)
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        began = time.perf_counter()
        window_median(reflectance, valid, np.zeros(365, np.int32), 1)
        ended = time.perf_counter()
    finally:
        stop.set()
        thread.join()
    assert sum(began < moment < ended for moment in ticks) >= 3


def test_input_is_left_alone():
    reflectance, valid = series(9)
    before = reflectance.copy(), valid.copy()
    window_median(reflectance, valid, np.zeros(9, np.int32), 1)
    np.testing.assert_array_equal(reflectance, before[0])
    np.testing.assert_array_equal(valid, before[1])


def test_read_only_and_big_endian_input():
    reflectance, valid = series(9)
    expected, _ = window_median(reflectance, valid, np.zeros(9, np.int32), 1)
    swapped = reflectance.astype(">u2")
    swapped.flags.writeable = False
    np.testing.assert_array_equal(window_median(swapped, valid, np.zeros(9, np.int64), 1)[0], expected)


GOOD = {
    "reflectance_TBYX": np.ones((3, 2, 4, 5), np.uint16),
    "valid_TYX": np.ones((3, 4, 5), bool),
    "window_T": np.zeros(3, np.int32),
    "windows": 1,
}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("reflectance_TBYX", np.ones((3, 2, 4, 5), np.int16), "int16"),
        ("reflectance_TBYX", np.ones((3, 4, 5), np.uint16), r"\(3, 4, 5\)"),
        ("reflectance_TBYX", [[1]], "list"),
        ("valid_TYX", np.ones((3, 4, 5), np.uint8), "uint8"),
        ("valid_TYX", np.ones((3, 4, 6), bool), r"\(3, 4, 6\)"),
        ("window_T", np.zeros(4, np.int32), r"\(4,\)"),
        ("window_T", np.zeros(3), "float64"),
        ("window_T", np.array([0, 1, 0]), "0 to 1"),
        ("window_T", np.array([0, -2, 0]), "-2"),
        ("windows", -1, "-1"),
        ("threads", 0, "0"),
    ],
)
def test_bad_input_is_named(name, value, said):
    with pytest.raises(InvalidInputError, match=f"{name}.*{said}"):
        window_median(**(GOOD | {name: value}))


def test_the_native_module_refuses_what_would_read_out_of_bounds():
    reflectance, valid = series(3)
    median, count = np.zeros((1, 2, 3, 700), np.uint16), np.zeros((1, 3, 700), np.uint16)
    with pytest.raises(ValueError, match="shapes"):
        _native.window_median(reflectance, valid[:2].copy(), np.zeros(3, np.int32), median, count, 1, "")
    with pytest.raises(ValueError, match="window_T"):
        _native.window_median(reflectance, valid, np.full(3, 5, np.int32), median, count, 1, "")
    with pytest.raises(ValueError, match="vax"):
        _native.window_median(reflectance, valid, np.zeros(3, np.int32), median, count, 1, "vax")
