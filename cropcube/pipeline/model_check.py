"""Whether a model fits a project; refused before the first pixel if not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.cube.ledger import digest
from cropcube.cube.store import Store
from cropcube.domain.emit import EMIT
from cropcube.domain.feature_spec import EMIT_KIND, FeatureSpec
from cropcube.domain.model_window import ModelWindow
from cropcube.domain.words import counted
from cropcube.errors import CropcubeError, MissingError, ModelMismatchError
from cropcube.features.model_input import InputLayout, input_bands
from cropcube.model.checkpoint import read_card
from cropcube.pipeline.sources import features_command, refuse_damaged
from cropcube.samples.table import FRACTION

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.domain.model_card import ModelCard
    from cropcube.location import Location

LARGEST = 65535
"""Of what a cube holds."""


def check_fit(project: Project, card: ModelCard, model_path: Location) -> InputLayout:
    """Return how the project's features become the model's inputs.

    Raises
    ------
    ModelMismatchError
        If sensor, bands, scaling, steps or the options of the features differ.
    """
    spec = FeatureSpec.from_dict(card.feature_spec)
    sensor = EMIT if spec.kind == EMIT_KIND else project.spec.sensor
    make = f"`cropcube train --features {spec.name} --labels FILE` makes a model that fits this project."
    if card.sensor != sensor.name:
        raise ModelMismatchError(f"{model_path} is a model for {card.sensor}, the project has {sensor.name}", make)
    bands = input_bands(spec, sensor)
    lacking = [band for band in card.bands if band not in bands]
    if lacking:
        raise ModelMismatchError(
            f"{model_path} takes the bands {' '.join(card.bands)}; the project has no {' '.join(lacking)}", make
        )
    largest = max(np.abs(card.scaling.mean).max(), np.max(card.scaling.deviation))
    if spec.kind not in ("statistics", EMIT_KIND) and largest < FRACTION:
        raise ModelMismatchError(
            f"{model_path} scales reflectance as a fraction (values of about {largest:.2g}); here it is x 10000", make
        )
    if largest > LARGEST:
        raise ModelMismatchError(
            f"{model_path} scales reflectance with values of about {largest:.2g}; here it is x 10000, "
            f"at most {LARGEST:,}",
            make,
        )
    season = project.spec.season
    steps, window = tuple(str(step) for step in spec.steps(season, project.spec.sensor)), (0, 0)
    if card.model_window:
        window = ModelWindow.parse(card.model_window).same_steps_of(spec, season, len(card.steps))
    elif len(steps) != len(card.steps):
        raise ModelMismatchError(
            f"{model_path} takes {counted(len(card.steps), 'step')} of {spec.name} (season {card.season}); "
            f"the season {season} gives {len(steps)}",
            make,
        )
    kept = tuple(bands[band] for band in card.bands)
    return InputLayout(spec.name, spec.kind, card.bands, kept, steps, window)


def open_model_features(project: Project, card: ModelCard) -> Store:
    """Open the features that a model takes.

    Raises
    ------
    MissingError
        If the project does not have them yet; the message names the command that makes them.
    ReadError
        If something of them is gone since they were made.
    """
    spec = FeatureSpec.from_dict(card.feature_spec)
    path = project.features_path(spec.name)
    if not Store.exists(path):
        raise MissingError(
            f"{project.root} has no features {spec.name}, which the model takes",
            f"Run `{features_command(spec)}` first, or use --from cube.",
        )
    refuse_damaged(project, spec.name)
    return Store.open(path)


def is_of_other_model(project: Project, model_digest: str | None = None) -> bool:
    """Return whether the map that stands was not made by the model of the project (or of the digest given).

    A model that cannot be read made no map that can be named.
    """
    if not Store.exists(project.map_path) or (model_digest is None and not project.model_path.exists()):
        return False
    made_by = Store.open(project.map_path).attrs.get("model_digest")
    try:
        return made_by != (model_digest or digest_of(read_card(project.model_path)))
    except CropcubeError:
        return True


def digest_of(card: ModelCard) -> str:
    """Return the digest of everything in a model that a map depends on: weights, inputs, legend."""
    parts: dict[str, Any] = {
        "classifier": card.classifier,
        "weights": card.files.get("weights", {}).get("sha256", ""),
        "feature_spec": card.feature_spec,
        "bands": list(card.bands),
        "steps": [len(card.steps), card.model_window],
        "scaling": [card.scaling.method, card.scaling.mean, card.scaling.deviation],
        "temperature": card.temperature,
        "legend": card.legend.as_json(),
    }
    return digest(parts)
