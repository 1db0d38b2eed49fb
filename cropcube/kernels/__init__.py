"""Array in, array out: masks, medians, percentiles, harmonics, indices, gaps, packing, trees, swaths and spectra."""

from cropcube.kernels.continuum import continuum_removed
from cropcube.kernels.gapfill import gap_fill
from cropcube.kernels.geomedian import window_geomedian
from cropcube.kernels.harmonic import harmonic_design, harmonic_fit
from cropcube.kernels.indices import INDICES, Reflectance, index_statistics, spectral_indices
from cropcube.kernels.masks import clear_mask, clear_pixels
from cropcube.kernels.median import window_median
from cropcube.kernels.narrow_indices import NARROW_INDICES, narrow_indices
from cropcube.kernels.pack import Rows, pack_samples, take_scaled
from cropcube.kernels.percentiles import time_percentiles
from cropcube.kernels.spectra import Acquisitions, Composite, best_view, median_view, weighted_mean
from cropcube.kernels.spectral_bands import (
    SENTINEL2_TARGETS,
    Resampling,
    SpectralBands,
    TargetBands,
    broad_bands,
    resample,
    resampling,
)
from cropcube.kernels.swath import (
    CellGrid,
    DegreeTable,
    Polynomial,
    empty_planes,
    gather_spectra,
    nearest_pixels,
    table_marks,
)
from cropcube.kernels.trees import Trees, sum_trees

__all__ = [
    "INDICES",
    "NARROW_INDICES",
    "SENTINEL2_TARGETS",
    "Acquisitions",
    "CellGrid",
    "Composite",
    "DegreeTable",
    "Polynomial",
    "Reflectance",
    "Resampling",
    "Rows",
    "SpectralBands",
    "TargetBands",
    "Trees",
    "best_view",
    "broad_bands",
    "clear_mask",
    "clear_pixels",
    "continuum_removed",
    "empty_planes",
    "gap_fill",
    "gather_spectra",
    "harmonic_design",
    "harmonic_fit",
    "index_statistics",
    "median_view",
    "narrow_indices",
    "nearest_pixels",
    "pack_samples",
    "resample",
    "resampling",
    "spectral_indices",
    "sum_trees",
    "table_marks",
    "take_scaled",
    "time_percentiles",
    "weighted_mean",
    "window_geomedian",
    "window_median",
]
