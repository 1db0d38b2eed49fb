"""Features made on a device, which an emulator stands in for: the wiring, not only the kernels."""

import numpy as np
import pytest

from cropcube.domain.feature_spec import FeatureSpec
from cropcube.errors import InvalidInputError, ResourceError
from cropcube.features import on_device
from cropcube.features.compute import compute
from cropcube.kernels import device as devices
from cropcube.kernels import window_median
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.run.options import RunOptions
from tests.support.emulated_device import emulate
from tests.support.small_cube import make_project
from tests.unit.features.test_compute import SEASON, observed

KINDS = [FeatureSpec(window_days=5), FeatureSpec("annual-median"), FeatureSpec("harmonic", order=1)]


@pytest.fixture
def emulated():
    """A device that every tile is reduced on."""
    device = emulate()
    yield device
    devices.EMULATORS.remove(device)


@pytest.fixture
def series():
    generator = np.random.default_rng(4)
    reflectance = generator.integers(0, 10000, (9, 2, 50, 40)).astype(np.uint16)
    return reflectance, generator.random((9, 50, 40)) < 0.6


def medians(reflectance, clear):
    return window_median(reflectance, clear, np.arange(9, dtype=np.int32) // 3, 3)


@pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec.name)
def test_every_kind_is_moved_there_once_and_back_once_and_is_the_same(spec, emulated):
    seen = observed()
    made = compute(spec, seen, SEASON)
    sizes = [a.nbytes for a in seen.reflectance.values()] + [a[:, 0].size for a in seen.reflectance.values()]
    index = sum(4 * np.prod(shape) for shape in emulated.puts if len(shape) == 1)  # which dates are in which window
    index += sum(8 * np.prod(shape) for shape in emulated.puts if len(shape) == 2)  # the design of a fit
    assert emulated.put_bytes == sum(sizes) + index
    assert emulated.got_bytes == sum(array.nbytes for arrays in made.values() for array in arrays.values())
    assert emulated.launched
    devices.EMULATORS.remove(emulated)
    try:
        expected = compute(spec, seen, SEASON)
    finally:
        devices.EMULATORS.append(emulated)
    assert {m: {k: a.tobytes() for k, a in arrays.items()} for m, arrays in made.items()} == {
        m: {k: a.tobytes() for k, a in arrays.items()} for m, arrays in expected.items()
    }


@pytest.mark.parametrize("rows", [1, 7, 49, 50, 1000])
def test_blocks_of_rows_do_not_show(rows, emulated, series, monkeypatch):
    monkeypatch.setattr(on_device, "BLOCK_BYTES", rows * series[0][:, :, :1].nbytes)
    found = on_device.reduce_on_device(emulated, medians, *series)
    assert [a.tobytes() for a in found] == [a.tobytes() for a in medians(*series)]
    assert len([shape for shape in emulated.puts if len(shape) == 4]) == -(-50 // rows)


def test_a_device_with_little_memory_takes_smaller_blocks(emulated, series, monkeypatch):
    given = []

    def put(array):
        if array.ndim == 4:
            given.append(array.shape[2])
            if array.shape[2] > 6:
                raise MemoryError("out of memory")
        return type(emulated).put(emulated, array)

    monkeypatch.setattr(emulated, "put", put)
    found = on_device.reduce_on_device(emulated, medians, *series)
    assert [a.tobytes() for a in found] == [a.tobytes() for a in medians(*series)]
    assert set(given) == {50, 25, 12, 6, 2}  # rows of blocks that were tried, and of the last one
    monkeypatch.setattr(emulated, "put", lambda array: (_ for _ in ()).throw(MemoryError("out of memory")))
    with pytest.raises(ResourceError, match=r"no memory for one row of 0 MiB: out of memory"):
        on_device.reduce_on_device(emulated, medians, *series)


def test_the_verb_writes_the_same_store(emulated, tmp_path):
    stores = []
    for name in ("device", "processor"):
        project = make_project(tmp_path / name)
        if name == "processor":
            devices.EMULATORS.remove(emulated)
        try:
            features(project.root, FeaturesOptions(FeatureSpec(window_days=15)), RunOptions("serial", quiet=True))
        finally:
            if name == "processor":
                devices.EMULATORS.append(emulated)
        folder = project.features_path("median-15d")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        stores.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert emulated.launched
    assert len(stores[0]) > 5
    assert stores[0] == stores[1]


def test_the_environment_chooses(monkeypatch):
    monkeypatch.setenv("CROPCUBE_DEVICE", "cpu")
    assert devices.worker_device() is None
    monkeypatch.setenv("CROPCUBE_DEVICE", "gpu")
    with pytest.raises(InvalidInputError, match="CROPCUBE_DEVICE is 'gpu'"):
        devices.worker_device()


def test_a_device_that_is_asked_for_and_missing_is_an_error(monkeypatch):
    def none():
        raise InvalidInputError("no device: none", "Run where there is a GPU.")

    monkeypatch.setattr(devices, "cupy_device", none)
    devices._device_asked_for.cache_clear()
    monkeypatch.setenv("CROPCUBE_DEVICE", "cuda")
    with pytest.raises(InvalidInputError, match="no device"):
        devices.worker_device()
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("CROPCUBE_DEVICE", "auto")
    assert devices.worker_device() is None
    devices._device_asked_for.cache_clear()
