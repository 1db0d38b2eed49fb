"""Hours and cost, from amounts and rates; and that features and maps are counted as they would be made."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cropcube.config import read_project
from cropcube.cube.ledger import Ledger, Record
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.errors import ConflictError, InvalidInputError, MissingError, UsageError
from cropcube.features.model_input import InputLayout
from cropcube.model.cropnet import CropNet
from cropcube.pipeline.build import build
from cropcube.pipeline.build_options import BuildOptions
from cropcube.pipeline.dry_run import DryRun, Estimate
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.pipeline.features_estimate import dry_run_features, estimate_features
from cropcube.pipeline.planning import Planning
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.predict_estimate import cropnet_products, dry_run_predict, region_pixels
from cropcube.pipeline.rates import Range, Rates
from cropcube.run.cluster import Resources
from cropcube.run.options import RunOptions
from tests.support.granules import tree_bytes, write_catalog
from tests.support.small_build import BANDS, REGION, SEASON, SERIAL, built, granules
from tests.support.small_job import CLASSES

SPEC = FeatureSpec(window_days=20, classes=CLASSES)
HERE = Planning()


def silent(line: str) -> None:
    """Say nothing."""


def projected(**changes: object) -> DryRun:
    """Return a dry run of round numbers: 10 tasks, 36 GB fetched at 10 MB/s, 3,600 GB reduced at 100 MB/s."""
    rates = Rates(
        network_mb_s=Range(10, 10), features_mb_s=Range(50, 100), core_hour_usd=Range(0.01, 0.02),
        request_mb=Range(1, 1), requests_1000_usd=Range(0.001, 0.001), transfer_gb_usd=Range(0, 0.1),
        storage_gb_month_usd=Range(0.01, 0.02), storage_months=Range(1, 10),
    )  # fmt: skip
    estimate = Estimate("a test", {"utm31n": 10}, 10, 0, int(36e9), int(5e9), 100, {"features_mb_s": 3.6e6}, int(36e9))
    given = {"verb": "features", "estimate": estimate, "have": Resources("local", 4, 1, 200), "free_bytes": int(6e9)}
    return DryRun(**(given | {"rates": rates} | changes))  # type: ignore[arg-type]


def test_hours_are_of_whole_rounds() -> None:
    dry = projected()
    # 36,000 s to reduce (72,000 at the lowest speed) and 3,600 s to wait, in ten tasks: three rounds on four workers.
    assert (dry.busy_hours.low, dry.busy_hours.high) == pytest.approx((11, 21))
    assert (dry.hours.low, dry.hours.high) == pytest.approx((3.3, 6.3))
    wide = replace(dry, have=replace(dry.have, workers=100))
    assert wide.hours.low == pytest.approx(1.1)  # no faster than one task
    threaded = replace(dry, have=replace(dry.have, threads=2))
    assert threaded.busy_hours.low == pytest.approx(6)  # processors are two, the network is one


def test_cost_is_of_cores_reads_and_storage() -> None:
    cost = projected().cost
    assert cost["core hours"].low == pytest.approx(0.11)
    assert cost["core hours"].high == pytest.approx(0.42)
    assert cost["read requests"].high == pytest.approx(0.036)
    assert (cost["transfer"].low, cost["transfer"].high) == pytest.approx((0, 3.6))
    assert (cost["storage"].low, cost["storage"].high) == pytest.approx((0.05, 1.0))
    assert cost["all"].high == pytest.approx(0.42 + 0.036 + 3.6 + 1.0)


def test_nothing_to_do_takes_no_time_and_what_does_not_fit_is_said() -> None:
    done = replace(projected().estimate, tasks=0, read_bytes=0, store_bytes=0, work={}, fetched_bytes=0)
    assert projected(estimate=done).hours == Range(0, 0)
    assert projected(estimate=done).cost["all"] == Range(0, 0)
    assert projected().is_good
    assert not projected(free_bytes=100).is_good
    assert not projected(have=Resources("local", 4, 1, 50)).is_good


def test_what_it_rests_on_is_told_where_it_counts() -> None:
    assert set(projected().rests_on) >= {"network_mb_s", "features_mb_s", "core_hour_usd"}
    stored = projected(estimate=replace(projected().estimate, fetched_bytes=0))
    assert "network_mb_s" not in stored.rests_on
    assert "build_mb_s" not in stored.rests_on
    assert set(stored.as_dict()["rates"]) == set(Rates().as_dict())


def test_build_says_tiles_hours_and_cost(tmp_path: Path) -> None:
    catalog = write_catalog(granules(), tmp_path / "scenes")
    (tmp_path / "rates.toml").write_text("core_hour_usd = 7\n")
    options = {"region": REGION, "season": SEASON, "catalog": str(catalog), "bands": BANDS, "tile_px": 96}
    dry = build(tmp_path / "p", BuildOptions(**options, dry_run=True, rates=tmp_path / "rates.toml"), SERIAL)  # type: ignore[arg-type]
    figures = dry.as_dict()
    assert list(figures["tiles"]) == ["utm31n"]
    assert figures["tiles"]["utm31n"] > 1
    assert figures["workers"] == 1
    assert figures["bytes_to_read"] > figures["bytes_to_fetch"] == 0  # the files lie on this machine
    assert 0 < figures["hours"][0] < figures["hours"][1]
    assert figures["cost_usd"]["all"][1] > 7 * figures["core_hours"][1]
    assert figures["rates"]["core_hour_usd"] == {
        "low": 7.0, "high": 7.0, "unit": "USD a core and hour", "source": "given"
    }  # fmt: skip
    assert set(figures["cost_usd"]) == {"core_hours", "read_requests", "transfer", "storage", "all"}
    with pytest.raises(UsageError, match="--rates goes with --dry-run"):
        BuildOptions(rates=tmp_path / "rates.toml")


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is built and nothing more; never written to."""
    return built(tmp_path_factory.mktemp("dry"))[0]


@pytest.fixture
def project(cube: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(cube, tmp_path / "project")
    return tmp_path / "project"


def test_features_of_a_cube_count_its_days_and_write_nothing(project: Path) -> None:
    before = tree_bytes(project)
    dry = dry_run_features(project, SPEC, HERE, SERIAL, silent)
    assert tree_bytes(project) == before
    done = features(project, FeaturesOptions(SPEC), SERIAL).as_dict()
    figures = dry.as_dict()
    assert (figures["verb"], figures["tasks"], figures["reused"]) == ("features", done["tasks"], 0)
    assert figures["source"] == "the days that the cube holds"
    assert sum(figures["tiles"].values()) == done["tasks"]
    assert figures["bytes_to_read"] > 0
    assert 0.3 < figures["bytes_to_store"] / done["bytes_written"] < 3
    again = dry_run_features(project, SPEC, HERE, SERIAL, silent).as_dict()
    assert (again["tasks"], again["reused"]) == (0, done["tasks"])
    assert (again["bytes_to_read"], again["bytes_to_store"], again["hours"]) == (0, 0, [0.0, 0.0])


def test_features_of_a_build_that_is_not_finished_count_the_season(project: Path) -> None:
    ledger = Ledger(project / "ledger")
    whole = estimate_features(read_project(project), SPEC)
    ledger.withdraw(next(iter(ledger.records("build"))).key)
    found = estimate_features(read_project(project), SPEC)
    assert found.source == "the frozen catalogue; the cube is built in part"
    assert found.tasks == whole.tasks
    ledger.withdraw_all("build")
    bare = estimate_features(read_project(project), SPEC)
    assert bare.source == "the frozen catalogue; the cube is not built yet"
    assert bare.read_bytes == found.read_bytes > 0
    (project / "scenes.parquet").unlink()
    assert "mean revisit" in estimate_features(read_project(project), SPEC).source


def test_features_that_the_cube_cannot_give_are_refused(project: Path) -> None:
    with pytest.raises(InvalidInputError, match="EVI"):
        dry_run_features(project, FeatureSpec(indices=("EVI",)), HERE, SERIAL, silent)


def test_a_region_needs_no_project_and_is_no_other_than_that_which_stands(tmp_path: Path, project: Path) -> None:
    asked = Planning(region="4.0,50.7,4.4,50.9", season="2023")
    for verb in (
        lambda root, planning: dry_run_features(root, SPEC, planning, SERIAL, silent),
        lambda root, planning: dry_run_predict(root, PredictOptions(), planning, SERIAL, silent),
    ):
        assert verb(tmp_path / "none", asked).estimate.tasks > 4
        assert not (tmp_path / "none").exists()
        with pytest.raises(MissingError, match=r"cropcube\.toml"):
            verb(tmp_path / "none", HERE)
        with pytest.raises(ConflictError, match="another project"):
            verb(project, asked)


def test_what_only_a_dry_run_has_is_refused_elsewhere() -> None:
    assert Planning.of_words(False, None, None, None) is None
    for given in (("india", None, None), (None, "2024", None), (None, None, "rates.toml")):
        with pytest.raises(UsageError, match="goes with --dry-run"):
            Planning.of_words(False, *given)
        assert Planning.of_words(True, *given) is not None


def test_predict_without_a_model_takes_a_usual_one(project: Path) -> None:
    for origin, speeds in (
        ("features", {"cropnet_gmac_s", "arrange_mb_s"}),
        ("cube", {"cropnet_gmac_s", "arrange_mb_s", "features_mb_s"}),
        ("catalog", {"cropnet_gmac_s", "arrange_mb_s", "features_mb_s", "build_mb_s"}),
    ):
        dry = dry_run_predict(project, PredictOptions(origin=origin), HERE, SERIAL, silent)
        assert set(dry.estimate.work) == speeds
        assert dry.estimate.fetched_bytes == 0  # the scenes lie on this machine
        assert any("no model stands" in note for note in dry.estimate.notes)
    (project / "scenes.parquet").unlink()
    far = dry_run_predict(project, PredictOptions(origin="catalog"), HERE, SERIAL, silent).estimate
    assert far.read_bytes == far.fetched_bytes > 0
    with pytest.raises(MissingError):
        dry_run_predict(project, PredictOptions(model=project / "nowhere"), HERE, SERIAL, silent)


def test_predict_counts_what_is_mapped(made, tmp_path: Path) -> None:
    shutil.copytree(made.root, tmp_path / "mapped")
    root, run = tmp_path / "mapped", RunOptions("serial", quiet=True)
    before = tree_bytes(root)
    mapped = dry_run_predict(root, PredictOptions(), HERE, run, silent).estimate
    assert (mapped.tasks, mapped.reused, mapped.store_bytes) == (0, sum(mapped.tiles.values()), 0)
    anew = dry_run_predict(root, PredictOptions(rebuild=True), HERE, run, silent).estimate
    assert (anew.tasks, anew.reused) == (mapped.reused, 0)
    assert anew.work["forest_trees_s"] == pytest.approx(8 * region_pixels(made), rel=0.2)
    part = dry_run_predict(root, PredictOptions(rebuild=True, box="4.055,50.742,4.0551,50.7421"), HERE, run, silent)
    assert 0 < part.estimate.tasks < anew.tasks
    assert tree_bytes(root) == before
    ledger = Ledger(root / "ledger")
    record = next(iter(ledger.records("features")))
    ledger.withdraw(record.key)
    lacking = dry_run_predict(root, PredictOptions(), HERE, run, silent).estimate
    assert (lacking.tasks, lacking.reused) == (1, mapped.reused - 1)
    assert lacking.notes[0] == "1 tile without features yet counts as to do"


def test_a_map_that_is_projected_is_the_one_that_is_made(made, tmp_path: Path) -> None:
    shutil.copytree(made.root, tmp_path / "mapped")
    shutil.rmtree(tmp_path / "mapped" / "map.zarr")
    Ledger(tmp_path / "mapped" / "ledger").withdraw_all("predict")
    run = RunOptions("serial", quiet=True)
    expected = dry_run_predict(tmp_path / "mapped", PredictOptions(), HERE, run, silent).estimate
    done = predict(tmp_path / "mapped", PredictOptions(), run).as_dict()
    assert expected.tasks == done["done"]
    assert done["bytes_written"] < expected.store_bytes  # these classes lie in a pattern, which compresses well


@pytest.mark.parametrize(("width", "window"), [(48, 5), (7, 30)])
def test_products_of_cropnet_are_those_of_its_convolutions(made, width: int, window: int) -> None:
    import torch

    layout = InputLayout.of(FeatureSpec(window_days=window), made.spec.season, made.spec.sensor)
    counted = []

    def count(module: torch.nn.Module, given: object, made: torch.Tensor) -> None:
        counted.append(made[0].numel() * module.weight[0].numel())  # type: ignore[union-attr, operator, index]

    network = CropNet(3, width).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    network(torch.zeros(1, 1, len(layout.bands), len(layout.steps)))
    assert sum(counted) == cropnet_products(layout, width)


def test_a_record_of_other_features_is_not_reused(project: Path) -> None:
    first = next(iter(read_project(project).spec.grid.tiles()))
    key = f"features/{SPEC.name}/{first.lattice.name}/{first.name}"
    Ledger(project / "ledger").write(Record(key, "of other builds", "done", {}))
    assert estimate_features(read_project(project), SPEC).reused == 0
