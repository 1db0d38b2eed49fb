"""The table of radiometric rules, row by row and in its order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cropcube.catalog.radiometry import RULES, RadiometricFacts, radiometry_of
from cropcube.catalog.sentinel2 import parse_item
from cropcube.errors import InvalidInputError
from tests.support.stac_items import plain_item

LATE, EARLY = datetime(2023, 5, 1, tzinfo=UTC), datetime(2020, 5, 1, tzinfo=UTC)

# when, baseline, earthsearch:boa_offset_applied, stated scale, stated offset -> offset, rule
ROWS = [
    (LATE, "05.09", True, 1e-4, -0.1, 0.0, "already shifted"),
    (LATE, "05.09", True, None, None, 0.0, "already shifted"),
    (EARLY, "02.14", False, 1e-4, 0.0, 0.0, "not shifted"),
    (LATE, "05.09", False, 1e-4, 0.0, -0.1, "not shifted"),
    (LATE, "05.10", None, 1e-4, -0.1, -0.1, "stated"),
    (LATE, "05.10", None, 1e-4, 0.0, 0.0, "stated"),
    (LATE, "", False, 1e-4, -0.1, -0.1, "stated"),
    (EARLY, "05.00", None, None, None, -0.1, "by baseline"),
    (LATE, "04.00", None, None, None, -0.1, "by baseline"),
    (LATE, "03.01", None, None, None, 0.0, "by baseline"),
    (LATE, "05.00", None, 1e-4, None, -0.1, "by baseline"),
    (LATE, "", None, 1e-4, None, 0.0, "stated scale"),
    (EARLY, "", None, None, None, 0.0, "by date"),
]


@pytest.mark.parametrize(("when", "baseline", "removed", "scale", "stated", "offset", "name"), ROWS)
def test_the_first_fitting_rule_decides(
    when: datetime,
    baseline: str,
    removed: bool | None,
    scale: float | None,
    stated: float | None,
    offset: float,
    name: str,
) -> None:
    facts = RadiometricFacts(when, baseline, removed, scale, stated)
    found = radiometry_of("one", facts)
    assert (found.scale, found.offset) == (1e-4, offset)
    assert found.offset_dn == (-1000 if offset else 0)
    assert next(rule.name for rule in RULES if rule.applies(facts)) == name
    assert found.reason


def test_every_rule_is_reached() -> None:
    assert {row[-1] for row in ROWS} == {rule.name for rule in RULES}


def test_a_late_scene_that_says_nothing_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"item one says neither.*\n.*s2:processing_baseline"):
        radiometry_of("one", RadiometricFacts(LATE, "", None, None, None))


@pytest.mark.parametrize(("scale", "offset"), [(0.0, -0.1), (-1e-4, 0.5), (float("nan"), -0.1), (1e-4, float("inf"))])
def test_numbers_that_make_no_sense_are_refused(scale: float, offset: float) -> None:
    facts = RadiometricFacts(LATE, "", None, scale, offset)
    with pytest.raises(InvalidInputError, match="item one states scale"):
        radiometry_of("one", facts)


@pytest.mark.parametrize(
    "stated",
    [
        {"raster:bands": [{"scale": 2e-4, "offset": -0.2}]},
        {"raster:scale": 2e-4, "raster:offset": -0.2},
        {"bands": [{"name": "x", "raster:scale": 2e-4, "raster:offset": -0.2}]},
    ],
)
def test_scale_and_offset_are_found_in_every_form(stated: dict[str, Any]) -> None:
    item = plain_item("one", "2023-05-01T10:00:00Z")
    for band, asset in item["assets"].items():
        if band != "SCL":
            asset.update(stated)
    found = parse_item(item).radiometry
    assert (found.scale, found.offset) == (2e-4, -0.2)


def test_the_scale_of_the_classes_does_not_count() -> None:
    item = plain_item("one", "2023-05-01T10:00:00Z")
    item["assets"]["SCL"] |= {"raster:scale": 1, "raster:offset": 0}
    assert parse_item(item).radiometry.offset_dn == -1000


def test_scale_one_and_offset_zero_state_nothing() -> None:
    item = plain_item("one", "2023-05-01T10:00:00Z")
    for asset in item["assets"].values():
        asset["raster:bands"] = [{"data_type": "uint16", "scale": 1.0, "offset": 0.0}]
    assert "by baseline" not in parse_item(item).radiometry.reason
    assert parse_item(item).radiometry.offset_dn == -1000


def test_bands_that_state_different_offsets_are_refused() -> None:
    item = plain_item("one", "2023-05-01T10:00:00Z")
    item["assets"]["B02"]["raster:bands"] = [{"scale": 1e-4, "offset": -0.1}]
    with pytest.raises(InvalidInputError, match="item one states different scales"):
        parse_item(item)
