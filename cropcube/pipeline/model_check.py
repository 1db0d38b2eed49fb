"""Whether a model fits a project; refused before the first pixel if not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cropcube.cube.ledger import digest
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import DEFAULT_CLASSES, FeatureSpec
from cropcube.errors import MissingError, ModelMismatchError
from cropcube.features.model_input import InputLayout

if TYPE_CHECKING:
    from pathlib import Path

    from cropcube.config import Project
    from cropcube.domain.model_card import ModelCard


def check_fit(project: Project, card: ModelCard, model_path: Path) -> InputLayout:
    """Return how the project's features become the model's inputs.

    Raises
    ------
    ModelMismatchError
        If sensor, bands, steps or the options of the features differ.
    """
    spec = FeatureSpec.from_dict(card.feature_spec)
    sensor = project.spec.sensor
    make = f"`cropcube train --features {spec.name} --labels FILE` makes a model that fits this project."
    if card.sensor != sensor.name:
        raise ModelMismatchError(f"{model_path} is a model for {card.sensor}, the project has {sensor.name}", make)
    bands = {band.name: band.resolution_m for band in sensor.bands}
    lacking = [band for band in card.bands if band not in bands]
    if lacking:
        raise ModelMismatchError(
            f"{model_path} takes the bands {' '.join(card.bands)}; the project has no {' '.join(lacking)}", make
        )
    steps = spec.steps(project.spec.season)
    if len(steps) != len(card.steps):
        raise ModelMismatchError(
            f"{model_path} takes {len(card.steps)} steps of {spec.name} (season {card.season}); "
            f"the season {project.spec.season} gives {len(steps)}",
            make,
        )
    kept = tuple(bands[band] for band in card.bands)
    return InputLayout(spec.name, spec.kind, card.bands, kept, tuple(str(step) for step in steps))


def open_model_features(project: Project, card: ModelCard) -> Store:
    """Open the features that a model takes.

    Raises
    ------
    MissingError
        If the project does not have them yet; the message names the command that makes them.
    """
    spec = FeatureSpec.from_dict(card.feature_spec)
    path = project.features_path(spec.name)
    if not Store.exists(path):
        raise MissingError(
            f"{project.root} has no features {spec.name}, which the model takes",
            f"Run `{features_command(spec)}` first.",
        )
    return Store.open(path)


def features_command(spec: FeatureSpec) -> str:
    """Return the command that makes some features."""
    words = ["cropcube", "features", "--kind", spec.kind]
    words += ["--window", str(spec.window_days)] if spec.kind == "median" else []
    words += ["--order", str(spec.order)] if spec.kind == "harmonic" else []
    words += ["--ridge", f"{spec.ridge:g}"] if spec.ridge else []
    words += ["--mask", "scl:" + ",".join(map(str, spec.classes))] if spec.classes != DEFAULT_CLASSES else []
    words += ["--dilate", str(spec.dilate_m)] if spec.dilate_m else []
    return " ".join(words)


def digest_of(card: ModelCard) -> str:
    """Return the digest of everything in a model that a map depends on: weights, inputs, legend."""
    parts: dict[str, Any] = {
        "classifier": card.classifier,
        "weights": card.files.get("weights", {}).get("sha256", ""),
        "feature_spec": card.feature_spec,
        "bands": list(card.bands),
        "steps": len(card.steps),
        "scaling": [card.scaling.method, card.scaling.mean, card.scaling.deviation],
        "legend": card.legend.as_json(),
    }
    return digest(parts)
