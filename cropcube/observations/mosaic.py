"""The mosaic of a day: per pixel one scene, and every band and the class from that one scene.

The order is the same whatever mask is used later: scenes whose class there is 4 to 7 (vegetation, soil, water,
unclassified) first, then the later processing baseline, then the id.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from cropcube.domain.sensor import NOT_ACQUIRED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cropcube.domain.scene import Scene

CLEAR_CLASSES = (4, 7)
"""First and last class that is preferred."""
NOBODY = -1


def in_order(scenes: Sequence[Scene]) -> list[Scene]:
    """Return scenes of one day with the latest processing baseline first; equal baselines by id."""
    return sorted(scenes, key=lambda scene: (tuple(-part for part in _baseline(scene.baseline)), scene.id))


def choose_NYX(quality_NYX: Sequence[NDArray[np.uint8]]) -> NDArray[np.int16]:
    """Return for each pixel which scene it is taken from, -1 where none has one.

    Parameters
    ----------
    quality_NYX
        Class of each scene on one grid, in the order of `in_order`; 0 is not acquired.
    """
    chosen = np.full(quality_NYX[0].shape, NOBODY, dtype=np.int16)
    for clear in (True, False):
        for number, quality in enumerate(quality_NYX):
            first, last = CLEAR_CLASSES
            wanted = (quality >= first) & (quality <= last) if clear else quality != NOT_ACQUIRED
            chosen[wanted & (chosen == NOBODY)] = number
    return chosen


def _baseline(text: str) -> tuple[int, int]:
    """Return a baseline such as `05.10` (or `N0510`) as two numbers; (-1, -1) if it is not known."""
    parts = re.fullmatch(r"[Nn]?(\d{1,2})\.?(\d{2})", text.strip())
    return (int(parts[1]), int(parts[2])) if parts else (-1, -1)
