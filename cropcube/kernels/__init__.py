"""Array in, array out: masks, medians, harmonics, indices, gap filling."""
