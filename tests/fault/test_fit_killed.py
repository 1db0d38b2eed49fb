"""A fit that is killed goes on and ends with the same weights; one that breaks down keeps what was good."""

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cropcube.errors import CropcubeError, MissingExtraError
from cropcube.model.augment import Augmentation
from cropcube.model.diary import LOG, TENSORBOARD, WORK_FILE, WORK_LOG, Diary
from cropcube.model.fit import fit_classifier
from cropcube.model.fit_options import FitOptions
from tests.support.learning import break_down, make_project, make_samples, write_features

ROOT = Path(__file__).parents[2]
OPTIONS = FitOptions(
    width=8, epochs=4, batch=32, learning_rate=5e-3, threads=1, weight_decay=0.01, label_smoothing=0.1, patience=4,
    augment=Augmentation(copies=1, shift_days=10, scale_days=10),
)  # fmt: skip
PREPARED = """
import os, signal, sys
from pathlib import Path
from cropcube.model.fit import fit_classifier
from cropcube.model.diary import Diary
from tests.fault.test_fit_killed import OPTIONS, samples_of
def say(epoch):
    if epoch.number == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
samples = samples_of(Path(sys.argv[1]) / "project")
fit_classifier("cropnet", OPTIONS, samples.of_set("train"), samples.of_set("validation"),
               Diary(say, Path(sys.argv[1]) / "model", "this", tensorboard=True))
"""


def samples_of(folder):
    project = make_project(folder)
    return make_samples(project, write_features(project), spacing=6)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return samples_of(tmp_path_factory.mktemp("fit") / "project")


def fit(samples, diary=None, options=OPTIONS):
    return fit_classifier("cropnet", options, samples.of_set("train"), samples.of_set("validation"), diary)


def assert_same(one, other):
    assert one.history == other.history
    assert one.best_epoch == other.best_epoch
    assert one.scores == other.scores
    weights, others = one.classifier.tensors(), other.classifier.tensors()
    for name in weights:
        np.testing.assert_array_equal(weights[name], others[name])


@pytest.mark.parametrize("epoch", [1, 3])
def test_killed_and_started_again_is_as_never_killed(samples, tmp_path, epoch):
    done = subprocess.run([sys.executable, "-c", PREPARED, str(tmp_path), str(epoch)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    folder, seen = tmp_path / "model", []
    time.sleep(1.1)  # TensorBoard orders files by the second; another process takes longer to start
    assert (folder / WORK_FILE).exists()
    again = fit(samples, Diary(seen.append, folder, "this", tensorboard=True))
    assert [e.number for e in seen] == list(range(epoch + 1, 5))
    assert_same(again, fit(samples))
    with (folder / WORK_LOG).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert [float(row["validation_macro_f1"]) for row in rows] == [e.macro_f1 for e in again.history]
    shown = EventAccumulator(str(folder / TENSORBOARD), purge_orphaned_data=True).Reload()
    for name, figure in (("loss", "loss"), ("validation/macro-F1", "macro_f1")):
        events = shown.Scalars(name)
        assert [event.step for event in events] == [1, 2, 3, 4]
        np.testing.assert_allclose([event.value for event in events], [getattr(e, figure) for e in again.history], 1e-6)
    Diary(None, folder, "this").end()
    assert sorted(path.name for path in folder.iterdir()) == [LOG, TENSORBOARD]


def test_a_finished_fit_whose_model_was_not_saved_is_not_fitted_again(samples, tmp_path):
    whole = fit(samples, Diary(None, tmp_path, "this"))
    seen = []
    assert_same(fit(samples, Diary(seen.append, tmp_path, "this")), whole)
    assert not seen


@pytest.mark.parametrize("change", ["other", "cut", "foreign"])
def test_a_work_file_of_another_fit_or_a_damaged_one_is_not_gone_on_with(samples, tmp_path, change):
    short = replace(OPTIONS, epochs=1, augment=None)
    fit(samples, Diary(None, tmp_path, "this"), short)
    if change == "cut":
        content = (tmp_path / WORK_FILE).read_bytes()
        (tmp_path / WORK_FILE).write_bytes(content[: len(content) // 2])
    elif change == "foreign":
        (tmp_path / WORK_FILE).write_bytes(b"hello")
    seen = []
    fit(samples, Diary(seen.append, tmp_path, "that" if change == "other" else "this"), short)
    assert len(seen) == 1


def test_a_loss_that_is_no_number_keeps_the_last_good_epoch(samples, tmp_path, monkeypatch):
    break_down(monkeypatch, 3)
    rescued = []

    def rescue(fitted):
        rescued.append(fitted)
        return tmp_path / "last-good"

    with pytest.raises(CropcubeError) as caught:
        fit(samples, Diary(None, tmp_path, "this", rescue=rescue))
    assert "the loss is nan in epoch 3, batch 1" in caught.value.what
    (good,) = rescued
    said = f"The best epoch before, {good.best_epoch}, is kept as a model in {tmp_path / 'last-good'}"
    assert said in caught.value.next_step
    assert good.best_epoch in (1, 2)
    assert all(np.isfinite(values).all() for values in good.classifier.tensors().values())
    kept = load_file(tmp_path / WORK_FILE)
    assert all(np.isfinite(values).all() for values in kept.values())
    monkeypatch.undo()
    assert_same(fit(samples, Diary(None, tmp_path, "this")), fit(samples))


def test_weights_that_the_last_batch_spoils_are_not_kept(samples, tmp_path, monkeypatch):
    plain = replace(OPTIONS, augment=None, epochs=2)
    steps, last = [], -(-len(samples.of_set("train")) // plain.batch)
    original = torch.optim.AdamW.step

    def step(self, *arguments, **keywords):
        original(self, *arguments, **keywords)
        steps.append(self)
        if len(steps) == 2 * last:
            self.param_groups[0]["params"][0].data.fill_(float("inf"))

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    with pytest.raises(CropcubeError, match=f"weights are no numbers after the last batch of epoch 2, batch {last}"):
        fit(samples, Diary(None, tmp_path, "this"), plain)
    assert all(np.isfinite(values).all() for values in load_file(tmp_path / WORK_FILE).values())


def test_tensorboard_is_asked_for_by_its_extra(samples, tmp_path, monkeypatch):
    monkeypatch.setattr("cropcube.model.diary.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        fit(samples, Diary(None, tmp_path, "this", tensorboard=True))
    assert 'pip install "cropcube[tensorboard]"' in caught.value.next_step
    assert not list(tmp_path.iterdir())
