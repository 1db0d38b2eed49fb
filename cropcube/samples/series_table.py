"""Reading a table of series: one row a sample (wide), or one row a sample and date (long), with its class."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError, MissingError
from cropcube.kernels import window_median

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

NO_DATA = (0, 65535)
"""Values that stand for none, beside NaN."""
DATE_COLUMNS = ("window", "time", "timestamp", "date")
SAMPLE_COLUMNS = ("place", "sample_id", "id", "feature_index")
"""Columns that say which rows of a long table are one sample, the first that is there."""
MONTHS, MONTH_DAYS = {28, 29, 30, 31}, 30
"""Steps of a calendar month stand for windows of 30 days."""
YEAR_DAYS = 365.25
STATISTICS = {"mean", "std", "count", "min", "max", "rmse"}
"""Words in the names of columns that hold no series of their own; `median` is taken."""
_BAND = re.compile(r"(?<![A-Za-z0-9])(B(?:0[1-9]|1[0-2]|8A))(?![A-Za-z0-9])", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}|(?<!\d)\d{8}(?!\d)")
_STEP = re.compile(r"(?:ts?)?(\d{1,3})", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Series:
    """Series of samples, as a table says them."""

    values_NBS: NDArray[np.float32]
    "Reflectance x 10000; NaN where there is none."
    bands: tuple[str, ...]
    "In the sensor's order."
    steps: tuple[date, ...]
    spec: FeatureSpec
    "Medians of windows as long as the steps are apart."
    season: Season
    about: pd.DataFrame
    "The other columns, one row a sample."


def read_series(path: Path, feature: str) -> Series:
    """Read a table of series.

    Bands are found by their names, wherever they stand in a column's (`B02`, `S2-L2A-B02`, `OPTICAL-B02-ts0-10m`).

    Parameters
    ----------
    path
        Parquet or CSV; the output of `cropcube extract`, or a table of one row a sample, or a sample and date.
    feature
        Medians to make of the output of `extract --from cube`, which has a row for every day: `median-15d`.

    Raises
    ------
    MissingError
        If there is no such file.
    InvalidInputError
        If it cannot be read, or lacks bands, dates or samples.
    """
    frame, about = _read(path)
    source = str(about.get("source", ""))
    if source and source != "cube" and not source.startswith("median-"):
        raise InvalidInputError(
            f"{path} holds {source}, which is no series in time", "Extract from the cube or from medians (--from)."
        )
    wide, long = _series_columns(frame)
    if wide:
        return _of_wide(path, frame, wide)
    if not long:
        if len(frame.columns) == 1 and ";" in frame.columns[0]:
            raise InvalidInputError(f"{path} is divided by semicolons", "Write CSV with commas and decimal points.")
        raise InvalidInputError(
            f"{path} has no columns of bands; it has: {_some(frame)}{_texts(frame)}",
            "Columns are named by Sentinel-2's bands: B02 with one row a date, or B02_2019-05-01, B02-ts0, ...",
        )
    if source == "cube":
        return _of_days(path, frame, long, (Season.parse(str(about["season"])), FeatureSpec.parse(feature)))
    season = Season.parse(str(about["season"])) if "season" in about else None
    return _of_long(path, frame, long, (season, source))


def _read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a table, and what `extract` says about it."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise MissingError(f"there is no table {path}", "Check the path.")
    try:
        if path.suffix.lower() in (".parquet", ".geoparquet"):
            table = pq.read_table(path)
            about = json.loads((table.schema.metadata or {}).get(b"cropcube", b"{}"))
            frame = table.replace_schema_metadata(None).to_pandas()
        elif path.suffix.lower() in (".csv", ".tsv"):
            frame, about = pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ","), {}
        else:
            raise InvalidInputError(f"{path} is no table that can be read", "Give Parquet or CSV.")
    except (pa.ArrowException, ValueError, OSError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"{path} cannot be read as a table ({error})", "Give Parquet or CSV.") from error
    frame.columns = pd.Index([str(name) for name in frame.columns])
    if not len(frame):
        raise InvalidInputError(f"{path} has no row", "Give a table with samples.")
    return frame, about


def _series_columns(frame: pd.DataFrame) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    """Return the columns of bands: by band and step, and by band alone."""
    wide: dict[tuple[str, str], str] = {}
    long: dict[str, str] = {}
    for column in frame.columns:
        found = _BAND.search(column)
        if not found or frame[column].dtype.kind not in "uif":
            continue
        band, rest = found[1].upper(), column[: found.start()] + " " + column[found.end() :]
        words = re.split(r"[^A-Za-z0-9]+", rest.lower())
        if STATISTICS & set(words):
            continue
        when = _DATE.search(rest)
        step = when[0] if when else next((f[1] for word in words if (f := _STEP.fullmatch(word))), None)
        if step is None:
            long.setdefault(band, column)
        else:
            wide.setdefault((band, step), column)
    return wide, long


def _texts(frame: pd.DataFrame) -> str:
    """Say of columns that are named by bands that they hold text."""
    found = [name for name in frame.columns if _BAND.search(name) and frame[name].dtype.kind not in "uif"]
    return f"; {found[0]} holds text, not numbers" if found else ""


def _of_wide(path: Path, frame: pd.DataFrame, columns: Mapping[tuple[str, str], str]) -> Series:
    bands = _in_order({band for band, _ in columns})
    words = sorted({step for _, step in columns}, key=lambda step: (len(step), step))
    lacking = [f"{band} {step}" for band in bands for step in words if (band, step) not in columns]
    if lacking:
        raise InvalidInputError(
            f"{path} lacks {len(lacking)} of {len(bands) * len(words)} columns of bands and steps: {lacking[0]}"
            f"{', ...' if len(lacking) > 1 else ''}{_texts(frame)}",
            "Every band needs a column of numbers for every step.",
        )
    values = np.stack([_numbers(frame, [columns[band, step] for step in words]) for band in bands], axis=1)
    steps = tuple(_day(word) for word in words) if len(words[0]) >= 8 else _spaced(path, frame, len(words))
    about = frame.drop(columns=list(columns.values()))
    return _regular(path, values, bands, steps, about)


def _of_long(path: Path, frame: pd.DataFrame, columns: Mapping[str, str], made: tuple[Season | None, str]) -> Series:
    """Return the series of a table with one row a sample and date."""
    season, feature = made
    sample, days, about = _rows(path, frame, columns)
    bands = _in_order(set(columns))
    if season is not None:
        spec = FeatureSpec.parse(feature)
        steps = spec.window_starts(season)
    else:
        steps = tuple(day.item() for day in np.unique(days))
    place = np.searchsorted(np.array(steps, dtype="datetime64[D]"), days)
    values = np.full((len(about), len(bands), len(steps)), np.nan, np.float32)
    values[sample, :, place] = _numbers(frame, [columns[band] for band in bands])
    if season is not None:
        return Series(values, bands, steps, spec, season, about)
    return _regular(path, values, bands, steps, about)


def _of_days(path: Path, frame: pd.DataFrame, columns: Mapping[str, str], wanted: tuple[Season, FeatureSpec]) -> Series:
    """Return medians of the clear days, as `features` makes them."""
    season, spec = wanted
    if spec.kind != "median":
        raise InvalidInputError(
            f"{spec.name} are no medians", f"Name medians to make of {path}: --features median-15d."
        )
    if "quality" not in frame.columns:
        raise InvalidInputError(f"{path} has no column quality", "Give what `cropcube extract --points` wrote.")
    sample, days, about = _rows(path, frame, columns)
    bands = _in_order(set(columns))
    day = (days - np.datetime64(season.start)).astype(np.int64)
    present, slot = np.unique(day, return_inverse=True)
    reflectance_TBYX = np.zeros((len(present), len(bands), 1, len(about)), np.uint16)
    clear_TYX = np.zeros((len(present), 1, len(about)), bool)
    clear_TYX[slot, 0, sample] = np.isin(frame["quality"].to_numpy(), spec.classes)
    reflectance_TBYX[slot, :, 0, sample] = frame[[columns[band] for band in bands]].to_numpy(np.uint16)
    window_T = (present // spec.window_days).astype(np.int32)
    values = np.full((len(about), len(bands), spec.windows(season)), np.nan, np.float32)
    for resolution_m in {SENTINEL2.band(band).resolution_m for band in bands}:
        mine = [i for i, band in enumerate(bands) if SENTINEL2.band(band).resolution_m == resolution_m]
        seen = clear_TYX & (reflectance_TBYX[:, mine] != 0).all(axis=1)
        medians, count = window_median(reflectance_TBYX[:, mine], seen, window_T, spec.windows(season))
        values[:, mine] = np.where(count[:, None] > 0, medians, np.nan)[:, :, 0].transpose(2, 1, 0)
    return Series(values, bands, spec.window_starts(season), spec, season, about)


def _rows(
    path: Path, frame: pd.DataFrame, columns: Mapping[str, str]
) -> tuple[NDArray[np.int64], NDArray[Any], pd.DataFrame]:
    """Return the sample (from 0, in file order) and the day of each row, and the other columns by sample."""
    import pandas as pd

    when = next((name for name in DATE_COLUMNS if name in frame.columns), None)
    if when is None:
        raise InvalidInputError(
            f"{path} has bands but no dates; it has: {_some(frame)}",
            f"A long table has a column {', '.join(DATE_COLUMNS[:-1])} or {DATE_COLUMNS[-1]}.",
        )
    keys = [name for name in SAMPLE_COLUMNS if name in frame.columns and frame[name].duplicated().any()][:1]
    keys = keys or [name for name in ("lon", "lat") if name in frame.columns]
    if not keys:
        raise InvalidInputError(
            f"{path} does not say which rows are one sample",
            f"Give a column {', '.join(SAMPLE_COLUMNS[:3])}, or lon, lat.",
        )
    days = pd.to_datetime(frame[when], errors="coerce", format="ISO8601")
    if days.isna().any():
        raise InvalidInputError(
            f"{path}: {int(days.isna().sum())} rows have no date in {when}", "Dates are YYYY-MM-DD."
        )
    sample = frame.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(sample, return_index=True)[1]
    twice = pd.DataFrame({"sample": sample, "day": days}).duplicated()
    if twice.any():
        raise InvalidInputError(
            f"{path}: {int(twice.sum())} rows repeat the date of a sample (by {', '.join(keys)})",
            "Give each sample one row a date.",
        )
    about = frame.iloc[first].drop(columns=[*columns.values(), when]).reset_index(drop=True)
    return sample.astype(np.int64), days.to_numpy().astype("datetime64[D]"), about


def _regular(
    path: Path, values: NDArray[Any], bands: tuple[str, ...], steps: tuple[date, ...], about: pd.DataFrame
) -> Series:
    """Return series of steps that are about equally far apart, as medians of windows of that length."""
    if len(steps) < 2:
        raise InvalidInputError(f"{path} has {len(steps)} date", "A series has two dates or more.")
    gaps = np.diff(np.array(steps, dtype="datetime64[D]")).astype(np.int64)
    monthly = set(gaps.tolist()) <= MONTHS
    window_days = MONTH_DAYS if monthly else round(float(np.median(gaps)))
    if (np.abs(gaps - window_days) > max(2, window_days // 5)).any():
        raise InvalidInputError(
            f"{path} has dates that lie {gaps.min()} to {gaps.max()} days apart", "Give composites at regular steps."
        )
    season = Season(steps[0], steps[0] + timedelta(days=window_days * len(steps)))
    return Series(values.astype(np.float32), bands, steps, FeatureSpec("median", window_days), season, about)


def _spaced(path: Path, frame: pd.DataFrame, count: int) -> tuple[date, ...]:
    """Return the dates of numbered steps: those of the commonest season, at whose place in the year all rows lie."""
    import pandas as pd

    lacking = [name for name in ("start_date", "end_date") if name not in frame.columns]
    if lacking:
        raise InvalidInputError(
            f"{path} has {count} numbered steps and no column {lacking[0]}",
            "Add start_date and end_date (of the first and the last step), or write dates: B02_2019-05-01.",
        )
    text = [frame[name].astype("string").str[:10] for name in ("start_date", "end_date")]
    days = [pd.to_datetime(column, errors="coerce", format="ISO8601") for column in text]
    pairs = pd.DataFrame({"first": days[0], "last": days[1]})
    usual = pairs.dropna().value_counts(sort=False)
    if not len(usual):
        raise InvalidInputError(f"{path}: no row has a start_date and an end_date", "Dates are YYYY-MM-DD.")
    first, last = (day.date() for day in usual.index[int(usual.to_numpy().argmax())])
    if last <= first:
        raise InvalidInputError(f"{path}: end_date {last} is not after start_date {first}", "Check the columns.")
    if count < 2:
        raise InvalidInputError(f"{path} has {count} date", "A series has two dates or more.")
    _refuse_unaligned(path, pairs, (first, last), (last - first).days / (count - 1))
    span = (last - first).days
    return tuple(first + timedelta(days=round(span * place / (count - 1))) for place in range(count))


def _refuse_unaligned(path: Path, pairs: pd.DataFrame, usual: tuple[date, date], step_days: float) -> None:
    """Refuse rows whose steps lie elsewhere in the year than those of the usual season; the year does not matter."""
    starts, ends = (pairs[name].to_numpy().astype("datetime64[D]") for name in ("first", "last"))
    first, last = (np.datetime64(day) for day in usual)
    off = (starts - first).astype(np.float64)
    off -= np.round(off / YEAR_DAYS) * YEAR_DAYS
    longer = ((ends - starts) - (last - first)).astype(np.float64)
    allowed = max(1.0, step_days / 2)  # a day for leap years
    known = ~(np.isnat(starts) | np.isnat(ends))
    wrong = np.flatnonzero(~(known & (np.abs(off) <= allowed) & (np.abs(longer) <= allowed)))
    if not len(wrong):
        return
    said = [str(day) if str(day) != "NaT" else "no date" for day in (starts[wrong[0]], ends[wrong[0]])]
    raise InvalidInputError(
        f"{path}: {len(wrong)} of {len(pairs)} rows have other dates than {usual[0]} to {usual[1]}, the first is row "
        f"{wrong[0] + 1} with {said[0]} to {said[1]}: their steps would be taken for those of other days",
        f"Give one season a table: rows that start within {allowed:.0f} days of {usual[0]:%d %B}, of any year, and are "
        "as long.",
    )


def _numbers(frame: pd.DataFrame, columns: list[str]) -> NDArray[np.float32]:
    """Return columns as numbers, NaN where there is no data."""
    values = frame[columns].to_numpy(np.float64, na_value=np.nan)
    values[np.isin(values, NO_DATA) | (values < 0)] = np.nan
    return values.astype(np.float32)


def _in_order(bands: set[str]) -> tuple[str, ...]:
    return tuple(band.name for band in SENTINEL2.bands if band.name in bands)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(f"{text!r} is no date", "Dates are YYYY-MM-DD.") from None


def _some(frame: pd.DataFrame) -> str:
    names = list(map(str, frame.columns))
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
