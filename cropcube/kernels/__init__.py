"""Array in, array out: masks, medians, harmonics, indices and gap filling."""

from cropcube.kernels.gapfill import gap_fill
from cropcube.kernels.harmonic import harmonic_design, harmonic_fit
from cropcube.kernels.indices import INDICES, spectral_index
from cropcube.kernels.masks import clear_mask
from cropcube.kernels.median import window_median

__all__ = [
    "INDICES",
    "clear_mask",
    "gap_fill",
    "harmonic_design",
    "harmonic_fit",
    "spectral_index",
    "window_median",
]
