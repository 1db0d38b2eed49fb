"""What a build is asked for, and what is said about it before any work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cropcube.config import create_project
from cropcube.domain.emit import EMIT
from cropcube.pipeline.build_options import (
    BuildOptions,
    is_answered,
    needs_network,
    standing_project,
    wanted_request,
    wanted_spec,
)


def test_a_region_across_the_antimeridian_is_said_aloud() -> None:
    said: list[str] = []
    spec = wanted_spec(BuildOptions(region="179,-18,-178.5,-16", season="2024"), None, said.append)
    assert said == ["region 179,-18,-178.5,-16 crosses the antimeridian, 2.5 degrees wide"]
    again = wanted_spec(BuildOptions(region="179,-18,-178.5,-16"), spec, said.append)
    assert again == spec
    assert len(said) == 2
    wanted_spec(BuildOptions(), spec, said.append)
    assert len(said) == 2


def test_the_season_that_is_taken_without_one_is_said_aloud() -> None:
    said: list[str] = []
    spec = wanted_spec(BuildOptions(region="4.06,50.74,4.07,50.75"), None, said.append)
    assert len(said) == 1
    assert str(spec.season) in said[0]
    assert "last complete calendar year" in said[0]


def test_emit_is_asked_of_nasa_or_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    optical = wanted_spec(BuildOptions(region="4.06,50.74,4.07,50.75", season="2024"), None, lambda line: None)
    spec = replace(optical, sensor=EMIT)
    nasa = wanted_request(BuildOptions(), spec, None)
    assert (nasa.catalog, nasa.sensor, needs_network(nasa)) == ("cmr", EMIT, True)
    assert wanted_request(BuildOptions(), optical, None).catalog == "earth-search"
    monkeypatch.chdir(tmp_path)
    local = wanted_request(BuildOptions(catalog="granules"), spec, None)
    assert (local.catalog, needs_network(local)) == (str(tmp_path / "granules"), False)
    assert is_answered(wanted_request(BuildOptions(), spec, local.as_dict()), local.as_dict())
    assert not is_answered(nasa, local.as_dict())
    assert not is_answered(wanted_request(BuildOptions(catalog="granules"), optical, None), local.as_dict())


def test_a_project_without_its_outline_is_gone_on_with_by_the_command_that_began_it(tmp_path: Path) -> None:
    """It was killed between the two files."""
    options = BuildOptions(region="4.4,51.4,4.5,51.5", season="2020")
    made = create_project(tmp_path, wanted_spec(options, None, lambda _: None))
    (tmp_path / "region.geojson").unlink()
    assert standing_project(tmp_path, options) is None
    create_project(tmp_path, wanted_spec(options, None, lambda _: None))
    again = standing_project(tmp_path, options)
    assert again is not None
    assert again.spec.digest == made.spec.digest
