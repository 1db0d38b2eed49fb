"""Array in, array out: masks, medians, percentiles, harmonics, indices, gap filling, packing, trees and swaths."""

from cropcube.kernels.gapfill import gap_fill
from cropcube.kernels.geomedian import window_geomedian
from cropcube.kernels.harmonic import harmonic_design, harmonic_fit
from cropcube.kernels.indices import INDICES, Reflectance, index_statistics, spectral_indices
from cropcube.kernels.masks import clear_mask, clear_pixels
from cropcube.kernels.median import window_median
from cropcube.kernels.pack import Rows, pack_samples, take_scaled
from cropcube.kernels.percentiles import time_percentiles
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
    "CellGrid",
    "DegreeTable",
    "Polynomial",
    "Reflectance",
    "Rows",
    "Trees",
    "clear_mask",
    "clear_pixels",
    "empty_planes",
    "gap_fill",
    "gather_spectra",
    "harmonic_design",
    "harmonic_fit",
    "index_statistics",
    "nearest_pixels",
    "pack_samples",
    "spectral_indices",
    "sum_trees",
    "table_marks",
    "take_scaled",
    "time_percentiles",
    "window_geomedian",
    "window_median",
]
