"""The stream: every sample once an epoch, the same seed the same batches, bounded memory, workers and ranks."""

import tracemalloc
from collections import Counter
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
import pytest
import torch
from torch import distributed

from cropcube.features.model_input import reflectance_scaling
from cropcube.model.augment import Augmentation, Augmenter, TimeSpan
from cropcube.samples import stream as stream_module
from cropcube.samples.index import SampleIndex
from cropcube.samples.read import Cell, Samples
from cropcube.samples.stream import AsTheyAre, SampleStream, StreamOptions, _after, _windows
from tests.support.learning import make_project, make_samples, write_features

SCALING = reflectance_scaling(10)
PLAIN = AsTheyAre(SCALING)
COPIES = Augmenter(Augmentation(copies=2, scale_days=10, shift_days=20), TimeSpan(1, 5, 10), SCALING)
ONE = StreamOptions(batch=64, seed=1)
SMALL = replace(ONE, buffer_bytes=450 * 140)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("stream"))
    return make_samples(project, write_features(project), spacing=3)


def batches(stream, epoch=1, workers=0, start=0):
    return [(b.inputs.numpy()[:, 0], b.classes.numpy()) for b in stream.loader(epoch, workers, start)]


def joined(found):
    return np.concatenate([inputs for inputs, _ in found]), np.concatenate([classes for _, classes in found])


def as_set(inputs, classes):
    rows = np.concatenate([inputs.reshape(len(inputs), -1), classes[:, None]], axis=1)
    return rows[np.lexsort(rows.T)]


def assert_same(one, other):
    assert len(one) == len(other)
    for (inputs, classes), (others, their) in zip(one, other, strict=True):
        np.testing.assert_array_equal(inputs, others)
        np.testing.assert_array_equal(classes, their)


def assert_all_once(found, samples):
    np.testing.assert_array_equal(as_set(*joined(found)), as_set(samples.inputs(SCALING), samples.classes))


@pytest.mark.parametrize("buffer_bytes", [1, 450 * 280, 10**9])
def test_every_sample_once_with_its_class(samples, buffer_bytes):
    found = batches(SampleStream(samples, PLAIN, replace(ONE, buffer_bytes=buffer_bytes)))
    assert_all_once(found, samples)
    sizes = [len(classes) for _, classes in found]
    assert max(sizes) == 64
    assert sizes.count(64) == len(samples) // 64


def test_same_seed_and_epoch_same_batches_and_others_differ(samples):
    one = batches(SampleStream(samples, COPIES, ONE))
    assert_same(batches(SampleStream(samples, COPIES, ONE)), one)
    assert_same(batches(SampleStream(samples, COPIES, replace(ONE, threads=3))), one)
    for other in (
        batches(SampleStream(samples, COPIES, ONE), epoch=2),
        batches(SampleStream(samples, COPIES, replace(ONE, seed=2))),
    ):
        assert not np.array_equal(other[0][0], one[0][0])


def test_every_epoch_has_the_same_samples_with_other_changes(samples):
    stream = SampleStream(samples, COPIES, ONE)
    rows = [Counter(row.tobytes() for row in joined(batches(stream, epoch))[0]) for epoch in (1, 2)]
    originals = Counter(row.tobytes() for row in samples.inputs(SCALING)[:, :, 1:6])
    for found in rows:
        assert sum(found.values()) == 3 * len(samples)
        assert not originals - found
    one, other = (found - originals for found in rows)  # two copies of each, of which those not drawn stay as they are
    assert sum((one & other).values()) < 0.1 * sum(one.values())


@dataclass(frozen=True)
class Endless:
    """Samples that are made when they are read: as many as memory would not hold."""

    name: str = "made"
    in_turns = False

    def cells(self, layout, index):
        return [Cell(part, number) for number, part in enumerate(np.array_split(np.arange(len(index)), 400))]

    def read_into(self, rows, layout, index, cell):
        rows[...] = cell.group

    def dtype(self, layout):
        return layout.dtype

    def observed(self, layout, index):
        return np.ones(len(index), bool)


@pytest.mark.parametrize("megabytes", [2, 8])
def test_memory_is_bounded_by_the_buffer_whatever_the_samples_are(samples, megabytes):
    index = SampleIndex.of("utm31n", np.arange(400_000), np.zeros(400_000, int), np.ones(400_000, int))
    many = Samples(Endless(), samples.layout, index, samples.legend)
    assert many.layout.dtype.itemsize * np.prod(many.layout.shape) * len(index) > 50e6
    stream = SampleStream(many, PLAIN, StreamOptions(batch=256, buffer_bytes=megabytes * 2**20))
    list(zip(range(3), stream.loader(0), strict=False))
    tracemalloc.start()
    try:
        count = sum(len(batch.classes) for batch in stream.loader(1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == len(index)
    assert peak < (megabytes + 12) * 2**20  # positions of all samples, permutations and a batch beside the buffer


def test_classes_are_mixed(samples):
    _, classes = joined(batches(SampleStream(samples, PLAIN, ONE)))
    for start in range(0, len(classes) - 64, 64):
        assert len(np.unique(classes[start : start + 64])) == 3


def test_copies_come_beside_the_samples_and_what_was_held_is_counted(samples):
    series = Samples(samples.source, replace(samples.layout, window=(1, 6)).series, samples.index, samples.legend)
    stream = SampleStream(series, COPIES, ONE)
    found = list(stream.loader(1))
    inputs, classes = joined([(b.inputs.numpy()[:, 0], b.classes.numpy()) for b in found])
    np.testing.assert_array_equal(np.bincount(classes), 3 * samples.counts())
    originals = Counter(row.tobytes() for row in samples.inputs(SCALING)[:, :, 1:6])
    came = Counter(row.tobytes() for row in inputs)
    assert all(came[row] >= times for row, times in originals.items())
    # shifts reach 20 days out of a series that has 10 and 10 beside the window: 2/21 + 1/21 + ... of the steps
    assert 0 < sum(b.held for b in found) < 0.2 * inputs.shape[0] * 5


@pytest.mark.parametrize("prepare", [PLAIN, COPIES])
def test_each_cell_is_read_once_and_the_buffer_is_bounded(samples, monkeypatch, prepare):
    read = Counter()
    original = Samples.read_into

    def counted(self, rows, cell):
        read[tuple(cell.positions)] += 1
        original(self, rows, cell)

    monkeypatch.setattr(Samples, "read_into", counted)
    stream = SampleStream(samples, prepare, SMALL)
    assert stream.buffer == 150  # three windows of it are held
    windows = []
    monkeypatch.setattr(stream_module, "_windows", lambda *given: windows.extend(cut(*given)) or windows)
    cut = _windows
    batches(stream)
    assert read == Counter(tuple(cell.positions) for cell in samples.cells())
    assert len(windows) > 5
    for window in windows:
        assert sum(len(cell.positions) for cell in window) <= stream.buffer or len(window) == 1


def test_two_windows_are_read_while_the_one_before_is_used_and_no_further(samples, monkeypatch):
    read = []
    original = Samples.read_into
    monkeypatch.setattr(Samples, "read_into", lambda self, rows, cell: read.append(cell) or original(self, rows, cell))
    stream = SampleStream(samples, PLAIN, replace(ONE, buffer_bytes=1))
    taken = iter(stream)
    next(taken)
    most = max(len(cell.positions) for cell in samples.cells())
    assert len(read) < len(samples.cells()) / 2
    assert sum(len(cell.positions) for cell in read) <= 64 + 3 * most


@pytest.mark.parametrize("prepare", [PLAIN, COPIES])
@pytest.mark.parametrize("options", [ONE, SMALL])
def test_an_epoch_goes_on_from_any_batch(samples, prepare, options):
    stream = SampleStream(samples, prepare, options)
    whole = batches(stream)
    for start in (1, 3, len(whole) // 2, len(whole) - 1, len(whole)):
        assert_same(batches(stream, start=start), whole[start:])


def test_an_epoch_that_goes_on_reads_only_what_is_left(samples, monkeypatch):
    stream = SampleStream(samples, PLAIN, SMALL)
    count = len(batches(stream))
    read = []
    original = Samples.read_into
    monkeypatch.setattr(Samples, "read_into", lambda self, rows, cell: read.append(cell) or original(self, rows, cell))
    batches(stream, start=count - 1)
    assert 1 <= len(read) < len(samples.cells()) / 2


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_samples_out(samples, ranks):
    parts = [batches(SampleStream(samples, PLAIN, replace(ONE, rank=(rank, ranks)))) for rank in range(ranks)]
    assert_all_once([batch for part in parts for batch in part], samples)
    sizes = [sum(len(classes) for _, classes in part) for part in parts]
    assert max(sizes) - min(sizes) <= max(len(cell.positions) for cell in samples.cells())


@pytest.mark.slow
def test_spawned_workers_share_the_samples_out_and_go_on_from_any_batch(samples):
    stream = SampleStream(samples, PLAIN, replace(SMALL, batch=100))
    whole = batches(stream, workers=2)
    assert_all_once(whole, samples)
    start = len(whole) - 3
    assert_same(batches(stream, workers=2, start=start), whole[start:])


def test_workers_are_asked_in_turn_and_those_at_their_end_left_out():
    counts = [2, 5, 0, 3]
    order = [0, 1, 3, 0, 1, 3, 1, 3, 1, 1]  # as a DataLoader takes them
    for start in range(len(order) + 1):
        turn = _after(counts, start)
        assert sorted(turn) == [(worker, order[:start].count(worker)) for worker in range(4)]
        left = [[worker] * (counts[worker] - done) for worker, done in turn]
        again = [worker for batch in zip_longest(*left) for worker in batch if worker is not None]
        assert again == order[start:]


def _rank(rank, folder, samples):
    distributed.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    stream = SampleStream(samples, PLAIN, ONE)
    inputs, classes = joined(batches(stream, workers=1))
    np.savez(folder / f"{rank}.npz", inputs=inputs, classes=classes)
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.mark.slow
def test_a_group_of_processes_with_workers_shares_the_samples_out(samples, tmp_path):
    torch.multiprocessing.spawn(_rank, (tmp_path, samples), nprocs=2)
    parts = [np.load(tmp_path / f"{rank}.npz") for rank in range(2)]
    assert_all_once([(part["inputs"], part["classes"]) for part in parts], samples)
