"""Planning tiles, and masks of the region."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from cropcube.catalog.outlines import find_region
from cropcube.domain.grid import inside, lonlat_centres, lonlat_of, pixels_at, plan_grid, zone_pieces
from cropcube.domain.lattice import Lattice, PixelBox
from cropcube.domain.region import Region
from cropcube.errors import InvalidInputError, MissingError

FLANDERS = Region.of("flanders", shapely.box(4.05, 50.74, 4.06, 50.75))


def test_a_small_rectangle_takes_the_tiles_it_lies_in() -> None:
    grid = plan_grid(FLANDERS, 96)
    (zone,) = grid.zones
    x, y = Transformer.from_crs(4326, 32631, always_xy=True).transform(
        [4.05, 4.06, 4.06, 4.05], [50.74, 50.74, 50.75, 50.75]
    )
    cols = range(int(min(x) // 960), int(max(x) // 960) + 1)
    rows = range(int((9_999_960 - max(y)) // 960), int((9_999_960 - min(y)) // 960) + 1)
    assert zone.cells == {(row, col) for row in rows for col in cols}
    assert len(grid) == len(rows) * len(cols)
    assert copy.deepcopy(grid) == grid


def test_india_is_planned_as_the_design_counts_it() -> None:
    grid = plan_grid(find_region("india"), 768)
    assert grid.names == ("utm42n", "utm43n", "utm44n", "utm45n", "utm46n", "utm47n")
    assert 54_000 < len(grid) < 57_000


def test_long_edges_are_followed_in_their_curve() -> None:
    strip = shapely.box(0.2, 59.995, 2.9, 60.0)  # its chord in UTM lies over 2 km off in the middle
    (zone,) = plan_grid(Region.of("drawn", strip), 96).zones
    lon = np.linspace(0.2001, 2.8999, 500)
    x, y = Transformer.from_crs(4326, 32631, always_xy=True).transform(lon, np.full(500, 59.9999))
    assert {(int(row), int(col)) for row, col in zip((9_999_960 - y) // 960, x // 960, strict=True)} <= zone.cells


def test_a_region_on_a_corner_of_tiles_takes_all_four() -> None:
    lon, lat = Transformer.from_crs(32631, 4326, always_xy=True).transform(960 * 600, 9_999_960 - 960 * 5000)
    (zone,) = plan_grid(Region.of("drawn", shapely.box(lon - 3e-5, lat - 3e-5, lon + 3e-5, lat + 3e-5)), 96).zones
    assert zone.cells == {(4999, 599), (4999, 600), (5000, 599), (5000, 600)}


def test_whole_degrees_do_not_take_the_neighbouring_zones() -> None:
    assert plan_grid(Region.of("drawn", shapely.box(6, 0, 12, 1)), 768).names == ("utm32n",)


def test_one_other_crs_takes_everything() -> None:
    region = Region.of("drawn", shapely.box(5, 50, 7, 51))  # spans zones 31 and 32
    assert plan_grid(region, 768).names == ("utm31n", "utm32n")
    grid = plan_grid(region, 768, epsg=3035)
    assert grid.names == ("epsg3035",)
    x, y = Transformer.from_crs(4326, 3035, always_xy=True).transform(5.5, 50.5)
    assert (int(-y // 7680), int(x // 7680)) in grid.zones[0].cells


def test_one_utm_zone_is_taken_only_where_it_owns_the_region() -> None:
    assert plan_grid(FLANDERS, 768, epsg=32631) == plan_grid(FLANDERS, 768)
    with pytest.raises(InvalidInputError, match="lies in utm31n utm32n"):
        plan_grid(Region.of("drawn", shapely.box(5, 50, 7, 51)), 768, epsg=32631)


@pytest.mark.parametrize(
    ("region", "tile_px", "epsg", "message"),
    [
        (FLANDERS, 100, None, "not a multiple of 96"),
        (FLANDERS, 0, None, "not a multiple of 96"),
        (FLANDERS, 768, 4326, "not projected in metres"),
        (FLANDERS, 768, 999999, "not a known CRS"),
        (Region.of("pole", shapely.box(0, 85, 1, 86)), 768, None, "beyond 80 S or 84 N"),
        (Region.of("far side", shapely.box(100, 0, 101, 1)), 768, 32631, "lies in utm47n"),
        (FLANDERS, 768, 2193, "made for New Zealand.*lies elsewhere"),
        (Region.of("to the pole", shapely.box(0, -90, 1, 50)), 768, 2154, "does not fit EPSG:2154"),
    ],
)
def test_what_cannot_be_planned_is_refused(region: Region, tile_px: int, epsg: int | None, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        plan_grid(region, tile_px, epsg)


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(MissingError, match="no zone 'utm32n'"):
        plan_grid(FLANDERS, 768).zone("utm32n")


def test_zone_pieces_make_up_the_region() -> None:
    region = find_region("norway")
    pieces = zone_pieces(region)
    assert "utm34n" in {lattice.name for lattice in pieces}  # the mainland beyond 18 E, south of band X
    assert sum(piece.area for piece in pieces.values()) == pytest.approx(region.geometry.area)


def naive_inside(region: Region, box: PixelBox) -> np.ndarray:
    """Return the mask as it is defined: every pixel centre projected and asked for."""
    x, y = np.meshgrid(box.bounds[0] + np.arange(box.width) * box.resolution_m + box.resolution_m / 2,
                       box.bounds[3] - np.arange(box.height) * box.resolution_m - box.resolution_m / 2)  # fmt: skip
    lon, lat = Transformer.from_crs(box.lattice.epsg, 4326, always_xy=True).transform(x, y)
    points = shapely.points(np.ravel(lon), np.ravel(lat))
    return shapely.contains(region.geometry, points).reshape(box.shape)


@pytest.mark.parametrize(
    ("region", "epsg", "lonlat"),
    [
        (FLANDERS, 32631, (4.05, 50.74)),  # a corner
        (FLANDERS, 3035, (4.06, 50.745)),  # an edge, on another lattice
        (FLANDERS, 32631, (4.055, 50.745)),  # wholly within
        (FLANDERS, 32631, (4.2, 50.745)),  # wholly outside
        (find_region("fiji"), 32701, (-179.98, -16.95)),
        (find_region("179.99,-17.2,-179.99,-17.1"), 32760, (180.0, -17.1)),
        (find_region("179.99,-17.2,-179.99,-17.1"), 32701, (-179.99, -17.1)),
        (find_region("netherlands"), 32631, (4.5, 52.3)),
    ],
)
def test_inside_is_decided_at_every_pixel_centre(region: Region, epsg: int, lonlat: tuple[float, float]) -> None:
    lattice = Lattice.of_epsg(epsg)
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(*lonlat)
    box = lattice.box_of_bounds((x - 300, y - 200, x + 200, y + 300), 10)
    np.testing.assert_array_equal(inside(region, box), naive_inside(region, box))


def test_some_of_these_boxes_are_cut() -> None:
    x, y = Transformer.from_crs(4326, 32631, always_xy=True).transform(4.05, 50.74)
    mask = inside(FLANDERS, Lattice.utm(31, True).box_of_bounds((x - 300, y - 200, x + 200, y + 300), 10))
    assert mask.any()
    assert not mask.all()


def test_pixel_centres_in_degrees() -> None:
    lon, lat = lonlat_centres(PixelBox(Lattice.utm(31, True), 20, 200_000, 25_000, 2, 3))
    assert lon.shape == (2, 3)
    assert lon[0] == pytest.approx(
        [3.000153, 3.000459, 3.000765], abs=2e-6
    )  # 10, 30, 50 m east of the central meridian
    assert lat[0, 0] > lat[1, 0]


@pytest.mark.parametrize("lattice", [Lattice.utm(31, True), Lattice.utm(43, False), Lattice.of_epsg(3035)])
def test_places_and_pixels_are_told_from_each_other(lattice: Lattice) -> None:
    box = lattice.box_of_bounds((4_000_000, 3_000_000, 4_000_050, 3_000_030), 10)
    if lattice.is_utm:
        box = lattice.box_of_bounds((500_000, 5_600_000, 500_050, 5_600_030), 10)
    row, col = (axis.ravel() for axis in np.indices(box.shape))
    lonlat = lonlat_of(lattice, box.row + row, box.col + col)
    np.testing.assert_allclose(lonlat, np.stack([axis.ravel() for axis in lonlat_centres(box)], axis=1), atol=1e-12)
    found = pixels_at(lattice, lonlat)
    np.testing.assert_array_equal(found, [box.row + row, box.col + col])
    np.testing.assert_array_equal(pixels_at(lattice, np.array([[np.inf, np.inf]])), [[-1], [-1]])
