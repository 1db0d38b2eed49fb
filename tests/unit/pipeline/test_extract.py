"""Series at places, compared with the store pixel by pixel."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from cropcube.config import Project, ProjectSpec, create_project
from cropcube.cube.layout import StoreSpec, cube_spec, map_array
from cropcube.cube.ledger import Ledger, Record
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.lattice import PixelBox
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError, MissingError, ReadError, ResourceError, UsageError
from cropcube.features.layout import feature_store_spec
from cropcube.pipeline.extract import ExtractOptions, extract
from cropcube.run.options import RunOptions
from tests.support.small_cube import DAYS, SEASON, make_project
from tests.support.small_features import SPEC, write_features

SERIAL = RunOptions("serial", quiet=True)
TO_UTM = Transformer.from_crs(4326, 32631, always_xy=True)
BANDS = {10: ("B02", "B03", "B04", "B08"), 20: ("B05", "B06", "B07", "B8A", "B11", "B12")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(tmp_path_factory.mktemp("project"))
    write_features(made)
    return made


def run(project: Project, **options: Any) -> tuple[Any, gpd.GeoDataFrame]:
    summary = extract(project.root, ExtractOptions(**options), SERIAL)
    return summary, gpd.read_parquet(summary.output)


def save_points(path: Path, lonlat: NDArray[np.float64], **fields: Any) -> Path:
    frame = pd.DataFrame({**fields, "lon": lonlat[:, 0], "lat": lonlat[:, 1]})
    frame.to_csv(path, index=False)
    return path


def pixel_of(lon: float, lat: float) -> tuple[int, int]:
    """Return the absolute row and column at 10 m, by plain arithmetic."""
    x, y = TO_UTM.transform(lon, lat)
    return int((9_999_960 - y) // 10), int(x // 10)


def whole_cube(project: Project) -> dict[str, NDArray[Any]]:
    """Return the whole zone by column, 20 m arrays repeated: (time, y, x)."""
    store = Store.open(project.cube_path)
    zone = store.zone("utm31n")
    found: dict[str, NDArray[Any]] = {}
    for factor in (1, 2):
        values = store.read("utm31n", "reflectance", zone.box(10 * factor)).repeat(factor, 2).repeat(factor, 3)
        found |= {band: values[:, place] for place, band in enumerate(BANDS[10 * factor])}
    found["quality"] = store.read("utm31n", "quality", zone.box(20)).repeat(2, 1).repeat(2, 2)
    return found


def series_at(project: Project, cube: dict[str, NDArray[Any]], row: int, col: int) -> dict[str, NDArray[Any]]:
    """Return the whole season of one pixel by column."""
    box = Store.open(project.cube_path).zone("utm31n").box(10)
    return {name: values[:, row - box.row, col - box.col] for name, values in cube.items()}


def is_clear(series: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    bands = np.stack([series[band] for names in BANDS.values() for band in names])
    return np.isin(series["quality"], (4, 5, 6, 7)) & (bands > 0).all(axis=0)


def test_points_give_every_day_of_the_store(project: Project, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    lonlat = np.column_stack([rng.uniform(4.05, 4.075, 40), rng.uniform(50.74, 50.755, 40)])
    lonlat[7] = lonlat[3]  # twice the same place
    path = save_points(tmp_path / "p.csv", lonlat, crop=[f"c{n}" for n in range(40)])
    summary, rows = run(project, points=path)
    assert summary.output == project.root / "p-cube.parquet"
    assert (summary.places, summary.rows) == (40, 40 * len(DAYS))
    assert rows.crs.to_epsg() == 4326 or rows.crs.to_string() == "OGC:CRS84"
    assert rows["in_region"].all()
    cube = whole_cube(project)
    for place in range(40):
        mine = rows[rows["place"] == place].sort_values("date")
        series = series_at(project, cube, *pixel_of(*lonlat[place]))
        assert mine["date"].tolist() == [SEASON.date_of(day) for day in DAYS]
        for name, values in series.items():
            np.testing.assert_array_equal(mine[name].to_numpy(), values[list(DAYS)])
            assert mine[name].dtype == values.dtype
        np.testing.assert_array_equal(mine["clear"].to_numpy(), is_clear(series)[list(DAYS)])
        assert set(mine["crop"]) == {f"c{place}"}
        assert mine.geometry.iloc[0].equals(shapely.Point(lonlat[place]))
    assert 0 < rows["clear"].mean() < 1


def test_points_off_the_tiles_are_counted_and_listed(project: Project, tmp_path: Path) -> None:
    box = project.spec.grid.zone("utm31n")
    tile = next(box.tiles())
    left, _, _, top = tile.box(10).bounds
    lon, lat = Transformer.from_crs(32631, 4326, always_xy=True).transform(left + 5, top - 5)  # outside the region
    path = save_points(tmp_path / "p.csv", np.array([[10, 50.74], [4.06, 50.745], [lon, lat], [4.06, -50]]))
    summary, rows = run(project, points=path)
    assert summary.outside == (0, 3)
    assert summary.outside_region == (2,)
    assert sorted(set(rows["place"])) == [1, 2]
    assert rows.groupby("place")["in_region"].first().tolist() == [True, False]
    assert summary.as_dict()["outside"] == [0, 3]
    json.dumps(summary.as_dict(), allow_nan=False)


def test_fields_named_like_columns_keep_their_values(project: Project, tmp_path: Path) -> None:
    path = save_points(tmp_path / "p.csv", np.array([[4.06, 50.745]]), B02=["x"], place=[99], date=["2001"])
    _, rows = run(project, points=path)
    first = rows.iloc[0]
    assert (first["B02_source"], first["place_source"], first["place"]) == ("x", 99, 0)


def test_another_mask(project: Project, tmp_path: Path) -> None:
    path = save_points(tmp_path / "p.csv", np.array([[4.06, 50.745], [4.07, 50.75]]))
    _, rows = run(project, points=path, classes=(9,), output=tmp_path / "o.parquet")
    nonzero = (rows[[*BANDS[10], *BANDS[20]]] > 0).all(axis=1)
    np.testing.assert_array_equal(rows["clear"], (rows["quality"] == 9) & nonzero)


def polygons_file(path: Path) -> tuple[Path, list[shapely.Geometry]]:
    """Write fields that cross tiles, hold a hole, are too small, or lie off the tiles."""
    x, y = TO_UTM.transform(4.06, 50.745)
    field = shapely.Polygon(
        [(x, y), (x + 1200, y + 150), (x + 900, y - 400)], [[(x + 500, y), (x + 550, y), (x + 550, y - 60)]]
    )
    tiny = shapely.box(x // 10 * 10 + 6, y // 10 * 10 + 6, x // 10 * 10 + 8, y // 10 * 10 + 8)
    shapes = [field, tiny, shapely.box(x + 90_000, y, x + 90_100, y + 100), shapely.box(x - 5000, y, x + 95, y + 95)]
    gpd.GeoDataFrame({"crop": list("abcd")}, geometry=shapes, crs=32631).to_file(path)
    return path, shapes


def naive_pixels(project: Project, shape: shapely.Geometry) -> list[tuple[int, int]]:
    """Return the pixels whose centre lies in a shape and in a tile of the project, one by one."""
    left, bottom, right, top = shape.bounds
    cells, tile_px = project.spec.grid.zones[0].cells, project.spec.tile_px
    found = []
    for row in range(int((9_999_960 - top) // 10), int((9_999_960 - bottom) // 10) + 1):
        for col in range(int(left // 10), int(right // 10) + 1):
            centre = shapely.Point(col * 10 + 5, 9_999_960 - row * 10 - 5)
            if shape.contains(centre) and (row // tile_px, col // tile_px) in cells:
                found.append((row, col))
    return found


def test_polygons_give_statistics_over_clear_pixels(project: Project, tmp_path: Path) -> None:
    path, shapes = polygons_file(tmp_path / "fields.gpkg")
    summary, rows = run(project, polygons=path)
    assert summary.outside == (2,)
    assert summary.without_pixels == (1,)
    assert summary.partly_outside == (3,)
    assert sorted(set(rows["place"])) == [0, 3]
    cube = whole_cube(project)
    for place in (0, 3):
        mine = rows[rows["place"] == place].sort_values("date")
        every = [series_at(project, cube, *pixel) for pixel in naive_pixels(project, shapes[place])]
        assert set(mine["pixels"]) == {len(every)}
        clear = np.stack([is_clear(series) for series in every])[:, list(DAYS)]
        np.testing.assert_array_equal(mine["clear"], clear.sum(axis=0))
        for band in ("B02", "B12"):
            values = np.stack([series[band] for series in every])[:, list(DAYS)].astype(float)
            values[~clear] = np.nan
            seen = clear.any(axis=0)
            np.testing.assert_allclose(mine[f"{band}_mean"][seen], np.nanmean(values[:, seen], axis=0), rtol=1e-6)
            np.testing.assert_allclose(mine[f"{band}_median"][seen], np.nanmedian(values[:, seen], axis=0), rtol=1e-6)
            assert mine[f"{band}_mean"][~seen].isna().all()
    assert len(naive_pixels(project, shapes[0])) > 2000


def test_medians_have_a_row_for_each_window(project: Project, tmp_path: Path) -> None:
    lonlat = np.array([[4.06, 50.745], [4.0705, 50.7502]])
    path = save_points(tmp_path / "p.csv", lonlat)
    summary, rows = run(project, points=path, source=SPEC.name)
    store = Store.open(project.features_path(SPEC.name))
    assert summary.rows == 2 * SPEC.windows(SEASON)
    assert rows["window"].tolist() == [*SPEC.window_starts(SEASON)] * 2
    row, col = pixel_of(*lonlat[1])
    lattice = store.zone("utm31n").lattice
    mine = rows[rows["place"] == 1]
    fine = store.read("utm31n", "median", PixelBox(lattice, 10, row, col, 1, 1))[:, :, 0, 0]
    coarse = store.read("utm31n", "median", PixelBox(lattice, 20, row // 2, col // 2, 1, 1))[:, :, 0, 0]
    np.testing.assert_array_equal(mine[list(BANDS[10])], fine)
    np.testing.assert_array_equal(mine[list(BANDS[20])], coarse)
    assert {"clear_count_10m", "clear_count_20m"} <= set(rows.columns)
    assert fine.any()


def test_polygons_of_medians_leave_no_data_out(project: Project, tmp_path: Path) -> None:
    path, shapes = polygons_file(tmp_path / "fields.gpkg")
    _, rows = run(project, polygons=path, source=SPEC.name)
    store = Store.open(project.features_path(SPEC.name))
    pixels = naive_pixels(project, shapes[0])
    box = store.zone("utm31n").box(10)
    whole = store.read("utm31n", "median", box)[:, 1]
    values = np.stack([whole[:, row - box.row, col - box.col] for row, col in pixels])
    mine = rows[rows["place"] == 0]
    expected = [column[column > 0].mean() for column in values.T]
    assert (values == 0).any()
    np.testing.assert_allclose(mine["B03_mean"], expected, rtol=1e-6)


def test_harmonics_and_indices_have_columns_of_their_own(project: Project, tmp_path: Path) -> None:
    path = save_points(tmp_path / "p.csv", np.array([[4.06, 50.745]]))
    harmonic = FeatureSpec("harmonic", order=1)
    indexed = FeatureSpec("annual-median", indices=("NDVI", "LSWI"))
    for spec in (harmonic, indexed):
        layout = feature_store_spec(spec, SEASON, SENTINEL2, 96)
        Store.create(project.features_path(spec.name), project.spec.grid, layout)
    summary, rows = run(project, points=path, source="harmonic-1")
    assert summary.rows == 1
    assert {"B02_constant", "B02_cos1", "B02_sin1", "B12_rmse", "B02_rmse", "clear_count_20m"} <= set(rows.columns)
    assert rows["B02_cos1"].isna().all()
    _, rows = run(project, points=path, source=indexed.name)
    assert {"NDVI", "LSWI", "B02", "window"} <= set(rows.columns)


def test_percentiles_and_statistics_have_columns_of_their_own(project: Project, tmp_path: Path) -> None:
    path = save_points(tmp_path / "p.csv", np.array([[4.06, 50.745]]))
    percentiles = FeatureSpec("percentiles", percentiles=(2.5, 90))
    statistics = FeatureSpec("statistics", indices=("NDVI", "LSWI"))
    for spec in (percentiles, statistics):
        layout = feature_store_spec(spec, SEASON, SENTINEL2, 96)
        Store.create(project.features_path(spec.name), project.spec.grid, layout)
    summary, rows = run(project, points=path, source="percentiles-2.5-90")
    assert summary.rows == 1
    assert {"B02_p2.5", "B12_p90", "clear_count_20m"} <= set(rows.columns)
    _, rows = run(project, points=path, source="statistics-ndvi-lswi")
    assert {"NDVI_mean", "LSWI_day_of_max", "NDVI_amplitude", "clear_count_10m"} <= set(rows.columns)
    assert rows["NDVI_mean"].isna().all()


def test_the_map_at_points(project: Project, tmp_path: Path) -> None:
    spec = StoreSpec("map", (map_array("crop", "uint8", 96, {}), map_array("confidence", "uint8", 96, {})))
    store = Store.create(project.map_path, project.spec.grid, spec)
    row, col = pixel_of(4.06, 50.745)
    tile = next(t for t in project.spec.grid.tiles() if (t.row, t.col) == (row // 96, col // 96))
    values = np.arange(96 * 96, dtype=np.uint32).reshape(96, 96).astype(np.uint8)
    store.write("utm31n", "crop", tile.box(10), values)
    path = save_points(tmp_path / "p.csv", np.array([[4.06, 50.745]]))
    _, rows = run(project, points=path, source="map")
    assert rows[["crop", "confidence"]].iloc[0].tolist() == [values[row % 96, col % 96], 0]
    fields, _ = polygons_file(tmp_path / "f.gpkg")
    with pytest.raises(InvalidInputError, match="no mean over a polygon"):
        run(project, polygons=fields, source="map")


def test_serial_and_parallel_runs_write_the_same_bytes(project: Project, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    lonlat = np.column_stack([rng.uniform(4.05, 4.075, 60), rng.uniform(50.74, 50.755, 60)])
    path = save_points(tmp_path / "p.csv", lonlat)
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    extract(project.root, ExtractOptions(points=path, output=one), SERIAL)
    extract(project.root, ExtractOptions(points=path, output=two), RunOptions("local", workers=2, quiet=True))
    assert one.read_bytes() == two.read_bytes()


def test_polygons_over_two_zones_take_each_pixel_from_its_owner(tmp_path: Path) -> None:
    region = Region.of("border", shapely.box(5.99, 50.0, 6.01, 50.01))
    project = create_project(tmp_path, ProjectSpec(region, Season.of_year(2023), SENTINEL2, 96))
    assert project.spec.grid.names == ("utm31n", "utm32n")
    store = Store.create(project.cube_path, project.spec.grid, cube_spec(project.spec.season, SENTINEL2, 96))
    days = range(32)
    for zone, level in (("utm31n", 100), ("utm32n", 300)):
        for square, tiles in project.spec.grid.zone(zone).squares().items():
            seen = 3 if zone == "utm31n" else 5
            for tile in tiles:
                for resolution_m, bands in ((10, 4), (20, 6)):
                    box = tile.box(resolution_m)
                    values = np.full((bands, *box.shape), level, np.uint16)
                    store.write_days(zone, "reflectance", box, days, {seen: values, 7: values})
                quality = np.full(tile.box(20).shape, 4, np.uint8)
                store.write_days(zone, "quality", tile.box(20), days, {seen: quality, 7: quality})
            store.mark_present(zone, 0, square, {tile: [seen, 7] for tile in tiles})
    field = shapely.box(5.995, 50.002, 6.005, 50.008)
    gpd.GeoDataFrame(geometry=[field], crs=4326).to_file(tmp_path / "f.gpkg")
    summary, rows = run(project, polygons=tmp_path / "f.gpkg")
    assert summary.partly_outside == ()
    assert [day.day for day in rows["date"]] == [4, 6, 8]
    area_px = gpd.GeoSeries([field], crs=4326).to_crs(32631).area.iloc[0] / 100
    assert rows["pixels"].iloc[0] == pytest.approx(area_px, rel=0.01)
    assert rows["B02_mean"].iloc[:2].tolist() == [100, 300]
    assert rows["acquired"].iloc[0] + rows["acquired"].iloc[1] == rows["acquired"].iloc[2] == rows["pixels"].iloc[2]
    assert rows["B02_mean"].iloc[2] == pytest.approx(200, abs=2)


def test_places_without_an_observation_are_listed(tmp_path: Path) -> None:
    region = Region.of("here", shapely.box(4.05, 50.74, 4.06, 50.75))
    project = create_project(tmp_path, ProjectSpec(region, Season.of_year(2023), SENTINEL2, 96))
    Store.create(project.cube_path, project.spec.grid, cube_spec(project.spec.season, SENTINEL2, 96))
    Ledger(project.ledger_path).write(Record("build/utm31n/s000/r0001c0001", "d", "incomplete", {}))
    path = save_points(tmp_path / "p.csv", np.array([[4.055, 50.745]]))
    summary, rows = run(project, points=path)
    assert summary.unobserved == (0,)
    assert summary.unfinished_tasks == 1
    assert len(rows) == 0
    assert "B02" in rows.columns
    summary, rows = run(project, polygons=_square(tmp_path / "s.gpkg"))
    assert summary.unobserved == (0,)
    assert "B02_mean" in rows.columns


def _square(path: Path) -> Path:
    gpd.GeoDataFrame(geometry=[shapely.box(4.053, 50.743, 4.055, 50.745)], crs=4326).to_file(path)
    return path


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "lon,lat\n10,50\n11,51\n", "none of the 2 places"),
        ("p.csv", "lon,lat\n500000,5600000\n", "leave the lon/lat range"),
        ("p.csv", "lon,lat\n", "is empty"),
        ("p.csv", "east,north\n1,2\n", "no columns lon and lat"),
    ],
)
def test_bad_files_are_refused_and_nothing_is_written(
    project: Project, tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    output = tmp_path / "out.parquet"
    with pytest.raises(InvalidInputError, match=message):
        run(project, points=tmp_path / name, output=output)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_bad_options_are_refused(project: Project, tmp_path: Path) -> None:
    path = save_points(tmp_path / "p.csv", np.array([[4.06, 50.745]]))
    with pytest.raises(MissingError, match="no file"):
        run(project, points=tmp_path / "nothing.gpkg")
    with pytest.raises(MissingError, match=r"no features 'harmonic-7'; made: .*median-10d"):
        run(project, points=path, source="harmonic-7")
    with pytest.raises(UsageError, match="none is given"):
        run(project)
    with pytest.raises(UsageError, match="both are given"):
        run(project, points=path, polygons=path)
    with pytest.raises(InvalidInputError, match="not called"):
        run(project, points=path, output=tmp_path / "out.csv")
    with pytest.raises(InvalidInputError, match="1 of 1 features are not polygons: number 1 is a Point"):
        run(project, polygons=path)
    with pytest.raises(MissingError, match="cropcube predict"):
        extract(_bare(tmp_path / "bare"), ExtractOptions(points=path, source="map"), SERIAL)


def test_polygons_read_together_give_what_each_gives_alone(project: Project, tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    x, y = TO_UTM.transform(rng.uniform(4.05, 4.075, 25), rng.uniform(50.74, 50.755, 25))
    shapes = [shapely.Point(*at).buffer(size) for *at, size in zip(x, y, rng.uniform(20, 200, 25), strict=True)]
    frame = gpd.GeoDataFrame(geometry=shapes, crs=32631).to_crs(4326)
    frame.to_parquet(tmp_path / "all.parquet")
    _, rows = run(project, polygons=tmp_path / "all.parquet", output=tmp_path / "o.parquet")
    assert set(rows["place"]) == set(range(25))
    for place in (0, 7, 24):
        frame.iloc[[place]].to_parquet(tmp_path / "one.parquet")
        _, alone = run(project, polygons=tmp_path / "one.parquet", output=tmp_path / "o1.parquet")
        mine = rows[rows["place"] == place].reset_index(drop=True).drop(columns=["place", "geometry"])
        pd.testing.assert_frame_equal(pd.DataFrame(mine), pd.DataFrame(alone.drop(columns=["place", "geometry"])))


def test_a_damaged_store_is_named_and_nothing_is_written(project: Project, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(project.root, root)
    for shard in (root / "cube.zarr" / "utm31n" / "r10m" / "reflectance" / "c").rglob("*"):
        if shard.is_file():
            shard.write_bytes(shard.read_bytes()[:-9])
    path = save_points(tmp_path / "p.csv", np.array([[4.06, 50.745]]))
    with pytest.raises(ReadError, match=r"reflectance.* is damaged"):
        extract(root, ExtractOptions(points=path, output=tmp_path / "o.parquet"), SERIAL)
    assert not list(tmp_path.glob("*.parquet*")) + list(tmp_path.glob(".*"))


def test_an_output_that_cannot_be_written_is_named(project: Project, tmp_path: Path) -> None:
    path = save_points(tmp_path / "p.csv", np.array([[4.06, 50.745]]))
    with pytest.raises(ResourceError, match=r"p\.csv/o\.parquet cannot be written"):
        run(project, points=path, output=path / "o.parquet")


def _bare(root: Path) -> Path:
    region = Region.of("here", shapely.box(4.05, 50.74, 4.06, 50.75))
    return create_project(root, ProjectSpec(region, Season.of_year(2023), SENTINEL2, 96)).root
