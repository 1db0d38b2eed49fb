"""Hrefs: resolved, checked, never signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cropcube.catalog.hrefs import folder_of, redact, resolve_href
from cropcube.catalog.sentinel2 import parse_item
from cropcube.errors import InvalidInputError
from tests.support.stac_items import plain_item


@pytest.mark.parametrize(
    ("href", "folder", "resolved"),
    [
        ("B02.tif", "/data/items", "/data/items/B02.tif"),
        ("./a/../B02.tif", "/data/items", "/data/items/B02.tif"),
        ("../tifs/B02.tif", "/data/items", "/data/tifs/B02.tif"),
        ("/abs/B02.tif", "/data/items", "/abs/B02.tif"),
        ("/data/vsi_2023/B02.tif", None, "/data/vsi_2023/B02.tif"),
        ("file:///abs/with%20blank.tif", None, "/abs/with blank.tif"),
        ("B02.tif", "https://example.org/items", "https://example.org/items/B02.tif"),
        ("../B02.tif", "s3://bucket/items/one", "s3://bucket/items/B02.tif"),
        ("https://example.org/B02.tif", "/data", "https://example.org/B02.tif"),
        ("https://example.org/B02.tif?versionId=3", None, "https://example.org/B02.tif?versionId=3"),
        ("s3://eodata/a/B02.jp2", None, "s3://eodata/a/B02.jp2"),
        ("gs://bucket/B02.tif", None, "gs://bucket/B02.tif"),
        ("az://container/B02.tif", None, "az://container/B02.tif"),
    ],
)
def test_hrefs_are_resolved(href: str, folder: str | None, resolved: str) -> None:
    assert resolve_href(href, folder) == resolved


@pytest.mark.parametrize(
    "href",
    [
        "/vsizip//tmp/a.zip/B02.tif",
        "/vsicurl/https://example.org/B02.tif",
        "//vsizip/tmp/a.zip/B02.tif",
        "/data/../vsis3/bucket/B02.tif",
        "../../../vsizip/tmp/a.zip/B02.tif",
        "file:///vsizip/tmp/a.zip/B02.tif",
        "file:///%00/B02.tif",
        "vrt:///tmp/B02.tif",
        "NETCDF:/tmp/a.nc:B02",
        "ftp://example.org/B02.tif",
        "javascript:alert(1)",
        "<VRTDataset/>",
        "stack.vrt",
        "http://[nowhere/B02.tif",
        "https://example.org/B02.tif\nHost: other",
        "",
    ],
)
def test_tricks_are_refused(href: str) -> None:
    with pytest.raises(InvalidInputError, match="not read"):
        resolve_href(href, "/data")


@pytest.mark.parametrize(
    "query", ["sv=2023&sig=SECRET", "X-Amz-Signature=SECRET&X-Amz-Expires=5", "access_token=SECRET"]
)
def test_signatures_are_never_kept(query: str) -> None:
    assert resolve_href(f"https://example.org/B02.tif?{query}", None) == "https://example.org/B02.tif"


def test_messages_carry_no_secret() -> None:
    assert redact("https://user:SECRET@example.org/a?token=SECRET#SECRET") == "https://example.org/a"
    assert redact("/plain/path") == "/plain/path"
    with pytest.raises(InvalidInputError) as caught:
        resolve_href("https://user:SECRET@example.org/a.vrt", None)
    assert "SECRET" not in str(caught.value)


def test_a_relative_href_needs_a_folder() -> None:
    with pytest.raises(InvalidInputError, match="relative"):
        resolve_href("B02.tif", None)


def test_an_item_without_a_folder_counts_from_its_self_link() -> None:
    item = plain_item("one", "2023-05-01T10:00:00Z", href="./{band}.tif")
    item["links"] = [{"rel": "self", "href": "https://example.org/items/one/one.json"}]
    assert parse_item(item).asset("B02").href == "https://example.org/items/one/B02.tif"
    assert parse_item(item, "/local/copy").asset("B02").href == "/local/copy/B02.tif"


def test_the_folder_of_a_file() -> None:
    assert folder_of("https://example.org/items/one.json?x=1") == "https://example.org/items"
    assert folder_of("items/one.json") == str(Path("items").absolute())


@pytest.mark.parametrize(
    ("link", "href"),
    [
        ("file:///data/one/one.json", "/data/one/B02.tif"),
        ("/data/one/one.json", "/data/one/B02.tif"),
        ("./one.json", None),
    ],
)
def test_self_links_of_files(link: str, href: str | None) -> None:
    item = plain_item("one", "2023-05-01T10:00:00Z", href="./{band}.tif")
    item["links"] = [{"rel": "self", "href": link}]
    if href is None:
        with pytest.raises(InvalidInputError, match="relative"):
            parse_item(item)
    else:
        assert parse_item(item).asset("B02").href == href
