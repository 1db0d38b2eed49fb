"""The frozen specification: created once, read back the same, refused when it is another."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from cropcube.config import FILE_NAME, ProjectSpec, create_project, find_project, read_project
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import ConflictError, InvalidInputError, MissingError

SPEC = ProjectSpec(
    Region('Field "7" \\ north', Polygon([(4.05, 50.74), (4.07, 50.7412345678901), (4.06, 50.76)])),
    Season.parse("2018-12-01/2019-11-28"),
    SENTINEL2,
    96,
)


def test_what_is_created_is_read_back(tmp_path: Path) -> None:
    created = create_project(tmp_path / "new", SPEC)
    assert created.spec == SPEC
    found = find_project(tmp_path / "new" / "features" / "deep") if (tmp_path / "new").exists() else None
    assert found is not None
    assert found.root == created.root
    assert found.spec.digest == SPEC.digest
    assert not [p for p in created.root.iterdir() if p.name.startswith(".")]


@settings(max_examples=30, deadline=None)
@given(
    bands=st.sets(st.sampled_from([b.name for b in SENTINEL2.bands]), min_size=1),
    tile=st.sampled_from([96, 192, 768, 3840]),
    epsg=st.sampled_from([None, 3035, 32631]),
    days=st.integers(1, 800),
    name=st.text(min_size=1, max_size=20),
)
def test_every_specification_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, bands: set[str], tile: int, epsg: int | None, days: int, name: str
) -> None:
    spec = ProjectSpec(
        Region(name, SPEC.region.geometry),
        Season(SPEC.season.start, SPEC.season.date_of(days)),
        SENTINEL2.select(tuple(bands)),
        tile,
        epsg,
    )
    assert create_project(tmp_path_factory.mktemp("project"), spec).spec == spec


def test_the_same_specification_twice_is_harmless_and_changes_nothing(tmp_path: Path) -> None:
    create_project(tmp_path, SPEC)
    before = (tmp_path / FILE_NAME).stat().st_mtime_ns
    create_project(tmp_path, SPEC)
    assert (tmp_path / FILE_NAME).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (replace(SPEC, tile_px=192), "tile_px"),
        (replace(SPEC, season=Season.of_year(2020)), "season: .* here, 2020-01-01/2021-01-01 asked for"),
        (replace(SPEC, sensor=SENTINEL2.select(("B04",))), "bands"),
        (replace(SPEC, region=Region("Belgium", box(4, 50, 5, 51))), "north here, Belgium asked for"),
        (replace(SPEC, region=Region(SPEC.region.name, box(4, 50, 5, 51))), "another outline of that name asked for"),
        (replace(SPEC, epsg=3035), "grid.crs: none here, EPSG:3035 asked for"),
    ],
)
def test_another_specification_is_refused_and_the_standing_one_kept(
    tmp_path: Path, other: ProjectSpec, named: str
) -> None:
    create_project(tmp_path, SPEC)
    standing = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(ConflictError, match=named) as caught:
        create_project(tmp_path, other)
    assert not any(spec.region.digest in caught.value.what for spec in (SPEC, other))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == standing


def test_every_difference_is_said_in_words(tmp_path: Path) -> None:
    create_project(tmp_path, replace(SPEC, region=Region("Kenya", SPEC.region.geometry)))
    other = ProjectSpec(Region("Peru", box(4, 50, 5, 51)), Season.of_year(2020), SENTINEL2.select(("B04", "B08")), 96)
    with pytest.raises(ConflictError) as caught:
        create_project(tmp_path, other)
    assert "region: Kenya here, Peru asked for; season: 2018-12-01/2019-11-28 here, 2020" in caught.value.what
    assert "B12 here, B04 B08 asked for" in caught.value.what


def test_drivers_that_start_at_once_agree_on_one_specification(tmp_path: Path) -> None:
    specs = [replace(SPEC, tile_px=96 * (1 + number % 2)) for number in range(8)]
    outcomes: list[str] = []
    gate = threading.Barrier(len(specs))

    def start(spec: ProjectSpec) -> None:
        gate.wait()
        try:
            outcomes.append(str(create_project(tmp_path, spec).spec.tile_px))
        except ConflictError:
            outcomes.append("refused")

    threads = [threading.Thread(target=start, args=(spec,)) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [str(read_project(tmp_path).spec.tile_px)] * 4 + ["refused"] * 4


def test_a_lost_outline_is_written_anew_by_the_same_build(tmp_path: Path) -> None:
    root = create_project(tmp_path, SPEC).root
    (root / "region.geojson").unlink()
    with pytest.raises(MissingError, match="--region"):
        find_project(root)
    assert create_project(root, SPEC).spec == SPEC


def test_no_project_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="cropcube build"):
        find_project(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (FILE_NAME, "format = 1\n[region"),
        (FILE_NAME, "format = 1\n"),
        (FILE_NAME, "format = 99\n"),
        ("region.geojson", '{"geometry": '),
        ("region.geojson", '{"geometry": {"type": "Point", "coordinates": [0, 0]}}'),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, text: str) -> None:
    create_project(tmp_path, SPEC)
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInputError, match=name) as caught:
        find_project(tmp_path)
    assert caught.value.next_step


def test_another_outline_under_the_same_project_is_refused(tmp_path: Path) -> None:
    create_project(tmp_path / "a", SPEC)
    create_project(tmp_path / "b", replace(SPEC, region=Region("x", box(4, 50, 5, 51))))
    (tmp_path / "b" / "region.geojson").rename(tmp_path / "a" / "region.geojson")
    with pytest.raises(InvalidInputError, match="not the outline"):
        find_project(tmp_path / "a")
