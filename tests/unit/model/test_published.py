"""CropNet against its published description, computed by other means; and the published code's flaws, not repeated.

The description (arXiv 2509.03497): the band x time image of a pixel goes through four blocks of twice a 3x3 convolution
without bias, padded by one, batch normalisation and ReLU, with two-dimensional dropout behind them; the first
convolution has stride 2; then the mean over the image, and one linear layer.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cropcube.domain.legend import Legend
from cropcube.domain.model_card import LabelSource, ModelCard, SplitRecord
from cropcube.features.model_input import InputLayout
from cropcube.model.augment import Augmentation, Drawn, TimeSpan, changed
from cropcube.model.checkpoint import load_model, save_model
from cropcube.model.classifier import classify
from cropcube.model.cropnet import CropNet
from cropcube.model.fit import fit_classifier
from cropcube.model.fit_options import FitOptions
from cropcube.model.metrics import score
from cropcube.samples.read import Samples
from tests.support.learning import SPEC, make_project, make_samples, write_features

FAST = FitOptions(width=8, epochs=3, batch=32, learning_rate=5e-3, threads=1, augment=None)


def fixed_weights(width, classes, seed=7):
    """Return weights by name, drawn by numpy: running means and variances too, which a fresh network has at 0 and 1."""
    draw = np.random.default_rng(seed)
    tensors = {}
    for block in range(4):
        for place, channels in ((0, 1 if block == 0 else width), (3, width)):
            scale = np.sqrt(2 / (9 * width))
            tensors[f"blocks.{block}.{place}.weight"] = draw.normal(0, scale, (width, channels, 3, 3))
            norm = f"blocks.{block}.{place + 1}."
            tensors[norm + "weight"], tensors[norm + "bias"] = draw.uniform(0.5, 1.5, width), draw.normal(0, 0.2, width)
            tensors[norm + "running_mean"] = draw.normal(0, 0.3, width)
            tensors[norm + "running_var"] = draw.uniform(0.5, 2, width)
    tensors["head.weight"], tensors["head.bias"] = draw.normal(0, 0.3, (classes, width)), draw.normal(0, 1, classes)
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def convolved(images, weight, stride):
    """3x3 convolution as the text has it: a sum over a padded image's shifted copies, in float64."""
    n, _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = np.zeros((n, len(weight), -(-height // stride), -(-width // stride)))
    for i in range(3):
        for j in range(3):
            piece = padded[:, :, i : i + height : stride, j : j + width : stride]
            out += np.einsum("ncyx,oc->noyx", piece, weight[:, :, i, j])
    return out


def described(tensors, images):
    """Logits of the description, with batch normalisation by its running moments (epsilon 1e-5) and no dropout."""
    w = {name: values.astype(np.float64) for name, values in tensors.items()}
    values = images.astype(np.float64)
    for block in range(4):
        for place in (0, 3):
            values = convolved(values, w[f"blocks.{block}.{place}.weight"], 2 if (block, place) == (0, 0) else 1)
            norm = {key: w[f"blocks.{block}.{place + 1}.{key}"][:, None, None] for key in
                    ("weight", "bias", "running_mean", "running_var")}  # fmt: skip
            values = (values - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5)
            values = np.maximum(values * norm["weight"] + norm["bias"], 0)
    return values.mean(axis=(2, 3)) @ w["head.weight"].T + w["head.bias"]


@pytest.mark.parametrize(("width", "shape"), [(128, (10, 43)), (16, (9, 12)), (24, (6, 1))])
def test_the_same_weights_give_the_same_logits(width, shape):
    tensors = fixed_weights(width, 7)
    network = CropNet(7, width)
    found = network.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()}, strict=False)
    assert not found.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in found.missing_keys)
    images = np.random.default_rng(1).normal(size=(6, 1, *shape)).astype(np.float32)
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(images)).numpy()
    wanted = described(tensors, images)
    assert np.abs(wanted).max() > 0.5
    np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-5)


def test_training_normalises_by_the_batch_and_drops_whole_channels():
    tensors = fixed_weights(16, 3)
    network = CropNet(3, 16)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()}, strict=False)
    block = network.blocks[3].train()
    torch.manual_seed(0)
    images = torch.randn(40, 16, 5, 6)
    values = block[:6](images)
    first = convolved(images.numpy().astype(np.float64), tensors["blocks.3.0.weight"], 1)
    moments = first.mean(axis=(0, 2, 3), keepdims=True), first.var(axis=(0, 2, 3), keepdims=True)
    norm = [tensors[f"blocks.3.1.{key}"][:, None, None] for key in ("weight", "bias")]
    wanted = np.maximum((first - moments[0]) / np.sqrt(moments[1] + 1e-5) * norm[0] + norm[1], 0)
    np.testing.assert_allclose(block[:3](images).detach().numpy(), wanted, rtol=1e-3, atol=1e-4)
    dropped = block[6](values)
    gone = (dropped == 0).flatten(2).all(dim=2)
    assert gone.float().mean().item() == pytest.approx(0.4, abs=0.06)
    torch.testing.assert_close(dropped[~gone], values[~gone] / 0.6)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("published"))
    return make_samples(project, write_features(project), spacing=4)


def test_the_best_epoch_is_chosen_on_places_that_are_not_trained_on(samples):
    """The published code keeps the epoch that does best on its own training pixels."""
    train, validation = samples.of_set("train"), samples.of_set("validation")
    assert not set(train.index.block.tolist()) & set(validation.index.block.tolist())
    swapped = replace(validation.index, label=(validation.index.label % 3 + 1).astype(np.uint8))
    misled = fit_classifier("cropnet", FAST, train, replace(validation, index=swapped))
    led = fit_classifier("cropnet", FAST, train, validation)
    # the same epochs were fitted, and what is kept differs by what the validation places say alone
    assert [e.loss for e in misled.history] == [e.loss for e in led.history]
    for fitted in (misled, led):
        assert fitted.best_epoch == max(fitted.history, key=lambda epoch: epoch.macro_f1).number
    assert [e.macro_f1 for e in misled.history] != [e.macro_f1 for e in led.history]


def test_time_scaling_takes_the_shifted_series():
    """The published code rebuilds it from the unshifted one, so that of both changes only the second is left."""
    series = np.random.default_rng(0).uniform(0, 9, (5, 2, 60)).astype(np.float32)
    span, nothing = TimeSpan(10, 40, 5), Drawn.nothing(5, 40)
    scaled = replace(nothing, first_days=np.full(5, -20.0), last_days=np.full(5, 30.0))
    both, _ = changed(series, span, replace(scaled, shift_days=np.full(5, 10.0)))
    np.testing.assert_allclose(both, changed(np.roll(series, 2, axis=2), span, scaled)[0], rtol=1e-5)
    assert not np.allclose(both, changed(series, span, scaled)[0])


def test_a_shift_brings_in_what_was_seen_before_and_after_the_window():
    """The published code clamps at the year's end: what a shift should bring in is its last value, repeated."""
    year = np.arange(73, dtype=np.float32).reshape(1, 1, 73)
    span, nothing = TimeSpan(24, 43, 5), Drawn.nothing(1, 43)
    for days, first in ((-30, 30), (50, 14)):
        values, held = changed(year, span, replace(nothing, shift_days=np.array([float(days)])))
        np.testing.assert_array_equal(values[0, 0], np.arange(first, first + 43))
        assert held == 0
    values, held = changed(year, span, replace(nothing, shift_days=np.array([-50.0])))
    assert values[0, 0, -5:].tolist() == [72.0] * 5
    assert held == 4  # and what is beyond the data is counted


AUGMENTED = replace(FAST, epochs=1, augment=Augmentation(copies=1, shift_days=10, scale_days=10))


def test_augmentation_is_seeded(samples):
    """The published code draws its augmentation from generators that nobody seeds: no run can be repeated."""
    found = []
    for state in (1, 2):
        np.random.seed(state)  # noqa: NPY002  # the global generators must not matter
        torch.manual_seed(state)
        found.append(fit_classifier("cropnet", AUGMENTED, samples.of_set("validation")).classifier.tensors())
    for name in found[0]:
        np.testing.assert_array_equal(found[0][name], found[1][name])


def test_a_model_is_saved_and_predicts_the_same(samples, tmp_path):
    """The published code never saves a model."""
    fitted = fit_classifier("cropnet", AUGMENTED, samples.of_set("train"), samples.of_set("validation"))
    layout: InputLayout = samples.layout
    card = ModelCard(
        classifier="cropnet", feature=SPEC.name, feature_spec=SPEC.as_dict(), sensor="sentinel-2-l2a",
        bands=layout.bands, steps=layout.steps, scaling=fitted.scaling, gap_fill=layout.gap_rule,
        legend=Legend.parse("1,a\n2,b\n3,c"), labels=LabelSource("fields.gpkg", "", "crop"),
        split=SplitRecord(160, 0, {}, {}), options=fitted.options.for_card("cropnet"), scores={}, region="",
        season="2019-03-01/2019-05-10", versions={},
    )  # fmt: skip
    save_model(tmp_path, fitted.classifier, card, samples.index)
    loaded, read = load_model(tmp_path)
    test = samples.of_set("test")
    np.testing.assert_array_equal(
        classify(loaded, test, read.scaling), classify(fitted.classifier, test, fitted.scaling)
    )
    assert FitOptions.from_card(read.options) == fitted.options
    assert isinstance(test, Samples)
    predicted = classify(loaded, test, read.scaling).argmax(axis=1)
    assert score(test.classes, predicted, test.legend.names).overall_accuracy > 0.5
