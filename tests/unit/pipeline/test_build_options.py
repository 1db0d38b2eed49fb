"""What a build is asked for, and what is said about it before any work."""

from __future__ import annotations

from cropcube.pipeline.build_options import BuildOptions, wanted_spec


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
