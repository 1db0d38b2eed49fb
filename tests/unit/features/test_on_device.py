"""Features made on a device, which an emulator stands in for: the wiring, not only the kernels."""

import pickle

import numpy as np
import pytest

from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.errors import InvalidInputError, ResourceError
from cropcube.features import on_device
from cropcube.features.compute import reduce_time, resolutions_read
from cropcube.features.model_input import InputLayout
from cropcube.features.source import CubeObserving, MadeFeatures
from cropcube.kernels import device as devices
from cropcube.kernels import window_median
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.run.options import RunOptions
from tests.support.emulated_device import EmulatedDevice
from tests.support.small_cube import make_project
from tests.unit.features.test_compute import SEASON, observed

KINDS = [
    FeatureSpec(window_days=5),
    FeatureSpec("annual-median"),
    FeatureSpec("geomedian", window_days=14),
    FeatureSpec("percentiles", percentiles=(5, 50)),
    FeatureSpec("statistics", indices=("NDVI", "NDRE")),
    FeatureSpec("statistics", indices=("EVI", "LSWI")),
    FeatureSpec("harmonic", order=1),
]


@pytest.fixture
def emulated(monkeypatch):
    """What stands for a GPU where tiles are to be reduced on one."""
    device = EmulatedDevice()
    monkeypatch.setattr("cropcube.features.compute.worker_device", lambda choice: device if choice == "cuda" else None)
    return device


@pytest.fixture
def series():
    generator = np.random.default_rng(4)
    reflectance = generator.integers(0, 10000, (9, 2, 50, 40)).astype(np.uint16)
    return reflectance, generator.random((9, 50, 40)) < 0.6


def medians(reflectance, clear):
    return window_median(reflectance, clear, np.arange(9, dtype=np.int32) // 3, 3)


@pytest.mark.parametrize("spec", KINDS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("resolution_m", [10, 20])
def test_every_kind_is_moved_there_once_and_back_once_and_is_the_same(spec, resolution_m, emulated):
    seen = observed()
    made = reduce_time(spec, seen, resolution_m, SEASON, 2, "cuda")
    read = [seen.reflectance[m] for m in resolutions_read(spec, seen.bands, resolution_m)]
    assert emulated.series_bytes == sum(reflectance.nbytes + reflectance[:, 0].size for reflectance in read)
    assert emulated.put_bytes - emulated.series_bytes < 2000  # which dates are in which window, the design of a fit
    counted = made["clear_count"].nbytes if spec.kind == "statistics" else 0  # from the mask, on the host
    assert emulated.got_bytes == sum(array.nbytes for array in made.values()) - counted
    assert emulated.launched
    expected = reduce_time(spec, seen, resolution_m, SEASON)
    assert {name: array.tobytes() for name, array in made.items()} == {k: a.tobytes() for k, a in expected.items()}


@pytest.mark.parametrize("rows", [1, 5, 24, 1000])
def test_blocks_of_rows_of_two_resolutions_do_not_show(rows, emulated, monkeypatch):
    spec, seen = FeatureSpec("statistics", indices=("LSWI", "NDRE")), observed()
    row = sum((2 * len(seen.bands[m]) + 1) * 6 * (2 * 96 if m == 10 else 48) for m in (10, 20))
    monkeypatch.setattr(on_device, "BLOCK_BYTES", rows * row)
    made = reduce_time(spec, seen, 20, SEASON, 2, "cuda")
    assert made["statistic"].tobytes() == reduce_time(spec, seen, 20, SEASON)["statistic"].tobytes()
    assert len(emulated.launched) == -(-48 // rows)


@pytest.mark.parametrize("rows", [1, 7, 49, 50, 1000])
def test_blocks_of_rows_do_not_show(rows, emulated, series, monkeypatch):
    monkeypatch.setattr(on_device, "BLOCK_BYTES", rows * sum(a[..., :1, :].nbytes for a in series))
    found = on_device.reduce_on_device(emulated, medians, series, 50)
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
    found = on_device.reduce_on_device(emulated, medians, series, 50)
    assert [a.tobytes() for a in found] == [a.tobytes() for a in medians(*series)]
    assert set(given) == {50, 25, 12, 6, 2}  # rows of blocks that were tried, and of the last one
    monkeypatch.setattr(emulated, "put", lambda array: (_ for _ in ()).throw(MemoryError("out of memory")))
    with pytest.raises(ResourceError, match=r"no memory for one row of 0 MiB: out of memory"):
        on_device.reduce_on_device(emulated, medians, series, 50)


def tree(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.mark.parametrize("spec", [FeatureSpec(window_days=15), FeatureSpec("statistics", indices=("LSWI", "NDVI"))])
def test_the_verb_writes_the_same_store_and_cells_made_on_the_fly_are_the_same(spec, emulated, tmp_path):
    stores = {}
    for device in ("cpu", "cuda"):
        project = make_project(tmp_path / device)
        features(project.root, FeaturesOptions(spec), RunOptions("serial", quiet=True, device=device))
        stores[device] = tree(project.features_path(spec.name))
        assert bool(emulated.launched) == (device == "cuda")
    assert len(stores["cpu"]) > 5
    assert stores["cpu"] == stores["cuda"]
    emulated.launched.clear()
    box, cube = next(project.spec.grid.tiles()).box(10), CubeObserving(Store.open(project.cube_path))
    layout = InputLayout.of(spec, project.spec.season, project.spec.sensor)
    made = pickle.loads(pickle.dumps(MadeFeatures(cube, spec, project.spec.season, 1, "cuda"))).read(layout, box)
    assert emulated.launched
    for resolution_m, values in MadeFeatures(cube, spec, project.spec.season).read(layout, box).items():
        assert made[resolution_m].tobytes() == values.tobytes()


def test_the_device_that_is_asked_for_is_taken_or_missed(monkeypatch):
    def none():
        raise InvalidInputError("no device: none", "Run where there is a GPU.")

    monkeypatch.setattr(devices, "cupy_device", none)
    choose = devices.worker_device.__wrapped__
    assert choose("cpu") is None
    with pytest.raises(InvalidInputError, match="no device"):
        choose("cuda")
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: object())
    assert choose("auto") is None
    monkeypatch.setattr(devices, "cupy_device", lambda: "a GPU")
    assert choose("auto") == choose("cuda") == "a GPU"
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    assert choose("auto") is None


def test_unknown_devices_are_refused():
    with pytest.raises(InvalidInputError, match="device 'gpu' is not known"):
        RunOptions(device="gpu")
