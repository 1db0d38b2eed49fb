"""Augmentation: what another place or year would have made of the same crop, drawn afresh for every copy.

Three changes, after "Invariant Features for Global Crop Type Classification" (Tong & Wang, arXiv 2509.03497): the
season comes earlier or later (time shift), is shorter or longer (time scale), and reflectance is higher or lower in
parts of it (magnitude warp). Here they are composed: the scaled season is cut from the shifted one, and what is shifted
into the model's window comes from the whole series, not from a value that is held at the window's end.

And one of our own: another place has other clouds. Steps are taken out, singly and as a gap, and filled from the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.feature_spec import IN_WINDOWS
from cropcube.errors import InvalidInputError
from cropcube.features.model_input import scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cropcube.domain.model_card import Scaling
    from cropcube.features.model_input import InputLayout
    from cropcube.samples.stream import Entries

KNOTS = 5
"""Of the magnitude warp's curve, evenly over the model's window."""


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for a copy of a sample; without arguments as published."""

    copies: int = 2
    "Changed copies of each sample in a pass."
    original: bool = True
    "Whether the sample itself is in the pass as well."
    probability: float = 1.0
    "That anything at all is done to a copy."
    shift_days: int = 50
    "Largest shift, in whole days, to either side."
    shift_probability: float = 1.0
    scale_days: int = 50
    "Largest change of the window's first and of its last day, in whole days, to either side."
    scale_probability: float = 0.5
    warp: float = 0.10
    "Standard deviation of the factors at the knots; their mean is 1."
    warp_probability: float = 0.25
    drop: float = 0.0
    "Each step of a copy is taken out with a probability that is drawn for the copy, from 0 to this."
    gap_days: int = 0
    "Longest gap in which all steps are taken out."
    gap_probability: float = 0.5

    def __post_init__(self) -> None:
        shares = (
            self.shift_probability,
            self.scale_probability,
            self.warp_probability,
            self.drop,
            self.gap_probability,
        )
        least = min(self.copies - 1, self.shift_days, self.scale_days, self.warp, self.gap_days)
        if least < 0 or not all(0 <= share <= 1 for share in (*shares, self.drop)):
            raise InvalidInputError(
                f"this cannot be drawn: {self}", "Give probabilities from 0 to 1 and no size below 0."
            )


_OURS = Augmentation(
    copies=1, original=False, shift_days=20, shift_probability=0.8, scale_days=20, drop=0.6, gap_days=60
)
AUGMENTATIONS: Mapping[str, Augmentation | None] = MappingProxyType(
    {
        "none": None,
        "default": _OURS,
        "half": replace(_OURS, probability=0.5),
        "paper": Augmentation(),
    }
)
"""By the name that users say: `paper` as published, `default` as found to carry furthest, `half` the same for half of
the samples."""


@dataclass(frozen=True)
class Drawn:
    """What was drawn for some copies, (n,) each; 0 (and factors of 1) change nothing."""

    shift_days: NDArray[np.float64]
    "Above 0: the season comes later."
    first_days: NDArray[np.float64]
    "Days by which the model's first step is read later than it lies."
    last_days: NDArray[np.float64]
    "Likewise its last step."
    factors: NDArray[np.float64]
    "(n, KNOTS) Reflectance is multiplied by the curve through them."
    kept: NDArray[np.bool_]
    "(n, steps) Steps that are not taken out; one at least."

    @classmethod
    def nothing(cls, count: int, steps: int) -> Drawn:
        """Return what changes nothing."""
        zeros = np.zeros(count)
        return cls(zeros, zeros, zeros, np.ones((count, KNOTS)), np.ones((count, steps), bool))


@dataclass(frozen=True)
class TimeSpan:
    """The model's window in a longer series."""

    start: int
    "Step of the series that the model sees first."
    steps: int
    "Steps that it sees."
    step_days: float
    "Days from one step to the next."

    @classmethod
    def of(cls, layout: InputLayout) -> TimeSpan | None:
        """Return the window of a layout; None where its steps are not a series of days."""
        first, last = layout.window
        if layout.kind not in IN_WINDOWS or last - first < 2:
            return None
        days = [date.fromisoformat(step).toordinal() for step in (layout.series_steps[0], layout.series_steps[-1])]
        return cls(first, last - first, (days[1] - days[0]) / (len(layout.series_steps) - 1))

    @property
    def days(self) -> float:
        """From its first step to its last."""
        return (self.steps - 1) * self.step_days


def suited(augmentation: Augmentation | None, span: TimeSpan | None) -> Augmentation | None:
    """Return what of an augmentation the model's window allows.

    Only series of days are changed, and a window is shortened by at most half.
    """
    if augmentation is None or span is None:
        return None
    return replace(augmentation, scale_days=min(augmentation.scale_days, int(span.days / 4)))


def draw(augmentation: Augmentation, span: TimeSpan, copy: NDArray[np.int64], random: np.random.Generator) -> Drawn:
    """Draw what happens to copies of samples.

    Parameters
    ----------
    augmentation
        See there.
    span
        The model's window.
    copy
        (n,) Which copy each is; nothing happens to copy 0, the sample itself.
    random
        Where it is drawn from.
    """
    count = len(copy)
    shares = (augmentation.shift_probability, augmentation.scale_probability, augmentation.warp_probability)
    touched = (random.random(count) < augmentation.probability) & (copy > 0)
    used = (random.random((3, count)) < np.array(shares)[:, None]) & touched
    sizes = (augmentation.shift_days, augmentation.scale_days, augmentation.scale_days)
    shift, first, last = (random.integers(-most, most + 1, count) for most in sizes)
    factors = np.where(used[2][:, None], random.normal(1.0, augmentation.warp, (count, KNOTS)), 1.0)
    kept = _kept(augmentation, span, count, random) | ~touched[:, None]
    return Drawn(shift * used[0], first * used[1], last * used[1], factors, kept)


def _kept(augmentation: Augmentation, span: TimeSpan, count: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """Draw which steps of the window (count, steps) are not taken out."""
    lost = augmentation.drop * random.random((count, 1))
    kept = random.random((count, span.steps)) >= lost
    length = (
        augmentation.gap_days * random.random((count, 1)) * (random.random((count, 1)) < augmentation.gap_probability)
    )
    middle = span.days * random.random((count, 1))
    kept &= np.abs(np.arange(span.steps) * span.step_days - middle) >= length / 2
    return kept | ~kept.any(axis=1, keepdims=True)


def changed(series_NBT: NDArray[Any], span: TimeSpan, drawn: Drawn) -> tuple[NDArray[np.float32], int]:
    """Return the model's window of series after shift, scale, loss of steps and warp, in this order.

    Parameters
    ----------
    series_NBT
        Whole series without gaps, not scaled; uint16 or float32.
    span
        Where the model's window lies in them.
    drawn
        What happens to each.

    Returns
    -------
    values_NBS
        Read between steps linearly; before the first and after the last step of the series its end is held.
    held
        How many (series, step) were held.
    """
    fraction = np.linspace(0.0, 1.0, span.steps)
    first, last = span.start + drawn.first_days / span.step_days, drawn.last_days / span.step_days
    # Where each of the window's steps is read in the series. Scale and shift are both maps of time, so that one reading
    # does both: the scaled step of the shifted series.
    last = last + span.start + span.steps - 1
    place_NS = first[:, None] + (last - first)[:, None] * fraction - (drawn.shift_days / span.step_days)[:, None]
    values_NBS, held = _read(series_NBT, place_NS)
    values_NBS = _filled(values_NBS, drawn.kept)
    return values_NBS * (drawn.factors @ spline_basis(span.steps)).astype(np.float32)[:, None], held


def _read(series_NBT: NDArray[Any], place_NS: NDArray[np.float64]) -> tuple[NDArray[np.float32], int]:
    """Read series linearly between steps, ends held; also return how many places lie outside."""
    last = series_NBT.shape[2] - 1
    # Places that are steps but for rounding are steps: what is shifted by whole steps keeps its values.
    near = np.rint(place_NS)
    place_NS = np.where(np.abs(place_NS - near) < 1e-6, near, place_NS)
    inside = place_NS.clip(0, last)
    below = np.minimum(inside.astype(np.int64), max(0, last - 1))
    part = (inside - below).astype(np.float32)[:, None]
    lower = np.take_along_axis(series_NBT, below[:, None], axis=2)
    upper = np.take_along_axis(series_NBT, np.minimum(below + 1, last)[:, None], axis=2)
    # not lower + part * difference: a part of 0 or 1 must give the step's own value
    values: NDArray[np.float32] = (lower * (1 - part) + upper * part).astype(np.float32, copy=False)
    return values, int((inside != place_NS).sum())


def _filled(values_NBS: NDArray[np.float32], kept_NS: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill the steps that are not kept linearly from those that are, ends held."""
    if kept_NS.all():
        return values_NBS
    step = np.arange(kept_NS.shape[1])
    before = np.maximum.accumulate(np.where(kept_NS, step, -1), axis=1)
    after = np.minimum.accumulate(np.where(kept_NS, step, len(step))[:, ::-1], axis=1)[:, ::-1]
    before, after = np.where(before < 0, after, before), np.where(after == len(step), before, after)
    part = ((step - before) / np.maximum(after - before, 1)).astype(np.float32)[:, None]
    lower = np.take_along_axis(values_NBS, before[:, None], axis=2)
    upper = np.take_along_axis(values_NBS, after[:, None], axis=2)
    filled: NDArray[np.float32] = lower * (1 - part) + upper * part
    return filled


def spline_basis(steps: int) -> NDArray[np.float64]:
    """Return the natural cubic splines (KNOTS, steps) that are 1 at one knot and 0 at the others.

    The curve through given values at the knots is their product with it.
    """
    place = np.linspace(0.0, KNOTS - 1.0, steps) if steps > 1 else np.zeros(1)
    identity = np.eye(KNOTS)
    # Second derivatives at the knots, 0 at both ends: m[i-1] + 4 m[i] + m[i+1] = 6 (y[i-1] - 2 y[i] + y[i+1]).
    inner = KNOTS - 2
    system = 4 * np.eye(inner) + np.eye(inner, k=1) + np.eye(inner, k=-1)
    curvature = np.zeros((KNOTS, KNOTS))
    curvature[1:-1] = np.linalg.solve(system, 6 * np.diff(identity, 2, axis=0))
    knot = np.minimum(place.astype(np.int64), KNOTS - 2)
    b = (place - knot)[:, None]
    a = 1 - b
    values: NDArray[np.float64] = a * identity[knot] + b * identity[knot + 1]
    values += ((a**3 - a) * curvature[knot] + (b**3 - b) * curvature[knot + 1]) / 6
    return values.T


@dataclass(frozen=True)
class Augmenter:
    """Makes a classifier's inputs of whole series: changes copies, cuts the model's window, scales; picklable."""

    augmentation: Augmentation
    span: TimeSpan
    scaling: Scaling

    @property
    def copies(self) -> tuple[int, ...]:
        """Numbers of the copies that a pass has of each sample; 0 is the sample itself."""
        return tuple(range(0 if self.augmentation.original else 1, self.augmentation.copies + 1))

    def __call__(self, entries: Entries, seed: Sequence[int]) -> tuple[NDArray[np.float32], int]:
        """Return inputs (n, bands, steps) of copies of samples, and how many (copy, step) were held at an end."""
        drawn = draw(self.augmentation, self.span, entries.copy, np.random.default_rng(seed))
        values, held = changed(entries.series_NBT, self.span, drawn)
        return scaled(values, self.scaling), held
