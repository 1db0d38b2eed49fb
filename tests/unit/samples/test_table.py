"""Tables of series: wide and long, real ones and the output of `extract`; what is dropped, and what is refused."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cropcube.domain.legend import Legend
from cropcube.domain.model_window import ModelWindow
from cropcube.errors import InvalidInputError, MissingError
from cropcube.samples.labels import NO_CLASS, READ
from cropcube.samples.read import Samples
from cropcube.samples.series_table import read_series
from cropcube.samples.table import NO_VALUE, TWICE, coordinates, ground_blocks, table_samples

LEGEND = Legend.parse("code,name\n1101060000,maize\n1101070000,sorghum\n5,other")
BANDS = ("B02", "B05", "B8A")
DATES = ("2019-03-01", "2019-03-16", "2019-03-31", "2019-04-15")


def numbers(samples=6, seed=0):
    """Return (samples, bands, dates) with a gap in each of the forms that gaps have."""
    values = np.random.default_rng(seed).integers(300, 4000, (samples, len(BANDS), len(DATES))).astype(float)
    values[0, :, 1], values[1, 0, 0], values[2, 1, 3] = 65535, 0, np.nan
    return values


def about(samples=6):
    codes = ["11-01-06-000-0", "1101070000", "maize", "5", "1101070000", "5"][:samples]
    return {
        "sample_id": [f"s{i}" for i in range(samples)], "crop": codes,
        "lon": 4 + 0.1 * np.arange(samples), "lat": [51.0] * samples,
    }  # fmt: skip


def wide(values, name="{band}_{date}"):
    columns = {
        name.format(band=band, date=day, step=s): values[:, b, s]
        for b, band in enumerate(BANDS)
        for s, day in enumerate(DATES)
    }
    return pd.DataFrame({**about(len(values)), **columns})


def long(values):
    rows = []
    for i in range(len(values)):
        one = {name: column[i] for name, column in about(len(values)).items()}
        rows += [
            {**one, "date": day, **{f"S2-L2A-{b}": values[i, j, s] for j, b in enumerate(BANDS)}}
            for s, day in enumerate(DATES)
        ]
    return pd.DataFrame(rows)


def expected(values):
    """Return the gap-filled series, filled with NumPy's interpolation one by one."""
    gap = ~np.isfinite(values) | (values == 0) | (values == 65535)
    filled = values.copy()
    at = np.arange(values.shape[2])
    for i, b in np.ndindex(values.shape[:2]):
        seen = ~gap[i, b]
        filled[i, b] = np.floor(np.interp(at, at[seen], values[i, b, seen]) + 0.5)
    return filled


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (wide, "csv"),
        (wide, "parquet"),
        (lambda values: wide(values, "X-{band}-{date}-10m"), "csv"),
        (long, "csv"),
        (lambda values: long(values).sample(frac=1, random_state=1), "parquet"),
    ],
)
def test_wide_and_long_tables_give_the_same_inputs(tmp_path, make, suffix):
    path = tmp_path / f"t.{suffix}"
    frame = make(numbers())
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    series = read_series(path, "median-5d")
    assert (series.bands, series.spec.name) == (BANDS, "median-15d")
    assert str(series.season) == "2019-03-01/2019-04-30"
    found = table_samples(path, series, LEGEND)
    order = [list(about()["sample_id"]).index(name) for name in found.about["sample_id"]]
    samples = Samples(found.source, found.layout, found.index, LEGEND)
    inputs = samples.read(samples.cells()[0])
    np.testing.assert_allclose(inputs, expected(numbers())[order], rtol=1e-6)
    assert found.index.label.tolist() == np.array([1, 2, 1, 3, 2, 3])[order].tolist()
    assert found.layout.steps == DATES
    assert found.layout.resolutions_m == (10, 20, 20)
    assert found.counts == {READ: 6}


def test_a_window_of_the_season_is_a_part_of_the_series(tmp_path):
    wide(numbers()).to_csv(tmp_path / "t.csv", index=False)
    series = read_series(tmp_path / "t.csv", "median-5d")
    found = table_samples(tmp_path / "t.csv", series, LEGEND, window=ModelWindow.parse("03-16/04-15"))
    samples = Samples(found.source, found.layout, found.index, LEGEND)
    cell = samples.cells()[0]
    np.testing.assert_allclose(samples.read(cell), expected(numbers())[:, :, 1:3], rtol=1e-6)
    assert replace(samples, layout=found.layout.series).read(cell).shape == (6, 3, 4)


def test_numbered_steps_take_their_dates_from_start_and_end(tmp_path):
    frame = wide(numbers(), "OPTICAL-{band}-ts{step}-10m").assign(start_date="2017-01-01", end_date="2017-04-01")
    frame.to_parquet(tmp_path / "t.parquet")
    series = read_series(tmp_path / "t.parquet", "median-5d")
    assert series.steps == (date(2017, 1, 1), date(2017, 1, 31), date(2017, 3, 2), date(2017, 4, 1))
    assert series.spec.name == "median-30d"
    frame.drop(columns="end_date").to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match="no column end_date"):
        read_series(tmp_path / "t.parquet", "median-5d")


def test_rows_of_another_time_of_the_year_are_refused_and_those_of_another_year_are_not(tmp_path):
    frame = wide(numbers(), "{band}-ts{step}").assign(start_date="2017-01-01", end_date="2017-04-01")
    many = pd.concat([frame] * 3, ignore_index=True)
    later = many.copy()
    later.loc[[1, 2], "start_date"], later.loc[[1, 2], "end_date"] = "2020-01-10", "2020-04-09"
    later.loc[3, "start_date"], later.loc[3, "end_date"] = "2015-12-20", "2016-03-20"
    later.to_parquet(tmp_path / "t.parquet")
    assert read_series(tmp_path / "t.parquet", "median-5d").steps[0] == date(2017, 1, 1)
    for dates in (("2017-02-01", "2017-05-02"), ("2017-01-01", "2018-04-01"), ("2017-01-01", None)):
        other = many.copy()
        other.loc[[4, 5], ["start_date", "end_date"]] = dates
        other.to_parquet(tmp_path / "t.parquet")
        with pytest.raises(InvalidInputError) as caught:
            read_series(tmp_path / "t.parquet", "median-5d")
        assert f"2 of {len(many)} rows" in caught.value.what
        assert f"row 5 with {dates[0]} to {dates[1] or 'no date'}" in caught.value.what
        assert "15 days of 01 January" in caught.value.next_step
    many.assign(end_date=None).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match="no row has"):
        read_series(tmp_path / "t.parquet", "median-5d")


def test_what_is_left_out_is_counted(tmp_path):
    values = np.concatenate([numbers(), numbers()[3:4]])
    frame = wide(numbers())
    frame = pd.concat([frame, frame.iloc[3:4].assign(sample_id="again")], ignore_index=True)
    assert len(frame) == len(values)
    frame.loc[4, "crop"] = None
    frame.loc[5, [column for column in frame if column.startswith("B05")]] = 65535
    frame = frame.assign(**{f"B12_{day}": 65535 for day in DATES})
    frame.to_csv(tmp_path / "t.csv", index=False)
    found = table_samples(tmp_path / "t.csv", read_series(tmp_path / "t.csv", "median-5d"), LEGEND)
    assert found.counts == {READ: 7, NO_CLASS: 1, NO_VALUE: 1, TWICE: 1}
    assert found.empty_bands == ("B12",)
    assert found.layout.bands == BANDS
    assert len(found.index) == 4


def test_samples_at_one_place_are_one_field(tmp_path):
    frame = wide(numbers())
    frame.loc[1, "lon"] = frame.loc[0, "lon"] + 1e-9
    frame.to_csv(tmp_path / "t.csv", index=False)
    field = table_samples(tmp_path / "t.csv", read_series(tmp_path / "t.csv", "x"), LEGEND).index.field
    assert field[0] == field[1]
    assert len(np.unique(field)) == 5


def test_blocks_are_squares_of_the_ground():
    lonlat = np.array([[4.0, 51.0], [4.0, 51.0 + 900 / 111_320], [4.0 + 30_000 / 111_320, 51.0], [-70, -60]])
    numbers = ground_blocks(lonlat, 10_000)
    assert numbers[2] != numbers[0] != numbers[3]
    draw = np.random.default_rng(0)
    places = np.column_stack([draw.uniform(-180, 180, 4000), draw.uniform(-80, 80, 4000)])
    number = ground_blocks(places, 200_000)
    for one in np.unique(number)[:50]:
        mine = places[number == one]
        assert np.ptp(mine[:, 1]) * 111.32 <= 200
        assert np.ptp(mine[:, 0]) * 111.32 * np.cos(np.radians(np.abs(mine[:, 1]).max())) <= 205


def broken(**changes):
    return wide(numbers()).assign(**changes)


@pytest.mark.parametrize(
    ("frame", "part", "advice"),
    [
        (pd.DataFrame({"crop": [1], "x": [2]}), "no columns of bands", "B02"),
        (long(numbers()).drop(columns="date"), "bands but no dates", "date"),
        (long(numbers()).drop(columns=["sample_id", "lon", "lat"]), "which rows are one sample", "sample_id"),
        (pd.concat([long(numbers()), long(numbers()[:1])]), "repeat the date", "one row a date"),
        (long(numbers()).assign(date="in May"), "no date in date", "YYYY-MM-DD"),
        (wide(numbers()).drop(columns="B05_2019-03-16"), "lacks 1 of 12", "every step"),
        (wide(numbers()).assign(**{"B05_2019-03-16": "cloud"}), "B05_2019-03-16 holds text", "numbers"),
        (pd.DataFrame({"lon;lat;B02": ["4;51;800"]}), "divided by semicolons", "commas"),
        (broken(crop="hops"), "hops (6 samples)", "hops,name"),
        (broken().rename(columns={"crop": "sown"}), "0 columns of classes", "sown"),
        (broken(label=1), "2 columns of classes", "crop"),
        (broken(crop=None), "no sample of", "classes"),
        (wide(numbers() / 10_000), "as a fraction", "10000"),
        (wide(numbers() * 50), "no reflectance x 10000", "65534"),
        (broken(lon="4,05"), "no number", "4.05"),
        (broken(lon=40_000.0), "outside longitude", "swapped"),
        (pd.DataFrame({"B02-ts0": [1.0], "start_date": "2019-03-01", "end_date": "2019-04-01"}), "1 date", "two dates"),
        (wide(numbers())[:0], "has no row", "samples"),
        (long(numbers()).replace({"2019-03-31": "2019-09-01"}), "days apart", "regular"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path, frame, part, advice):
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(InvalidInputError) as caught:
        table_samples(path, read_series(path, "median-5d"), LEGEND)
    assert part in caught.value.what
    assert advice in caught.value.next_step


def test_files_that_are_no_tables_are_said(tmp_path):
    with pytest.raises(MissingError):
        read_series(tmp_path / "t.csv", "median-5d")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 not at all")
    (tmp_path / "t.xlsx").write_bytes(b"")
    for name in ("t.parquet", "t.xlsx"):
        with pytest.raises(InvalidInputError, match="read"):
            read_series(tmp_path / name, "median-5d")


def test_coordinates_come_from_columns_or_a_geometry():
    import shapely

    points = shapely.points([[4.0, 51.0], [5.0, 52.0]])
    frame = pd.DataFrame({"geometry": list(shapely.to_wkb(points))})
    np.testing.assert_array_equal(coordinates(frame), [[4, 51], [5, 52]])
    assert coordinates(pd.DataFrame({"x": [1]})) is None


PUBLIC = Path(__file__).parents[2] / "data" / "point-series"


@pytest.mark.parametrize(
    ("name", "samples", "dropped", "steps", "empty"),
    [
        ("uganda_southsudan_2017_wide_500.parquet", 480, {TWICE: 20}, 12, ()),
        ("flanders_2021_long_100.parquet", 100, {}, 16, ("B8A",)),
    ],
)
def test_public_tables_are_read_as_they_are(name, samples, dropped, steps, empty):
    series = read_series(PUBLIC / name, "median-5d")
    codes = sorted(set(series.about["ewoc_code"]))
    legend = Legend.parse("code,name\n" + "\n".join(f"{code},class {code}" for code in codes))
    found = table_samples(PUBLIC / name, series, legend)
    assert len(found.index) == samples
    assert {why: n for why, n in found.counts.items() if why != READ} == dropped
    assert found.empty_bands == empty
    assert found.layout.shape == (10 - len(empty), steps)
    assert found.layout.feature == "median-30d"
    assert (found.source.values_NBS > 0).all()
    assert np.median(found.source.values_NBS[:, found.layout.bands.index("B08")]) > 1500
