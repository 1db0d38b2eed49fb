"""The card of a trained model: all that a later verb needs to use it rightly, as a frozen value and as JSON."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import MISSING, asdict, dataclass, field, fields
from itertools import chain
from typing import Any

from cropcube.domain.legend import Legend
from cropcube.errors import InvalidInputError

CARD_VERSION = 1
"""Raised when an older reader would misunderstand the card."""
_SEAL = "digest"
"""Of all the rest of the card."""
CLASSIFIERS = ("cropnet", "forest", "boosting")


@dataclass(frozen=True)
class Scaling:
    """Inputs are (feature - mean) / deviation, by band and step (or by band, with one column for all steps)."""

    method: str
    "`standard` (measured on the training pixels) or `reflectance` (divided by 10000)."
    mean: tuple[tuple[float, ...], ...]
    "(bands, 1 or steps) in units of the feature array."
    deviation: tuple[tuple[float, ...], ...]
    "Likewise; never 0."


@dataclass(frozen=True)
class LabelSource:
    """Where the labels came from."""

    file: str
    "File names without their folders."
    digest: str
    "sha256 of the file, or of the digests of several."
    label_field: str
    "Field of a vector file, or several; empty for rasters."
    dropped: dict[str, int] = field(default_factory=dict)
    "Pixels left out, by reason."
    features: dict[str, int] = field(default_factory=dict)
    "Features of a vector file: `read`, and those left out, by reason; empty for rasters."
    rules: dict[str, Any] = field(default_factory=dict)
    "Which features were labels, and of which ground, where other than usual: `erode_m`, `min_area_ha`, ..."


@dataclass(frozen=True)
class SplitRecord:
    """How samples were dealt to the three sets."""

    block_m: int
    seed: int
    anchors: dict[str, tuple[int, int]]
    "(row, col) at 10 m on the zone's lattice where block (0, 0) begins, by zone."
    counts: dict[str, dict[str, int]]
    "Samples by set and class name."
    by: str = "blocks"
    "What was dealt as a whole: `blocks`, `field`, `region`, or a column of the labels."
    groups: int = 0
    "How many of them hold samples."
    untestable: tuple[str, ...] = ()
    "Classes that lie in a single place: learnt, and tested nowhere."

    @property
    def words(self) -> str:
        """What was dealt, for people."""
        usual = {"blocks": f"blocks of {self.block_m} m", "field": "fields", "region": "regions"}
        return usual.get(self.by, f"values of {self.by}")


@dataclass(frozen=True)
class Calibration:
    """How the classifier's probabilities are made to mean what they say; found on the validation samples."""

    temperature: float
    "Logarithms of probabilities are divided by it: over 1 makes less sure, under 1 surer."
    ece_before: float
    "Expected calibration error (0 to 1) of the raw probabilities on the validation samples."
    ece_after: float | None
    "Of the calibrated ones, each half of the places with the temperature of the other; None if there is one place."
    samples: int

    def __post_init__(self) -> None:
        if not (isinstance(self.temperature, int | float) and 0 < self.temperature < math.inf):
            raise InvalidInputError(
                f"the card's calibration has the temperature {self.temperature}", "Train the model again."
            )


@dataclass(frozen=True)
class ModelCard:
    """What a model is, what it was made from, and how well it did on its validation blocks."""

    classifier: str
    "`cropnet`, `forest` or `boosting`."
    feature: str
    "Name of the feature store, `median-15d` for example."
    feature_spec: dict[str, Any]
    "The whole FeatureSpec as JSON."
    sensor: str
    bands: tuple[str, ...]
    "In the sensor's order."
    steps: tuple[str, ...]
    "Labels of windows or terms at training; another season has others, as many."
    scaling: Scaling
    gap_fill: str
    "Rule for windows or terms without a value, in words."
    legend: Legend
    labels: LabelSource
    split: SplitRecord
    options: dict[str, Any]
    "Of the classifier: width, epochs, seed, ..."
    scores: dict[str, Any]
    "On the validation blocks."
    region: str
    season: str
    versions: dict[str, str]
    "Package versions at training."
    features_digest: str = ""
    "Of the ledger's records of the tiles that hold samples."
    made_of: str = ""
    "Digest of all that decides the model: the same again is not trained again."
    model_window: str = ""
    "Part of the season that the model sees, `05-01/12-01`; empty for all of it."
    command: str = ""
    "That trains it, files told by name."
    calibration: Calibration | None = None
    "None where no place was left for validation: confidence is then what the classifier states."
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    "`weights` and `samples`: file name and sha256; filled in by `save_model`."
    version: int = CARD_VERSION

    def __post_init__(self) -> None:
        if self.classifier not in CLASSIFIERS:
            raise InvalidInputError(
                f"the model card names the classifier {self.classifier!r}", f"Known: {', '.join(CLASSIFIERS)}."
            )
        shape = {len(self.scaling.mean), len(self.scaling.deviation), len(self.bands)}
        columns = {len(row) for row in (*self.scaling.mean, *self.scaling.deviation)}
        if len(shape) != 1 or len(columns) != 1 or not columns <= {1, len(self.steps)}:
            raise InvalidInputError("the card's scaling does not fit its bands and steps", "Train the model again.")
        means, deviations = (chain.from_iterable(part) for part in (self.scaling.mean, self.scaling.deviation))
        if not all(map(math.isfinite, means)) or not all(0 < value < math.inf for value in deviations):
            raise InvalidInputError(
                "the card's scaling divides by what is no positive number", "Train the model again."
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classifier's columns."""
        return self.legend.names

    @property
    def temperature(self) -> float:
        """Of the calibration; 1 where there is none."""
        return self.calibration.temperature if self.calibration else 1.0

    def to_json(self) -> str:
        """Return the card as JSON with sorted keys and a final newline, sealed by the digest of its content."""
        content = asdict(self) | {"legend": self.legend.as_json()}
        content[_SEAL] = _seal(content)
        return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "card.json") -> ModelCard:
        """Read what `to_json` wrote.

        Raises
        ------
        InvalidInputError
            If the text is no card, lacks a field, is of another version, or was changed since it was written.
        """
        try:
            content = json.loads(text)
            version = content["version"]
        except (ValueError, KeyError, TypeError):
            raise InvalidInputError(f"{source} is not a model card", "Give a folder that train wrote.") from None
        if version != CARD_VERSION:
            raise InvalidInputError(
                f"{source} has version {version}, this cropcube reads {CARD_VERSION}",
                "Train the model again, or use the cropcube that made it.",
            )
        seal = content.pop(_SEAL, None)
        if seal != _seal(content):
            raise InvalidInputError(
                f"{source} was changed since `cropcube train` wrote it: its content does not have its digest",
                "Put the original back, or train the model again: a map must be of the model that its card describes.",
            )
        try:
            return _build(content)
        except InvalidInputError as error:
            raise InvalidInputError(f"{source} is damaged: {error.what}", error.next_step) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInputError(f"{source} is damaged ({error})", "Train the model again.") from None


def _build(content: dict[str, Any]) -> ModelCard:
    known = {entry.name: entry.default is MISSING and entry.default_factory is MISSING for entry in fields(ModelCard)}
    wrong = sorted(set(content) - set(known)) + [
        name for name, needed in known.items() if needed and name not in content
    ]
    if wrong:
        raise ValueError(f"missing or unknown: {', '.join(sorted(wrong))}")
    scaling, split = content["scaling"], content["split"]
    content = dict(content)
    content["scaling"] = Scaling(scaling["method"], _matrix(scaling["mean"]), _matrix(scaling["deviation"]))
    content["legend"] = Legend.from_json(content["legend"])
    content["labels"] = LabelSource(**content["labels"])
    anchors = {zone: (int(row), int(col)) for zone, (row, col) in split["anchors"].items()}
    untestable = tuple(split.get("untestable", ()))
    content["split"] = SplitRecord(**{**split, "anchors": anchors, "untestable": untestable})
    if content.get("calibration") is not None:
        content["calibration"] = Calibration(**content["calibration"])
    content["bands"], content["steps"] = tuple(content["bands"]), tuple(content["steps"])
    return ModelCard(**content)


def _seal(content: dict[str, Any]) -> str:
    """Return the digest of a card's content, as JSON reads it back."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _matrix(rows: list[list[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(value) for value in row) for row in rows)
