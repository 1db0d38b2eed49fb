"""What a file or a picture of a region covers: all its pixels and hardly more."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from cropcube.domain.grid import inside, owned, plan_grid
from cropcube.domain.region import Region
from cropcube.maps.extent import covered_box

REGIONS = {
    "rectangle": shapely.box(4.05, 50.74, 4.07, 50.75),
    "across two zones": shapely.box(5.99, 50.74, 6.01, 50.745),
    "triangle on the equator": shapely.Polygon([(30.0, -0.01), (30.02, -0.01), (30.01, 0.012)]),
    "over the antimeridian": shapely.union(
        shapely.box(179.99, -17, 180, -16.99), shapely.box(-180, -17, -179.99, -16.99)
    ),
}


@pytest.mark.parametrize("name", REGIONS)
@pytest.mark.parametrize("epsg", [None, 6933])
def test_no_pixel_of_the_region_is_outside_the_box(name, epsg):
    if epsg and "antimeridian" in name:
        epsg = 3832  # a Pacific grid that has no edge there
    region = Region.of(name, REGIONS[name])
    for zone in plan_grid(region, 96, epsg).zones:
        box = covered_box(region, zone)
        whole = zone.box(10)
        mask = inside(region, whole) & owned(whole)
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        first_row, first_col = box.row - whole.row, box.col - whole.col
        assert first_row <= rows[0] <= first_row + 2
        assert first_row + box.height - 3 <= rows[-1] < first_row + box.height
        assert first_col <= cols[0] <= first_col + 2
        assert first_col + box.width - 3 <= cols[-1] < first_col + box.width


def test_a_region_smaller_than_a_pixel_has_a_box_all_the_same():
    region = Region.of("dot", shapely.box(4.05, 50.74, 4.05001, 50.74001))
    zone = plan_grid(region, 96).zones[0]
    assert covered_box(region, zone).intersection(zone.box(10)) == covered_box(region, zone)
