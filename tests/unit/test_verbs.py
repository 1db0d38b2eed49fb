"""The verbs for Python: the command line's words, names of packages stay callable, nothing heavy is imported."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import cropcube
from cropcube import verbs
from cropcube.domain.feature_spec import FeatureSpec
from cropcube.errors import MissingError, UsageError
from cropcube.model.fit_options import FitOptions
from cropcube.pipeline.evaluate import EvaluateOptions
from cropcube.pipeline.extract import ExtractOptions
from cropcube.pipeline.features import FeaturesOptions
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.train import TrainOptions
from cropcube.run.options import RunOptions
from cropcube.samples.places import SplitRule
from cropcube_cli.main import make_app

NOT_KEYWORDS = {"project", "json", "help"}
IN_PYTHON = {"from": "source"}
"""Words of the command line that are words of Python's own."""


def options_of(name: str) -> dict[str, object]:
    """Return the options of a command, as words, with their defaults."""
    command = typer.main.get_command(make_app()).commands[name]  # type: ignore[attr-defined]
    words = {
        next(text for text in option.opts if text.startswith("--"))[2:].replace("-", "_"): option.default
        for option in command.params
        if option.param_type_name == "option"
    }
    return {IN_PYTHON.get(word, word): default for word, default in words.items() if word not in NOT_KEYWORDS}


def keywords_of(name: str) -> dict[str, object]:
    """Return the keywords of a verb, with their defaults."""
    parameters = inspect.signature(getattr(verbs, name)).parameters.values()
    named = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    takes_run = any(p.kind is p.VAR_KEYWORD for p in parameters)
    where = RunOptions()
    shared = {word: getattr(where, word) for word in verbs.RunWords.__annotations__} if takes_run else {}
    return named | shared


@pytest.mark.parametrize("name", cropcube.VERBS)
def test_keywords_and_defaults_are_those_of_the_command_line(name: str) -> None:
    keywords = keywords_of(name)
    assert keywords.keys() == options_of(name).keys()
    for word, default in options_of(name).items():
        if default is not None and keywords[word] is not inspect.Parameter.empty:
            assert keywords[word] == default, word


@pytest.mark.parametrize(
    ("name", "wrong", "named"),
    [
        ("features", {"window_days": 5}, "features has no keyword window_days; it has: project, kind, window, order"),
        ("predict", {"modle": "x"}, "predict has no keyword modle; it has: project, model, rebuild, source, probabili"),
        ("train", {"labels": "x", "fit": 1, "feature": "y"}, "train has no keyword fit, feature; it has: project, lab"),
        ("status", {"workers": 1}, "status has no keyword workers; it has: project, tile$"),
    ],
)
def test_a_wrong_keyword_is_answered_with_the_verbs_own(name: str, wrong: dict[str, object], named: str) -> None:
    with pytest.raises(TypeError, match=named):
        getattr(cropcube, name)(**wrong)


def test_a_keyword_that_is_needed_is_missed_by_name() -> None:
    with pytest.raises(TypeError, match="cog"):
        cropcube.export()


def test_words_become_what_the_pipeline_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    from cropcube.pipeline import evaluate, extract, features, train

    for module in (evaluate, extract, features, train):
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, name, lambda *given, **more: asked.append(given))
    verbs.features(
        tmp_path,
        window=10,
        mask="scl:4",
        index="ndvi,EVI",
        cluster="local",
        memory_limit="1GiB",
        workers=2,
        quiet=True,
    )
    spec = FeatureSpec("median", 10, classes=(4,), indices=("NDVI", "EVI"))
    assert asked.pop() == (tmp_path, FeaturesOptions(spec), RunOptions("local", 2, 2**30, True))
    verbs.train(str(tmp_path), labels="a.gpkg", classifier="forest", trees=7, seed=3, legend="l.csv", model="m")
    fit = FitOptions(trees=7, seed=3)
    files = LabelFiles.of(Path("a.gpkg"))
    options = TrainOptions(files, Path("l.csv"), "median-5d", "forest", SplitRule(), fit, Path("m"))
    assert asked.pop() == (tmp_path, options)
    verbs.evaluate(tmp_path, folds=4, compare="forest")
    assert asked.pop() == (tmp_path, EvaluateOptions(folds=4, compare=("forest",)), RunOptions())
    verbs.extract(tmp_path, points="p.csv", source="median-5d", mask="scl:4,5")
    assert asked.pop() == (tmp_path, ExtractOptions(Path("p.csv"), None, "median-5d", None, (4, 5)), RunOptions())


def test_words_that_do_not_go_together_are_refused_as_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--order belongs to --kind harmonic"):
        verbs.features(tmp_path, order=3)
    with pytest.raises(UsageError, match="--width belongs to --classifier cropnet"):
        verbs.train(tmp_path, labels="a.gpkg", classifier="forest", width=8)
    with pytest.raises(UsageError, match="'much' is not a size"):
        verbs.predict(tmp_path, memory_limit="much")


def test_remarks_go_to_standard_error_unless_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        dry = verbs.build(tmp_path, region="4.06,50.74,4.07,50.75", dry_run=True, quiet=quiet)
        assert dry.as_dict()["dry_run"]
        printed = capsys.readouterr()
        assert not printed.out
        assert ("last complete calendar year" in printed.err) == (not quiet)


@pytest.mark.parametrize("name", cropcube.VERBS)
def test_every_verb_of_the_command_line_is_here(name: str) -> None:
    assert callable(getattr(cropcube, name))
    assert callable(getattr(verbs, name))


def test_packages_that_are_verbs_can_be_called_whichever_is_imported_first(tmp_path: Path) -> None:
    import cropcube.features.compute

    assert cropcube.features.compute.__name__ == "cropcube.features.compute"
    with pytest.raises(MissingError, match="cropcube build"):
        cropcube.features(tmp_path, kind="harmonic")  # type: ignore[operator]


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import cropcube, sys; print(sorted({m.split('.')[0] for m in sys.modules}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "torch", "dask", "xarray", "zarr", "rasterio"} & set(names_in(out))


def names_in(text: str) -> list[str]:
    return [part.strip(" '[]\n") for part in text.split(",")]


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'bild'"):
        cropcube.bild  # noqa: B018
