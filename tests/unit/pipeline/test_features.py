import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cropcube.cube.ledger import Ledger
from cropcube.cube.observed import read_observations
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.errors import InvalidInputError, MissingError, ResourceError
from cropcube.features.compute import compute
from cropcube.pipeline import builds
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.run.options import RunOptions
from tests.support.series import nan_median
from tests.support.small_build import built
from tests.support.small_cube import DAYS, SEASON, make_project, write_slab

SERIAL = RunOptions("serial", quiet=True)
MEDIAN = FeatureSpec(window_days=5)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with its cube, never changed by the tests."""
    return make_project(tmp_path_factory.mktemp("made") / "project")


@pytest.fixture
def project(made, tmp_path):
    """A copy of the project that a test may do with as it likes."""
    shutil.copytree(made.root, tmp_path / "project")
    return type(made)(tmp_path / "project", made.spec)


def run(project, spec=MEDIAN, options=SERIAL):
    return features(project.root, FeaturesOptions(spec), options)


def files(path: Path):
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}


def first_tile(project):
    return next(iter(project.spec.grid.zones[0].tiles()))


def test_medians_of_every_tile(project):
    summary = run(project)
    store, cube = Store.open(summary.path), Store.open(project.cube_path)
    window = np.array(DAYS) // 5
    tiles = list(project.spec.grid.zones[0].tiles())
    assert len(tiles) > 1
    for tile in tiles:
        for resolution_m in (10, 20):
            seen = read_observations(cube, tile)
            kept = np.isin(seen.quality, (4, 5, 6, 7))
            if resolution_m == 10:
                kept = np.kron(kept, np.ones((1, 2, 2), bool))
            reflectance = seen.reflectance[resolution_m]
            expected = nan_median(reflectance, kept & (reflectance != 0).all(axis=1), window, 10)
            box = tile.box(resolution_m)
            np.testing.assert_array_equal(store.read("utm31n", "median", box), expected[0])
            np.testing.assert_array_equal(store.read("utm31n", "clear_count", box), expected[1])
    figures = summary.as_dict()
    assert (figures["done"], figures["reused"], figures["name"]) == (len(tiles), 0, "median-5d")
    assert 0.4 < figures["clear_share"] < 0.7
    assert figures["incomplete_builds"] == []
    json.dumps(figures, allow_nan=False)


@pytest.mark.parametrize(
    "spec",
    [
        FeatureSpec("harmonic", order=1),
        FeatureSpec("annual-median", dilate_m=40),
        FeatureSpec(window_days=20, indices=("NDVI", "LSWI")),
        FeatureSpec("geomedian", window_days=25, indices=("EVI", "NDRE")),
        FeatureSpec("percentiles", percentiles=(2.5, 50, 90)),
        FeatureSpec("statistics", indices=("LSWI", "NDVI", "NDTI", "BSI"), dilate_m=20),
    ],
)
def test_other_kinds_are_what_is_computed_of_the_whole_tile(project, spec):
    summary = run(project, spec)
    store, cube = Store.open(summary.path), Store.open(project.cube_path)
    for tile in project.spec.grid.zones[0].tiles():
        expected = compute(spec, read_observations(cube, tile, spec.dilate_m), SEASON)
        for resolution_m, arrays in expected.items():
            for name, values in arrays.items():
                np.testing.assert_array_equal(store.read("utm31n", name, tile.box(resolution_m)), values)


def test_the_second_run_does_no_work_and_a_lost_store_is_made_again(project):
    first = run(project)
    before = files(first.path)
    again = run(project)
    assert again.stage.count("reused") == first.stage.count("done")
    assert again.stage.count("done") == 0
    assert again.clear_share == first.clear_share
    shutil.rmtree(first.path)
    assert run(project).stage.count("done") == first.stage.count("done")
    assert files(first.path) == before


@pytest.mark.slow
def test_serial_and_parallel_runs_write_the_same_bytes(project, tmp_path):
    spec = FeatureSpec(window_days=10, dilate_m=20, indices=("EVI", "BSI"))
    summary = run(project, spec)
    shutil.copytree(project.root, tmp_path / "other", ignore=shutil.ignore_patterns("features"))
    other = type(project)(tmp_path / "other", project.spec)
    run(other, spec, RunOptions("local", workers=2, quiet=True))
    assert files(other.features_path(spec.name)) == files(summary.path)


def test_a_changed_build_redoes_only_the_tiles_on_it(tmp_path):
    project = make_project(tmp_path / "wide", region=(4.05, 50.74, 4.15, 50.75))
    plain, dilated = FeatureSpec(), FeatureSpec(dilate_m=100)
    run(project, plain)
    run(project, dilated)
    zone = project.spec.grid.zones[0]
    squares = zone.squares()
    assert len(squares) > 1
    square, tiles = next(iter(squares.items()))
    write_slab(project, Store.open(project.cube_path, writable=True), "utm31n", (square, tiles, 0), revision=1)
    again = run(project, plain)
    assert sorted(r.key for r in again.stage.reports) == sorted(f"features/median-5d/utm31n/{t.name}" for t in tiles)
    with_halo = {r.key.rsplit("/", 1)[1] for r in run(project, dilated).stage.reports}
    side = zone.square
    near = {
        t.name for t in zone.tiles()
        if square[0] * side - 1 <= t.row <= (square[0] + 1) * side
        and square[1] * side - 1 <= t.col <= (square[1] + 1) * side
    }  # fmt: skip
    assert with_halo == near
    assert len(near) > len(tiles)


def test_a_store_that_held_other_values_is_erased_first(project):
    path = run(project).path
    before = files(path)
    tile, store = first_tile(project), Store.open(path, writable=True)
    store.write("utm31n", "median", tile.box(10), np.full((10, 4, 96, 96), 7, np.uint16))
    ledger = Ledger(project.ledger_path)
    record = ledger.read(f"features/median-5d/utm31n/{tile.name}")
    ledger.write(type(record)(record.key, "another", "done", record.details))
    assert run(project).stage.count("done") == 1
    assert files(path) == before


def test_nothing_built_names_the_verb(tmp_path, project):
    shutil.rmtree(project.cube_path)
    with pytest.raises(MissingError, match="cropcube build"):
        run(project)
    with pytest.raises(MissingError, match="cropcube build"):
        features(tmp_path)


def test_a_cube_without_records_is_not_built(project):
    Ledger(project.ledger_path).withdraw_all("build")
    with pytest.raises(MissingError, match="cropcube build"):
        run(project)
    assert not project.features_path("median-5d").exists()


@pytest.mark.parametrize("state", ["incomplete", "begun", "erasing"])
def test_an_unfinished_build_is_told_and_its_tiles_redone_when_it_ends(project, state):
    ledger = Ledger(project.ledger_path)
    record = next(iter(ledger.records("build")))
    ledger.write(type(record)(record.key, record.digest, state, {"failed": [{"scene": "a", "band": "B04"}]}))
    summary = run(project)
    assert summary.incomplete_builds == (record.key,)
    assert summary.as_dict()["incomplete_builds"] == [record.key]
    told = [made for made in ledger.records("features") if made.details.get("unfinished_builds") == [record.key]]
    assert told
    ledger.write(record)
    again = run(project)
    assert all("unfinished_builds" not in made.details for made in ledger.records("features"))
    assert again.incomplete_builds == ()
    assert again.stage.count("done") == len(told)


def test_a_season_without_a_clear_observation_says_so_and_leaves_a_valid_store(project):
    spec = FeatureSpec(classes=(11,))
    for _ in range(2):
        with pytest.raises(InvalidInputError, match=r"no clear observation exists.*11 observed days.*scl:11"):
            run(project, spec)
    store = Store.open(project.features_path(spec.name))
    assert not store.read("utm31n", "median", first_tile(project).box(10)).any()
    states = {record.state for record in Ledger(project.ledger_path).records(f"features/{spec.name}")}
    assert states == {"done"}


def test_what_does_not_fit_the_memory_is_refused_with_numbers(project):
    with pytest.raises(ResourceError, match=r"GiB.*GiB"):
        run(project, options=RunOptions("serial", memory_limit=1 << 20, quiet=True))
    assert not list(Ledger(project.ledger_path).records("features"))


def test_an_index_of_a_band_that_was_not_built_is_refused_before_anything_is_made(tmp_path):
    project = make_project(tmp_path / "bands", bands=("B04", "B08"))
    with pytest.raises(InvalidInputError, match=r"LSWI.*B11"):
        run(project, FeatureSpec(indices=("LSWI",)))
    assert not project.features_path("x").parent.exists()
    spec = FeatureSpec(indices=("NDVI",))
    assert run(project, spec).stage.count("done") > 0


def test_a_tile_without_any_day_is_empty_and_counted(project):
    cube = Store.open(project.cube_path, writable=True)
    zone = project.spec.grid.zones[0]
    square, tiles = next(iter(zone.squares().items()))
    for slab in range(SEASON.slabs):
        cube.erase_present("utm31n", slab, square)
        days = [day for day in DAYS if day in SEASON.slab_days(slab)]
        cube.mark_present("utm31n", slab, square, dict.fromkeys(tiles[1:], days))
    summary = run(project)
    assert summary.tiles_unobserved == 1
    assert not Store.open(summary.path).read("utm31n", "median", tiles[0].box(10)).any()


def test_days_of_two_zones_are_kept_apart(tmp_path):
    project = make_project(tmp_path / "zones", region=(5.99, 50.74, 6.01, 50.75))
    assert len(project.spec.grid.zones) == 2
    summary = run(project)
    names = {key.split("/")[2] for key in (r.key for r in summary.stage.reports)}
    assert names == {"utm31n", "utm32n"}


def test_the_algorithms_revision_is_part_of_the_digest(project, monkeypatch):
    run(project)
    monkeypatch.setattr(builds, "REVISION", builds.REVISION + 1)
    assert run(project).stage.count("reused") == 0


@pytest.mark.parametrize("change", ["lost", "of other scenes"])
def test_a_build_that_the_catalogue_wants_and_the_ledger_lacks_is_told(tmp_path, change):
    root, _ = built(tmp_path)
    ledger = Ledger(root / "ledger")
    records = list(ledger.records("build"))
    assert len(records) > 1
    record = records[-1]
    if change == "lost":
        ledger.withdraw(record.key)
    else:
        ledger.write(type(record)(record.key, "0" * 64, "done", record.details))
    assert features(root, FeaturesOptions(FeatureSpec(window_days=30)), SERIAL).incomplete_builds == (record.key,)
    ledger.write(record)
    assert features(root, FeaturesOptions(FeatureSpec(window_days=30)), SERIAL).incomplete_builds == ()
