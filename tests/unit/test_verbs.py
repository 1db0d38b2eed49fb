"""The verbs for Python: keywords are dealt out, names of packages stay callable, nothing heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import cropcube
from cropcube import verbs
from cropcube.errors import MissingError
from cropcube.run.options import RunOptions


@dataclass(frozen=True)
class Inner:
    order: int = 2
    kind: str = "median"


@dataclass(frozen=True)
class Outer:
    labels: Path | None = None
    spec: Inner = field(default_factory=Inner)


def test_keywords_are_dealt_out_to_the_options_nested_ones_and_the_run() -> None:
    chosen, run = verbs._options(Outer, {"labels": "a.gpkg", "order": 3, "workers": 2})
    assert chosen == Outer(Path("a.gpkg"), Inner(order=3))
    assert run == RunOptions(workers=2)
    whole, _ = verbs._options(Outer, {"spec": Inner(5)})
    assert whole.spec.order == 5


def test_an_unknown_keyword_is_named_with_those_that_exist() -> None:
    with pytest.raises(TypeError, match=r"no field ordr; it has: labels order kind"):
        verbs._options(Outer, {"ordr": 3})


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
