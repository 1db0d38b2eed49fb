"""The stream: every sample once an epoch, the same seed the same batches, bounded memory, spawned workers."""

import numpy as np
import pytest
import torch

from cropcube.features.model_input import reflectance_scaling
from cropcube.samples.stream import SampleStream
from tests.support.learning import make_project, make_samples, write_features

SCALING = reflectance_scaling(10)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("stream"))
    return make_samples(project, write_features(project), spacing=3)


def collect(stream, epoch, workers=0):
    inputs, classes = zip(*stream.loader(epoch, workers), strict=True)
    return torch.cat(inputs).numpy()[:, 0], torch.cat(classes).numpy(), [len(part) for part in classes]


def as_set(inputs, classes):
    rows = np.concatenate([inputs.reshape(len(inputs), -1), classes[:, None]], axis=1)
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize("buffer_bytes", [1, 300 * 280, 10**9])
def test_every_sample_once_with_its_class(samples, buffer_bytes):
    inputs, classes, sizes = collect(SampleStream(samples, SCALING, 64, 1, buffer_bytes), 1)
    np.testing.assert_array_equal(as_set(inputs, classes), as_set(samples.inputs(SCALING), samples.classes))
    assert max(sizes) == 64
    assert sizes.count(64) == len(samples) // 64


def test_same_seed_and_epoch_same_batches_and_others_differ(samples):
    one, _, _ = collect(SampleStream(samples, SCALING, 64, 1), 1)
    np.testing.assert_array_equal(collect(SampleStream(samples, SCALING, 64, 1), 1)[0], one)
    assert not np.array_equal(collect(SampleStream(samples, SCALING, 64, 1), 2)[0], one)
    assert not np.array_equal(collect(SampleStream(samples, SCALING, 64, 2), 1)[0], one)


def test_classes_are_mixed(samples):
    _, classes, _ = collect(SampleStream(samples, SCALING, 64, 1), 1)
    for start in range(0, len(classes) - 64, 64):
        assert len(np.unique(classes[start : start + 64])) == 3


def test_the_buffer_is_bounded(samples, monkeypatch):
    held = []
    original = type(samples).read

    def read(self, cell):
        values = original(self, cell)
        held.append(len(values))
        return values

    monkeypatch.setattr(type(samples), "read", read)
    stream = SampleStream(samples, SCALING, 16, 1, buffer_bytes=64 * 4 * 10 * 7)
    assert stream.buffer == 64
    batches = iter(stream)
    next(batches)
    assert sum(held) <= stream.buffer + max(len(cell.positions) for cell in samples.cells())


@pytest.mark.slow
def test_spawned_workers_share_the_samples_out(samples):
    stream = SampleStream(samples, SCALING, 64, 1)
    inputs, classes, _ = collect(stream, 1, workers=2)
    np.testing.assert_array_equal(as_set(inputs, classes), as_set(samples.inputs(SCALING), samples.classes))
