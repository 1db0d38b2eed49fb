"""Features made on the fly are those that are stored, bit for bit, and every chunk of the cube is read once."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cropcube.cube.opened import OpenedFile
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.legend import Legend
from cropcube.errors import InvalidInputError
from cropcube.features.model_input import InputLayout, reflectance_scaling
from cropcube.features.source import CubeObserving, MadeFeatures, StoredFeatures
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.run.options import RunOptions
from cropcube.samples.index import SampleIndex
from cropcube.samples.read import OnGrid, Samples
from tests.support.small_cube import SEASON, make_project

TILE_PX = 768
SPECS = (
    FeatureSpec(window_days=5),
    FeatureSpec("annual-median", dilate_m=60),
    FeatureSpec("harmonic", order=1, dilate_m=20),
    FeatureSpec("geomedian", window_days=20),
    FeatureSpec("percentiles", percentiles=(10, 90)),
    FeatureSpec("statistics", indices=("LSWI", "NDVI")),
    FeatureSpec("statistics", indices=("LSWI",), dilate_m=20),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A cube of one tile of four cells, and its features."""
    root, region = tmp_path_factory.mktemp("source") / "project", (4.05, 50.74, 4.06, 50.745)
    made = make_project(root, tile_px=TILE_PX, bands=("B04", "B08", "B11"), region=region)
    for spec in SPECS:
        features(made.root, FeaturesOptions(spec), RunOptions("serial", quiet=True))
    return made


def sources(project, spec, threads=1):
    cube = CubeObserving(Store.open(project.cube_path))
    return StoredFeatures(Store.open(project.features_path(spec.name))), MadeFeatures(cube, spec, SEASON, threads)


def tile_of(project):
    return next(project.spec.grid.tiles())


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_made_on_the_fly_is_what_is_stored(project, spec, threads):
    stored, made = sources(project, spec, threads)
    layout = InputLayout.of(spec, SEASON, project.spec.sensor)
    box = tile_of(project).box(10)
    wanted, wanted_counts = stored.read_counted(layout, box)
    found, counts = pickle.loads(pickle.dumps(made)).read_counted(layout, box)
    assert set(found) == set(wanted)
    for resolution_m, values in wanted.items():
        assert found[resolution_m].dtype == values.dtype
        np.testing.assert_array_equal(found[resolution_m], values)
        assert np.nan_to_num(values).any()
    np.testing.assert_array_equal(counts, wanted_counts)


def test_a_part_of_the_bands_is_made_with_the_mask_of_all(project):
    spec = SPECS[0]
    stored, made = sources(project, spec)
    layout = InputLayout(spec.name, spec.kind, ("B08",), (10,), tuple(map(str, spec.steps(SEASON))))
    box = tile_of(project).box(10)
    found = made.read(layout, box)
    assert set(found) == {10}
    np.testing.assert_array_equal(found[10], stored.read(layout, box)[10])


def some_samples(project, spec, source):
    tile = tile_of(project)
    box = tile.box(10)
    rows, cols = (part.ravel() for part in np.mgrid[0:TILE_PX:7, 0:TILE_PX:11])
    index = SampleIndex.of(tile.lattice.name, box.row + rows, box.col + cols, 1 + (rows + cols) % 2)
    layout = InputLayout.of(spec, SEASON, project.spec.sensor)
    samples = Samples(OnGrid(source), layout, index, Legend.parse("1,a\n2,b"))
    return samples.select(samples.observed())


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_samples_are_the_same_either_way(project, spec):
    stored, made = (some_samples(project, spec, source) for source in sources(project, spec))
    assert len(stored) == len(made) > 100
    scaling = stored.measure_scaling()
    assert made.measure_scaling() == scaling
    np.testing.assert_array_equal(made.inputs(scaling), stored.inputs(scaling))


@pytest.fixture
def reads(monkeypatch):
    """How often each chunk of a cube was read."""
    counted: Counter[tuple[object, ...]] = Counter()
    parts = OpenedFile.parts

    def counting(self, spans):
        counted.update((self.path, span) for span in spans)
        return parts(self, spans)

    monkeypatch.setattr(OpenedFile, "parts", counting)
    return counted


def with_nothing_kept(project, samples):
    """The same samples from a source that has not made anything yet."""
    made = MadeFeatures(CubeObserving(Store.open(project.cube_path)), SPECS[0], SEASON)
    return Samples(OnGrid(made), samples.layout, samples.index, samples.legend)


@pytest.mark.parametrize("shuffled", [False, True])
def test_every_chunk_of_the_cube_is_read_once_a_pass(project, reads, shuffled):
    pytest.importorskip("torch")
    from cropcube.samples.stream import AsTheyAre, SampleStream

    samples = with_nothing_kept(project, some_samples(project, SPECS[0], sources(project, SPECS[0])[1]))
    reads.clear()
    scaling = reflectance_scaling(3)
    for _ in SampleStream(samples, AsTheyAre(scaling)).loader(1) if shuffled else samples.batches(scaling, 64):
        pass
    assert len({cell.group for cell in samples.cells()}) == 4
    assert len(reads) == 11 * (16 + 4 + 4)
    assert set(reads.values()) == {1}


@pytest.fixture(scope="module")
def many_cells(tmp_path_factory):
    """A cube of more than sixteen tiles of one cell each, and samples of all of them."""
    root = tmp_path_factory.mktemp("many") / "project"
    made = make_project(root, tile_px=96, bands=("B04", "B08", "B11"), region=(4.05, 50.74, 4.1, 50.775))
    tiles = list(made.spec.grid.tiles())
    assert len(tiles) > 16
    rows, cols = (axis.ravel() for axis in np.mgrid[0:96:5, 0:96:5])
    row, col = (
        np.concatenate([start + axis for start in starts])
        for axis, starts in ((rows, [t.box(10).row for t in tiles]), (cols, [t.box(10).col for t in tiles]))
    )
    index = SampleIndex.of(tiles[0].lattice.name, row, col, 1 + (row + col) % 2)
    source = MadeFeatures(CubeObserving(Store.open(made.cube_path)), SPECS[0], SEASON)
    layout = InputLayout.of(SPECS[0], SEASON, made.spec.sensor)
    return made, len(tiles), Samples(OnGrid(source), layout, index, Legend.parse("1,a\n2,b"))


@pytest.mark.parametrize("ranks", [1, 2, 8])
@pytest.mark.parametrize("threads", [1, 16])
def test_chunks_are_read_once_for_any_number_of_threads_and_ranks(many_cells, reads, threads, ranks):
    pytest.importorskip("torch")
    from cropcube.samples.stream import AsTheyAre, SampleStream, StreamOptions

    project, tiles, samples = many_cells
    seen = 0
    for rank in range(ranks):
        # Each rank is a process with a source of its own, whose windows are of a few squares.
        options = StreamOptions(threads=threads, rank=(rank, ranks), buffer_bytes=1 << 20)
        stream = SampleStream(with_nothing_kept(project, samples), AsTheyAre(reflectance_scaling(3)), options)
        seen += sum(len(batch.classes) for batch in stream.loader(0))
    assert seen == len(samples.index)
    assert len(reads) == 11 * 3 * tiles
    assert set(reads.values()) == {1}


def test_ranks_share_a_cell_only_where_there_are_fewer_cells_than_ranks(project, reads):
    pytest.importorskip("torch")
    from cropcube.samples.stream import AsTheyAre, SampleStream, StreamOptions

    samples = some_samples(project, SPECS[0], sources(project, SPECS[0])[0])
    reads.clear()
    sizes = []
    for rank in range(8):
        part, options = with_nothing_kept(project, samples), StreamOptions(rank=(rank, 8))
        stream = SampleStream(part, AsTheyAre(reflectance_scaling(3)), options)
        sizes.append(sum(len(batch.classes) for batch in stream.loader(0)))
    assert sum(sizes) == len(samples)
    assert max(sizes) < 1.5 * min(sizes)
    assert set(reads.values()) == {2}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_stream_gives_the_same_batches_either_way(project, spec):
    pytest.importorskip("torch")
    from cropcube.samples.stream import AsTheyAre, SampleStream, StreamOptions

    stored, made = (some_samples(project, spec, source) for source in sources(project, spec))
    prepare = AsTheyAre(stored.measure_scaling())
    for seed in (0, 1):
        options = StreamOptions(batch=50, seed=seed, buffer_bytes=1 << 20)
        of_both = (list(SampleStream(samples, prepare, options).loader(3)) for samples in (stored, made))
        batches = list(zip(*of_both, strict=True))
        assert len(batches) > 10
        for one, other in batches:
            for left, right in zip(one[:2], other[:2], strict=True):
                np.testing.assert_array_equal(left.numpy(), right.numpy())


def test_a_box_that_cuts_cells_is_refused(project):
    _, made = sources(project, SPECS[0])
    layout = InputLayout.of(SPECS[0], SEASON, project.spec.sensor)
    box = tile_of(project).box(10)
    with pytest.raises(InvalidInputError, match="cuts cells"):
        made.read(layout, replace(box, row=box.row + 2))
