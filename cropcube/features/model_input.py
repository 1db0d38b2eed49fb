"""What a classifier sees of a pixel: a (bands, steps) image of its features, gap-filled and scaled.

Training and prediction both come through here, so both see the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cropcube.domain.feature_spec import EMIT_KIND, REAL_VALUED
from cropcube.domain.lattice import FINEST_M
from cropcube.domain.model_card import Scaling
from cropcube.domain.sensor import REFLECTANCE_SCALE
from cropcube.errors import InvalidInputError
from cropcube.features.compute import ARRAY_OF, index_resolutions
from cropcube.features.layout import INDEX_NAME
from cropcube.kernels import Rows, pack_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.feature_spec import FeatureSpec
    from cropcube.domain.model_window import ModelWindow
    from cropcube.domain.season import Season
    from cropcube.domain.sensor import Sensor

Features: TypeAlias = Mapping[int, "NDArray[Any]"]
"""By resolution in metres: (steps, the layout's bands of that resolution, y, x); all cover the same ground."""

_IN_TIME = "windows without a clear observation are filled linearly in time, ends held"
GAP_RULES = {
    "median": _IN_TIME,
    "annual-median": "none needed",
    "geomedian": _IN_TIME,
    "percentiles": "none needed",
    "statistics": "none; pixels where an index has no value are left out",
    "harmonic": "none; pixels without a fit are left out",
    EMIT_KIND: "bands that were not seen are interpolated; pixels that EMIT never saw clear are left out",
}


def input_bands(spec: FeatureSpec, sensor: Sensor) -> dict[str, int]:
    """Return the resolutions in metres of what a classifier takes side by side: bands, or indices of statistics.

    Raises
    ------
    InvalidInputError
        If an index is unknown or needs a band that the sensor does not have.
    """
    if spec.kind == EMIT_KIND:
        return {"reflectance": FINEST_M}  # as `EmitFeatures` gives it; the spectrum is what the steps go along
    if spec.kind != "statistics":
        return {band.name: band.resolution_m for band in sensor.bands}
    found = index_resolutions(spec, {m: sensor.bands_at(m) for m in sensor.resolutions})
    resolution_of = {name: m for m, names in found.items() for name in names}
    return {name: resolution_of[name] for name in spec.indices}


@dataclass(frozen=True)
class InputLayout:
    """Rows and columns of a classifier's input, and where they come from."""

    feature: str
    "Name of the feature store."
    kind: str
    "See `domain.feature_spec.KINDS`."
    bands: tuple[str, ...]
    "In the sensor's order; of statistics the indices."
    resolutions_m: tuple[int, ...]
    "Of each band."
    series_steps: tuple[str, ...]
    "Labels of all windows or terms of the store."
    window: tuple[int, int] = (0, 0)
    "First and one-past-last of them that the classifier sees; (0, 0) becomes all."

    def __post_init__(self) -> None:
        if self.window == (0, 0):
            object.__setattr__(self, "window", (0, len(self.series_steps)))

    @classmethod
    def of(
        cls, spec: FeatureSpec, season: Season, sensor: Sensor, model_window: ModelWindow | None = None
    ) -> InputLayout:
        """Return the layout of all bands of a sensor under a feature specification.

        Raises
        ------
        InvalidInputError
            If the season or the kind of features does not have the model's window.
        """
        bands = input_bands(spec, sensor)
        steps = tuple(str(step) for step in spec.steps(season, sensor))
        window = model_window.steps_of(spec, season) if model_window else (0, 0)
        return cls(spec.name, spec.kind, tuple(bands), tuple(bands.values()), steps, window)

    @property
    def steps(self) -> tuple[str, ...]:
        """Labels of the windows or terms that the classifier sees."""
        return self.series_steps[slice(*self.window)]

    @property
    def series(self) -> InputLayout:
        """The layout of the whole series, of which the classifier's window is a part."""
        return replace(self, window=(0, len(self.series_steps)))

    @property
    def array(self) -> str:
        """Name of the array in the feature store."""
        return ARRAY_OF[self.kind]

    @property
    def band_dimension(self) -> str:
        """Name of the dimension of that array that the layout's bands are labels of."""
        return INDEX_NAME if self.kind == "statistics" else "band"

    @property
    def gap_rule(self) -> str:
        """What happens where a window or term has no value, in words."""
        return GAP_RULES[self.kind]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the features as they are stored, gap-filled ones too."""
        return np.dtype(np.float32 if self.kind in REAL_VALUED else np.uint16)

    @property
    def shape(self) -> tuple[int, int]:
        """Bands, steps."""
        return len(self.bands), len(self.steps)

    def bands_at(self, resolution_m: int) -> tuple[str, ...]:
        """Return the bands of one resolution, in order: the band axis of that resolution's `Features` array."""
        return tuple(b for b, r in zip(self.bands, self.resolutions_m, strict=True) if r == resolution_m)


def observed(layout: InputLayout, features: Features) -> NDArray[np.bool_]:
    """Return which pixels can be classified: those with a value at every resolution that the layout uses.

    A pixel without any clear observation (for harmonics: with too few for a fit; for statistics: without a value of one
    of the indices) is neither a sample nor predicted.

    Parameters
    ----------
    layout, features
        See there.

    Returns
    -------
    mask
        (y, x) at 10 m.
    """
    masks = []
    for resolution_m, values_SBYX in features.items():
        # Bands of one resolution are clear together; an index may have no value where another has.
        some_SBYX = values_SBYX if layout.kind == "statistics" else values_SBYX[:, :1]
        there = np.isfinite(some_SBYX).all(axis=(0, 1)) if layout.kind in REAL_VALUED else None
        seen = (some_SBYX != 0).any(axis=(0, 1)) if there is None else there
        masks.append(np.kron(seen, np.ones((resolution_m // FINEST_M,) * 2, dtype=bool)))
    mask: NDArray[np.bool_] = np.logical_and.reduce(masks)
    return mask


def pixel_features(
    layout: InputLayout,
    features: Features,
    rows: NDArray[np.integer[Any]],
    cols: NDArray[np.integer[Any]],
    into_NBS: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Return the features of chosen pixels, gap-filled and not yet scaled.

    Parameters
    ----------
    layout, features
        See there.
    rows, cols
        Pixels at 10 m counted from the top left of the arrays, (N,). Those of coarser bands are repeated:
        10 m pixel (y, x) takes 20 m pixel (y // 2, x // 2).
    into_NBS
        What is written to and returned, float32 or `layout.dtype`; a new array of float32 if left out.

    Returns
    -------
    values_NBS
        In the features' own unit, of the layout's window; gaps are filled from the whole series. Not finite
        where a harmonic has no fit.

    Raises
    ------
    InvalidInputError
        If the arrays do not have the layout's bands and steps.
    """
    values_NBS = np.empty((len(rows), *layout.shape), dtype=np.float32) if into_NBS is None else into_NBS
    for resolution_m in sorted(set(layout.resolutions_m)):
        where = tuple(i for i, r in enumerate(layout.resolutions_m) if r == resolution_m)
        source_SBYX = features[resolution_m]
        if source_SBYX.shape[:2] != (len(layout.series_steps), len(where)):
            raise InvalidInputError(
                f"features at {resolution_m} m have {source_SBYX.shape[:2]} steps and bands, "
                f"the model takes {(len(layout.series_steps), len(where))}",
                f"It was trained on {layout.feature} with the bands {' '.join(layout.bands)}.",
            )
        step, width = resolution_m // FINEST_M, source_SBYX.shape[-1]
        # All bands of a resolution are clear together, and a clear pixel's median is never 0: gaps are where it is 0.
        pixel = np.asarray(rows, np.int64) // step * width + np.asarray(cols, np.int64) // step
        pack_samples(source_SBYX, pixel, Rows(values_NBS, where, layout.window[0]))
    return values_NBS


def model_input(
    layout: InputLayout,
    scaling: Scaling,
    features: Features,
    rows: NDArray[np.integer[Any]],
    cols: NDArray[np.integer[Any]],
) -> NDArray[np.float32]:
    """Return a classifier's inputs (N, bands, steps) float32 for chosen pixels; see `pixel_features` and `scaled`."""
    return scaled(pixel_features(layout, features, rows, cols), scaling)


def scaled(values_NBS: NDArray[np.float32], scaling: Scaling) -> NDArray[np.float32]:
    """Return (values - mean) / deviation, all in float32."""
    mean = np.asarray(scaling.mean, dtype=np.float32)
    deviation = np.asarray(scaling.deviation, dtype=np.float32)
    return (values_NBS - mean) / deviation


def reflectance_scaling(bands: int) -> Scaling:
    """Return the scaling that divides by 10000."""
    zeros, tens = ((0.0,),) * bands, ((round(1 / REFLECTANCE_SCALE, 6),),) * bands
    return Scaling("reflectance", zeros, tens)


@dataclass
class ScalingMeasure:
    """Mean and standard deviation of the training pixels, gathered piece by piece.

    By band for integers (their steps are one quantity), by band and term or statistic for real numbers.
    """

    layout: InputLayout
    _count: int = field(default=0, init=False)
    _sum: Any = field(default=0.0, init=False)
    _squares: Any = field(default=0.0, init=False)

    def add(self, values_NBS: NDArray[np.float32]) -> None:
        """Take in the features of some pixels, as `pixel_features` returns them."""
        values = values_NBS.astype(np.float64)
        self._count += len(values)
        self._sum = self._sum + values.sum(axis=0)
        self._squares = self._squares + (values**2).sum(axis=0)

    def result(self) -> Scaling:
        """Return the scaling; a band that never varies is only centred.

        Raises
        ------
        InvalidInputError
            If no pixel was taken in.
        """
        if not self._count:
            raise InvalidInputError("there is no training pixel to measure the scaling on", "Give more labels.")
        mean, square = self._sum / self._count, self._squares / self._count
        if self.layout.kind not in REAL_VALUED:
            mean, square = mean.mean(axis=1, keepdims=True), square.mean(axis=1, keepdims=True)
        deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
        deviation[deviation < 1e-6 * np.maximum(1.0, np.abs(mean))] = 1.0
        return Scaling("standard", _rows(mean), _rows(deviation))


def _rows(matrix: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(np.float32(value)) for value in row) for row in matrix)
