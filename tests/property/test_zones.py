"""Every point of the Earth has one owner, as the published table of MGRS says."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import example, given
from hypothesis import strategies as st
from pyproj import Transformer

from cropcube.domain.grid import owned, owner
from cropcube.domain.lattice import Lattice
from cropcube.domain.zones import all_zones
from tests.support.mgrs import CELLS, grid_zone

BORDER_LONS = sorted({float(edge) for west, _, east, _ in CELLS.values() for edge in (west, east)})
BORDER_LATS = [-80.0, 0.0, 56.0, 64.0, 72.0, 84.0]
NUDGES = st.sampled_from([0.0, 1e-12, -1e-12, 1e-6, -1e-6, 0.5, -0.5])

lons = st.one_of(
    st.floats(-180, 180),
    st.builds(lambda lon, nudge: min(max(lon + nudge, -180), 180), st.sampled_from(BORDER_LONS), NUDGES),
)
lats = st.one_of(st.floats(-90, 90), st.builds(lambda lat, nudge: lat + nudge, st.sampled_from(BORDER_LATS), NUDGES))


@given(lons, lats)
@example(180.0, 10.0)
@example(-180.0, 10.0)
@example(5.999999999999999, 10.0)
@example(3.0, 56.0)
@example(0.0, -0.0)
@example(2.9999999999999996, 63.99999999999999)
@example(9.0, 72.0)
@example(42.0, 80.0)
def test_the_owner_is_the_tables(lon: float, lat: float) -> None:
    zone, north = owner(np.array([lon]), np.array([lat]))
    expected = grid_zone(lon, lat)
    assert (int(zone[0]), bool(north[0])) == expected if expected else zone[0] == 0


def test_nan_has_no_owner() -> None:
    assert owner(np.array([np.nan, 5.0]), np.array([5.0, np.nan]))[0].tolist() == [0, 0]


def test_zone_outlines_tile_the_earth() -> None:
    lattices, outlines = all_zones()
    assert len(outlines) == len(set(lattices)) == 120
    assert list(lattices) == sorted(lattices)
    assert sum(outline.area for outline in outlines) == pytest.approx(360 * 164)
    assert shapely.union_all(outlines).area == pytest.approx(360 * 164)
    for lattice, outline in zip(lattices, outlines, strict=True):
        zone, north = lattice.epsg % 100, lattice.epsg < 32700
        mine = [cell for name, cell in CELLS.items() if int(name[:-1]) == zone and (name[-1] >= "N") == north]
        assert outline.equals(shapely.union_all([shapely.box(*cell) for cell in mine])), lattice.name


BORDERS = [  # a point on each kind of border
    (6.0, 45.0), (12.0, -33.0), (180.0, -17.0), (-180.0, 66.0), (78.0, 22.0), (36.0, 0.0), (37.4, 0.0), (3.0, 60.0),
    (12.0, 60.0), (6.0, 64.0), (4.5, 56.0), (4.5, 64.0), (9.0, 78.0), (21.0, 78.0), (33.0, 78.0), (10.5, 72.0),
    (30.5, 72.0),
]  # fmt: skip


@pytest.mark.parametrize(("lon", "lat"), BORDERS)
def test_masks_of_neighbours_neither_overlap_nor_gap(lon: float, lat: float) -> None:
    rng = np.random.default_rng(7)
    around = [(lon + dx, lat + dy) for dx in (-0.01, 0.01) for dy in (-0.01, 0.01)]
    neighbours = sorted({grid_zone((x + 180) % 360 - 180, y) for x, y in around})
    assert len(neighbours) >= 2
    points_lon = lon + rng.uniform(-0.02, 0.02, 4000) / np.cos(np.radians(lat))
    points_lat = lat + rng.uniform(-0.02, 0.02, 4000)
    owners = np.zeros(points_lon.size, dtype=int)
    for zone, north in neighbours:
        lattice = Lattice.utm(zone, north)
        project = Transformer.from_crs(4326, lattice.epsg, always_xy=True)
        x, y = project.transform((points_lon + 180) % 360 - 180, points_lat)
        box = lattice.box_of_bounds((x.min() - 30, y.min() - 30, x.max() + 30, y.max() + 30), 20)
        mask = owned(box)
        back_lon, back_lat = project.transform(*np.meshgrid(box.x_centres(), box.y_centres()), direction="INVERSE")
        row, col = ((lattice.top_m - y) // 20 - box.row).astype(int), ((x - lattice.left_m) // 20 - box.col).astype(int)
        for r, c in zip(row[:150], col[:150], strict=True):
            assert mask[r, c] == (grid_zone(back_lon[r, c], back_lat[r, c]) == (zone, north))
        owners += mask[row, col]
    edges = [
        edge
        for west, south, east, north in CELLS.values()
        for edge in _near_edges((west, south, east, north), lon, lat)
    ]
    distance_deg = np.min([edge.distance(shapely.points(points_lon, points_lat)) for edge in edges], axis=0)
    clear = distance_deg * 111_000 * np.cos(np.radians(lat)) > 30  # further from a border than a pixel's diagonal
    assert clear.sum() > 2000
    assert (owners[clear] == 1).all()
    assert ((owners[~clear] >= 0) & (owners[~clear] <= len(neighbours))).all()


def _near_edges(cell: tuple[int, int, int, int], lon: float, lat: float) -> list[shapely.Geometry]:
    """Return the cell's outline where it comes near a point, on either side of the antimeridian."""
    rings = [shapely.box(cell[0] + turn, cell[1], cell[2] + turn, cell[3]).exterior for turn in (-360, 0, 360)]
    return [ring for ring in rings if ring.distance(shapely.Point(lon, lat)) < 1]


def test_a_lattice_that_is_not_utm_owns_everything() -> None:
    assert owned(Lattice.of_epsg(3035).box_of_bounds((4_000_000, 3_000_000, 4_001_000, 3_001_000), 10)).all()


@pytest.mark.parametrize(("west", "east", "expected"), [(500_000, 510_000, True), (900_000, 910_000, False)])
def test_boxes_far_from_a_border_are_decided_whole(west: int, east: int, expected: bool) -> None:
    mask = owned(Lattice.utm(31, True).box_of_bounds((west, 5_000_000, east, 5_010_000), 10))
    assert mask.shape == (1000, 1000)
    assert (mask == expected).all()
