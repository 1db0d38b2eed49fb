"""Array in, array out: masks, medians, harmonics, indices, gap filling, packing and trees."""

from cropcube.kernels.gapfill import gap_fill
from cropcube.kernels.harmonic import harmonic_design, harmonic_fit
from cropcube.kernels.indices import INDICES, spectral_index
from cropcube.kernels.masks import clear_mask, clear_pixels
from cropcube.kernels.median import window_median
from cropcube.kernels.pack import Rows, pack_samples, take_scaled
from cropcube.kernels.trees import Trees, sum_trees

__all__ = [
    "INDICES",
    "Rows",
    "Trees",
    "clear_mask",
    "clear_pixels",
    "gap_fill",
    "harmonic_design",
    "harmonic_fit",
    "pack_samples",
    "spectral_index",
    "sum_trees",
    "take_scaled",
    "window_median",
]
