"""Tiles partition a region: every point of it lies in exactly one planned tile of the one zone that owns it."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from cropcube.catalog.outlines import find_region
from cropcube.domain.grid import Grid, plan_grid
from cropcube.domain.region import Region
from tests.support.mgrs import grid_zone

TOPS = {True: 9_999_960, False: 10_000_000}


def tiles_at(grid: Grid, lon: float, lat: float, tile_px: int) -> list[tuple[str, int, int]]:
    """Return every planned tile that holds a point of its owner's zone, found by plain arithmetic."""
    found = grid_zone(lon, lat)
    assert found is not None
    zone, north = found
    name, epsg = f"utm{zone:02d}{'n' if north else 's'}", (32600 if north else 32700) + zone
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    side = tile_px * 10
    cells = {(zone.lattice.name, *cell) for zone in grid.zones for cell in zone.cells}
    left, up = x // side, (TOPS[north] - y) // side
    near = [(name, int(up) + row, int(left) + col) for row in (-1, 0, 1) for col in (-1, 0, 1)]
    return [cell for cell in near if cell in cells and _holds(cell, x, TOPS[north] - y, side)]


def _holds(cell: tuple[str, int, int], x: float, down: float, side: int) -> bool:
    return cell[2] * side <= x < (cell[2] + 1) * side and cell[1] * side <= down < (cell[1] + 1) * side


@st.composite
def corners(draw: st.DrawFn) -> tuple[float, float, float, float]:
    """Return west, south, width, height of a small rectangle, often across a border of zones."""
    near = st.sampled_from(
        [(6, 45), (180, -17), (-180, 66), (36, 0), (3, 60), (12, 63.9), (6, 56), (9, 78), (21, 72), (42, 79)]
    )
    west, south = draw(st.one_of(near, st.tuples(st.floats(-180, 179), st.floats(-79, 83))))
    west += draw(st.floats(-0.3, 0.0))
    south += draw(st.floats(-0.3, 0.0))
    return (west + 180) % 360 - 180, south, draw(st.floats(0.002, 0.5)), draw(st.floats(0.002, 0.5))


def rectangle(west: float, south: float, width: float, height: float) -> Region:
    """Return a rectangle, cut at the antimeridian."""
    east, north = west + width, south + height
    boxes = [shapely.box(west, south, min(east, 180), north)]
    if east > 180:
        boxes.append(shapely.box(-180, south, east - 360, north))
    return Region.of("drawn", shapely.multipolygons(boxes))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    corners(),
    st.sampled_from([96, 480, 768]),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=5, max_size=5),
)
@example((179.9, -17.0, 0.2, 0.2), 96, [(0.0, 0.5), (0.5, 0.5), (0.501, 0.5), (1.0, 0.5), (0.4999, 0.1)])
@example((35.9, -0.1, 0.2, 0.2), 96, [(0.5, 0.5), (0.5, 0.499999), (0.499999, 0.5), (0.1, 0.1), (0.9, 0.9)])
def test_every_point_lies_in_exactly_one_tile(
    drawn: tuple[float, float, float, float], tile_px: int, places: list[tuple[float, float]]
) -> None:
    west, south, width, height = drawn
    region = rectangle(*drawn)
    grid = plan_grid(region, tile_px)
    for across, up in places:
        lon, lat = west + across * width, south + up * height
        lon = lon - 360 if lon > 180 else lon
        if region.geometry.contains(shapely.Point(lon, lat)):  # inside; what lies on an edge counts as outside
            assert len(tiles_at(grid, lon, lat, tile_px)) == 1


@settings(max_examples=30, deadline=None)
@given(corners())
def test_no_tile_is_planned_far_from_the_region(drawn: tuple[float, float, float, float]) -> None:
    region = rectangle(*drawn)
    for zone in plan_grid(region, 480).zones:
        project = Transformer.from_crs(4326, zone.lattice.epsg, always_xy=True)
        left, bottom, right, top = np.array([tile.box(10).bounds for tile in zone.tiles()], dtype=float).T
        frames = shapely.segmentize(shapely.box(left - 20, bottom - 20, right + 20, top + 20), 1000)
        lonlat = shapely.transform(
            frames, lambda xy, t=project: np.column_stack(t.transform(*xy.T, direction="INVERSE"))
        )
        west, _, east, _ = shapely.bounds(lonlat).T
        plain = east - west < 180  # those across the antimeridian have no simple outline
        assert shapely.intersects(lonlat[plain], region.geometry).all()


@pytest.mark.parametrize("name", ["Norway", "Kenya", "Fiji", "Kiribati", "Ecuador", "New Zealand", "Indonesia"])
def test_random_points_of_real_countries_lie_in_planned_tiles(name: str) -> None:
    region = find_region(name)
    grid = plan_grid(region, 768)
    cells = {(zone.lattice.name, *cell) for zone in grid.zones for cell in zone.cells}
    rng = np.random.default_rng(1)
    west, south, east, north = region.bounds
    lon, lat = rng.uniform(west, east, 20_000), rng.uniform(south, north, 20_000)
    vertex = shapely.get_coordinates(region.geometry)  # points hard by the edge are where a thin plan would fail
    lon = np.concatenate([lon, vertex[:, 0] + rng.normal(0, 1e-5, len(vertex))])
    lat = np.concatenate([lat, vertex[:, 1] + rng.normal(0, 1e-5, len(vertex))])
    within = shapely.contains_xy(region.geometry, lon, lat)
    assert within.sum() > 50
    picked = np.flatnonzero(within)[:: max(1, within.sum() // 1500)]
    zones = [grid_zone(lon[i], lat[i]) for i in picked]
    for zone, north_side in sorted(set(zones)):
        members = picked[[z == (zone, north_side) for z in zones]]
        epsg = (32600 if north_side else 32700) + zone
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon[members], lat[members])
        planned = f"utm{zone:02d}{'n' if north_side else 's'}"
        for row, col in zip((TOPS[north_side] - y) // 7680, x // 7680, strict=True):
            assert (planned, int(row), int(col)) in cells
