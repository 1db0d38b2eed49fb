"""Samples read from the store have the numbers that were written."""

import numpy as np
import pytest

from cropcube.cube.store import Store
from cropcube.domain.lattice import FINEST_M
from cropcube.domain.model_card import Scaling
from cropcube.errors import InvalidInputError, ModelMismatchError
from cropcube.features.cells import square_px
from cropcube.features.model_input import InputLayout, model_input, reflectance_scaling
from cropcube.features.source import StoredFeatures, check_store
from cropcube.kernels import gap_fill
from cropcube.samples.index import SETS, SampleIndex
from cropcube.samples.read import Samples
from tests.support.learning import DARK_EVERY, LEGEND, make_project, make_samples, medians, write_features


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("read"))


@pytest.fixture(scope="module")
def store(project):
    return write_features(project)


@pytest.fixture(scope="module")
def samples(project, store):
    return make_samples(project, store, spacing=3)


def test_inputs_are_those_that_were_written(project, samples):
    scaling = reflectance_scaling(10)
    found = samples.inputs(scaling)
    tiles = {(t.row, t.col): t for t in project.spec.grid.zones[0].tiles()}
    fine = {key: medians(t, 10, 4, 7) for key, t in tiles.items()}
    coarse = {key: medians(t, 20, 6, 7) for key, t in tiles.items()}
    order = [b.name for b in project.spec.sensor.bands]
    for n in range(0, len(samples), 37):
        row, col = int(samples.index.row[n]), int(samples.index.col[n])
        key, y, x = (row // 96, col // 96), row % 96, col % 96
        series = {name: fine[key][:, b, y, x] for b, name in enumerate(("B02", "B03", "B04", "B08"))}
        names = ("B05", "B06", "B07", "B8A", "B11", "B12")
        series |= {name: coarse[key][:, b, y // 2, x // 2] for b, name in enumerate(names)}
        wanted = np.stack([gap_fill(series[name], series[name] != 0) for name in order])
        np.testing.assert_allclose(found[n], wanted / 10000, rtol=1e-6)


def test_training_and_prediction_see_the_same_numbers(project, store, samples):
    scaling = samples.measure_scaling()
    inputs = samples.inputs(scaling)
    for tile in project.spec.grid.zones[0].tiles():
        box = tile.box(FINEST_M)
        rows, cols = samples.index.row - box.row, samples.index.col - box.col
        here = (rows >= 0) & (rows < 96) & (cols >= 0) & (cols < 96)
        features = StoredFeatures(store).read(samples.layout, box)
        wanted = model_input(samples.layout, scaling, features, rows[here], cols[here])
        np.testing.assert_array_equal(inputs[here], wanted)


def test_batches_give_every_sample_once_with_the_same_numbers(samples):
    scaling = reflectance_scaling(10)
    inputs, seen = samples.inputs(scaling), []
    for positions, values in samples.batches(scaling, 100):
        assert len(positions) <= 100
        np.testing.assert_array_equal(values, inputs[positions])
        seen.extend(positions.tolist())
    assert sorted(seen) == list(range(len(samples)))


def test_each_cell_is_made_of_whole_chunks_and_holds_its_samples(store, samples):
    side = square_px(StoredFeatures(store).tile_px)
    assert side % store.array("median", 10).chunk[-1] == 0
    assert side * 10 % (store.array("median", 20).chunk[-1] * 20) == 0
    for cell in samples.cells():
        box = samples.source.box(samples.layout, samples.index, cell)
        rows, cols = samples.index.row[cell.positions], samples.index.col[cell.positions]
        assert box.row % side == box.col % side == 0
        assert ((rows >= box.row) & (rows < box.row + side)).all()
        assert ((cols >= box.col) & (cols < box.col + side)).all()


def test_pixels_never_seen_are_no_samples(store, samples):
    assert (samples.index.col % DARK_EVERY != 0).all()
    lattice = store.zone("utm31n").lattice
    cols = np.arange(samples.index.col.min(), samples.index.col.min() + 40)
    index = SampleIndex.of(lattice.name, np.full(40, samples.index.row[0]), cols, np.ones(40, np.uint8))
    seen = Samples(samples.source, samples.layout, index, LEGEND).observed()
    np.testing.assert_array_equal(seen, cols % DARK_EVERY != 0)


def test_scaling_is_measured_on_the_samples_given(samples):
    part = samples.of_set("train")
    values = part.inputs(Scaling("x", ((0.0,),) * 10, ((1.0,),) * 10))
    np.testing.assert_allclose(np.ravel(part.measure_scaling().mean), values.mean(axis=(0, 2), dtype=float), rtol=1e-6)


def test_bands_are_picked_by_name_in_the_models_order(store, samples):
    layout = InputLayout("median-10d", "median", ("B08", "B02"), (10, 10), samples.layout.steps)
    box = samples.source.box(samples.layout, samples.index, samples.cells()[0])
    whole = StoredFeatures(store).read(samples.layout, box)[10]
    np.testing.assert_array_equal(StoredFeatures(store).read(layout, box)[10], whole[:, [3, 0]])


def test_a_store_that_does_not_fit_is_refused(store, samples):
    layout = samples.layout
    bands = InputLayout(layout.feature, layout.kind, ("B02", "B99"), (10, 10), layout.steps)
    steps = InputLayout(layout.feature, layout.kind, layout.bands, layout.resolutions_m, layout.steps[:-1])
    kind = InputLayout("harmonic-2", "harmonic", layout.bands, layout.resolutions_m, layout.steps)
    for wrong, part in ((bands, "B99"), (steps, "7 steps"), (kind, "coefficient")):
        with pytest.raises(ModelMismatchError, match=part):
            check_store(store, wrong)
    check_store(Store.open(store.path), layout)


def test_index_round_trip_and_joining(samples):
    index = samples.index
    again = SampleIndex.decode(index.encode(), "here")
    parts = SampleIndex.join([index.select(np.arange(50, len(index))), index.select(np.arange(50))])
    for other in (again, parts):
        assert other.zones == index.zones
        for name in ("zone", "row", "col", "label", "block", "part"):
            np.testing.assert_array_equal(getattr(other, name), getattr(index, name))
    assert index.encode() == again.encode()


def test_no_block_is_in_two_sets(samples):
    blocks = [set(samples.of_set(name).index.block.tolist()) for name in SETS]
    assert len(blocks[0] | blocks[1] | blocks[2]) == sum(map(len, blocks))
    assert sum(len(samples.of_set(name)) for name in SETS) == len(samples)


def test_bytes_that_are_no_index_are_refused():
    with pytest.raises(InvalidInputError, match="here"):
        SampleIndex.decode(b"PAR1 but not really", "here")
