"""Array in, array out: masks, medians, harmonics, indices, gap filling and packing."""

from cropcube.kernels.gapfill import gap_fill
from cropcube.kernels.harmonic import harmonic_design, harmonic_fit
from cropcube.kernels.indices import INDICES, spectral_index
from cropcube.kernels.masks import clear_mask
from cropcube.kernels.median import window_median
from cropcube.kernels.pack import Rows, pack_samples

__all__ = [
    "INDICES",
    "Rows",
    "clear_mask",
    "gap_fill",
    "harmonic_design",
    "harmonic_fit",
    "pack_samples",
    "spectral_index",
    "window_median",
]
