import numpy as np
from numpy.typing import NDArray

def variants() -> list[str]: ...
def clear_mask(
    quality: NDArray[np.uint8],
    kind: NDArray[np.uint8],
    radius: int,
    row: int,
    col: int,
    repeats: int,
    reflectance: NDArray[np.uint16],
    clear: NDArray[np.bool_],
    threads: int,
    variant: str,
) -> None: ...
def gather_spectra(
    source: NDArray[np.float32],
    pixel: NDArray[np.int32],
    fill: float,
    marked: NDArray[np.uint8] | None,
    planes: NDArray[np.float32],
    threads: int,
    variant: str,
) -> None: ...
def evaluate_polynomial(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    frame: NDArray[np.float64],
    coefficient: NDArray[np.float64],
    results: NDArray[np.float64],
    threads: int,
) -> None: ...
def nearest_pixels(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    left: float,
    top: float,
    size: float,
    reach: float,
    pixel: NDArray[np.int32],
    squared: NDArray[np.float64],
    threads: int,
) -> None: ...
def table_marks(
    frame: NDArray[np.float64],
    coefficient: NDArray[np.float64],
    grid: NDArray[np.float64],
    pixel: NDArray[np.int32],
    table: NDArray[np.uint8],
    place: NDArray[np.float64],
    marks: NDArray[np.uint8],
    threads: int,
) -> None: ...
def window_median(
    reflectance: NDArray[np.uint16],
    valid: NDArray[np.bool_],
    window: NDArray[np.int32],
    median: NDArray[np.uint16],
    clear_count: NDArray[np.uint16],
    threads: int,
    variant: str,
) -> None: ...
def geomedian(
    reflectance: NDArray[np.uint16],
    valid: NDArray[np.bool_],
    window: NDArray[np.int32],
    found: NDArray[np.uint16],
    clear_count: NDArray[np.uint16],
    threads: int,
    variant: str,
) -> None: ...
def percentiles(
    reflectance: NDArray[np.uint16],
    valid: NDArray[np.bool_],
    thousandths: NDArray[np.int32],
    network: NDArray[np.int32],
    percentile: NDArray[np.uint16],
    clear_count: NDArray[np.uint16],
    threads: int,
    variant: str,
) -> None: ...
def spectral_index(
    sources: list[tuple[NDArray[np.uint16], NDArray[np.bool_] | None]],
    places: NDArray[np.int32],
    weights: NDArray[np.float32],
    offsets: NDArray[np.int32],
    constants: NDArray[np.float32],
    found: NDArray[np.float32],
    threads: int,
    variant: str,
) -> None: ...
def index_statistics(
    sources: list[tuple[NDArray[np.uint16], NDArray[np.bool_] | None]],
    places: NDArray[np.int32],
    weights: NDArray[np.float32],
    offsets: NDArray[np.int32],
    constants: NDArray[np.float32],
    order: NDArray[np.int32],
    days: NDArray[np.float32],
    found: NDArray[np.float32],
    threads: int,
    variant: str,
) -> None: ...
def gap_fill(
    values: NDArray[np.uint16] | NDArray[np.float32] | NDArray[np.float64],
    valid: NDArray[np.bool_],
    positions: NDArray[np.float64],
    filled: NDArray[np.uint16] | NDArray[np.float32] | NDArray[np.float64],
    threads: int,
) -> None: ...
def harmonic_fit(
    reflectance: NDArray[np.uint16] | NDArray[np.float32] | NDArray[np.float64],
    valid: NDArray[np.bool_],
    design: NDArray[np.float64],
    ridge: float,
    limit: float,
    coefficient: NDArray[np.float32],
    rmse: NDArray[np.float32],
    clear_count: NDArray[np.uint16],
    threads: int,
    variant: str,
) -> None: ...
def pack_samples(
    source: NDArray[np.uint16] | NDArray[np.float32],
    pixel: NDArray[np.int64],
    row: NDArray[np.int64],
    band: NDArray[np.int32],
    first: int,
    rows: NDArray[np.float32] | NDArray[np.uint16],
    threads: int,
    variant: str,
) -> None: ...
def take_scaled(
    rows: NDArray[np.float32] | NDArray[np.uint16],
    which: NDArray[np.int64],
    scale: NDArray[np.float32],
    taken: NDArray[np.float32],
) -> None: ...
def sum_trees(
    inputs: NDArray[np.float32],
    first: NDArray[np.int64],
    column: NDArray[np.int32],
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float64],
    value: NDArray[np.float64],
    sums: NDArray[np.float64],
    threads: int,
) -> None: ...
def composite(
    way: str,
    reflectance: NDArray[np.float32],
    uncertainty: NDArray[np.float32],
    clear: NDArray[np.bool_],
    good: NDArray[np.int32],
    network: NDArray[np.int32],
    spectrum: NDArray[np.float32],
    spread: NDArray[np.float32],
    acquisition: NDArray[np.int16],
    clear_count: NDArray[np.uint16],
    threads: int,
    variant: str,
) -> None: ...
def continuum(
    spectrum: NDArray[np.float32],
    good: NDArray[np.int32],
    centre: NDArray[np.float64],
    divides: bool,
    found: NDArray[np.float32],
    threads: int,
    variant: str,
) -> None: ...
def resample_bands(
    spectrum: NDArray[np.float32],
    uncertainty: NDArray[np.float32],
    weight: NDArray[np.float64],
    span: NDArray[np.int32],
    least: float,
    found: NDArray[np.float32],
    spread: NDArray[np.float32],
    threads: int,
    variant: str,
) -> None: ...
