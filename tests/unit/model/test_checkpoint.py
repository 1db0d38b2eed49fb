"""Models come back as they were saved; anything else is refused in words."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from cropcube.domain.model_card import LabelSource, ModelCard, SplitRecord, _seal
from cropcube.errors import CropcubeError, InvalidInputError, MissingError, ResourceError
from cropcube.model.checkpoint import CARD_NAME, load_model, load_samples, read_card, save_model
from cropcube.model.fit import fit_classifier
from cropcube.model.fit_options import FitOptions
from tests.support.learning import LEGEND, SPEC, make_project, make_samples, write_features

FAST = FitOptions(width=8, epochs=1, batch=64, trees=5, iterations=5, threads=1, augment=None)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("saved"))
    return make_samples(project, write_features(project), spacing=4)


@pytest.fixture(scope="module")
def fitted(samples):
    return {kind: fit_classifier(kind, FAST, samples) for kind in ("forest", "boosting", "cropnet")}


def card_of(kind, fitted, samples):
    return ModelCard(
        classifier=kind, feature=SPEC.name, feature_spec=SPEC.as_dict(), sensor="sentinel-2-l2a",
        bands=samples.layout.bands, steps=samples.layout.steps, scaling=fitted.scaling,
        gap_fill=samples.layout.gap_rule, legend=LEGEND, labels=LabelSource("f", "0" * 64, "crop"),
        split=SplitRecord(160, 0, {"utm31n": (1, 2)}, samples.index.counts(LEGEND.names)),
        options=FAST.for_card(kind), scores={}, region="square", season="2019", versions={},
    )  # fmt: skip


@pytest.fixture
def saved(tmp_path, fitted, samples):
    """A folder with a saved forest."""
    save_model(
        tmp_path / "model", fitted["forest"].classifier, card_of("forest", fitted["forest"], samples), samples.index
    )
    return tmp_path / "model"


@pytest.mark.parametrize("kind", ["forest", "boosting", "cropnet"])
def test_a_saved_model_predicts_the_same(tmp_path, kind, fitted, samples):
    card = save_model(tmp_path, fitted[kind].classifier, card_of(kind, fitted[kind], samples), samples.index)
    classifier, again = load_model(tmp_path)
    assert again == card
    assert classifier.kind == kind
    inputs = samples.inputs(card.scaling)
    np.testing.assert_array_equal(classifier.probabilities(inputs), fitted[kind].classifier.probabilities(inputs))
    index = load_samples(tmp_path, again)
    np.testing.assert_array_equal(index.label, samples.index.label)
    assert index.counts(LEGEND.names) == card.split.counts


def test_the_same_model_gives_the_same_bytes(tmp_path, fitted, samples):
    for name in ("one", "two"):
        save_model(
            tmp_path / name, fitted["forest"].classifier, card_of("forest", fitted["forest"], samples), samples.index
        )
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert len(one) == 3


def test_another_model_replaces_it_and_leaves_foreign_files(saved, fitted, samples):
    (saved / "notes.txt").write_text("mine")
    save_model(saved, fitted["cropnet"].classifier, card_of("cropnet", fitted["cropnet"], samples), samples.index)
    assert load_model(saved)[0].kind == "cropnet"
    assert len(list(saved.glob("weights-*"))) == 1
    assert (saved / "notes.txt").exists()


def test_no_model_names_the_verb(tmp_path):
    with pytest.raises(MissingError) as caught:
        load_model(tmp_path / "model")
    assert "cropcube train" in caught.value.next_step


def weights(folder):
    return next(folder.glob("weights-*"))


def edit_card(folder, **changes):
    path = folder / CARD_NAME
    content = json.loads(path.read_text()) | changes
    del content["digest"]
    content["digest"] = _seal(content)  # as one edited by somebody who can compute it
    path.write_text(json.dumps(content))


DAMAGES = {
    "weights cut off": lambda f: weights(f).write_bytes(weights(f).read_bytes()[:-40]),
    "weights flipped": lambda f: weights(f).write_bytes(weights(f).read_bytes()[:-1] + b"\x7f"),
    "weights empty": lambda f: weights(f).write_bytes(b""),
    "weights gone": lambda f: weights(f).unlink(),
    "card cut off": lambda f: (f / CARD_NAME).write_bytes((f / CARD_NAME).read_bytes()[:-40]),
    "card not text": lambda f: (f / CARD_NAME).write_bytes(b"\xff\xfe\x00"),
    "card of another version": lambda f: edit_card(f, version=99),
    "card of another kind": lambda f: edit_card(f, classifier="cropnet"),
    "card names no weights": lambda f: edit_card(f, files={}),
    "card with another legend": lambda f: edit_card(f, legend=[{"code": 1, "name": "a", "colour": "#000000"}]),
    "card with fewer bands": lambda f: edit_card(f, bands=["B02"]),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_models_are_refused(saved, name):
    DAMAGES[name](saved)
    with pytest.raises((InvalidInputError, MissingError)) as caught:
        load_model(saved)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 a pickle", save({"x": np.zeros(3)}), b"\x08\x00\x00\x00\x00\x00\x00\x00{}"]
)
def test_foreign_weights_are_refused_even_if_the_card_names_them(saved, content):
    import hashlib

    weights(saved).write_bytes(content)
    files = read_card(saved).files
    files["weights"]["sha256"] = hashlib.sha256(content).hexdigest()
    edit_card(saved, files=files)
    with pytest.raises(InvalidInputError):
        load_model(saved)


def test_damaged_samples_are_refused(saved):
    path = next(saved.glob("samples-*"))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InvalidInputError, match="sha256"):
        load_samples(saved, read_card(saved))


def test_a_card_edited_by_hand_is_refused(saved):
    path = saved / "card.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1', 1))
    with pytest.raises(InvalidInputError, match="was changed since"):
        load_model(saved)


def test_a_card_cannot_lead_out_of_its_folder(saved, tmp_path):
    files = read_card(saved).files
    (tmp_path / "else.safetensors").write_bytes(weights(saved).read_bytes())
    files["weights"]["name"] = "../else.safetensors"
    edit_card(saved, files=files)
    with pytest.raises(MissingError):
        load_model(saved)


def test_a_failed_write_leaves_the_old_model(saved, fitted, samples, monkeypatch):
    import cropcube.model.checkpoint as checkpoint

    original, calls = checkpoint.replace_file, []

    def full_disk(owner, name, parts):
        calls.append(name)
        if len(calls) == 3:
            raise ResourceError(f"{owner} cannot be written", "Make room.")
        original(owner, name, parts)

    monkeypatch.setattr(checkpoint, "replace_file", full_disk)
    before = read_card(saved)
    changed = replace(card_of("cropnet", fitted["cropnet"], samples), region="other")
    with pytest.raises(CropcubeError):
        save_model(saved, fitted["cropnet"].classifier, changed, samples.index)
    assert calls[-1] == CARD_NAME
    classifier, card = load_model(saved)
    assert (classifier.kind, card) == ("forest", before)
