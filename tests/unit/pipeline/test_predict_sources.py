"""The map is the same bytes from features, the cube and the catalogue, and says what it rests on."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from safetensors.numpy import load, save

from cropcube.config import read_project
from cropcube.cube.ledger import Ledger
from cropcube.cube.store import Store
from cropcube.domain.grid import inside, owned
from cropcube.domain.model_card import Scaling
from cropcube.errors import ConflictError, CropcubeError, IncompleteError, InvalidInputError, MissingError, UsageError
from cropcube.model.checkpoint import read_card
from cropcube.observations import season
from cropcube.observations.extent import touched
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.provenance import provenance
from cropcube.pipeline.status import status
from cropcube.run.options import RunOptions
from tests.support import console
from tests.support.granules import EPSG, LEFT_M, TOP_M, region_text, tree_bytes
from tests.support.small_build import SERIAL, built
from tests.support.small_job import ANNUAL, HARMONIC, MEDIAN, bare, half_mask, learn

QUIET = ("--cluster", "serial", "--quiet")
ORIGINS = ("features", "cube", "catalog")


@pytest.fixture(scope="module")
def cube(tmp_path_factory) -> Path:
    """A project that was built, never changed by the tests."""
    root, _ = built(tmp_path_factory.mktemp("cube"))
    return root


@pytest.fixture(scope="module")
def whole(cube: Path, tmp_path_factory) -> Path:
    """The same with features and a forest, mapped from its features; never changed by the tests."""
    root = tmp_path_factory.mktemp("whole") / "project"
    shutil.copytree(cube, root)
    learn(root, MEDIAN)
    predict(root, PredictOptions(probabilities=True), SERIAL)
    return root


@pytest.fixture
def project(whole: Path, tmp_path: Path) -> Path:
    """A copy of it without its map."""
    root = tmp_path / "project"
    shutil.copytree(whole, root)
    shutil.rmtree(root / "map.zarr")
    shutil.rmtree(root / "ledger" / "predict")
    return root


def layers(root: Path) -> dict[str, np.ndarray]:
    store = Store.open(root / "map.zarr")
    (zone,) = store.zones
    return {name: store.read(zone, name, store.zone(zone).box(10)) for name, _ in store.arrays}


@pytest.mark.parametrize(
    ("spec", "classifier"),
    [
        (MEDIAN, "cropnet"),
        (MEDIAN, "boosting"),
        (ANNUAL, "forest"),
        (ANNUAL, "cropnet"),
        (HARMONIC, "forest"),
        (HARMONIC, "cropnet"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_every_source_gives_the_same_bytes(cube: Path, tmp_path: Path, spec, classifier: str) -> None:
    root = tmp_path / "project"
    shutil.copytree(cube, root)
    learn(root, spec, classifier)
    maps = {}
    for origin in ORIGINS:
        shutil.rmtree(root / "map.zarr", ignore_errors=True)
        summary = predict(root, PredictOptions(origin=origin), SERIAL)
        summary.check()
        assert summary.stage.count("done") == summary.stage.as_dict()["tasks"] > 3
        maps[origin] = tree_bytes(root / "map.zarr")
        if origin == "features":
            assert layers(root)["crop"].any()
            shutil.rmtree(root / "features")
            shutil.rmtree(root / "ledger" / "features")
    assert maps["features"] == maps["cube"] == maps["catalog"]


def test_two_workers_of_a_bare_project_write_the_same_and_nothing_but_the_map(whole: Path, tmp_path: Path) -> None:
    alone = bare(whole, tmp_path / "bare")
    options = PredictOptions(origin="catalog", probabilities=True)
    predict(alone.root, options, RunOptions("local", workers=2, quiet=True)).check()
    assert tree_bytes(alone.map_path) == tree_bytes(whole / "map.zarr")
    assert sorted(path.name for path in alone.root.iterdir()) == [
        "cropcube.toml", "ledger", "map.zarr", "model", "region.geojson", "scenes.parquet",
    ]  # fmt: skip


def test_two_workers_map_several_tiles_with_cropnet_as_one_process_does(cube: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    shutil.copytree(cube, root)
    learn(root, MEDIAN, "cropnet")
    assert predict(root, PredictOptions(), SERIAL).stage.count("done") > 3
    alone = tree_bytes(root / "map.zarr")
    shutil.rmtree(root / "map.zarr")
    shutil.rmtree(root / "ledger" / "predict")
    assert predict(root, PredictOptions(), RunOptions("local", workers=2, quiet=True)).stage.count("done") > 3
    assert tree_bytes(root / "map.zarr") == alone


def test_what_is_done_from_one_source_is_done_from_all(project: Path) -> None:
    first = predict(project, PredictOptions(), SERIAL)
    before = tree_bytes(project)
    for origin in ORIGINS:
        again = predict(project, PredictOptions(origin=origin), SERIAL)
        assert (again.stage.count("reused"), again.stage.count("done")) == (first.stage.count("done"), 0)
    assert tree_bytes(project) == before
    assert status(project).stages[-1].is_done


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_tile_says_which_scenes_and_baselines_it_rests_on(project: Path, origin: str) -> None:
    predict(project, PredictOptions(origin=origin), SERIAL)
    spec = read_project(project).spec
    tiles = sorted(spec.grid.tiles(), key=lambda tile: tile.col)
    west, east = (provenance(project, tile.name) for tile in (tiles[0], tiles[-1]))
    assert west.origin == east.origin == origin
    # w0 lies under w0new, which is of a later baseline, wherever both have the same class of cloud or none.
    assert {"w0", "w0new", "w1", "w3"} == {scene.id for scene in west.scenes}
    assert west.baselines == {"02.14": 1, "04.00": 1, "05.00": 1, "05.09": 1}
    assert west.days == ("2020-06-03", "2020-06-08", "2020-08-14")
    assert {scene.id for scene in east.scenes} == {"e0", "e2"}
    assert bool(west.builds) == (origin != "catalog")
    assert not west.notes
    said = console.ok("status", "--project", project, "--tile", tiles[-1].name)
    assert "02.14 (1 scenes), 05.09 (1 scenes)" in said
    assert "2020-07-10" in said
    assert console.as_json("status", "--project", project, "--tile", tiles[0].name)["days"] == list(west.days)


def test_a_tile_that_is_not_mapped_or_not_there_is_refused(project: Path) -> None:
    tile = next(read_project(project).spec.grid.tiles())
    with pytest.raises(MissingError, match="does not have the tile"):
        provenance(project, tile.name)
    with pytest.raises(MissingError, match="no tile 'r1c1'"):
        provenance(project, "r1c1")
    predict(project, PredictOptions(), SERIAL)
    ledger = Ledger(project / "ledger")
    build = next(iter(ledger.records("build")))
    ledger.write(type(build)(build.key, "other", "done", build.details))
    assert any("done anew" in note for note in provenance(project, tile.name).notes)


def test_failed_reads_leave_a_tile_incomplete_and_are_tried_again(whole: Path, tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    clean, summary = built(tmp_path / "clean")
    del summary
    shutil.copytree(whole / "model", clean / "model")
    alone, scenes = bare(clean, tmp_path / "bare").root, tmp_path / "clean" / "scenes"
    options = PredictOptions(origin="catalog", probabilities=True)
    file = scenes / "e2" / "B11.tif"
    kept = file.read_bytes()
    file.write_bytes(kept[:-200])
    summary = predict(alone, options, SERIAL)
    figures = summary.as_dict()
    assert figures["failed_reads"] == figures["incomplete"] > 0
    assert {(entry["scene"], entry["band"]) for entry in figures["failures"]} == {("e2", "B11")}
    with pytest.raises(IncompleteError, match="reads failed"):
        summary.check()
    predict(alone, PredictOptions(origin="catalog", probabilities=True, max_failed_reads=99), SERIAL).check()
    told = console.run("predict", "--project", alone, "--from", "catalog", "--probabilities", *QUIET)
    assert told.returncode == 1
    assert "e2 B11" in told.stdout
    stage = status(alone).stages[-1]
    assert (stage.counts["incomplete"], stage.stage) == (figures["incomplete"], "predict")
    file.write_bytes(kept)
    again = predict(alone, options, SERIAL)
    again.check()
    assert again.stage.count("done") == figures["incomplete"]
    assert tree_bytes(alone / "map.zarr") == tree_bytes(whole / "map.zarr")
    assert not (alone / "map-before.zarr").exists()

    # a rebuild that cannot read leaves the map that stood, until the new one is whole
    file.write_bytes(kept[:-200])
    for _ in range(2):
        assert predict(alone, replace(options, rebuild=True), SERIAL).tally.failed_reads
        assert tree_bytes(alone / "map-before.zarr") == tree_bytes(whole / "map.zarr")
    assert any("is the map before one that is not whole" in problem for problem in status(alone).problems)
    file.write_bytes(kept)
    predict(alone, options, SERIAL).check()
    assert not (alone / "map-before.zarr").exists()
    assert tree_bytes(alone / "map.zarr") == tree_bytes(whole / "map.zarr")


def test_a_catalogue_that_is_replaced_under_the_map_is_refused(project: Path, monkeypatch) -> None:
    from cropcube.pipeline import build_task

    monkeypatch.setattr(build_task, "fingerprint", lambda *_: "other")
    with pytest.raises(Exception, match="was replaced while"):
        predict(project, PredictOptions(origin="catalog"), SERIAL)


def test_a_project_of_the_catalogue_alone_is_begun_by_build(whole: Path, tmp_path: Path) -> None:
    clean, _ = built(tmp_path / "clean")
    catalog = tmp_path / "clean" / "scenes" / "scenes.json"
    from tests.support.small_build import BANDS, REGION, SEASON

    words = ["--region", REGION, "--season", SEASON, "--catalog", catalog, "--bands", ",".join(BANDS)]
    console.ok("build", "--project", tmp_path / "p", *words, "--tile-px", 96, "--scenes-only", *QUIET)
    assert not (tmp_path / "p" / "cube.zarr").exists()
    console.ok("predict", "--project", tmp_path / "p", "--from", "catalog", "--model", whole / "model", *QUIET)
    assert (tmp_path / "p" / "map.zarr").exists()
    with pytest.raises(MissingError, match="no cube"):
        predict(tmp_path / "p", PredictOptions(whole / "model", origin="cube"), SERIAL)
    del clean


def test_probabilities_margin_and_confidence_agree(whole: Path) -> None:
    made = layers(whole)
    probability, crop = made["probability"].astype(int), made["crop"]
    seen = crop > 0
    assert probability.shape[0] == 3
    assert not probability[:, ~seen].any()
    assert np.abs(probability[:, seen].sum(axis=0) - 100).max() <= 2
    best = np.take_along_axis(probability, np.maximum(crop, 1)[None].astype(int) - 1, axis=0)[0]
    np.testing.assert_array_equal(best[seen], made["confidence"][seen])
    second = np.sort(probability, axis=0)[-2]
    assert np.abs((best - second - made["margin"])[seen]).max() <= 1
    assert not (crop == 3).any()  # a class of the legend without a sample
    attrs = Store.open(whole / "map.zarr").array("crop", 10).attrs
    assert attrs["flag_meanings"] == "bare_soil winter_wheat never_sown"


def test_the_card_holds_the_calibration_and_the_map_uses_it(whole: Path) -> None:
    card = read_card(whole / "model")
    assert card.calibration.samples == sum(card.split.counts["validation"].values())
    assert card.calibration.temperature != 1
    assert 0 <= card.calibration.ece_before <= 1
    assert 0 <= card.calibration.ece_after <= 1  # the validation samples lie in several places


@pytest.mark.parametrize("kind", ["vector", "raster"])
def test_what_a_crop_mask_rules_out_is_no_data_and_not_computed(project: Path, whole: Path, kind: str, monkeypatch):
    path = half_mask(project.parent)
    if kind == "raster":
        path = project.parent / "crops.tif"
        profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": 600, "height": 600, "crs": f"EPSG:{EPSG}"}
        crops = np.zeros((600, 600), np.uint8)
        crops[:, :281] = 7
        with rasterio.open(path, "w", transform=Affine(5, 0, LEFT_M, 0, -5, TOP_M), **profile) as file:
            file.write(crops, 1)
    read = []
    original = season.observe_day
    monkeypatch.setattr(season, "observe_day", lambda *given: read.append(given[2]) or original(*given))
    predict(project, PredictOptions(origin="catalog", crop_mask=path, probabilities=True), SERIAL)
    store = Store.open(project / "map.zarr")
    (zone,) = store.zones
    box = store.zone(zone).box(10)
    crop = box.x_centres() < LEFT_M + 1405
    for name, values in layers(whole).items():
        np.testing.assert_array_equal(layers(project)[name], np.where(crop, values, 0))
    assert {part.col * 20 < LEFT_M + 1405 for part in read} == {True}
    again = predict(project, PredictOptions(crop_mask=path, probabilities=True), SERIAL)
    assert again.stage.count("done") == 0
    other = predict(project, PredictOptions(probabilities=True), SERIAL)
    assert other.stage.count("reused") == 0
    assert tree_bytes(project / "map.zarr") == tree_bytes(whole / "map.zarr")


@pytest.mark.parametrize("content", [b"", b"no raster", None])
def test_a_crop_mask_that_cannot_be_used_is_refused(project: Path, content: bytes | None) -> None:
    path = project.parent / "mask.tif"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((InvalidInputError, MissingError), match=r"mask\.tif"):
        predict(project, PredictOptions(crop_mask=path), SERIAL)
    assert not (project / "map.zarr").exists()


BOX = region_text(LEFT_M + 300, TOP_M - 900, LEFT_M + 1300, TOP_M - 300)


def test_a_box_maps_its_pixels_and_leaves_the_rest(project: Path, whole: Path) -> None:
    options = PredictOptions(box=BOX, probabilities=True)
    summary = predict(project, options, SERIAL)
    spec, ledger = read_project(project).spec, Ledger(project / "ledger")
    assert 0 < summary.stage.count("done") < len(spec.grid)
    drawn = options.part
    store, wanted = Store.open(project / "map.zarr"), Store.open(whole / "map.zarr")
    for tile in spec.grid.tiles():
        part = touched([drawn.geometry], tile.box(10))
        for name, _ in store.arrays:
            values = wanted.read(tile.lattice.name, name, tile.box(10))
            found = store.read(tile.lattice.name, name, tile.box(10))
            np.testing.assert_array_equal(found, np.where(part, values, 0))
        record = ledger.read(f"predict/{tile.lattice.name}/{tile.name}")
        assert (record is not None) == part.any()
    assert predict(project, options, SERIAL).stage.count("done") == 0
    other = region_text(LEFT_M + 1200, TOP_M - 1500, LEFT_M + 2000, TOP_M - 700)
    predict(project, PredictOptions(box=other, probabilities=True, origin="cube"), SERIAL)
    assert predict(project, options, SERIAL).stage.count("done") == 0
    counted = predict(project, PredictOptions(probabilities=True), SERIAL)
    assert counted.stage.count("done") > 0
    assert tree_bytes(project / "map.zarr") == tree_bytes(whole / "map.zarr")
    assert predict(project, options, SERIAL).stage.count("done") == 0
    redone = predict(project, PredictOptions(box=BOX, probabilities=True, rebuild=True), SERIAL)
    assert 0 < redone.stage.count("done") < len(spec.grid)
    assert tree_bytes(project / "map.zarr") == tree_bytes(whole / "map.zarr")
    assert predict(project, PredictOptions(probabilities=True), SERIAL).stage.count("done") == 0


def test_the_pixels_of_a_box_are_counted_with_those_that_stand(project: Path) -> None:
    predict(project, PredictOptions(), SERIAL)
    before = predict(project, PredictOptions(), SERIAL).areas
    assert predict(project, PredictOptions(box=BOX, rebuild=True), SERIAL).areas == before
    spec = read_project(project).spec
    counted = sum(int((inside(spec.region, t.box(10)) & owned(t.box(10))).sum()) for t in spec.grid.tiles())
    assert sum(before.pixels) + before.unclassified == counted


@pytest.mark.parametrize(
    ("box", "error", "said"),
    [
        ("1,2,3", UsageError, "four numbers"),
        ("belgium", UsageError, "four numbers"),
        ("a,b,c,d", UsageError, "four numbers"),
        ("5,6,7,8", InvalidInputError, "touches no tile"),
        ("4,51,4,52", InvalidInputError, "no area"),
    ],
)
def test_a_box_that_cannot_be_used_is_refused(project: Path, box: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        predict(project, PredictOptions(box=box), SERIAL)
    assert not (project / "map.zarr").exists()


def test_a_box_of_another_map_is_refused_and_nothing_is_lost(project: Path) -> None:
    predict(project, PredictOptions(), SERIAL)
    before = tree_bytes(project)
    with pytest.raises(ConflictError, match="would not fit the box"):
        predict(project, PredictOptions(box=BOX, probabilities=True), SERIAL)
    assert tree_bytes(project) == before


def test_tiles_without_features_end_with_an_error_and_keep_the_others(project: Path) -> None:
    ledger = Ledger(project / "ledger")
    record = next(iter(ledger.records("features")))
    ledger.withdraw(record.key)
    told = console.run("predict", "--project", project, *QUIET)
    assert told.returncode == 1
    assert "1 tiles have no features" in told.stderr
    assert "cropcube features" in told.stderr
    assert layers(project)["crop"].any()
    assert console.run("predict", "--project", project, "--from", "cube", *QUIET).returncode == 0


def test_failed_reads_are_allowed_where_there_are_reads_only() -> None:
    assert PredictOptions(origin="catalog", max_failed_reads=1).max_failed_reads == 1
    for origin in ("features", "cube"):
        with pytest.raises(UsageError, match=f"--from {origin} reads no scenes"):
            PredictOptions(origin=origin, max_failed_reads=1)


def test_a_source_that_is_not_known_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="'moon'"):
        PredictOptions(origin="moon")


def spoil_tensors(folder: Path, change) -> None:
    """Save other tensors under the names of a model, with a card that vouches for them."""
    card = read_card(folder)
    path = folder / card.files["weights"]["name"]
    content = change(dict(load(path.read_bytes())))
    content = content if isinstance(content, bytes) else save(content)
    path.write_bytes(content)
    files = {**card.files, "weights": {**card.files["weights"], "sha256": hashlib.sha256(content).hexdigest()}}
    (folder / "card.json").write_text(replace(card, files=files).to_json())


def without_first(tensors):
    tensors.pop(sorted(tensors)[0])
    return tensors


def scale(folder: Path, mean: float, deviation: float) -> None:
    """Have a model scale as if the cube held such values, with a card that vouches for it."""
    card = read_card(folder)
    parts = (tuple((value,) for _ in card.bands) for value in (mean, deviation))
    (folder / "card.json").write_text(replace(card, scaling=Scaling("standard", *parts)).to_json())


SPOILT = {
    "a missing tensor": lambda f: spoil_tensors(f, without_first),
    "an extra tensor": lambda f: spoil_tensors(f, lambda tensors: tensors | {"more": np.zeros(3, np.float32)}),
    "no safetensors": lambda f: spoil_tensors(f, lambda _: b"\x80\x04K\x01."),
    "a card edited by hand": lambda f: (f / "card.json").write_text(
        (f / "card.json").read_text().replace('"sentinel-2-l2a"', '"landsat"')
    ),
    "another sensor": lambda f: (f / "card.json").write_text(replace(read_card(f), sensor="emit-l2a").to_json()),
    "other bands": lambda f: (f / "card.json").write_text(replace(read_card(f), bands=("B02", "B08", "B12")).to_json()),
    "scaling of fractions": lambda f: scale(f, 0.2, 0.1),
    "scaling of what no cube holds": lambda f: scale(f, 5e6, 1e6),
    "other steps": lambda f: (f / "card.json").write_text(replace(read_card(f), steps=("a", "b")).to_json()),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_model_that_does_not_fit_is_refused_and_the_map_stays(project: Path, name: str) -> None:
    predict(project, PredictOptions(), SERIAL)
    SPOILT[name](project / "model")
    before = tree_bytes(project)
    with pytest.raises(CropcubeError) as refused:
        predict(project, PredictOptions(rebuild=True), SERIAL)
    assert not isinstance(refused.value, UsageError)  # the command line ends with 1
    assert refused.value.next_step
    assert tree_bytes(project / "map.zarr") == {k[9:]: v for k, v in before.items() if k.startswith("map.zarr/")}


def test_another_place_and_year_are_no_reason_to_refuse(project: Path) -> None:
    path = project / "model" / "card.json"
    steps = tuple(step.replace("2020", "2017") for step in read_card(path.parent).steps)
    season = "2017-06-01/2017-08-15"
    path.write_text(replace(read_card(path.parent), region="elsewhere", season=season, steps=steps).to_json())
    assert predict(project, PredictOptions(), SERIAL).stage.count("done") > 0
