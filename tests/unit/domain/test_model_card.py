"""The card survives JSON, and damaged cards are refused."""

import json
from dataclasses import MISSING, fields, replace

import pytest

from cropcube.domain.legend import Legend
from cropcube.domain.model_card import Calibration, LabelSource, ModelCard, Scaling, SplitRecord, _seal
from cropcube.errors import InvalidInputError

CARD = ModelCard(
    classifier="forest",
    feature="median-15d",
    feature_spec={"kind": "median", "window_days": 15},
    sensor="sentinel-2-l2a",
    bands=("B02", "B03"),
    steps=("2019-01-01", "2019-01-16", "2019-01-31"),
    scaling=Scaling("standard", ((1.5,), (2.5,)), ((3.0,), (4.0,))),
    gap_fill="linear",
    legend=Legend.default(),
    labels=LabelSource("fields.gpkg", "ab" * 32, "crop", {"covered by different classes": 3}),
    split=SplitRecord(160, 7, {"utm31n": (437752, 57468)}, {"train": {"maize": 5}}),
    options={"trees": 20, "seed": 7},
    scores={"overall_accuracy": 0.9, "macro_f1": None},
    region="here",
    season="2019-01-01/2019-02-15",
    versions={"numpy": "2.4"},
    features_digest="cd" * 32,
    made_of="ef" * 32,
    model_window="01-01/02-15",
    files={"weights": {"name": "w", "sha256": "00"}},
)


def test_json_round_trip_keeps_every_field():
    assert ModelCard.from_json(CARD.to_json()) == CARD


def test_a_card_from_before_a_field_was_thought_of_is_read():
    content = json.loads(CARD.to_json())
    del content["model_window"], content["digest"]
    content["digest"] = _seal(content)
    assert ModelCard.from_json(json.dumps(content)) == replace(CARD, model_window="")


def test_a_card_edited_by_hand_is_refused():
    text = CARD.to_json()
    for old, new in (('"region": "', '"region": "x'), ('"classifier": "forest"', '"classifier": "cropnet"')):
        assert old in text
        with pytest.raises(InvalidInputError, match="was changed since"):
            ModelCard.from_json(text.replace(old, new, 1))
    content = json.loads(text)
    del content["digest"]
    with pytest.raises(InvalidInputError, match="was changed since"):
        ModelCard.from_json(json.dumps(content))


def test_a_temperature_that_is_none_is_refused():
    for value in (0.0, -1.0, float("inf"), "hot"):
        with pytest.raises(InvalidInputError, match="temperature"):
            Calibration(value, 0.1, 0.1, 5)


def test_same_card_same_text():
    assert ModelCard.from_json(CARD.to_json()).to_json() == CARD.to_json()


NEEDED = [f.name for f in fields(ModelCard) if f.default is MISSING and f.default_factory is MISSING]


@pytest.mark.parametrize("name", [*NEEDED, "version"])
def test_a_card_that_lacks_a_field_is_refused(name):
    content = json.loads(CARD.to_json())
    del content[name]
    with pytest.raises(InvalidInputError):
        ModelCard.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"version": "x"}'])
def test_what_is_no_card_is_refused(text):
    with pytest.raises(InvalidInputError, match=r"card\.json"):
        ModelCard.from_json(text)


def test_another_version_is_named():
    content = json.loads(CARD.to_json()) | {"version": 99}
    with pytest.raises(InvalidInputError, match="version 99"):
        ModelCard.from_json(json.dumps(content))


@pytest.mark.parametrize(
    "change",
    [
        {"scaling": Scaling("standard", ((1.0,),), ((1.0,),))},
        {"scaling": Scaling("standard", ((1.0,), (1.0,)), ((1.0,), (0.0,)))},
        {"scaling": Scaling("standard", ((1.0,), (float("nan"),)), ((1.0,), (1.0,)))},
        {"scaling": Scaling("standard", ((1.0, 2.0), (1.0, 2.0)), ((1.0, 2.0), (1.0, 2.0)))},
        {"classifier": "oracle"},
    ],
)
def test_a_card_that_contradicts_itself_is_refused(change):
    with pytest.raises(InvalidInputError):
        replace(CARD, **change)
