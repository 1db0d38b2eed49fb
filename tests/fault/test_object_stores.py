"""A project in an object store on bad days: the same objects as a folder's files, whatever happened on the way."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cropcube.errors import ConflictError, CropcubeError
from cropcube.pipeline.build import build
from cropcube.pipeline.build_options import BuildOptions
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.pipeline.train import train
from tests.support import small_job
from tests.support.granules import write_catalog
from tests.support.object_store import CUT, object_store
from tests.support.small_build import BANDS, REGION, SEASON, SERIAL, build_small, granules

pytestmark = pytest.mark.slow
CONSOLE = Path(sys.executable).with_name("cropcube")


@pytest.fixture(scope="module")
def running():
    with pytest.MonkeyPatch.context() as environment, object_store(environment) as store:
        yield store


@pytest.fixture
def bucket(running):
    running.fails = None
    running.asked.clear()
    return running.bucket()


def whole_job(root, folder, catalog):
    build_small(root, catalog).check()
    features(root, FeaturesOptions(small_job.MEDIAN), SERIAL)
    train(root, small_job.options(folder, small_job.MEDIAN))
    predict(root, PredictOptions(), SERIAL).check()


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The catalogue, and the files of a project in a folder that was made without any fault."""
    folder = tmp_path_factory.mktemp("clean")
    catalog = write_catalog(granules(), folder / "scenes")
    whole_job(folder / "project", folder, catalog)
    return catalog, folder


def contents(path):
    if isinstance(path, Path):
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}
    return {name: (path / name).read_bytes() for name, _ in path.below()}


def of_build(files):
    return {name: content for name, content in files.items() if name.startswith(("cube.zarr/", "ledger/build/"))}


def words(root, catalog):
    return [
        CONSOLE, "build", "--project", str(root), "--region", REGION, "--season", SEASON, "--catalog", str(catalog),
        "--bands", ",".join(BANDS), "--tile-px", "96", "--cluster", "serial", "--json",
    ]  # fmt: skip


def test_one_request_in_ten_fails(running, bucket, clean):
    catalog, folder = clean
    drawn = random.Random(3)
    answers = [("500 Internal Server Error", "InternalError"), ("503 Slow Down", "SlowDown"), CUT]
    failed = []

    def fails(number):
        if drawn.random() >= 0.1:
            return None
        failed.append(number)
        return answers[number % 3]

    running.fails = fails
    whole_job(bucket / "project", folder, catalog)
    running.fails = None
    assert len(failed) > 50
    assert contents(bucket / "project") == contents(folder / "project")


def test_a_killed_driver_is_followed_by_one_that_does_what_is_missing(running, bucket, clean):
    catalog, folder = clean
    root, ended = bucket / "project", 0
    for seconds in (0.3, 0.6, 0.9):  # after the first record, somewhere
        driver = subprocess.Popen(words(root, catalog), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while driver.poll() is None and not any(root.joinpath("ledger").below()) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(seconds / 10)
        driver.send_signal(signal.SIGKILL)
        ended += driver.wait() == 0
    assert ended < 3
    before = [name for name, content in contents(root).items() if name.startswith("ledger") and b'"done"' in content]
    summary = build_small(root, catalog)
    assert summary.as_dict()["reused"] == len(before)
    assert of_build(contents(root)) == of_build(contents(folder / "project"))
    assert build_small(root, catalog).as_dict()["reused"] == 6


def test_two_drivers_at_once_end_right_and_another_region_is_refused(bucket, clean):
    catalog, folder = clean
    root = bucket / "project"
    drivers = [subprocess.Popen(words(root, catalog), stdout=subprocess.DEVNULL, env=os.environ) for _ in range(2)]
    assert [driver.wait() for driver in drivers] == [0, 0]
    assert of_build(contents(root)) == of_build(contents(folder / "project"))
    with pytest.raises(ConflictError, match=r"s3://.* holds another project .*bands"):
        build(root, BuildOptions(region=REGION, season=SEASON, catalog=str(catalog), bands=("B03",), tile_px=96))


def test_a_store_that_goes_away_in_the_middle_is_gone_on_with(running, bucket, clean):
    catalog, folder = clean
    root = bucket / "project"
    running.fails = lambda number: ("403 Forbidden", "ExpiredToken") if running.asked["PUT"] > 45 else None
    with pytest.raises((CropcubeError, OSError), match="refuses"):
        build_small(root, catalog).check()
    running.fails = None
    assert build_small(root, catalog).is_good
    assert of_build(contents(root)) == of_build(contents(folder / "project"))


def test_an_object_that_is_gone_is_made_again_and_nothing_else(running, bucket, clean):
    catalog, folder = clean
    root = bucket / "project"
    build_small(root, catalog)
    lost = next(name for name in contents(root) if "reflectance/c/" in name)
    (root / lost).unlink()
    running.asked.clear()
    assert build_small(root, catalog).as_dict()["done"] == 1
    assert of_build(contents(root)) == of_build(contents(folder / "project"))
