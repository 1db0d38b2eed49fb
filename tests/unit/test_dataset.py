"""A project opened from Python: instant, lazy, and the same pixels as the store."""

from __future__ import annotations

import builtins
import io
import json
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import shapely
import xarray as xr

import cropcube
import cropcube.cube.lazy as lazy
from cropcube import dataset
from cropcube.catalog.outlines import find_region
from cropcube.config import Project, ProjectSpec, create_project
from cropcube.cube.layout import StoreSpec, cube_spec, map_array
from cropcube.cube.store import Store
from cropcube.domain.lattice import Tile
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError, MissingError
from tests.support.searches import FLANDERS, SPRING, ask, days
from tests.support.small_cube import DAYS, make_project
from tests.support.small_features import SPEC, write_features

REGION = (4.05, 50.74, 4.075, 50.755)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(tmp_path_factory.mktemp("project"))
    write_features(made)
    spec = StoreSpec("map", (map_array("crop", "uint8", 96, {"flag_meanings": "maize"}),))
    Store.create(made.map_path, made.spec.grid, spec)
    return made


@pytest.fixture
def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every array of pixels that is read, and every file that is opened below a store."""
    reads: list[str] = []
    read = lazy.read_selection

    def counted(folder: Path, *args: Any) -> Any:
        reads.append(f"pixels {folder.name}")
        return read(folder, *args)

    original = io.open

    def opened(file: Any, *args: Any, **kwargs: Any) -> Any:
        if ".zarr" in str(file):
            reads.append(str(file))
        return original(file, *args, **kwargs)

    monkeypatch.setattr(lazy, "read_selection", counted)
    monkeypatch.setattr(io, "open", opened)
    monkeypatch.setattr(builtins, "open", opened)
    return reads


def test_the_cube_is_a_tree_of_lazy_integers(project: Project, count_reads: list[str]) -> None:
    cube = dataset.open(project.root).cube
    assert [node.path for node in cube.leaves] == ["/utm31n/r10m", "/utm31n/r20m", "/utm31n/tiles"]
    fine, coarse = cube["utm31n/r10m"], cube["utm31n/r20m"]
    assert (fine["reflectance"].dtype, coarse["quality"].dtype) == (np.uint16, np.uint8)
    assert fine["reflectance"].dims == ("time", "band", "y", "x")
    assert fine["reflectance"].chunks is None
    assert fine["band"].values.tolist() == ["B02", "B03", "B04", "B08"]
    assert fine["time"].values[[0, -1]].tolist() == np.array(["2019-03-01", "2019-04-19"], "M8[ns]").tolist()
    assert [Path(read).name for read in count_reads] == ["zarr.json"]


def test_coordinates_are_pixel_centres_and_y_descends(project: Project) -> None:
    node = dataset.open(project.root).cube["utm31n/r20m"]
    left, bottom, right, top = project.spec.grid.zone("utm31n").box(20).bounds
    assert (node["x"].values[0], node["x"].values[-1]) == (left + 10, right - 10)
    assert (node["y"].values[0], node["y"].values[-1]) == (top - 10, bottom + 10)
    assert int(node["spatial_ref"]) == 32631
    assert "crs_wkt" in node["spatial_ref"].attrs


def test_pixels_are_the_stores(project: Project) -> None:
    store = Store.open(project.cube_path)
    array = dataset.open(project.root).cube["utm31n/r10m"]["reflectance"]
    whole = store.read("utm31n", "reflectance", store.zone("utm31n").box(10))
    assert whole.any()
    for key in (
        (4, 1, slice(100, 300), slice(90, 200)),
        (slice(None, None, 5), slice(None), slice(None, None, 50), slice(None, None, -40)),
        ([9, 4, 0], [2, 0], slice(190, 195), [7, 3, 180]),
        (-1, -1, -5, slice(-5, None)),
        (slice(30, 35), 0, 100, 100),
    ):
        expected = whole
        for axis in range(3, -1, -1):
            part = key[axis]
            expected = (
                np.take(expected, part, axis)
                if not isinstance(part, slice)
                else expected[(slice(None),) * axis + (part,)]
            )
        np.testing.assert_array_equal(array[key].values, expected)
    rows, cols = xr.DataArray([5, 190, 17], dims="place"), xr.DataArray([9, 100, 181], dims="place")
    np.testing.assert_array_equal(
        array.isel(y=rows, x=cols).values, whole[:, :, [5, 190, 17], [9, 100, 181]].astype("u2")
    )


def test_the_same_as_xarrays_own_backend(project: Project) -> None:
    ours = dataset.open(project.root).cube["utm31n/r20m"].to_dataset()
    theirs = xr.open_zarr(project.cube_path, group="utm31n/r20m", chunks=None, consolidated=False)
    for name in ("x", "y", "time", "band"):
        np.testing.assert_array_equal(ours[name].values, theirs[name].values)
    at = {"time": 4, "y": slice(40, 80), "x": slice(10, 50)}
    xr.testing.assert_equal(
        ours["quality"].isel(at).drop_vars("spatial_ref"), theirs["quality"].isel(at).drop_vars("spatial_ref")
    )
    assert ours["reflectance"].attrs.items() <= theirs["reflectance"].attrs.items()


def test_days_present_and_features_and_map_open_too(project: Project) -> None:
    opened = dataset.open(project.root)
    present = opened.cube["utm31n/tiles"]["present"]
    tile = next(project.spec.grid.tiles())
    seen = present.sel(tile_y=tile.row, tile_x=tile.col)
    assert np.flatnonzero(seen.values).tolist() == list(DAYS)
    assert opened.feature_names == (SPEC.name,)
    median = opened.features(SPEC.name)["utm31n/r10m"]["median"]
    assert median.dims == ("window", "band", "y", "x")
    assert median["window"].values[0] == np.datetime64("2019-03-01")
    assert opened.map["utm31n/r10m"]["crop"].attrs["flag_meanings"] == "maize"
    assert "here, 2019-03-01/2019-04-20" in repr(opened)


def test_a_tile_comes_in_chunks_of_slabs_with_only_the_days_present(project: Project) -> None:
    opened = dataset.open(project.root)
    tile = list(project.spec.grid.tiles())[1]
    piece = opened.tile(tile.row, tile.col)
    node = piece["utm31n/r10m"]
    assert node["reflectance"].chunks == ((7, 4), (4,), (96,), (96,))  # 7 days in the first slab, 4 in the second
    store = Store.open(project.cube_path)
    seen = [int(day) for day in (node["time"].values - np.datetime64("2019-03-01")) / np.timedelta64(1, "D")]
    assert seen == list(DAYS)
    expected = store.read("utm31n", "reflectance", tile.box(10), (seen,))
    np.testing.assert_array_equal(node["reflectance"].values, expected)
    assert piece["utm31n/r20m"]["quality"].shape == (11, 48, 48)
    assert opened.tile(tile.row, tile.col, of=SPEC.name)["utm31n/r20m"]["median"].chunks[2:] == ((48,), (48,))
    assert opened.tile(tile.row, tile.col, "utm31n", "map")["utm31n/r10m"]["crop"].shape == (96, 96)


def test_a_box_is_cut_along_tiles(project: Project) -> None:
    opened = dataset.open(project.root)
    piece = opened.box(4.055, 50.742, 4.07, 50.752)
    node = piece["utm31n/r10m"]
    assert node["x"].size % 2 == 0  # 20 m pixels whole
    assert piece["utm31n/r20m"]["x"].size * 2 == node["x"].size
    assert node.attrs["spatial:shape"] == [node["y"].size, node["x"].size]
    corner = [node["x"].values[0] - 5, 10, 0, node["y"].values[0] + 5, 0, -10]
    assert [float(number) for number in node["spatial_ref"].attrs["GeoTransform"].split()] == corner
    assert opened.cube["utm31n/r10m"].attrs["spatial:shape"] != node.attrs["spatial:shape"]
    edges = np.cumsum(node["reflectance"].chunks[3])[:-1]
    left = round((node["x"].values[0] - 5) / 10)
    assert len(edges) > 0
    assert all((left + edge) % 96 == 0 for edge in edges)
    whole = opened.cube["utm31n/r10m"]["reflectance"].sel(x=node["x"], y=node["y"], time=node["time"])
    np.testing.assert_array_equal(node["reflectance"].values, whole.values)


def test_pieces_are_lazy_and_travel_to_workers(project: Project, count_reads: list[str]) -> None:
    opened = dataset.open(project.root)
    tile = next(project.spec.grid.tiles())
    node = opened.tile(tile.row, tile.col)["utm31n/r10m"]
    assert "pixels reflectance" not in count_reads
    corner = node["reflectance"].isel(time=0, band=0, y=slice(5), x=slice(5))
    with dask.config.set(scheduler="processes", num_workers=1):
        elsewhere = corner.values
    np.testing.assert_array_equal(elsewhere, corner.values)
    assert elsewhere.any()


def test_scenes_are_a_table_of_footprints(tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": days(5)}))
    project = create_project(tmp_path, ProjectSpec(FLANDERS, SPRING, SENTINEL2, 768))
    ask(str(tmp_path / "items.json"), tmp_path)
    scenes = dataset.open(project.root).scenes
    assert len(scenes) == 5
    assert scenes.geometry.iloc[0].contains(FLANDERS.geometry)
    assert scenes["id"].tolist() == sorted(scenes["id"])


def test_what_is_not_there_is_named(project: Project, tmp_path: Path) -> None:
    opened = dataset.open(project.root)
    with pytest.raises(MissingError, match=r"no features 'median-5d'; made: median-10d"):
        opened.features("median-5d")
    with pytest.raises(MissingError, match="no tile r0001c0001"):
        opened.tile(1, 1)
    with pytest.raises(InvalidInputError, match="lies off the project's tiles"):
        opened.box(10, 50, 11, 51)
    with pytest.raises(InvalidInputError, match="lies off the project's tiles"):
        opened.box(4.5, 50, 4.6, 50.1)
    with pytest.raises(MissingError, match="no frozen catalogue"):
        _ = opened.scenes
    with pytest.raises(MissingError, match=r"no cropcube\.toml"):
        dataset.open(tmp_path)
    spec = ProjectSpec(Region.of("empty", shapely.box(*REGION)), Season.of_year(2023), SENTINEL2, 96)
    with pytest.raises(MissingError, match="cropcube build"):
        _ = dataset.open(create_project(tmp_path / "empty", spec).root).cube


def test_a_tile_by_its_name_and_a_box_without_area(project: Project) -> None:
    opened = dataset.open(project.root)
    tile = next(opened.grid.tiles())
    by_name, by_numbers = opened.tile(tile.name), opened.tile(tile.row, tile.col)
    assert by_name.identical(by_numbers)
    for corners in ((4.07, 50.76, 4.08, 50.75), (4.07, 50.75, 4.07, 50.76)):
        with pytest.raises(InvalidInputError, match="no area"):
            opened.box(*corners)
    with pytest.raises(InvalidInputError, match="'tile 7' is not a tile's name"):
        opened.tile("tile 7")


def test_a_tile_of_two_zones_must_say_which(tmp_path: Path) -> None:
    spec = ProjectSpec(
        Region.of("equator", shapely.box(6.0, 10.0, 12.001, 10.01)), Season.of_year(2023), SENTINEL2, 3840
    )
    project = create_project(tmp_path, spec)
    Store.create(project.cube_path, spec.grid, cube_spec(spec.season, SENTINEL2, 3840))
    opened = dataset.open(tmp_path)
    cells = [zone.cells for zone in spec.grid.zones]
    assert spec.grid.names == ("utm32n", "utm33n")
    shared = sorted(cells[0] & cells[1])[0]
    with pytest.raises(InvalidInputError, match="in utm32n and utm33n"):
        opened.tile(*shared)
    assert [node.path for node in opened.tile(*shared, zone="utm33n").leaves] == ["/utm33n/r10m", "/utm33n/r20m"]
    both = opened.box(11.99, 10.0, 12.001, 10.01)
    assert {node.path.split("/")[1] for node in both.leaves} == {"utm32n", "utm33n"}


def test_one_other_crs(tmp_path: Path) -> None:
    spec = ProjectSpec(Region.of("here", shapely.box(*REGION)), Season.of_year(2023), SENTINEL2, 96, 3035)
    project = create_project(tmp_path, spec)
    Store.create(project.cube_path, spec.grid, cube_spec(spec.season, SENTINEL2, 96))
    piece = dataset.open(tmp_path).box(4.06, 50.745, 4.065, 50.75)
    assert piece["epsg3035/r10m"]["reflectance"].shape[1] == 4


def test_india_opens_at_once_without_touching_a_chunk_or_building_a_graph(
    tmp_path: Path, count_reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """55,438 tiles in six zones, a year: `cropcube.open` reads one file of the store."""
    spec = ProjectSpec(find_region("India"), Season.of_year(2023), SENTINEL2, 768)
    project = create_project(tmp_path, spec)
    Store.create(project.cube_path, spec.grid, cube_spec(spec.season, SENTINEL2, 768))
    cropcube.open(tmp_path).cube  # noqa: B018  the first opening loads libraries
    count_reads.clear()
    monkeypatch.setattr("dask.highlevelgraph.HighLevelGraph.__init__", lambda *_: pytest.fail("a graph was built"))
    tree = cropcube.open(tmp_path).cube
    assert count_reads == [str(project.cube_path / "zarr.json")]
    assert len(tree.children) == 6
    array = tree["utm43n/r10m"]["reflectance"]
    assert array.shape == (365, 4, 396 * 768, 85 * 768)
    assert array.dtype == np.uint16
    assert not any(variable.chunks for node in tree.subtree for variable in node.to_dataset().variables.values())
    assert not dask.is_dask_collection(array)
    assert count_reads == [str(project.cube_path / "zarr.json")]
    count_reads.clear()
    corner = array.sel(time="2023-07-01", band="B04")[:2, :2]
    assert not count_reads
    assert not corner.values.any()
    assert count_reads[0] == "pixels reflectance"


def test_a_map_of_days_with_no_observation_is_an_empty_piece(tmp_path: Path) -> None:
    spec = ProjectSpec(Region.of("here", shapely.box(*REGION)), Season.of_year(2023), SENTINEL2, 96)
    project = create_project(tmp_path, spec)
    Store.create(project.cube_path, spec.grid, cube_spec(spec.season, SENTINEL2, 96))
    tile: Tile = next(spec.grid.tiles())
    node = dataset.open(tmp_path).tile(tile.row, tile.col)["utm31n/r10m"]
    assert node["reflectance"].shape == (0, 4, 96, 96)
    assert node["reflectance"].values.size == 0


def test_a_box_across_the_antimeridian_lies_in_both_zones(tmp_path: Path) -> None:
    boxes = shapely.multipolygons([shapely.box(179.98, -17.01, 180, -17), shapely.box(-180, -17.01, -179.98, -17)])
    spec = ProjectSpec(Region.of("taveuni", boxes), Season.of_year(2023), SENTINEL2, 96)
    project = create_project(tmp_path, spec)
    Store.create(project.cube_path, spec.grid, cube_spec(spec.season, SENTINEL2, 96))
    both = dataset.open(tmp_path).box(179.995, -17.005, -179.995, -17.0)
    assert sorted(both.children) == ["utm01s", "utm60s"]
    for zone in both.children:
        assert both[f"{zone}/r10m"]["x"].size == pytest.approx(53, abs=4)  # 0.005 degrees are 533 m
