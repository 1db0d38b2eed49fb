"""The CUDA dialect: compiled for what it is meant for, and run on the processor (and on a GPU where there is one)."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings

from cropcube.errors import InvalidInputError
from cropcube.kernels import (
    INDICES,
    Reflectance,
    clear_pixels,
    cuda,
    device,
    gap_fill,
    harmonic_fit,
    index_statistics,
    reference,
    spectral_indices,
    time_percentiles,
    window_geomedian,
    window_median,
)
from tests.support.emulated_device import EmulatedArray, EmulatedDevice
from tests.support.series import nan_median, observed_series

NVCC = shutil.which("nvcc")
TARGETS = ("75", "80", "90")


def median_cases():
    """What `cuda.window_median` compiles: each kernel, with the fewest and most words of each number of pixels."""
    for length in (1, 32, 96, 128, 192, 224, 384, 400):
        for yes in (True, False) if length in (1, 96) else (True,):
            for kernel, defines, _ in cuda._median_kernels(np.array([length]), yes, yes):
                yield kernel, {f"CROPCUBE_{name}": str(value).lower() for name, value in defines.items()}


def other_cases():
    yield "clear_mask", {}
    for bands in (0, *cuda.BANDS_IN_REGISTERS):
        yield "geomedian", {"CROPCUBE_BANDS": bands, "CROPCUBE_HELD": "true"}
    yield "geomedian", {"CROPCUBE_BANDS": 4, "CROPCUBE_HELD": "false"}
    for yes in ("true", "false"):
        yield "percentiles", {"CROPCUBE_HELD": yes}
        yield "spectral_index", {"CROPCUBE_STATISTICS": yes}
    for value in cuda.CLASSES.values():
        yield "gap_fill", {"CROPCUBE_VALUE": value}


def fit_cases():
    for value, terms in (("uint16", 3), ("uint16", 5), ("uint16", 7), ("uint16", 21), ("float32", 5), ("float64", 7)):
        yield "harmonic_fit", cuda._fit_macros(np.dtype(value), terms)


@pytest.fixture(params=["emulated", pytest.param("cupy", marks=pytest.mark.gpu)])
def gpu(request):
    """A device, emulated or real."""
    if request.param == "cupy":
        pytest.importorskip("cupy")
        try:
            yield device.cupy_device()
        except InvalidInputError as error:
            pytest.skip(str(error))
        return
    yield EmulatedDevice()


def assert_same_bytes(gpu, found, expected):
    for array, wanted in zip(found, expected, strict=True):
        assert gpu.holds(array)
        host = gpu.get(array)
        assert (host.shape, host.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_array_equal(host, wanted)
        assert host.tobytes() == wanted.tobytes()


def as_it_lies(gpu, array):
    """An array on the device in the order of memory that it has on the host."""
    if isinstance(gpu, EmulatedDevice):
        return EmulatedArray(array, gpu)
    import cupy

    return (
        cupy.asfortranarray(cupy.asarray(array))
        if array.flags.f_contiguous
        else cupy.asarray(array.base)[::2, ..., ::2]
    )


def series(dates, pixels, bands=3, seed=0):
    generator = np.random.default_rng([seed, dates, pixels])
    reflectance = generator.integers(0, 65536, (dates, bands, 1, pixels)).astype(np.uint16)
    return reflectance, generator.random((dates, 1, pixels)) < 0.5


@pytest.mark.skipif(NVCC is None, reason="nvcc is not installed")
@pytest.mark.parametrize(("kernel", "macros"), [*median_cases(), *fit_cases(), *other_cases()], ids=str)
def test_every_kernel_compiles_for_every_target_and_keeps_to_registers(kernel, macros, tmp_path):
    written = tmp_path / "kernel.cu"
    written.write_text(device.source(kernel, macros), encoding="utf-8")
    command = [NVCC, "-fatbin", *(f"-gencode=arch=compute_{t},code=sm_{t}" for t in TARGETS), *device.OPTIONS]
    command += ["-Xptxas", "-v", "-o", tmp_path / "kernel.fatbin", written]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Of the kernel itself: what is called seldom is a function of its own.
    spilt = re.findall(
        rf"Compiling entry function '{kernel}' for 'sm_(\d+)'.*?(\d+) bytes spill stores", done.stderr, re.S
    )
    assert [target for target, _ in spilt] == list(TARGETS)
    # With more than three harmonics matrices lie in local memory by design, and so do sums over a number of bands that
    # the compiler does not know (which it counts as a stack, not as spilling). Elsewhere the compiler puts aside a word
    # or two on old targets, far from their limit of registers.
    most = {"90": 0, "80": 32, "75": 32} if macros.get("CROPCUBE_TERMS") != 21 else dict.fromkeys(TARGETS, 64)
    assert all(int(size) <= most[target] for target, size in spilt), done.stderr


@pytest.mark.parametrize("pixels", [258, 259])
@pytest.mark.parametrize("dates", [*range(1, 19), 32, 33, 64, 96, 97, 160, 192, 193, 365, 384, 385, 500])
def test_every_length_of_window(gpu, dates, pixels):
    reflectance, valid = series(dates, pixels)
    window = np.zeros(dates, np.int32)
    found = window_median(gpu.put(reflectance), gpu.put(valid), window, 1)
    assert_same_bytes(gpu, found, window_median(reflectance, valid, window, 1))


def test_windows_of_all_lengths_at_once_and_dates_in_no_window(gpu):
    lengths = [0, 1, 7, 16, 17, 40, 0, 100, 3, 400]
    window = np.concatenate([np.repeat(np.arange(len(lengths)), lengths), np.full(9, -1)]).astype(np.int64)
    np.random.default_rng(1).shuffle(window)
    reflectance, valid = series(len(window), 131, bands=2)
    expected = window_median(reflectance, valid, window, len(lengths) + 1)
    found = window_median(gpu.put(reflectance), gpu.put(valid), window, len(lengths) + 1)
    assert_same_bytes(gpu, found, expected)
    on_device = window_median(gpu.put(reflectance), gpu.put(valid), gpu.put(window), len(lengths) + 1)
    assert_same_bytes(gpu, on_device, expected)


def test_rows_that_begin_between_two_words(gpu):
    reflectance, valid = series(20, 257, bands=1)
    window = (np.arange(20) // 4).astype(np.int32)
    odd = slice(1, None)
    expected = window_median(reflectance[..., odd], valid[..., odd], window, 5)
    assert_same_bytes(gpu, window_median(gpu.put(reflectance[..., odd]), gpu.put(valid[..., odd]), window, 5), expected)


@pytest.mark.parametrize("order", ["F", "sliced"])
def test_other_orders_of_memory(gpu, order):
    reflectance, valid = series(30, 64)
    reflectance, valid = reflectance.repeat(2, axis=2), valid.repeat(2, axis=1)
    if order == "F":
        reflectance, valid = np.asfortranarray(reflectance), np.asfortranarray(valid)
    else:
        reflectance, valid = reflectance[::2, ..., ::2], valid[::2, ..., ::2]
    dates = len(valid)
    window, days = (np.arange(dates) % 3).astype(np.int32), np.arange(dates) * 11
    held = as_it_lies(gpu, reflectance), as_it_lies(gpu, valid)
    assert_same_bytes(gpu, window_median(*held, window, 3), window_median(reflectance, valid, window, 3))
    assert_same_bytes(gpu, harmonic_fit(*held, days, 1), harmonic_fit(reflectance, valid, days, 1))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64, np.int32])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 10])
def test_fits_have_the_bits_of_the_processor(gpu, order, dtype):
    reflectance, valid = series(73, 100)
    days = np.random.default_rng(order).integers(0, 365, 73)
    for ridge in (0.0, 0.5):
        expected = harmonic_fit(reflectance.astype(dtype), valid, days, order, ridge)
        found = harmonic_fit(gpu.put(reflectance.astype(dtype)), gpu.put(valid), days, order, ridge)
        assert_same_bytes(gpu, found, expected)


@pytest.mark.parametrize("ridge", [0.0, 1e-6, 0.1])
@pytest.mark.parametrize("span", [1, 4, 12, 40])
def test_fits_near_singular_have_the_bits_of_the_processor(gpu, span, ridge):
    reflectance, valid = series(36, 200)
    valid[6:, :, 100:] = False
    days = np.random.default_rng(span).random(36) * span
    expected = harmonic_fit(reflectance, valid, days, 2, ridge)
    assert_same_bytes(gpu, harmonic_fit(gpu.put(reflectance), gpu.put(valid), days, 2, ridge), expected)


def test_a_fit_of_more_dates_than_fit_into_shared_memory_at_full_blocks(gpu):
    reflectance, valid = series(4000, 40, bands=1)
    days = np.arange(4000) / 11
    expected = harmonic_fit(reflectance, valid, days, 3)
    assert_same_bytes(gpu, harmonic_fit(gpu.put(reflectance), gpu.put(valid), days, 3), expected)


@pytest.mark.parametrize("radius", [0, 1, 4, 30])
@pytest.mark.parametrize("repeats", [1, 2])
def test_masks_are_those_of_the_processor(gpu, radius, repeats):
    generator = np.random.default_rng(radius)
    quality = generator.choice(np.array([0, 4, 5, 9, 254], np.uint8), (3, 40, 300), p=[0.05, 0.5, 0.4, 0.02, 0.03])
    reflectance = generator.integers(0, 20, (3, 2, 30 * repeats, 290 * repeats)).astype(np.uint16)
    part = (slice(5, 35), slice(3, 293))
    expected = clear_pixels(quality, (4, 5), radius, part, repeats, reflectance)
    found = clear_pixels(gpu.put(quality), (4, 5), radius, part, repeats, gpu.put(reflectance))
    assert_same_bytes(gpu, [found], [expected])
    assert_same_bytes(
        gpu, [clear_pixels(gpu.put(quality), (4,), radius, part)], [clear_pixels(quality, (4,), radius, part)]
    )


@pytest.mark.parametrize(("dates", "bands"), [(3, 4), (9, 6), (30, 10), (73, 4), (12, 3), (146, 6), (400, 2)])
def test_geometric_medians_are_those_of_the_processor(gpu, dates, bands):
    reflectance, valid = series(dates, 67, bands)
    reflectance //= 8
    reflectance[:, :, :, ::3] = reflectance[:1, :, :, ::3]  # observations that are met
    window = np.random.default_rng(dates).integers(-1, 2, dates)
    expected = window_geomedian(reflectance, valid, window, 3)
    assert_same_bytes(gpu, window_geomedian(gpu.put(reflectance), gpu.put(valid), window, 3), expected)


@pytest.mark.parametrize("pixels", [130, 131])
@pytest.mark.parametrize("dates", [1, 2, 5, 16, 73, 96, 97, 192, 193, 384, 385, 500])
def test_percentiles_are_those_of_the_processor(gpu, dates, pixels):
    reflectance, valid = series(dates, pixels)
    wanted = (0, 2.5, 50, 99.9, 100)
    expected = time_percentiles(reflectance, valid, wanted)
    assert_same_bytes(gpu, time_percentiles(gpu.put(reflectance), gpu.put(valid), wanted), expected)


@pytest.mark.parametrize("masked", [False, True])
def test_indices_are_those_of_the_processor(gpu, masked):
    generator = np.random.default_rng(5)
    bands = (("B02", "B03", "B04", "B08"), ("B05", "B06", "B8A", "B11", "B12"))
    of, held = [], []
    for names, times in zip(bands, (2, 1), strict=True):
        values = generator.integers(0, 3000, (20, len(names), 17 * times, 31 * times)).astype(np.uint16)
        seen = generator.random((20, 17 * times, 31 * times)) < 0.5 if masked else None
        of.append(Reflectance(values, names, seen))
        held.append(Reflectance(gpu.put(values), names, gpu.put(seen) if masked else None))
    names, days = sorted(INDICES), generator.permutation(20)
    assert_same_bytes(gpu, [spectral_indices(names, held)], [spectral_indices(names, of)])
    assert_same_bytes(gpu, [index_statistics(names, held, days)], [index_statistics(names, of, days)])


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_filled_gaps_are_those_of_the_processor(gpu, dtype):
    reflectance, valid = series(60, 300)
    values, places = reflectance.astype(dtype), np.sort(np.random.default_rng(1).choice(400, 60, replace=False))
    for seen in (valid, np.random.default_rng(2).random(values.shape) < 0.4):
        expected = gap_fill(values, seen, places)
        assert_same_bytes(gpu, [gap_fill(gpu.put(values), gpu.put(seen), places)], [expected])
    with pytest.raises(InvalidInputError, match="values has dtype int64 on a device"):
        gap_fill(gpu.put(values.astype(np.int64)), gpu.put(valid), places)


def test_nothing_to_do(gpu):
    for shape in ((0, 2, 3, 4), (5, 0, 3, 4), (5, 2, 0, 4)):
        reflectance, valid = np.zeros(shape, np.uint16), np.ones((shape[0], *shape[2:]), bool)
        window, days = np.zeros(shape[0], np.int32), np.arange(shape[0]) * 40
        for windows in (1, 2):
            expected = window_median(reflectance, valid, window, windows)
            assert_same_bytes(gpu, window_median(gpu.put(reflectance), gpu.put(valid), window, windows), expected)
            expected = window_geomedian(reflectance, valid, window, windows)
            assert_same_bytes(gpu, window_geomedian(gpu.put(reflectance), gpu.put(valid), window, windows), expected)
        expected = harmonic_fit(reflectance, valid, days, 1)
        assert_same_bytes(gpu, harmonic_fit(gpu.put(reflectance), gpu.put(valid), days, 1), expected)
        expected = time_percentiles(reflectance, valid, [50])
        assert_same_bytes(gpu, time_percentiles(gpu.put(reflectance), gpu.put(valid), [50]), expected)
        assert_same_bytes(gpu, [gap_fill(gpu.put(reflectance), gpu.put(valid))], [gap_fill(reflectance, valid)])


@settings(deadline=None, max_examples=60)
@given(observed_series())
def test_reference_processor_and_emulated_device_agree(drawn):
    reflectance, valid, window, windows = drawn
    emulator = EmulatedDevice()
    held = EmulatedArray(reflectance), EmulatedArray(valid)
    found = cuda.window_median(emulator, *held, window, windows)
    assert_same_bytes(emulator, found, window_median(*drawn))
    np.testing.assert_array_equal(found[0].held, nan_median(*drawn)[0])
    inputs = (np.ascontiguousarray(a) for a in (reflectance, valid, window))
    np.testing.assert_array_equal(found[0].held, reference.window_median(*inputs, windows)[0])


def test_arrays_of_two_places_and_of_unknown_ones_are_refused(gpu):
    reflectance, valid = series(3, 4)
    with pytest.raises(InvalidInputError, match=r"numpy.ndarray; expected all of numpy, or all of cupy"):
        window_median(gpu.put(reflectance), valid, np.zeros(3, np.int32), 1)
    with pytest.raises(InvalidInputError, match="reflectance_TBYX is a list; expected a numpy array of uint16"):
        window_median([1], gpu.put(valid), np.zeros(3, np.int32), 1)
    with pytest.raises(InvalidInputError, match="valid_TYX has shape"):
        window_median(gpu.put(reflectance), gpu.put(valid[:2]), np.zeros(3, np.int32), 1)
    with pytest.raises(InvalidInputError, match="reflectance_TBYX has dtype float64"):
        window_median(gpu.put(reflectance.astype(float)), gpu.put(valid), np.zeros(3, np.int32), 1)


def test_the_emulator_waits_at_barriers_and_sees_what_a_kernel_writes_too_far(tmp_path, monkeypatch):
    (tmp_path / "turned.cu").write_text(
        "#define CROPCUBE_CUDA\n"
        '#include "dialect.hpp"\n'
        'extern "C" __global__ void turned(const int* from, int* to, int far) {\n'
        "    CROPCUBE_SHARED(int, held);\n"
        "    const int at = blockIdx.x * blockDim.x + threadIdx.x;\n"
        "    held[threadIdx.x + far] = from[at];\n"
        "    __syncthreads();\n"
        "    to[at] = held[blockDim.x - 1 - threadIdx.x + far];\n"
        "}\n"
        "CROPCUBE_KERNEL(turned)\n"
    )
    (tmp_path / "dialect.hpp").write_text((device.SOURCES / "dialect.hpp").read_text())
    monkeypatch.setattr(device, "SOURCES", tmp_path)
    emulator = EmulatedDevice()
    given_values, found = np.arange(64, dtype=np.int32), EmulatedArray(np.zeros(64, np.int32))
    emulator.launch("turned", {}, (4, 1, 1), 16, 64, EmulatedArray(given_values), found, np.int32(0))
    np.testing.assert_array_equal(found.held, given_values.reshape(4, 16)[:, ::-1].ravel())
    with pytest.raises(AssertionError, match="shared memory overrun"):
        emulator.launch("turned", {}, (1, 1, 1), 16, 64, EmulatedArray(given_values), found, np.int32(1))
