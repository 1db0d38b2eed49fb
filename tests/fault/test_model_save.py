"""A save that is killed at any moment leaves the model that stood, and the next one sweeps what it left."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAVE = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import cropcube.model.checkpoint as checkpoint
from cropcube.cube import objects

folder, moment, trees = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
from cropcube.model.fit_options import FitOptions
from cropcube.model.fit import fit_classifier
from tests.support.learning import make_project, make_samples, write_features
from tests.unit.model.test_checkpoint import card_of

project = make_project(folder / "project")
samples = make_samples(project, write_features(project), spacing=6)
fitted = fit_classifier("forest", FitOptions(trees=trees, threads=1), samples)
original, calls = checkpoint.replace_file, []

def killing(owner, name, parts):
    calls.append(name)
    if moment == f"before {len(calls)}":
        os.kill(os.getpid(), signal.SIGKILL)
    if moment == f"within {len(calls)}":
        unfinished = objects.partial_path(owner)
        unfinished.write_bytes(b"".join(bytes(part) for part in parts)[:50])
        os.kill(os.getpid(), signal.SIGKILL)
    original(owner, name, parts)

checkpoint.replace_file = killing
card = replace(card_of("forest", fitted, samples), region=f"{trees} trees")
checkpoint.save_model(folder / "model", fitted.classifier, card, samples.index)
"""


def save(folder, moment, trees):
    return subprocess.run(
        [sys.executable, "-c", SAVE, str(folder), moment, str(trees)], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.slow
def test_a_killed_save_leaves_the_old_model_and_no_litter_stays(tmp_path):
    from cropcube.model.checkpoint import load_model, load_samples

    assert save(tmp_path, "never", 3).returncode == 0
    for moment in ("within 1", "before 3", "within 3"):
        assert save(tmp_path, moment, 5).returncode == -9
        classifier, card = load_model(tmp_path / "model")
        assert card.region == "3 trees"
        assert len(classifier.tensors()["first_node"]) == 4
        assert len(load_samples(tmp_path / "model", card)) > 0
    assert save(tmp_path, "never", 7).returncode == 0
    assert load_model(tmp_path / "model")[1].region == "7 trees"
    assert len(list((tmp_path / "model").iterdir())) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "project"]
