"""A task of the map stays below the memory that was projected for it, whatever its features are made from."""

import tracemalloc

import pytest

from cropcube.config import read_project
from cropcube.model.checkpoint import read_card
from cropcube.pipeline.model_check import check_fit
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.predict_plan import BASELINE_BYTES, USUAL_BASELINE_BYTES, plan_map
from cropcube.pipeline.predict_task import MapWanted
from tests.support.granules import LEFT_M, TOP_M, random_granule, region_text, write_catalog
from tests.support.small_build import BANDS, SERIAL, build_small
from tests.support.small_job import MEDIAN, learn

TILE_PX = 480


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """One tile of 480 px, seen on twelve days."""
    folder = tmp_path_factory.mktemp("memory")
    days = [f"2020-06-{day:02d}" for day in range(2, 26, 2)]
    made = [random_granule(f"g{day}", day, 960, (LEFT_M, TOP_M), bands=BANDS, classes=(4, 5)) for day in days]
    catalog = write_catalog(made, folder / "scenes")
    region = region_text(LEFT_M + 200, TOP_M - 1800, LEFT_M + 2600, TOP_M - 100)
    build_small(folder / "project", catalog, region=region, tile_px=TILE_PX)
    learn(folder / "project", MEDIAN)
    return read_project(folder / "project")


@pytest.mark.parametrize("origin", ["features", "cube", "catalog"])
def test_a_task_stays_below_what_was_projected(project, origin):
    card = read_card(project.model_path)
    layout = check_fit(project, card, project.model_path)
    wanted = MapWanted(project.model_path, "", card.classifier, MEDIAN, origin)
    plan = plan_map(project, layout, wanted, None, {})
    projected = max(task.memory_bytes for task in plan.tasks) - USUAL_BASELINE_BYTES
    predict(project.root, PredictOptions(origin=origin, rebuild=True), SERIAL)
    tracemalloc.start()
    try:
        predict(project.root, PredictOptions(origin=origin, rebuild=True), SERIAL)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= projected
    assert projected < 8 * peak
    assert BASELINE_BYTES["cropnet"] > USUAL_BASELINE_BYTES
