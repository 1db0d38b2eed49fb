"""What other programs see: zarr-python, xarray and pyproj open the stores."""

from __future__ import annotations

import builtins
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr
import zarr
from pyproj import CRS
from zarr.storage import LocalStore

from cropcube.cube.layout import StoreSpec, cube_spec, feature_array, map_array
from cropcube.cube.store import Store
from cropcube.domain.grid import Grid
from cropcube.domain.lattice import Lattice, Tile, ZoneGrid
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from tests.support.small_store import SEASON, TILE_PX, TILES, ZONE, fill_slab, grid_of, small_cube, values_of

if TYPE_CHECKING:
    from pathlib import Path

FIRST = TILES[0]


@pytest.fixture
def filled(tmp_path: Path) -> Store:
    store = small_cube(tmp_path / "cube.zarr")
    fill_slab(store, FIRST, 0, [3, 9])
    fill_slab(store, FIRST, 3, [98])
    return store


def test_zarr_reads_what_we_pack(filled: Store) -> None:
    array = zarr.open_group(filled.path, mode="r")[f"{ZONE}/r10m/reflectance"]
    assert isinstance(array, zarr.Array)
    assert array.shards == (32, 4, 96, 96)
    np.testing.assert_array_equal(np.asarray(array[:, :, :96, :96])[98], values_of(FIRST, 98, 4, 10))
    assert not np.asarray(array[10:96]).any()


def test_we_read_what_zarr_packs(filled: Store) -> None:
    array = zarr.open_group(filled.path, mode="r+")[f"{ZONE}/r20m/reflectance"]
    assert isinstance(array, zarr.Array)
    values = np.random.default_rng(0).integers(0, 9999, (32, 6, 48, 48), dtype=np.uint16)
    array[32:64, :, 48:96, 48:96] = values
    read = filled.read(ZONE, "reflectance", TILES[1].box(20), (slice(32, 64),))
    np.testing.assert_array_equal(read, values)


def test_xarray_reads_the_cube(filled: Store) -> None:
    tree = xr.open_datatree(filled.path, engine="zarr", chunks=None, consolidated=False)
    data = tree[f"{ZONE}/r10m"].to_dataset()
    assert data["reflectance"].dtype == np.uint16
    assert data["reflectance"].dims == ("time", "band", "y", "x")
    assert data["time"].dtype.kind == "M"
    assert data["time"].values[0] == np.datetime64("2018-12-01")
    assert data["time"].values[-1] == np.datetime64("2019-03-09")
    assert data["band"].values.tolist() == ["B02", "B03", "B04", "B08"]
    assert set(data.coords) == {"time", "band", "y", "x", "spatial_ref"}
    seen = data["reflectance"].sel(time="2018-12-04", band="B03")
    np.testing.assert_array_equal(seen.values[:96, :96], values_of(FIRST, 3, 4, 10)[1])
    assert tree[f"{ZONE}/r20m"]["quality"].dtype == np.uint8
    assert tree[f"{ZONE}/tiles"]["present"].sum() == 3


def test_open_zarr_reads_a_group(filled: Store) -> None:
    data = xr.open_zarr(filled.path, group=f"{ZONE}/r20m", chunks=None, consolidated=False)
    assert data["reflectance"].dtype == np.uint16
    assert data["reflectance"].shape == (99, 6, 144, 96)
    assert data["reflectance"].attrs["reflectance_scale"] == 1e-4


def test_coordinates_are_pixel_centres(filled: Store) -> None:
    data = xr.open_zarr(filled.path, group=f"{ZONE}/r10m", chunks=None, consolidated=False)
    box = filled.zone(ZONE).box(10)
    left, bottom, right, top = box.bounds
    x, y = data["x"].values, data["y"].values
    assert (x.dtype, y.dtype) == (np.float64, np.float64)
    assert (x[0], x[-1]) == (left + 5, right - 5)
    assert (y[0], y[-1]) == (top - 5, bottom + 5)
    assert (np.diff(x) == 10).all()
    assert (np.diff(y) == -10).all()


def test_the_crs_is_found_the_cf_way(filled: Store) -> None:
    data = xr.open_zarr(filled.path, group=f"{ZONE}/r20m", chunks=None, consolidated=False, decode_coords="all")
    for name in ("reflectance", "quality"):
        mapping = data[data[name].encoding["grid_mapping"]]
        assert CRS.from_cf(mapping.attrs) == CRS.from_epsg(32631)
        assert CRS.from_wkt(mapping.attrs["crs_wkt"]).to_epsg() == 32631
        assert int(mapping) == 32631
        numbers = [float(number) for number in mapping.attrs["GeoTransform"].split()]
        left, _, _, top = filled.zone(ZONE).box(20).bounds
        assert numbers == [left, 20, 0, top, 0, -20]
        assert CRS.from_wkt(data[name].attrs["_CRS"]["wkt"]).to_epsg() == 32631


def test_geozarr_attributes_agree_with_the_coordinates(filled: Store) -> None:
    attrs = json.loads((filled.path / ZONE / "r10m" / "zarr.json").read_text())["attributes"]
    box = filled.zone(ZONE).box(10)
    assert attrs["proj:code"] == "EPSG:32631"
    assert attrs["spatial:dimensions"] == ["y", "x"]
    assert attrs["spatial:shape"] == list(box.shape)
    assert attrs["spatial:bbox"] == list(box.bounds)
    assert attrs["spatial:transform"] == list(box.transform[:6])


def test_dimension_names_are_in_the_metadata(filled: Store) -> None:
    meta = json.loads((filled.path / ZONE / "r10m" / "reflectance" / "zarr.json").read_text())
    assert meta["zarr_format"] == 3
    assert meta["dimension_names"] == ["time", "band", "y", "x"]
    assert meta["fill_value"] == 0
    assert meta["codecs"][0]["name"] == "sharding_indexed"


def test_labels_of_windows_terms_and_years(tmp_path: Path) -> None:
    days = (SEASON.start, SEASON.date_of(5))
    arrays = (
        feature_array("median", 10, (("window", 2), ("band", 1)), "uint16", TILE_PX),
        feature_array("coefficient", 20, (("term", 3), ("number", 2)), "float32", TILE_PX),
    )
    labels: dict[str, Any] = {"window": days, "band@10": ("B02",), "term": ("1", "cos1", "sin1"), "number": (1, 2)}
    store = Store.create(tmp_path / "f.zarr", grid_of(*TILES), StoreSpec("features", arrays, labels))
    fine = xr.open_zarr(store.path, group=f"{ZONE}/r10m", chunks=None, consolidated=False)
    assert fine["window"].values.astype("M8[D]").tolist() == list(days)
    coarse = xr.open_zarr(store.path, group=f"{ZONE}/r20m", chunks=None, consolidated=False)
    assert coarse["term"].values.tolist() == ["1", "cos1", "sin1"]
    assert coarse["number"].values.tolist() == [1, 2]
    assert coarse["coefficient"].dtype == np.float32
    assert store.labels("window", 10) == ("2018-12-01", "2018-12-06")


def test_the_map_is_plain_chunks(tmp_path: Path) -> None:
    flags = {"flag_values": [1, 2], "flag_meanings": "maize wheat"}
    spec = StoreSpec("map", (map_array("crop", "uint8", TILE_PX, flags),))
    store = Store.create(tmp_path / "map.zarr", grid_of(*TILES), spec)
    store.write(ZONE, "crop", FIRST.box(10), np.full((96, 96), 2, np.uint8))
    meta = json.loads((store.path / ZONE / "r10m" / "crop" / "zarr.json").read_text())
    assert "sharding_indexed" not in [codec["name"] for codec in meta["codecs"]]
    data = xr.open_zarr(store.path, group=f"{ZONE}/r10m", chunks=None, consolidated=False)
    assert data["crop"].dtype == np.uint8
    assert data["crop"].attrs["flag_meanings"] == "maize wheat"
    assert int((data["crop"] == 2).sum()) == 96 * 96


def test_another_crs_has_a_group_of_its_own(tmp_path: Path) -> None:
    lattice = Lattice.of_epsg(3035)
    tile = Tile(lattice, TILE_PX, -3000, 4000)
    store = Store.create(tmp_path / "cube.zarr", grid_of(tile), cube_spec(SEASON, SENTINEL2, TILE_PX))
    fill = np.ones((32, 4, 96, 96), np.uint16)
    store.write("epsg3035", "reflectance", tile.box(10), fill)
    data = xr.open_zarr(store.path, group="epsg3035/r10m", chunks=None, consolidated=False, decode_coords="all")
    assert CRS.from_cf(data["spatial_ref"].attrs) == CRS.from_epsg(3035)
    left, bottom, right, top = tile.box(10).bounds
    inside = data["reflectance"].sel(x=slice(left, right), y=slice(top, bottom)).isel(time=0)
    assert inside.shape == (4, 96, 96)
    assert (inside == 1).all()


def india() -> tuple[Grid, StoreSpec]:
    """One zone of 300,000 x 60,000 px for a year, with a tile in every square of its window."""
    rows, cols = 391, 79
    cells = frozenset((row, col) for row in range(780, 780 + rows) for col in range(10, 10 + cols))
    zones = tuple(ZoneGrid(Lattice.utm(number, True), 768, 5, cells) for number in (43, 44))
    return Grid(zones), cube_spec(Season.of_year(2023), SENTINEL2, 768)


def test_a_country_is_made_of_few_files_and_opened_without_touching_a_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid, spec = india()
    made = Store.create(tmp_path / "cube.zarr", grid, spec)
    assert made.zone("utm43n").box(10).shape == (300288, 60672)
    files = [path for path in made.path.rglob("*") if path.is_file()]
    assert len(files) < 120
    assert sum(path.stat().st_size for path in files) < 4_000_000
    keys: list[str] = []
    get = LocalStore.get

    async def counted(self: LocalStore, key: str, *args: Any, **kwargs: Any) -> Any:
        keys.append(key)
        return await get(self, key, *args, **kwargs)

    monkeypatch.setattr(LocalStore, "get", counted)
    tree = xr.open_datatree(made.path, engine="zarr", chunks=None, consolidated=False)
    data = tree["utm44n/r10m"]["reflectance"]
    assert data.shape == (365, 4, 300288, 60672)
    assert data.chunks is None
    assert not [key for key in keys if "reflectance/c" in key or "quality/c" in key or "present/c" in key]
    assert len(keys) < 400


def test_our_own_opening_reads_one_small_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid, spec = india()
    path = Store.create(tmp_path / "cube.zarr", grid, spec).path
    opened: list[str] = []
    original = io.open

    def counted(file: Any, *args: Any, **kwargs: Any) -> Any:
        opened.append(str(file))
        return original(file, *args, **kwargs)

    monkeypatch.setattr(io, "open", counted)
    monkeypatch.setattr(builtins, "open", counted)
    store = Store.open(path)
    assert opened == [str(path / "zarr.json")]
    assert (path / "zarr.json").stat().st_size < 20_000
    tile = Tile(Lattice.utm(44, True), 768, 900, 30)
    assert store.days_present(tile).size == 0
    assert len(opened) == 1 + 12
