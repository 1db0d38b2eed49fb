"""`build --sensor emit`: real spectra of a swath of known geometry, laid on the lattice and kept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from pyproj import Transformer
from scipy.spatial import cKDTree

import cropcube
from cropcube.config import find_project
from cropcube.cube.ledger import Ledger
from cropcube.domain.emit import EMIT, GOOD, UNBELIEVED, WAVELENGTHS_NM, Seen
from cropcube.errors import InvalidInputError, MissingError
from cropcube.pipeline.build import build
from cropcube.pipeline.build_memory import task_memory_bytes
from cropcube.pipeline.build_options import BuildOptions
from cropcube.pipeline.status import status
from cropcube.run.options import RunOptions
from tests.support.emit import Files, Swath, masks, spectra, uncertainties, write_granule
from tests.support.granules import tree_bytes

if TYPE_CHECKING:
    from pathlib import Path

SWATH = Swath(bands=285)
REGION, SEASON = "-116.04,32.97,-115.97,33.03", "2023-03-20/2023-05-10"
DAY = "2023-04-01"
SERIAL = RunOptions("serial", quiet=True)


@pytest.fixture(scope="module")
def granules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One pass, and a later one that is shifted by a part of a pixel, under clouds of its own."""
    folder = tmp_path_factory.mktemp("granules")
    write_granule(folder, SWATH)
    later = replace(SWATH, lines=90, angle_deg=-35.0, lat=33.0103, bend_m=9.0)
    write_granule(folder, later, Files(chunked=True, name="001_20230420T190102_2311013_011"))
    return folder


@pytest.fixture(scope="module")
def project(granules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("emit") / "project"
    summary = build_emit(root, granules)
    assert summary.is_good
    return root


def build_emit(root: Path, catalog: Path, run: RunOptions = SERIAL, **words: Any) -> Any:
    words = {"region": REGION, "season": SEASON, "tile_px": 384, "sensor": "emit"} | words
    return build(root, BuildOptions(catalog=str(catalog), **words), run)


def nearest(swath: Swath, data: Any) -> tuple[Any, Any, Any]:
    """Return line and sample of the pixel nearest to each cell, by a tree over all centres, and how far it is."""
    lat, lon = swath.location()
    to_metres = Transformer.from_crs(4326, int(data.spatial_ref), always_xy=True)
    x, y = to_metres.transform(lon.ravel(), lat.ravel())
    cell_x, cell_y = np.meshgrid(data.x.values, data.y.values)
    distance, pixel = cKDTree(np.column_stack([x, y])).query(np.column_stack([cell_x.ravel(), cell_y.ravel()]))
    return (*np.divmod(pixel, swath.samples), distance)


def of_the_region(project: Path, data: Any) -> Any:
    """Return which cells lie in a tile of the region: the others of the rectangle are not built."""
    mask = np.zeros((data.sizes["y"], data.sizes["x"]), bool)
    (zone,) = find_project(project).spec.grid.zones
    for tile in zone.tiles():
        mask[tile.box(60).slices_in(zone.box(60))] = True
    return mask


def test_every_cell_holds_the_spectrum_of_the_pixel_that_is_nearest(project: Path) -> None:
    data = cropcube.open(project).cube["/utm11n/r60m"].to_dataset()
    day = data.sel(time=DAY).load()
    line, sample, distance = nearest(SWATH, data)
    shape = day.quality.shape
    held = (distance <= 45).reshape(shape) & of_the_region(project, data)
    assert 0.2 < held.mean() < 1
    seen = (day.quality.values & Seen.OBSERVED) != 0
    np.testing.assert_array_equal(seen, held)
    both = seen & held
    _, marked = masks(SWATH)
    for name, source in (("reflectance", spectra), ("uncertainty", uncertainties)):
        wanted = source(SWATH, 0, SWATH.lines)[line, sample].reshape(*shape, 285)
        if name == "reflectance":
            wanted = np.where(marked[line, sample].reshape(*shape, 285) != 0, np.nan, wanted)
        found = np.moveaxis(day[name].values, 0, -1)
        np.testing.assert_array_equal(found[both], wanted[both])
        assert np.isnan(found[~seen]).all()


def test_the_cube_says_what_its_bands_are(project: Path) -> None:
    opened = cropcube.open(project)
    data = opened.cube["/utm11n/r60m"].to_dataset()
    assert data.reflectance.dims == ("time", "wavelength", "y", "x")
    assert data.reflectance.dtype == np.float32
    np.testing.assert_array_equal(data.wavelength_nm, WAVELENGTHS_NM)
    np.testing.assert_array_equal(data.good, GOOD)
    assert data.fwhm_nm.attrs["units"] == "nm"
    assert data.sel(wavelength=842.0, method="nearest").wavelength == pytest.approx(842.67)
    assert data.sizes["time"] == 51
    assert opened.tile(*next((t.row, t.col) for t in opened.grid.tiles()), of="cube-emit")


def test_days_quality_and_coverage_are_told(project: Path) -> None:
    found = status(project)
    stage = next(stage for stage in found.stages if stage.stage == "build-emit").as_dict()
    assert stage["done"] == stage["tasks"] > 0
    assert list(stage["seen"]) == [DAY, "2023-04-20"]
    assert all(0.5 < share < 1 for share in stage["seen"].values())
    details = [record.details for record in Ledger(project / "ledger").records("build-emit")]
    assert sum(detail["pixels_needed"] for detail in details) > 4000


def test_a_second_run_does_nothing_and_workers_write_the_same(project: Path, granules: Path, tmp_path: Path) -> None:
    before = tree_bytes(project / "cube-emit.zarr")
    again = build_emit(project, granules)
    assert again.as_dict()["reused"] == again.as_dict()["tasks"]
    assert tree_bytes(project / "cube-emit.zarr") == before
    other = tmp_path / "project"
    made = build_emit(other, granules, RunOptions("local", workers=2, quiet=True))
    tiles = tuple(find_project(other).spec.grid.tiles())
    assert 0 < made.as_dict()["peak_memory_bytes"] <= task_memory_bytes(EMIT, tiles, 1)
    assert tree_bytes(other / "cube-emit.zarr") == before
    assert tree_bytes(other / "ledger") == tree_bytes(project / "ledger")


def test_of_two_granules_of_a_day_the_clear_one_counts(tmp_path: Path) -> None:
    twice = replace(SWATH, lines=60)
    write_granule(tmp_path / "granules", twice)
    write_granule(tmp_path / "granules", replace(twice, lines=61), Files(name="001_20230401T203803_2309114_003"))
    assert build_emit(tmp_path / "project", tmp_path / "granules").is_good
    day = cropcube.open(tmp_path / "project").cube["/utm11n/r60m"].to_dataset().sel(time=DAY).load()
    clear = (day.quality.values & (Seen.OBSERVED | UNBELIEVED)) == Seen.OBSERVED
    one, _ = masks(twice)
    alone = ((one[..., [0, 1, 3, 4]] > 0).sum(axis=-1) == 0).mean()
    assert clear[day.quality.values != 0].mean() > alone + 0.1  # where either is clear


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(granules: Path, tmp_path: Path) -> None:
    """A companion that is cut short in the middle, bands of another instrument, a table that points outside."""
    folder = tmp_path / "granules"
    shutil.copytree(granules, folder)
    write_granule(folder, replace(SWATH, bands=20), Files(name="001_20230402T203751_2309214_001"))
    write_granule(folder, replace(SWATH, lines=50), Files(name="001_20230403T203751_2309314_001"))
    with h5py.File(folder / "EMIT_L2A_RFL_001_20230403T203751_2309314_001.nc", "r+") as file:
        table = file["location/glt_y"]
        table[...] = np.where(table[...] != 0, 777, 0)
    root = tmp_path / "project"
    summary = build_emit(root, folder)
    assert not summary.is_good
    errors = " ".join(str(failure["error"]) for failure in summary.as_dict()["failures"])
    for words in ("20230402T203751", "20 bands", "20230403T203751", "point outside"):
        assert words in errors
    data = cropcube.open(root).cube["/utm11n/r60m"].to_dataset()
    assert (data.quality.sel(time="2023-04-02") == 254).any()
    assert np.isfinite(data.reflectance.sel(time=DAY)).any()
    write_granule(folder, replace(SWATH, lines=50), Files(name="001_20230403T203751_2309314_001"))
    (folder / "EMIT_L2A_RFL_001_20230402T203751_2309214_001.nc").unlink()
    mended = build_emit(root, folder, search=True)
    assert mended.is_good
    assert not (cropcube.open(root).cube["/utm11n/r60m"].quality == 254).any()


def test_marks_of_a_run_that_was_killed_do_not_outlive_it(granules: Path, tmp_path: Path) -> None:
    """It had failed to read a granule, and its task was begun and no more."""
    folder, root = tmp_path / "granules", tmp_path / "project"
    shutil.copytree(granules, folder)
    damaged = folder / "EMIT_L2A_RFL_001_20230401T203751_2309114_002.nc"
    whole = damaged.read_bytes()
    with h5py.File(damaged, "r+") as file:
        table = file["location/glt_y"]
        table[...] = np.where(table[...] != 0, 777, 0)
    bad = damaged.read_bytes()
    damaged.write_bytes(whole)
    build_emit(root, folder)
    clean = tree_bytes(root / "cube-emit.zarr")
    damaged.write_bytes(bad)
    ledger = Ledger(root / "ledger")
    for record in list(ledger.records("build-emit")):
        ledger.write(replace(record, state="erasing"))
    assert not build_emit(root, folder).is_good
    assert (cropcube.open(root).cube["/utm11n/r60m"].quality == 254).any()
    for record in list(ledger.records("build-emit")):
        ledger.write(replace(record, state="begun"))
    damaged.write_bytes(whole)
    assert build_emit(root, folder).is_good
    assert tree_bytes(root / "cube-emit.zarr") == clean


def test_it_lies_beside_sentinel_2_and_both_keep_to_themselves(project: Path) -> None:
    view = find_project(project)
    assert view.scenes_path.name == "scenes.parquet"
    assert view.seen_by(EMIT).scenes_path.is_file()
    assert not view.cube_path.exists()
    assert (project / "cube-emit.zarr").is_dir()


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="sensor 'landsat' is not known"):
        BuildOptions(sensor="landsat")
    with pytest.raises(InvalidInputError, match="no band 'R0842'"):  # bands are those of Sentinel-2's cube
        build(tmp_path / "p", BuildOptions(region=REGION, sensor="emit", season=SEASON, bands=("r0842",)), SERIAL)
    with pytest.raises(MissingError, match="no revisit can be counted on"):
        build(tmp_path / "p", BuildOptions(region=REGION, season=SEASON, sensor="emit", dry_run=True), SERIAL)
