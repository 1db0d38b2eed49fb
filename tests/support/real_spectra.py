"""Real spectra of EMIT (tests/data/emit), and acquisitions made of them."""

import csv
import re
from functools import cache
from pathlib import Path

import numpy as np

from cropcube.kernels import Acquisitions, SpectralBands

REAL = Path(__file__).parents[1] / "data" / "emit"
ENVI = REAL / "emit20250324t221005_jpl_unmix_ex"
POINTS = REAL / "emit_l2a_point_spectra_dangermond_2023.csv"


@cache
def real_bands():
    """Bands of the cube as its header states them: 285, of which 244 are good."""
    header = ENVI.with_suffix(".hdr").read_text(encoding="ascii")
    centre, fwhm, good = (
        np.array(re.search(rf"^{key} = {{([^}}]*)}}", header, re.MULTILINE)[1].split(","), np.float64)
        for key in ("wavelength", "fwhm", "bbl")
    )
    return SpectralBands(centre, fwhm, good > 0)


@cache
def real_spectra():
    """All real spectra, (285, 11, 10): the cube of 2025, -0.01 in its bad bands, and the points of 2023, NaN there."""
    cube = np.fromfile(ENVI, "<f4").reshape(10, 285, 10).transpose(1, 0, 2)
    with POINTS.open(encoding="ascii") as lines:
        points = np.array([row[3:] for row in csv.reader(lines)][1:], np.float32)
    return np.ascontiguousarray(np.concatenate([cube, points.T[:, None]], axis=1), np.float32)


def acquisitions(dates=4, seed=0, lost=0.05, clear=0.7):
    """Real spectra seen several times, brighter or darker, with noise of stated size, gaps and clouds."""
    generator = np.random.default_rng(seed)
    truth, bands = real_spectra(), real_bands()
    shape = (dates, *truth.shape)
    spread = generator.uniform(0.002, 0.02, (dates, 1, *truth.shape[1:])) * generator.uniform(0.5, 2, shape)
    values = truth * generator.uniform(0.8, 1.2, (dates, 1, *truth.shape[1:])) + generator.normal(0, 1, shape) * spread
    values[generator.random(shape) < lost] = np.nan
    spread[generator.random(shape) < lost] = np.nan
    spread[generator.random(shape) < lost / 5] = 0
    seen = generator.random((dates, *truth.shape[1:])) < clear
    return Acquisitions(values.astype(np.float32), spread.astype(np.float32), seen, bands.good_W)
