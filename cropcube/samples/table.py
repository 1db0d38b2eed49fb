"""Samples out of a table of series: no pixels of a project, but the rows of a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError
from cropcube.features.model_input import InputLayout
from cropcube.kernels import gap_fill
from cropcube.samples.index import SampleIndex
from cropcube.samples.labels import NO_CLASS, READ, listed
from cropcube.samples.read import Cell

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from cropcube.domain.legend import Legend
    from cropcube.domain.model_window import ModelWindow
    from cropcube.samples.series_table import Series

ZONE = "table"
"""Name of the only zone of an index of rows: `row` counts the samples of the file, `col` is 0."""
NO_VALUE, TWICE = "without any value of a band", "the same as another sample"
"""Why samples are dropped."""
CELL_SAMPLES = 4096
FRACTION = 2.0
"""Values of which half are below this are reflectance as a fraction, not x 10000."""
MOST = 65_534
"""Largest reflectance x 10000 that is kept."""
CLASS_COLUMNS = ("ewoc_code", "crop", "crop_type", "label", "class", "code")
"""Columns that are taken for the class where there is one of them and no other is named."""
SAME_PLACE_DEG = 1e-5
"""Samples whose coordinates round to the same are of one field."""
METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True, eq=False)
class TableSource:
    """Inputs of samples that lie in memory."""

    in_turns = False
    name: str
    "The file."
    values_NBS: NDArray[np.float32]
    "Gap-filled, not scaled."

    def cells(self, layout: InputLayout, index: SampleIndex) -> list[Cell]:
        """Return pieces of the index; see `SampleSource`."""
        count = -(-len(index) // CELL_SAMPLES)
        return [Cell(positions) for positions in np.array_split(np.arange(len(index)), count)] if count else []

    def read_into(self, rows_NBS: NDArray[Any], layout: InputLayout, index: SampleIndex, cell: Cell) -> None:
        """Write the inputs of a cell's samples; see `SampleSource`."""
        rows_NBS[:] = self.values_NBS[index.row[cell.positions], :, slice(*layout.window)]

    def dtype(self, layout: InputLayout) -> np.dtype[Any]:
        """Return the type of the table; see `SampleSource`."""
        del layout
        return self.values_NBS.dtype

    def observed(self, layout: InputLayout, index: SampleIndex) -> NDArray[np.bool_]:
        """Return that all are; see `SampleSource`."""
        return np.ones(len(index), dtype=bool)


@dataclass(frozen=True, eq=False)
class TableSamples:
    """The samples of a table."""

    source: TableSource
    layout: InputLayout
    index: SampleIndex
    about: pd.DataFrame
    "The other columns of the table, a row for each sample of the source."
    label_field: str
    counts: dict[str, int]
    "Samples read, and those left out, by reason."
    empty_bands: tuple[str, ...]
    "Bands without a single value: they are left out."


def table_samples(
    path: Path, series: Series, legend: Legend, fields: tuple[str, ...] = (), window: ModelWindow | None = None
) -> TableSamples:
    """Return the samples of a table that have a class of the legend and a value of every band.

    Raises
    ------
    InvalidInputError
        If a class column is not there, classes are not in the legend, or no sample is left.
    """
    label_field, rows = _classes(path, series.about, legend, fields)
    values = series.values_NBS
    if np.isfinite(values).any() and np.nanmedian(values) < FRACTION:
        raise InvalidInputError(
            f"{path} holds reflectance as a fraction (half of it is below {FRACTION:g})",
            "Give whole numbers: reflectance x 10000.",
        )
    if np.isfinite(values).any() and np.nanmax(values) > MOST:
        raise InvalidInputError(
            f"{path} holds a value of {np.nanmax(values):g}, which is no reflectance x 10000",
            f"Values go up to {MOST}; those without one are empty.",
        )
    has: NDArray[np.bool_] = np.asarray(np.isfinite(values).any(axis=2))
    filled = has.any(axis=0)
    counts = {READ: len(values), NO_CLASS: int((rows == 0).sum())}
    whole = has[:, filled].all(axis=1)
    counts[NO_VALUE] = int((~whole & (rows > 0)).sum())
    kept = np.flatnonzero(whole & (rows > 0))
    distinct = _distinct(values[kept], rows[kept])
    counts[TWICE] = len(kept) - len(distinct)
    kept = kept[distinct]
    if not len(kept):
        raise InvalidInputError(
            f"no sample of {path} is left ({', '.join(f'{n} {why}' for why, n in counts.items() if n)})",
            "Give a table of series with classes.",
        )
    bands = tuple(np.array(series.bands)[filled].tolist())
    resolutions = tuple(SENTINEL2.band(band).resolution_m for band in bands)
    steps = tuple(step.isoformat() for step in series.steps)
    part = window.steps_of(series.spec, series.season) if window else (0, 0)
    layout = InputLayout(series.spec.name, series.spec.kind, bands, resolutions, steps, part)
    source = TableSource(str(path), _without_gaps(values[kept][:, filled]))
    about = series.about.iloc[kept].reset_index(drop=True)
    places = _same_place(about)
    index = SampleIndex.of(ZONE, np.arange(len(kept)), np.zeros(len(kept)), rows[kept], places)
    counts = {why: count for why, count in counts.items() if count or why == READ}
    empty = tuple(np.array(series.bands)[~filled].tolist())
    return TableSamples(source, layout, index, about, label_field, counts, empty)


def known_samples(path: Path, series: Series, legend: Legend, fields: tuple[str, ...]) -> tuple[Series, dict[str, int]]:
    """Return the series whose class the legend has (or that have none), and how many others there are, by class.

    Raises
    ------
    InvalidInputError
        If a class column is not there, or the legend has none of the classes.
    """
    _, rows, unlisted = _class_rows(path, series.about, legend, fields)
    counts = _counted(unlisted)
    if counts and not rows.any():
        raise InvalidInputError(
            f"{path} has no class of the legend, only {listed(counts, 'samples')}",
            f"The legend has: {', '.join(legend.names)}. Give samples of some of these.",
        )
    kept = np.flatnonzero(unlisted == "")
    about = series.about.iloc[kept].reset_index(drop=True)
    return replace(series, values_NBS=series.values_NBS[kept], about=about), counts


def coordinates(about: pd.DataFrame) -> NDArray[np.float64] | None:
    """Return lon, lat of each sample (N, 2): of columns of these names, else of a geometry; None without."""
    lower = {str(name).lower(): name for name in about.columns}
    if "lon" in lower and "lat" in lower:
        return _degrees(about[[lower["lon"], lower["lat"]]])
    if "geometry" in lower and isinstance(about[lower["geometry"]].iloc[0], bytes):
        centres = shapely.centroid(shapely.from_wkb(about[lower["geometry"]].to_numpy()))
        return np.column_stack([shapely.get_x(centres), shapely.get_y(centres)])
    return None


def _degrees(columns: pd.DataFrame) -> NDArray[np.float64]:
    try:
        lonlat = columns.to_numpy(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"columns {' and '.join(map(str, columns))} hold what is no number ({error})", "Give decimal degrees: 4.05."
        ) from error
    off = (np.abs(lonlat) > (180, 90)).any(axis=1)
    if off.any():
        raise InvalidInputError(
            f"{off.sum()} places lie outside longitude -180 to 180, latitude -90 to 90, the first at "
            f"{lonlat[off][0][0]:g},{lonlat[off][0][1]:g}",
            "Give lon and lat in degrees; are they swapped, or metres of a projection?",
        )
    return lonlat


def place_numbers(lonlat: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a number for each place (N, 2), the same in every table; places that round to the same have the same."""
    east, north = ((lonlat + np.array([181, 91])) / SAME_PLACE_DEG).round().astype(np.int64).T
    numbers: NDArray[np.int64] = (east << 32) + north
    return numbers


def coordinates_of(numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return lon, lat (N, 2) of the places that `place_numbers` numbered; infinite of other numbers."""
    lonlat = np.column_stack([numbers >> 32, numbers & 0xFFFFFFFF]) * SAME_PLACE_DEG - (181, 91)
    return np.where((numbers >= 1 << 32)[:, None], lonlat, np.inf)


def ground_blocks(lonlat: NDArray[np.float64], block_m: int) -> NDArray[np.int64]:
    """Return the number of the square of ground of about `block_m` a side that each place lies in, worldwide."""
    tall = block_m / METRES_PER_DEGREE
    row = np.floor((lonlat[:, 1] + 90) / tall).astype(np.int64)
    wide = tall / np.maximum(np.cos(np.radians((row + 0.5) * tall - 90)), 0.01)
    col = np.floor((lonlat[:, 0] + 180) / wide).astype(np.int64)
    numbers: NDArray[np.int64] = (row << 32) + col
    return numbers


def _classes(path: Path, about: pd.DataFrame, legend: Legend, fields: tuple[str, ...]) -> tuple[str, NDArray[np.uint8]]:
    """Return the class column and the legend row of each sample, 0 = none; refused where classes are not listed."""
    label_field, rows, unlisted = _class_rows(path, about, legend, fields)
    counts = _counted(unlisted)
    if counts:
        raise InvalidInputError(
            f"{path} has classes that the legend does not: {listed(counts, 'samples')}",
            f"Give --legend FILE.csv with a line code,name such as {next(iter(counts))},name for each.",
        )
    return label_field, rows


def _class_rows(
    path: Path, about: pd.DataFrame, legend: Legend, fields: tuple[str, ...]
) -> tuple[str, NDArray[np.uint8], NDArray[Any]]:
    """Return the class column, the legend row of each sample (0 = none), and its class if it is in no legend."""
    usual = [name for name in CLASS_COLUMNS if name in about.columns]
    found = [name for name in fields if name in about.columns] if fields else usual
    if not found or (not fields and len(found) > 1):
        problem = f"no column {' or '.join(map(repr, fields))}" if fields else f"{len(usual)} columns of classes"
        raise InvalidInputError(
            f"{path} has {problem}", f"Give --label-field; it has: {', '.join(map(str, about.columns))}."
        )
    rows, unlisted = np.zeros(len(about), np.uint8), np.full(len(about), "", dtype=object)
    for name in found:
        values = about[name].astype("string").str.strip().fillna("").to_numpy(dtype=str)
        here = np.where(values == "", 0, legend.rows_of(values)).astype(np.uint8)
        unlisted = np.where((rows == 0) & (here == 0) & (unlisted == ""), values, unlisted)
        rows = np.where(rows > 0, rows, here)
    return ", ".join(found), rows, np.where(rows > 0, "", unlisted)


def _counted(unlisted: NDArray[Any]) -> dict[str, int]:
    return dict(Counter(value for value in unlisted.tolist() if value).most_common())


def _distinct(values: NDArray[np.float32], rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the positions of samples that no earlier one equals in series and class."""
    seen: dict[bytes, int] = {}
    for place, (series, row) in enumerate(zip(values, rows, strict=True)):
        seen.setdefault(series.tobytes() + bytes([row]), place)
    return np.fromiter(seen.values(), np.int64, len(seen))


def _without_gaps(values_NBS: NDArray[np.float32]) -> NDArray[np.float32]:
    # in whole numbers, as those of a store are
    values_SBN = np.nan_to_num(values_NBS.transpose(2, 1, 0)).round().astype(np.uint16)
    filled = gap_fill(values_SBN, np.isfinite(values_NBS.transpose(2, 1, 0)))
    return filled.transpose(2, 1, 0).astype(np.float32)


def _same_place(about: pd.DataFrame) -> NDArray[Any] | None:
    """Return a number of the place of each sample: of one field are those at the same coordinates."""
    lonlat = coordinates(about)
    return None if lonlat is None else place_numbers(lonlat)
