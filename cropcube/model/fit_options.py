"""The settings of fitting a classifier, and recipes: sets of them under a name."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cropcube.domain.model_window import GROWING
from cropcube.domain.words import given_options
from cropcube.errors import InvalidInputError
from cropcube.model.augment import AUGMENTATIONS, Augmentation

if TYPE_CHECKING:
    from collections.abc import Mapping

WEIGHTINGS = ("none", "balanced", "sqrt")
CROPNET = (
    "width", "epochs", "batch", "learning_rate", "weight_decay", "class_weights", "label_smoothing", "patience",
    "average", "augment",
)  # fmt: skip
"""Settings that only CropNet has."""
CLASSIFIERS_OF = dict.fromkeys((*CROPNET, "recipe"), ("cropnet",)) | {
    "trees": ("forest",),
    "min_leaf": ("forest",),
    "iterations": ("boosting",),
}
"""Settings that only one kind of classifier has."""


@dataclass(frozen=True)
class Recipe:
    """Settings that go together."""

    fit: Mapping[str, Any]
    "Of CropNet, other than the defaults of `FitOptions`."
    model_window: str = GROWING
    "Part of the season that the model sees, where the user says nothing."


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "default": Recipe({}),
        "local": Recipe({"augment": AUGMENTATIONS["half"], "class_weights": "sqrt"}),
        "paper": Recipe(
            {
                "width": 128, "learning_rate": 1e-4, "batch": 256, "epochs": 50, "class_weights": "balanced",
                "label_smoothing": 0.0, "average": 0.0, "augment": AUGMENTATIONS["paper"],
            },
            "05-01/12-01",
        ),
    }
)  # fmt: skip
"""`default` carries furthest; `local` does better where the labels are from, and less well elsewhere; `paper` is as
published (arXiv 2509.03497): days 121 to 334 of the year, 43 steps of five days."""


@dataclass(frozen=True)
class FitOptions:
    """Settings of fitting; those of other kinds of classifier are ignored.

    The defaults are the recipe `default`: of some fifty that were tried on two squares in Flanders, each mapped by
    what was trained on the other, and on points of another year, one that carried far on all three.
    """

    seed: int = 0
    width: int = 48
    "CropNet: channels of every convolution (128 as published)."
    epochs: int = 10
    "CropNet."
    batch: int = 64
    "CropNet: samples in a training step."
    learning_rate: float = 3e-3
    "CropNet: Adam's."
    weight_decay: float = 0.0
    "CropNet: by which part of the learning rate weights shrink in a step (AdamW)."
    class_weights: str = "none"
    "CropNet: weight of a class with n samples: `none` 1, `balanced` 1/n, `sqrt` 1/sqrt(n)."
    label_smoothing: float = 0.05
    "CropNet: part of a label that is spread over all classes."
    patience: int = 0
    "CropNet: stop after so many epochs without a better one on the validation samples; 0 = never."
    average: float = 0.99
    """CropNet: the weights that are validated and kept are a running average over about 1 / (1 - this) steps; 0 = the
    last step's own."""
    augment: Augmentation | None = AUGMENTATIONS["default"]
    "CropNet: changed copies of the training samples."
    trees: int = 200
    "Forest."
    min_leaf: int = 1
    "Forest: least samples in a leaf."
    iterations: int = 100
    "Boosting: trees for each class."
    threads: int = 0
    """Of torch and of scikit-learn; 0 = all that the machine has. Fitting CropNet sums gradients in another order with
    another number of threads and so ends with other weights; predicting does not depend on it."""

    def __post_init__(self) -> None:
        least = {
            "width": 1, "epochs": 1, "batch": 1, "trees": 1, "min_leaf": 1, "iterations": 1, "patience": 0, "seed": 0,
            "threads": 0,
        }  # fmt: skip
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise _refused(name, getattr(self, name), f"{lowest} or more")
        if not 0 < self.learning_rate < 10:
            raise InvalidInputError(
                f"a learning rate of {self.learning_rate:g} teaches nothing",
                "Give --learning-rate above 0 and below 10; the default is 0.003.",
            )
        for name in ("weight_decay", "label_smoothing", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise _refused(name, getattr(self, name), "0 or more and less than 1")
        if self.class_weights not in WEIGHTINGS:
            raise InvalidInputError(
                f"class weights {self.class_weights!r} are not known",
                f"Give --class-weights {', '.join(WEIGHTINGS[:-1])} or {WEIGHTINGS[-1]}.",
            )

    @classmethod
    def of_words(cls, kind: str, said: Mapping[str, Any]) -> FitOptions:
        """Return the settings of a recipe and those that were given (None where not) for one kind of classifier.

        Raises
        ------
        UsageError
            If a setting is given that only other kinds have.
        InvalidInputError
            If a value cannot work.
        """
        given = given_options(("classifier", kind), CLASSIFIERS_OF, said)
        recipe = recipe_of(given.pop("recipe", None))
        if "augment" in given:
            given["augment"] = _augmentation(given["augment"])
        return cls(**{**(recipe.fit if kind == "cropnet" else {}), **given})

    @classmethod
    def from_card(cls, options: Mapping[str, Any]) -> FitOptions:
        """Return the settings that `for_card` gave; others that a card has are left out."""
        own = {name: value for name, value in options.items() if name in cls.__dataclass_fields__}
        if own.get("augment"):
            own["augment"] = Augmentation(**own["augment"])
        return cls(**own)

    def for_card(self, kind: str) -> dict[str, Any]:
        """Return the settings that made a classifier of one kind, JSON-ready."""
        used = {
            "cropnet": ("seed", *CROPNET, "threads"),
            "forest": ("seed", "trees", "min_leaf"),
            "boosting": ("seed", "iterations"),
        }
        return {name: value for name, value in asdict(self).items() if name in used[kind]}


def settings_words(options: Mapping[str, Any]) -> str:
    """Return the settings of a model's card in words: `seed 0, width 48, augment half`."""
    told = {name: value for name, value in options.items() if name != "best_epoch" or value}
    return ", ".join(f"{name.replace('_', ' ')} {_word(name, value)}" for name, value in told.items())


def _word(name: str, value: Any) -> str:
    if name == "augment":
        return augmentation_name(None if value is None else Augmentation(**value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def augmentation_name(changes: Augmentation | None) -> str:
    """Return what `--augment` calls changes of samples; `custom` where it has no name for them."""
    return next((name for name, known in AUGMENTATIONS.items() if known == changes), "custom")


def recipe_of(name: str | None) -> Recipe:
    """Return a recipe; None for the default.

    Raises
    ------
    InvalidInputError
        If the name is not known.
    """
    if name is not None and name not in RECIPES:
        raise InvalidInputError(f"recipe {name!r} is not known", f"Give --recipe {' or '.join(RECIPES)}.")
    return RECIPES[name or "default"]


def _augmentation(name: str) -> Augmentation | None:
    if name not in AUGMENTATIONS:
        raise InvalidInputError(f"augmentation {name!r} is not known", f"Give --augment {' or '.join(AUGMENTATIONS)}.")
    return AUGMENTATIONS[name]


def _refused(name: str, value: float, wanted: str) -> InvalidInputError:
    option = f"--{name.replace('_', '-')}"
    return InvalidInputError(
        f"{option} {value} cannot be used to fit a classifier",
        f"Give {option} {wanted}; the default is {getattr(FitOptions, name)}.",
    )
