"""CropNet as published, and a classifier whose results depend on nothing but the pixel."""

import numpy as np
import pytest
import torch
from torch import nn

from cropcube.errors import InvalidInputError
from cropcube.model import cropnet
from cropcube.model.classifier import BATCH
from cropcube.model.cropnet import CropNet, CropNetClassifier, torch_threads

SHAPE = (10, 12)


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(3)
    network = CropNet(5, 16)
    network.train()
    for _ in range(3):
        network(torch.randn(32, 1, *SHAPE))  # so that running means are not those of a fresh network
    return CropNetClassifier(network, SHAPE)


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(0).normal(size=(2 * BATCH + 77, *SHAPE)).astype(np.float32)


def test_published_number_of_parameters():
    assert sum(parameter.numel() for parameter in CropNet(7).parameters()) == 1_036_295


def test_published_layers():
    network = CropNet(7)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [m.stride for m in convolutions] == [(2, 2)] + [(1, 1)] * 7
    assert all(m.kernel_size == (3, 3) and m.padding == (1, 1) and m.bias is None for m in convolutions)
    assert all(m.out_channels == 128 for m in convolutions)
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout2d)] == [0.2, 0.3, 0.3, 0.4]
    kinds = [type(m).__name__ for m in network.blocks[0]]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "ReLU", "Dropout2d"]


def test_kaiming_initialisation():
    weights = CropNet(7).blocks[1][0].weight.detach()
    assert float(weights.std()) == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)


def test_pooling_is_the_mean_over_bands_and_time():
    torch.manual_seed(0)
    network = CropNet(4, 8).eval()
    images = torch.randn(3, 1, 10, 43)
    with torch.no_grad():
        pooled = nn.AdaptiveAvgPool2d(1)(network.blocks(images)).flatten(1)
        torch.testing.assert_close(network(images), network.head(pooled))
        assert network.blocks(images).shape == (3, 8, 5, 22)


def test_probabilities_add_up_to_one(classifier, inputs):
    found = classifier.probabilities(inputs)
    assert found.dtype == np.float32
    assert found.shape == (len(inputs), 5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_a_pixel_does_not_depend_on_its_company_or_its_place_in_the_batch(classifier, inputs):
    whole = classifier.probabilities(inputs)
    for chosen in (np.arange(1), np.arange(5, 40), np.arange(len(inputs))[::-1], np.arange(0, len(inputs), 3)):
        np.testing.assert_array_equal(classifier.probabilities(inputs[chosen]), whole[chosen])


def test_any_number_of_threads_gives_the_same(classifier, inputs):
    one = classifier.probabilities(inputs, threads=1)
    for threads in (2, 3):
        np.testing.assert_array_equal(classifier.probabilities(inputs, threads=threads), one)


def test_arrays_round_trip(classifier, inputs):
    again = CropNetClassifier.of(classifier.tensors(), SHAPE)
    np.testing.assert_array_equal(again.probabilities(inputs), classifier.probabilities(inputs))


def test_wrong_input_shape_is_refused(classifier):
    with pytest.raises(InvalidInputError, match=r"\(10, 13\)"):
        classifier.probabilities(np.zeros((2, 10, 13), np.float32))


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "nan", "foreign"])
def test_foreign_weights_are_refused(classifier, change):
    tensors = {name: np.array(value) for name, value in classifier.tensors().items()}
    if change == "missing":
        del tensors["blocks.2.0.weight"]
    elif change == "extra":
        tensors["more"] = np.zeros(1, np.float32)
    elif change == "shape":
        tensors["blocks.0.0.weight"] = tensors["blocks.0.0.weight"][:-1]
    elif change == "nan":
        tensors["head.bias"] = np.full_like(tensors["head.bias"], np.nan)
    else:
        tensors = {"head.weight": np.zeros(3, np.float32)}
    with pytest.raises(InvalidInputError):
        CropNetClassifier.of(tensors, SHAPE)


@pytest.fixture(params=["another device of the processor", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """A device that is not the processor's own: the path that a GPU takes, and a GPU where there is one."""
    if request.param != "cuda":
        return torch.device("cpu", 0)
    try:
        return cropnet.gpu()
    except InvalidInputError as error:
        pytest.skip(str(error))


def test_another_device_gives_the_processors_probabilities(classifier, inputs, device):
    moved = CropNetClassifier.of(classifier.tensors(), SHAPE, device)
    assert moved.device != cropnet.PROCESSOR
    many = np.concatenate([inputs] * 8)  # more than a batch there, and a part of one
    assert len(many) > cropnet.GPU_BATCH
    found = moved.probabilities(many)
    assert (found.dtype, found.shape) == (np.float32, (len(many), 5))
    np.testing.assert_allclose(found, classifier.probabilities(many), atol=2e-6)
    np.testing.assert_array_equal(moved.probabilities(many[77:90]), found[77:90])
    for name, values in moved.tensors().items():
        np.testing.assert_array_equal(values, classifier.tensors()[name])


def test_a_machine_without_a_gpu_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInputError, match="finds no GPU to classify on") as caught:
        cropnet.gpu()
    assert "--device auto" in caught.value.next_step
