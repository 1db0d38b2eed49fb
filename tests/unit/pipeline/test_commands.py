"""The commands in the report: typed again, they ask for the same."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest
import typer

from cropcube.domain.feature_spec import FeatureSpec
from cropcube.model.fit_options import FitOptions
from cropcube.pipeline.commands import GROUPS, WORD_OF, build_command, command, file_name
from cropcube.pipeline.evaluate import EvaluateOptions
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.report_made import without_folders
from cropcube.pipeline.sources import features_command
from cropcube.pipeline.train import TrainOptions, usual_options
from cropcube.samples.label_rules import LabelRules
from cropcube.samples.places import SplitRule
from cropcube_cli.main import make_app
from tests.support.small_map import small_project

NOT_ASKED = {"min_leaf", "iterations"}
"""Settings that the command line does not have."""
FILES = LabelFiles((Path("/somewhere/private/a b.gpkg"), Path("c.parquet")), LabelRules(("crop", "hcat"), erode_m=10.0))


def typed_again(text: str, monkeypatch: pytest.MonkeyPatch, verb: str) -> object:
    """Return the options that the command line makes of a command."""
    import importlib

    asked: list[object] = []

    def record(_: object, options: object, *__: object, **___: object) -> None:
        asked.append(options)
        raise typer.Exit

    monkeypatch.setattr(importlib.import_module(f"cropcube.pipeline.{verb}"), verb, record)
    words = shlex.split(text)
    assert words[0] == "cropcube"
    typer.main.get_command(make_app()).main(words[1:], standalone_mode=False)
    return asked[0]


def named(options: LabelFiles) -> LabelFiles:
    return replace(options, paths=tuple(Path(path.name) for path in options.paths))


@pytest.mark.parametrize(
    "options",
    [
        TrainOptions(named(FILES), fit=FitOptions.of_words("cropnet", {})),
        TrainOptions(
            named(FILES), Path("l.csv"), "harmonic-2", "forest", SplitRule("field"), FitOptions(trees=9, seed=4)
        ),
        TrainOptions(
            LabelFiles.of(Path("a.tif")), split=SplitRule(block_m=160),
            fit=FitOptions.of_words("cropnet", {"recipe": "paper", "width": 48, "threads": 2}),
        ),
        TrainOptions(LabelFiles.of(Path("a.tif")), fit=FitOptions.of_words("cropnet", {"augment": "none"})),
    ],
    ids=["usual", "forest", "paper", "unchanged"],
)  # fmt: skip
def test_train_is_told_so_that_it_can_be_typed_again(options: TrainOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    text = command("train", options, usual_options(options.classifier))
    assert typed_again(text, monkeypatch, "train") == options


@pytest.mark.parametrize(
    "options",
    [
        EvaluateOptions(),
        EvaluateOptions(folds=4, seeds=5, compare=("forest",), classifier="cropnet"),
        EvaluateOptions(named(FILES), 3, split=SplitRule("region", regions=Path("r.gpkg")), model=Path("other")),
    ],
)
def test_evaluate_is_told_so_that_it_can_be_typed_again(
    options: EvaluateOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert typed_again(command("evaluate", options), monkeypatch, "evaluate") == options


GROUPED = {"labels": (LabelFiles, LabelRules), "split": (SplitRule,), "fit": (FitOptions,), "rules": ()}


@pytest.mark.parametrize(("verb", "options"), [("train", TrainOptions), ("evaluate", EvaluateOptions)])
def test_every_field_has_a_word_on_the_command_line(verb: str, options: type) -> None:
    known = {text for option in typer.main.get_command(make_app()).commands[verb].params for text in option.opts}
    own = {entry.name for entry in fields(options)}
    kinds = [options, *(kind for name, group in GROUPED.items() if name in own for kind in group)]
    assert set(kinds[1:]) <= set(GROUPS)
    names = {entry.name for kind in kinds for entry in fields(kind)} - set(GROUPED) - NOT_ASKED
    assert {f"--{WORD_OF.get(name, name.replace('_', '-'))}" for name in names} - known == set()


def test_files_are_told_without_their_folders() -> None:
    text = command("train", TrainOptions(FILES))
    assert "'a b.gpkg'" in text
    assert "private" not in text
    assert (file_name("/data/x/region.geojson"), file_name("belgium")) == ("region.geojson", "belgium")


def test_build_is_told_from_what_is_frozen(tmp_path: Path) -> None:
    project = small_project(tmp_path / "project")
    assert build_command(project) == "cropcube build --region small --season 2019-03-01/2019-05-10 --tile-px 96"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("cannot open /data/u/B04.tif", "cannot open B04.tif"),
        ("https://x.blob.core.windows.net/a/b/B04.tif?sig=secret: HTTP 403", "B04.tif HTTP 403"),
        ("'/vsis3/bucket/B04.tif' not recognised", "'B04.tif' not recognised"),
        ("HTTP 503 after 3 tries", "HTTP 503 after 3 tries"),
    ],
)
def test_messages_lose_folders_hosts_and_signatures(message: str, told: str) -> None:
    assert without_folders(message) == told


@pytest.mark.parametrize(
    ("spec", "command"),
    [
        (FeatureSpec("geomedian", window_days=30), "--kind geomedian --window 30"),
        (FeatureSpec("percentiles"), "--kind percentiles"),
        (FeatureSpec("percentiles", percentiles=(2.5, 50)), "--kind percentiles --percentiles 2.5,50"),
        (FeatureSpec("statistics", indices=("EVI", "NDVI")), "--kind statistics --index EVI --index NDVI"),
        (FeatureSpec("harmonic", ridge=0.5), "--kind harmonic --order 2 --ridge 0.5"),
    ],
)
def test_the_command_that_makes_features_names_their_options(spec: FeatureSpec, command: str) -> None:
    assert features_command(spec) == f"cropcube features {command}"
