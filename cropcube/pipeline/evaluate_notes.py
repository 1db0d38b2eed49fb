"""What `evaluate` leaves out of the samples it is given, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropcube.samples.labels import READ, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cropcube.samples.labels import Laid

PIXELS, SAMPLES = "labelled pixels", "samples"
"""What is counted of label files, and of a table."""


def of_files(laid: Laid, dropped: Mapping[str, int]) -> list[str]:
    """Return what was left out of label files; `dropped` are pixels by reason."""
    out = {why: count for why, count in laid.features.items() if why != READ and count}
    return [
        *(f"{count:,} features of the label file left out: {why}" for why, count in out.items()),
        *(f"{count:,} {PIXELS} left out: {why}" for why, count in sorted(dropped.items())),
        *unknown(laid.unlisted, PIXELS),
    ]


def of_table(name: str, counts: Mapping[str, int], unlisted: Mapping[str, int]) -> list[str]:
    """Return what was left out of a table: samples by reason, and those of unknown classes."""
    out = [f"{count:,} {SAMPLES} of {name} left out: {why}" for why, count in counts.items() if why != READ]
    return out + unknown(unlisted, SAMPLES)


def unknown(unlisted: Mapping[str, int], what: str) -> list[str]:
    """Return what is to be said of classes that the legend does not have; nothing where it has all."""
    if not unlisted:
        return []
    shown = listed(unlisted, what.split()[-1])
    count = sum(unlisted.values())
    return [f"{count:,} {what} left out, not in the legend: {shown}; the score is of the known classes only"]
