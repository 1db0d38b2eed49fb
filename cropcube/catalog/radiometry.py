"""How the integers of a Sentinel-2 scene become reflectance: an ordered table of rules, the first that fits decides.

Reflectance = DN x scale + offset. Since processing baseline 04.00 (25 January 2022) ESA adds 1000 to every DN; some
catalogues have taken that out of the pixels again, some say so, some state the opposite of what they did.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cropcube.domain.scene import Radiometry
from cropcube.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

SCALE = 1e-4
SHIFT = -0.1
"""Offset of products from processing baseline 04.00 on."""
FIRST_SHIFTED = (4, 0)
FIRST_SHIFTED_DAY = datetime(2022, 1, 25, tzinfo=UTC)
"""First acquisitions that were published with baseline 04.00; earlier ones carry the shift only if reprocessed."""


@dataclass(frozen=True)
class RadiometricFacts:
    """What an item says that bears on its radiometry."""

    when: datetime
    "Acquisition, UTC."
    baseline: str
    "Processing baseline such as `05.10`; empty if unknown."
    shift_removed: bool | None
    "`earthsearch:boa_offset_applied`; None if the item has no such property."
    scale: float | None
    "Scale that the item states for its bands."
    offset: float | None
    "Offset that the item states for its bands."

    @property
    def scale_or_usual(self) -> float:
        """The stated scale, or the one of every Sentinel-2 product."""
        return SCALE if self.scale is None else self.scale

    @property
    def shifted(self) -> bool | None:
        """Whether ESA added 1000 to the DN of this baseline; None if the baseline is unknown."""
        if not self.baseline:
            return None
        major, minor = self.baseline.split(".")
        return (int(major), int(minor)) >= FIRST_SHIFTED


@dataclass(frozen=True)
class Rule:
    """One row of the table."""

    name: str
    "Short name."
    applies: Callable[[RadiometricFacts], bool]
    "Whether this row decides."
    radiometry: Callable[[RadiometricFacts], Radiometry]
    "Scale, offset and reason."


def _removed(facts: RadiometricFacts) -> Radiometry:
    stated = "" if not facts.offset else f", the stated offset {facts.offset:g} must not be applied again"
    return Radiometry(
        facts.scale_or_usual, 0.0, f"earthsearch:boa_offset_applied is true: pixels already shifted{stated}"
    )


def _stated(facts: RadiometricFacts) -> Radiometry:
    scale, offset = facts.scale_or_usual, facts.offset or 0.0
    return Radiometry(scale, offset, f"the item states scale {scale:g} and offset {offset:g}")


def _of_baseline(facts: RadiometricFacts) -> Radiometry:
    side = "04.00 or later" if facts.shifted else "before 04.00"
    offset = SHIFT if facts.shifted else 0.0
    return Radiometry(facts.scale_or_usual, offset, f"the item states no offset; baseline {facts.baseline} is {side}")


def _kept(facts: RadiometricFacts) -> Radiometry:
    ruled = _of_baseline(facts)
    reason = f"earthsearch:boa_offset_applied is false and baseline {facts.baseline}"
    return Radiometry(ruled.scale, ruled.offset, reason)


def _scale_only(facts: RadiometricFacts) -> Radiometry:
    scale = facts.scale_or_usual
    return Radiometry(scale, 0.0, f"the item states scale {scale:g} and no offset, which means 0 (raster extension)")


def _of_date(facts: RadiometricFacts) -> Radiometry:
    reason = "the item states neither offset nor baseline; acquired before baseline 04.00 existed (2022-01-25)"
    return Radiometry(facts.scale_or_usual, 0.0, reason)


RULES = (
    Rule("already shifted", lambda facts: facts.shift_removed is True, _removed),
    Rule("not shifted", lambda facts: facts.shift_removed is False and facts.shifted is not None, _kept),
    Rule("stated", lambda facts: facts.offset is not None, _stated),
    Rule("by baseline", lambda facts: facts.shifted is not None, _of_baseline),
    Rule("stated scale", lambda facts: facts.scale is not None, _scale_only),
    Rule("by date", lambda facts: facts.when < FIRST_SHIFTED_DAY, _of_date),
)
"""The table, in order."""


def radiometry_of(scene_id: str, facts: RadiometricFacts) -> Radiometry:
    """Return the radiometry that the first fitting rule gives.

    Raises
    ------
    InvalidInputError
        If no rule fits, or the stated numbers make no sense.
    """
    for rule in RULES:
        if rule.applies(facts):
            found = rule.radiometry(facts)
            if not (math.isfinite(found.scale) and found.scale > 0 and math.isfinite(found.offset)):
                raise InvalidInputError(
                    f"item {scene_id} states scale {found.scale:g} and offset {found.offset:g}", "Correct the item."
                )
            return found
    raise InvalidInputError(
        f"item {scene_id} says neither by an offset nor by a processing baseline whether 1000 was added to its pixels",
        "Add s2:processing_baseline, or raster:bands with scale and offset, to the item.",
    )
