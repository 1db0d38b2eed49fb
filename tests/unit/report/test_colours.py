"""Colours of classes stay apart for people who confuse red and green."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cropcube.demo.sample import COLOURS
from cropcube.domain.legend import Legend
from cropcube.report.pictures import EMPTY

SEEN = {
    "usual": np.eye(3),
    # Machado, Oliveira and Fernandes 2009, severity 1, on linear light.
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
LMS = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
       [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
OKLAB = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
         [0.0259040371, 0.7827717662, -0.8086757660]]  # fmt: skip
APART = 0.1
"""In OKLab (Ottosson 2020), where 0.02 is about the least difference that is noticed."""


def seen_as(colour: str, matrix: object) -> np.ndarray:
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.array(OKLAB) @ np.cbrt(np.array(LMS) @ np.clip(np.array(matrix) @ linear, 0, 1))


def nearest(colours: list[str]) -> float:
    return min(
        float(np.linalg.norm(seen_as(one, matrix) - seen_as(other, matrix)))
        for matrix in SEEN.values()
        for one, other in itertools.combinations(colours, 2)
    )


@pytest.mark.parametrize(
    "colours",
    [
        [entry.colour for entry in Legend.default().classes],
        [entry.colour for entry in Legend.of([(i, f"class {i}", "") for i in range(1, 11)]).classes],
        [*COLOURS.values()],
    ],
    ids=["default legend", "ten chosen", "sample"],
)
def test_classes_stay_apart_for_every_common_colour_vision(colours):
    assert nearest(colours) >= APART
    assert min(nearest([colour, EMPTY]) for colour in colours) >= 0.08


def test_the_measure_tells_a_bad_pair():
    assert nearest(["#59a14f", "#e15759"]) < 0.02
