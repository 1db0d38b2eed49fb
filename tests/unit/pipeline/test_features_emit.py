"""Features of EMIT's cube: one spectrum a cell; what it was never looked at stays without."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer

import cropcube
from cropcube.config import find_project
from cropcube.domain.emit import GOOD, Seen
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.errors import InvalidInputError, MissingError, UsageError
from cropcube.pipeline.build import build
from cropcube.pipeline.build_options import BuildOptions
from cropcube.pipeline.features import FeaturesOptions, features
from cropcube.pipeline.status import status
from cropcube.run.options import RunOptions
from tests.support.emit import Files, Swath, write_granule
from tests.support.granules import EPSG, LEFT_M, TOP_M, tree_bytes
from tests.support.small_build import built

if TYPE_CHECKING:
    from pathlib import Path

REGION, SEASON = "-116.04,32.97,-115.97,33.03", "2023-03-20/2023-05-10"
SERIAL = RunOptions("serial", quiet=True)
SWATH = Swath(bands=285)
UNBELIEVED = Seen.CLOUD | Seen.CIRRUS | Seen.DILATED_CLOUD | Seen.SPACECRAFT


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, root = tmp_path_factory.mktemp("granules"), tmp_path_factory.mktemp("emit") / "project"
    write_granule(folder, SWATH)
    later = replace(SWATH, lines=90, angle_deg=-35.0, lat=33.0103)
    write_granule(folder, later, Files(name="001_20230420T190102_2311013_011"))
    options = BuildOptions(region=REGION, season=SEASON, tile_px=384, sensor="emit", catalog=str(folder))
    assert build(root, options, SERIAL).is_good
    return root


@pytest.fixture(scope="module")
def made(project: Path) -> Any:
    summary = features(project, FeaturesOptions(FeatureSpec("emit", indices=("NDRE", "CAI", "NDNI"))), SERIAL)
    assert summary.as_dict()["done"] > 0
    return cropcube.open(project).features(summary.spec.name)["/utm11n/r60m"].to_dataset().load()


def clear_days(project: Path) -> Any:
    cube = cropcube.open(project).cube["/utm11n/r60m"].to_dataset()
    days = [12, 31]
    return days, cube.isel(time=days).load()


def test_a_cell_has_the_clear_spectrum_that_is_least_uncertain(project: Path, made: Any) -> None:
    days, cube = clear_days(project)
    quality = cube.quality.values
    clear = (quality & (Seen.OBSERVED | UNBELIEVED)) == Seen.OBSERVED
    np.testing.assert_array_equal(made.clear_count, clear.sum(axis=0))
    good = np.array(GOOD)
    with np.errstate(invalid="ignore"):
        there = np.isfinite(cube.reflectance.values[:, good])
        uncertain = np.where(there, cube.uncertainty.values[:, good], 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    chosen = np.where(clear, uncertain, np.inf).argmin(axis=0)
    seen = clear.any(axis=0)
    assert seen.any()
    assert not seen.all()
    np.testing.assert_array_equal(made.day.values, np.where(seen, np.array(days)[chosen], -1))
    wanted = np.take_along_axis(cube.reflectance.values, chosen[None, None], axis=0)[0][good]
    found = made.spectrum.values
    known = np.isfinite(wanted) & seen
    np.testing.assert_array_equal(found[known], wanted[known])
    assert np.isfinite(found[:, seen]).all()  # single bands that the detectors did not see are bridged
    assert np.isnan(found[:, ~seen]).all()


def test_indices_are_those_of_the_spectrum(made: Any) -> None:
    def at(nm: float) -> Any:
        return made.spectrum.sel(wavelength=nm, method="nearest").values.astype(np.float64)

    seen = made.clear_count.values > 0
    ndre = (at(790) - at(720)) / (at(790) + at(720))
    np.testing.assert_allclose(made["index"].sel(index_name="NDRE").values[seen], ndre[seen], rtol=1e-5)
    cai = 100 * (0.5 * (at(2000) + at(2200)) - at(2100))
    np.testing.assert_allclose(made["index"].sel(index_name="CAI").values[seen], cai[seen], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "bands", "name"),
    [
        ({"resample": "sentinel-2"}, 10, "emit-sentinel-2"),
        ({"resample": "20", "view": "mean"}, 20, "emit-mean-20"),
        ({"continuum": True, "view": "median"}, 244, "emit-median-continuum"),
    ],
)
def test_other_spectra(project: Path, words: dict[str, Any], bands: int, name: str) -> None:
    spec = FeatureSpec("emit", **words)
    assert spec.name == name
    assert FeatureSpec.parse(name) == spec == FeatureSpec.from_dict(spec.as_dict())
    features(project, FeaturesOptions(spec), SERIAL)
    data = cropcube.open(project).features(name)["/utm11n/r60m"].to_dataset().load()
    assert data.sizes["wavelength"] == bands == len(spec.spectral_bands)
    seen = data.clear_count.values > 0
    assert np.isfinite(data.spectrum.values[:, seen]).mean() > 0.9
    assert np.isnan(data.spectrum.values[:, ~seen]).all()
    if spec.continuum:
        assert np.nanmax(data.spectrum.values) <= 1 + 1e-6


def test_a_second_run_does_nothing_and_status_knows_them(project: Path, made: Any) -> None:
    spec = FeatureSpec("emit", indices=("NDRE", "CAI", "NDNI"))
    before = tree_bytes(project / "features")
    again = features(project, FeaturesOptions(spec), RunOptions("local", workers=2, quiet=True)).as_dict()
    assert again["reused"] == again["tasks"]
    assert tree_bytes(project / "features") == before
    stages = {stage.stage: stage for stage in status(project).stages}
    assert stages[f"features/{spec.name}"].is_done
    assert made.clear_count.dtype == np.uint16


def test_options_of_other_kinds_are_refused(project: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--view belongs to --kind emit"):
        FeatureSpec.of_words("median", "scl:4,5,6,7", 0, {"view": "best"})
    with pytest.raises(UsageError, match="scene classes"):
        FeatureSpec.of_words("emit", "scl:4", 0, {})
    for words, said in (
        ({"view": "worst"}, "no view"), ({"resample": "3"}, "not resampled"),
        ({"continuum": True, "resample": "9"}, "whole spectra"),
    ):  # fmt: skip
        with pytest.raises(InvalidInputError, match=said):
            FeatureSpec("emit", **words)
    with pytest.raises(InvalidInputError, match="unknown index 'NONE'"):
        features(project, FeaturesOptions(FeatureSpec("emit", indices=("NONE",))), SERIAL)
    write_granule(tmp_path / "granules", Swath(lat=52.0, lon=5.0, bands=285, lines=20, samples=20))
    assert FeatureSpec("median", 15).as_dict().keys().isdisjoint({"view", "resample", "continuum"})


def test_without_its_cube_the_command_is_named(project: Path, tmp_path: Path) -> None:
    (tmp_path / "cropcube.toml").write_text((project / "cropcube.toml").read_text("utf-8"), "utf-8")
    (tmp_path / "region.geojson").write_text((project / "region.geojson").read_text("utf-8"), "utf-8")
    with pytest.raises(MissingError, match=r"has no cube-emit yet\n.*build --sensor emit"):
        features(tmp_path, FeaturesOptions(FeatureSpec("emit")), SERIAL)


def fields(project: Path, path: Path) -> Path:
    """Write labels: strips of two crops, all over the region and beyond what EMIT saw."""
    west, south, east, north = find_project(project).spec.region.geometry.bounds
    edges = np.linspace(west, east, 13)
    found = [
        {
            "type": "Feature",
            "properties": {"crop": ("maize", "wheat")[(row + col) % 2]},
            "geometry": shapely.geometry.mapping(shapely.box(left, low, right, low + (north - south) / 8)),
        }
        for row, low in enumerate(np.linspace(south, north, 9)[:-1])
        for col, (left, right) in enumerate(itertools.pairwise(edges))
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": found}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project that both sensors saw."""
    folder = tmp_path_factory.mktemp("both")
    project, _ = built(folder)
    middle = Transformer.from_crs(EPSG, 4326, always_xy=True).transform(LEFT_M + 1400, TOP_M - 950)
    swath = Swath(bands=285, lines=24, samples=26, lat=middle[1], lon=middle[0])
    write_granule(folder / "granules", swath, Files(name="001_20200608T105000_2016007_001"))
    assert build(project, BuildOptions(sensor="emit", catalog=str(folder / "granules")), SERIAL).is_good
    return project


def test_medians_lie_beside_spectra_as_means_of_60_m(both: Path) -> None:
    spec = FeatureSpec("emit", join="median-30d")
    assert spec.name == "median-30d+emit"
    assert FeatureSpec.parse("median+emit").name == "median-5d+emit"
    with pytest.raises(MissingError, match="--window 30"):
        features(both, FeaturesOptions(spec), SERIAL)
    features(both, FeaturesOptions(FeatureSpec("median", 30)), SERIAL)
    summary = features(both, FeaturesOptions(spec), SERIAL)
    assert "EMIT saw" in summary.notes[0]
    opened = cropcube.open(both)
    joined = opened.features(spec.name)["/utm31n/r60m"].to_dataset().load()
    fine = opened.features("median-30d")["/utm31n/r10m"].to_dataset().load()
    values = fine["median"].sel(band="B04").values.astype(np.float64)
    windows, height, width = values.shape
    blocks = values.reshape(windows, height // 6, 6, width // 6, 6)
    count = (blocks > 0).sum(axis=(2, 4))
    means = blocks.sum(axis=(2, 4)) / np.maximum(count, 1) * 1e-4
    labels = [f"B04 {day}" for day in fine.window.values.astype("datetime64[D]").astype(str)]
    found = joined.joined.sel(joined_step=labels).values
    np.testing.assert_allclose(found[count > 0], means[count > 0], rtol=1e-6)
    never = ~(count > 0).any(axis=0)
    assert np.isnan(found[:, never]).all()
    assert features(both, FeaturesOptions(spec), SERIAL).as_dict()["done"] == 0
    assert next(s for s in status(both).stages if s.stage == f"features/{spec.name}").is_done


@pytest.mark.parametrize(("name", "classifier"), [("emit", "cropnet"), ("median-30d+emit", "forest")])
def test_a_model_maps_what_emit_saw_and_nothing_else(both: Path, tmp_path: Path, name: str, classifier: str) -> None:
    features(both, FeaturesOptions(FeatureSpec("median", 30)), SERIAL)
    features(both, FeaturesOptions(FeatureSpec.parse(name)), SERIAL)
    small: dict[str, Any] = {"epochs": 1, "width": 8} if classifier == "cropnet" else {"trees": 10}
    summary = cropcube.train(
        both, labels=fields(both, tmp_path / "fields.geojson"), label_field="crop", features=name,
        classifier=classifier, model=tmp_path / "model", quiet=True, block_m=240, **small,
    )  # fmt: skip
    assert summary.card.sensor == "emit-l2a"
    assert summary.card.bands == ("reflectance",)
    steps = FeatureSpec.parse(name).steps(find_project(both).spec.season, find_project(both).spec.sensor)
    assert summary.card.steps == steps
    assert len(steps) >= 244
    cropcube.predict(both, model=tmp_path / "model", quiet=True, cluster="serial", rebuild=True)
    mapped = cropcube.open(both).map["/utm31n/r10m"].to_dataset().load()
    store = cropcube.open(both).features(name)["/utm31n/r60m"].to_dataset().load()
    seen = np.kron(store.clear_count.values > 0, np.ones((6, 6), bool))
    assert (mapped.crop.values != 0).any()
    assert not (mapped.crop.values[~seen] != 0).any()
    cropcube.evaluate(both, model=tmp_path / "model", quiet=True)
    report = (both / "report.html").read_text("utf-8")
    for words in ("EMIT L2A reflectance 2020", "EMIT saw of the region", "build --sensor emit --catalog granules"):
        assert words in report
    assert ("Copernicus" in report) == (name != "emit")
    if name == "emit":
        counted = mapped.clear_count.values > 0
        assert (mapped.crop.values[counted] != 0).all()
