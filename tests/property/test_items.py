"""Whatever a catalogue writes, an item becomes a scene or an error of ours that names it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cropcube.catalog import emit
from cropcube.catalog.hrefs import resolve_href
from cropcube.catalog.sentinel2 import parse_item
from cropcube.domain.scene import Scene
from cropcube.errors import InvalidInputError
from tests.support.stac_items import plain_item, real_items

ITEMS = [
    plain_item("plain", "2023-05-01T10:00:00Z"),
    real_items("earthsearch_v1_sentinel-2-l2a_3items.json")[0],
    real_items("cdse_stac_sentinel-2-l2a_1item.json")[0],
    real_items("planetarycomputer_sentinel-2-l2a_2items.json")[0],
    real_items("cmr_stac_EMIT_L1BRAD_and_L2ARFL_2items.json")[1],
]
PARSERS = [parse_item] * 4 + [emit.parse_item]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all nodes below one."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = []
    for key, value in inner:
        found += [(*path, key), *_places(value, (*path, key))]
    return found


READ = {"datetime", "eo:cloud_cover", "proj:epsg", "proj:code", "grid:code", "processing:version"}
READ |= {"s2:processing_baseline", "s2:product_uri", "earthsearch:boa_offset_applied"}
KEYS = {"B02", "B02_10m", "blue", "SCL", "SCL_20m", "scl", "data", "data2"}


def _is_read(path: tuple[Any, ...]) -> bool:
    """Return whether a place is one that is looked at: the others would only thin out the examples."""
    whole = len(path) == 1 or path[0] in ("id", "geometry", "links", "collection")
    return whole or (path[0] == "properties" and path[1] in READ) or (path[0] == "assets" and path[1] in KEYS)


PLACES = [[path for path in _places(item) if _is_read(path)] for item in ITEMS]


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_spoilt_item_is_a_scene_or_an_error_of_ours(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(ITEMS) - 1))
    item = copy.deepcopy(ITEMS[number])
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(PLACES[number]))
        node = item
        for key in way:
            node = node[key] if isinstance(node, dict) and key in node else node
        if isinstance(node, dict) and last in node:
            node[last] = data.draw(JSON)
    try:
        scene = PARSERS[number](item, "/data")
    except InvalidInputError:
        return
    assert isinstance(scene, Scene)
    assert scene.geometry.is_valid
    assert -180 <= scene.geometry.bounds[0] <= scene.geometry.bounds[2] <= 180
    assert scene.solar_day is not None


@given(st.text(max_size=40), st.sampled_from([None, "/data", "https://example.org/a", "s3://bucket/a"]))
@settings(max_examples=300, deadline=None)
def test_an_href_is_absolute_or_refused(href: str, folder: str | None) -> None:
    try:
        found = resolve_href(href, folder)
    except InvalidInputError:
        return
    assert found.startswith("/") or "://" in found
    assert not found.startswith("/vsi")


@pytest.mark.parametrize("item", [{}, {"id": 3}, {"id": "x"}, {"id": "x", "assets": []}])
def test_what_is_no_item_is_an_error_of_ours(item: dict[str, Any]) -> None:
    for parse in (parse_item, emit.parse_item):
        with pytest.raises(InvalidInputError):
            parse(item)
