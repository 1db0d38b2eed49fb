"""Fitting: what can be learnt is learnt, the same seed gives the same model, and trouble is said."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cropcube.domain.legend import Legend
from cropcube.errors import CropcubeError, InvalidInputError, UsageError
from cropcube.model.augment import Augmentation
from cropcube.model.baselines import majority_accuracy
from cropcube.model.classifier import classify
from cropcube.model.cropnet import CropNet
from cropcube.model.diary import Diary, Progress
from cropcube.model.fit import fit_classifier
from cropcube.model.fit_cropnet import _Averaged, _Fit, class_weights
from cropcube.model.fit_options import FitOptions, recipe_of, settings_words
from cropcube.model.metrics import score
from cropcube.samples.read import Samples
from tests.support.learning import make_project, make_samples, write_features

ROOT = Path(__file__).parents[3]
FAST = FitOptions(width=8, epochs=3, batch=32, learning_rate=5e-3, trees=20, iterations=20, threads=1, augment=None)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("fit"))
    return make_samples(project, write_features(project), spacing=3)


@pytest.mark.parametrize(("kind", "floor"), [("forest", 0.95), ("boosting", 0.9), ("cropnet", 0.9)])
def test_places_never_seen_are_classified(samples, kind, floor):
    fitted = fit_classifier(kind, FAST, samples.of_set("train"), samples.of_set("validation"))
    test = samples.of_set("test")
    predicted = classify(fitted.classifier, test, fitted.scaling).argmax(axis=1)
    assert score(test.classes, predicted, test.legend.names).overall_accuracy > floor
    assert fitted.scores.overall_accuracy > floor
    assert majority_accuracy(samples.of_set("train").counts(), test.counts()) < 0.7


@pytest.mark.parametrize("kind", ["forest", "boosting", "cropnet"])
def test_same_seed_same_classifier_and_others_differ(samples, kind):
    train = samples.of_set("train")
    one, same = (fit_classifier(kind, FAST, train).classifier.tensors() for _ in range(2))
    assert one.keys() == same.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
    if kind == "boosting":
        return  # nothing is drawn: every sample and every feature is in every tree
    other = fit_classifier(kind, FitOptions(**{**vars(FAST), "seed": 1}), train).classifier.tensors()
    assert any(one[name].shape != other[name].shape or (one[name] != other[name]).any() for name in one)


def test_global_generators_and_threads_are_left_alone(samples):
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    fit_classifier("cropnet", FitOptions(**{**vars(FAST), "epochs": 1}), samples.of_set("validation"))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_the_epoch_that_is_best_on_validation_is_kept(samples):
    seen = []
    fitted = fit_classifier("cropnet", FAST, samples.of_set("train"), samples.of_set("validation"), Diary(seen.append))
    assert [epoch.number for epoch in seen] == [1, 2, 3]
    assert list(fitted.history) == seen
    best = max(seen, key=lambda epoch: epoch.macro_f1)
    assert fitted.best_epoch == best.number
    assert fitted.scores.macro_f1 == best.macro_f1
    validation = samples.of_set("validation")
    predicted = classify(fitted.classifier, validation, fitted.scaling).argmax(axis=1)
    assert score(validation.classes, predicted, validation.legend.names).macro_f1 == best.macro_f1


def test_without_validation_the_last_epoch_is_kept(samples):
    fitted = fit_classifier("cropnet", FAST, samples.of_set("validation"))
    assert fitted.best_epoch == 3
    assert fitted.scores is None


def test_classes_of_the_legend_without_samples_are_columns_too(samples):
    wider = Legend.parse("1200,Maize\n1110,Winter wheat\n9120,Grass\n7,Rare")
    train = samples.of_set("validation")
    more = Samples(train.source, train.layout, train.index, wider)
    for kind in ("forest", "boosting", "cropnet"):
        found = classify(fit_classifier(kind, FAST, more).classifier, more, more.measure_scaling())
        assert found.shape == (len(more), 4)
        assert (found.argmax(axis=1) < 3).all()


def test_a_loss_that_is_no_number_stops(samples, monkeypatch):
    monkeypatch.setattr("cropcube.model.fit_cropnet.class_weights", lambda *_: np.full(3, np.nan, np.float32))
    with pytest.raises(CropcubeError) as caught:
        fit_classifier("cropnet", FAST, samples.of_set("train"))
    assert "loss is nan in epoch 1, batch 1" in caught.value.what
    assert "Nothing of it was kept" in caught.value.next_step
    assert "--learning-rate" in caught.value.next_step


def test_one_class_is_refused(samples):
    only = samples.select(samples.index.label == 2)
    with pytest.raises(InvalidInputError, match="all training samples are Winter wheat"):
        fit_classifier("forest", FAST, only)


def test_unknown_classifier_is_refused(samples):
    with pytest.raises(InvalidInputError, match="oracle"):
        fit_classifier("oracle", FAST, samples)


WITHOUT_TORCH = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError(name)
sys.meta_path.insert(0, NoTorch())
from pathlib import Path
from cropcube.errors import MissingExtraError
from cropcube.model.fit_options import FitOptions
from cropcube.model.fit import fit_classifier
from tests.support.learning import make_project, make_samples, write_features
project = make_project(Path(sys.argv[1]))
samples = make_samples(project, write_features(project), spacing=4)
try:
    fit_classifier("cropnet", FitOptions(), samples)
except MissingExtraError as error:
    print(error.next_step)
print(fit_classifier("forest", FitOptions(trees=3, threads=1), samples).classifier.kind)
"""


def test_without_torch_cropnet_names_the_extra_and_the_forest_works(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert 'pip install "cropcube[model]"' in ran.stdout
    assert ran.stdout.splitlines()[-1] == "forest"


@pytest.mark.parametrize(
    ("rule", "wanted"), [("none", [1, 1, 0]), ("balanced", [0.625, 2.5, 0]), ("sqrt", [5 / 6, 5 / 3, 0])]
)
def test_class_weights_have_mean_one_over_the_samples(rule, wanted):
    counts = np.array([80, 20, 0])
    weights = class_weights(counts, rule)
    np.testing.assert_allclose(weights, wanted, rtol=1e-6)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"epochs": 0}, {"batch": -1}, {"trees": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")},
     {"class_weights": "much"}, {"seed": -1}, {"threads": -1}, {"patience": -1}, {"label_smoothing": 1.0},
     {"weight_decay": -0.1}, {"iterations": 0}, {"average": 1.0}],
)  # fmt: skip
def test_options_that_cannot_work_are_named_with_what_can(wrong):
    with pytest.raises(InvalidInputError) as caught:
        FitOptions(**wrong)
    (name,) = wrong
    assert f"--{name.replace('_', '-')}" in caught.value.next_step


def test_settings_of_other_kinds_of_classifier_are_refused():
    assert FitOptions.of_words("forest", {"trees": 5, "width": None, "seed": 1}) == FitOptions(trees=5, seed=1)
    for kind, said in (
        ("forest", {"learning_rate": 1e-3}), ("cropnet", {"trees": 200}), ("boosting", {"recipe": "paper"}),
        ("forest", {"iterations": 5}), ("boosting", {"augment": "paper"}),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=f"belongs to --classifier .*, not to {kind}"):
            FitOptions.of_words(kind, said)


def test_the_papers_recipe_is_as_published_and_what_is_said_overrides_it():
    paper = FitOptions.of_words("cropnet", {"recipe": "paper"})
    assert (paper.learning_rate, paper.batch, paper.epochs, paper.width) == (1e-4, 256, 50, 128)
    assert (paper.class_weights, paper.weight_decay, paper.label_smoothing) == ("balanced", 0, 0)
    assert paper.average == 0
    assert paper.augment == Augmentation(2, True, 1.0, 50, 1.0, 50, 0.5, 0.10, 0.25, 0.0, 0)
    less = FitOptions.of_words("cropnet", {"recipe": "paper", "epochs": 2, "augment": "none"})
    assert less == replace(paper, epochs=2, augment=None)
    assert recipe_of("paper").model_window == "05-01/12-01"
    for wrong in ({"recipe": "cake"}, {"augment": "much"}):
        with pytest.raises(InvalidInputError, match="not known"):
            FitOptions.of_words("cropnet", wrong)


def test_the_default_recipe_is_what_was_found_to_carry_furthest():
    usual = FitOptions.of_words("cropnet", {})
    assert usual == FitOptions.of_words("cropnet", {"recipe": "default"})
    assert (usual.width, usual.epochs, usual.batch, usual.learning_rate) == (48, 10, 64, 3e-3)
    assert (usual.class_weights, usual.label_smoothing, usual.average) == ("none", 0.05, 0.99)
    assert usual.augment == Augmentation(1, False, 1.0, 20, 0.8, 20, 0.5, 0.10, 0.25, 0.6, 60, 0.5)
    local = FitOptions.of_words("cropnet", {"recipe": "local"})
    assert local == replace(usual, augment=replace(usual.augment, probability=0.5), class_weights="sqrt")
    assert recipe_of(None).model_window == "growing"
    assert usual == FitOptions.of_words("forest", {}) == FitOptions()


def test_settings_come_back_from_a_card():
    for kind, options in (("cropnet", FitOptions.of_words("cropnet", {"recipe": "paper"})), ("forest", FAST)):
        card = json.loads(json.dumps(options.for_card(kind) | {"best_epoch": 3}))
        assert FitOptions.from_card(card).for_card(kind) == options.for_card(kind)


def test_settings_are_told_by_the_names_of_changes():
    paper = FitOptions.of_words("cropnet", {"recipe": "paper", "label_smoothing": 0.1})
    said = settings_words(paper.for_card("cropnet"))
    assert "learning rate 0.0001" in said
    assert "label smoothing 0.1" in said
    assert "augment paper" in said
    assert "augment none" in settings_words(replace(paper, augment=None).for_card("cropnet"))
    own = replace(paper, augment=Augmentation(shift_days=7))
    assert "augment custom" in settings_words(own.for_card("cropnet"))


def test_augmented_samples_are_learnt_and_what_was_held_is_said(samples):
    changed = replace(FAST, augment=Augmentation(copies=1, shift_days=10, scale_days=50), epochs=2)
    seen = []
    fitted = fit_classifier(
        "cropnet", changed, samples.of_set("train"), samples.of_set("validation"), Diary(seen.append)
    )
    assert fitted.options.augment.scale_days == 15  # a quarter of the 60 days from the first step to the last
    assert 0 < seen[0].held < 0.2
    assert "held at the ends" in str(seen[0])
    assert fitted.scores.overall_accuracy > 0.8
    plain = fit_classifier("cropnet", replace(changed, augment=None), samples.of_set("validation"))
    assert plain.history[0].held == 0


@pytest.mark.parametrize("rule", ["none", "balanced"])
def test_smoothed_labels_and_class_weights_are_in_the_loss_as_defined(samples, rule):
    """Szegedy et al. 2016, section 7: a share of the label is spread evenly over all classes."""
    options = replace(FAST, label_smoothing=0.2, class_weights=rule)
    few = samples.select(np.flatnonzero((samples.classes != 0) | (np.arange(len(samples)) % 4 == 0)))
    loss_of = _Fit(options, few, None, Diary()).loss_of
    logits = np.random.default_rng(0).normal(0, 2, (50, 3))
    truth = np.arange(50) % 3
    weights = class_weights(few.counts(), rule).astype(np.float64)
    target = 0.8 * np.eye(3)[truth] + 0.2 / 3
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -(weights * target * np.log(chance)).sum() / weights[truth].sum()
    found = loss_of(torch.tensor(logits, dtype=torch.float32), torch.from_numpy(truth))
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert rule == "none" or len(np.unique(weights)) > 1


def test_fitting_stops_when_nothing_gets_better(samples, monkeypatch):
    order = iter([0.5, 0.6, 0.4, 0.6, 0.55, 0.9])
    monkeypatch.setattr(
        "cropcube.model.fit_cropnet.score", lambda *_: SimpleNamespace(macro_f1=next(order), as_json=dict)
    )
    monkeypatch.setattr(_Fit, "progress", lambda self: Progress({}, tuple(self.history), {}))
    few = samples.select(np.arange(len(samples)) % 7 == 0)
    fitted = fit_classifier(
        "cropnet", replace(FAST, epochs=6, patience=3), few.of_set("train"), few.of_set("validation")
    )
    assert [epoch.macro_f1 for epoch in fitted.history] == [0.5, 0.6, 0.4, 0.6, 0.55]
    assert fitted.best_epoch == 2


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_weights_are_averaged_as_the_formula_says(decay):
    torch.manual_seed(0)
    network = CropNet(3, 4)
    averaged = _Averaged(decay, network)
    wanted = {name: value.double().numpy().copy() for name, value in network.state_dict().items()}
    for step in range(1, 6):
        with torch.no_grad():
            for value in network.state_dict().values():
                value.add_(1) if value.dtype == torch.int64 else value.add_(torch.randn(value.shape))
        averaged.take_in(network)
        kept = min(decay, step / (9 + step))
        for name, value in network.state_dict().items():
            now = value.double().numpy()
            counted = value.dtype == torch.int64  # batches seen: a number, not a mean
            wanted[name] = now.copy() if counted else kept * wanted[name] + (1 - kept) * now
    for name, value in averaged.network.state_dict().items():
        np.testing.assert_allclose(value.double().numpy(), wanted[name], rtol=1e-5, atol=1e-5)
