"""Questions to a catalogue: together they cover a season over a region, and each is simple."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, time, timedelta

import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cropcube.catalog.queries import queries
from cropcube.domain.grid import plan_grid
from cropcube.domain.region import Region
from cropcube.domain.season import Season


@st.composite
def seasons(draw: st.DrawFn) -> Season:
    """Return a season of up to 500 days."""
    start = draw(st.dates(date(2016, 1, 1), date(2026, 1, 1)))
    return Season(start, start + timedelta(days=draw(st.integers(1, 500))))


@st.composite
def regions(draw: st.DrawFn) -> Region:
    """Return a small box, at times across the antimeridian, a zone border or the equator."""
    west = draw(st.sampled_from([-180.0, 0.0, 5.8, 179.9, 11.9]) | st.floats(-180, 179))
    south = draw(st.sampled_from([-0.1, 55.9, 71.9]) | st.floats(-79, 83))
    east, north = west + draw(st.floats(0.05, 0.5)), south + draw(st.floats(0.05, 0.5))
    whole = shapely.box(west, south, min(east, 180.0), north)
    if east > 180:
        whole = shapely.union(whole, shapely.box(-180.0, south, east - 360, north))
    return Region.of("somewhere", whole)


@given(seasons(), regions())
@settings(max_examples=60, deadline=None)
def test_questions_cover_the_season_and_the_region(season: Season, region: Region) -> None:
    asked = list(queries(region, season, plan_grid(region, 768)))
    spans = sorted({(query.start, query.stop) for query in asked})
    assert spans[0][0] == datetime.combine(season.start - timedelta(days=1), time(), UTC)
    assert spans[-1][1] == datetime.combine(season.stop + timedelta(days=1), time(), UTC)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
    assert all(start.strftime("%Y-%m") == (stop - timedelta(seconds=1)).strftime("%Y-%m") for start, stop in spans)
    for span in spans:
        boxes = [query.box for query in asked if (query.start, query.stop) == span]
        assert all(-180 <= west < east <= 180 and -90 <= south < north <= 90 for west, south, east, north in boxes)
        assert all(east - west < 13 for west, _, east, _ in boxes)
        assert shapely.union_all([shapely.box(*box) for box in boxes]).buffer(1e-9).covers(region.geometry)
    assert len({(query.interval, query.zone) for query in asked}) == len(asked)


def test_a_grid_of_one_crs_is_asked_zone_by_zone_too() -> None:
    region = Region.of("both", shapely.box(5.9, 50.9, 6.1, 51.0))
    season = Season.parse("2023-04-01/2023-04-10")
    by_zone = list(queries(region, season, plan_grid(region, 768)))
    assert list(queries(region, season, plan_grid(region, 768, epsg=3035))) == by_zone
    assert {query.zone for query in by_zone} == {"utm31n", "utm32n"}
