"""`cropcube catalogs`."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from cropcube.catalog.sentinel2 import parse_item
from cropcube.pipeline.catalogs import catalogs
from cropcube_cli.commands.catalogs import catalogs as command
from tests.support.stac_items import real_items


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(command)
    return made


def test_json_is_one_object_with_what_one_needs_to_know(app: typer.Typer) -> None:
    found = CliRunner().invoke(app, ["--json"])
    said = json.loads(found.stdout)
    assert said["default"] == "earth-search"
    assert [known["name"] for known in said["catalogs"]] == ["earth-search", "planetary-computer", "cdse", "cmr"]
    for known in said["catalogs"]:
        assert set(known) == {"name", "url", "collection", "others", "files", "credentials", "radiometry", "sensor"}
        assert all(known[key] for key in known if key != "others")


def test_the_table_names_every_catalogue_and_the_other_forms(app: typer.Typer) -> None:
    shown = CliRunner().invoke(app, [], env={"COLUMNS": "200"}).stdout
    for known in catalogs().catalogs:
        assert known.name in shown
        assert known.url in shown
        assert known.collection in shown
    assert "catalog.json" in shown


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("earth-search", "earthsearch_v1_sentinel-2-c1-l2a_10items_13TDE.json"),
        ("planetary-computer", "planetarycomputer_sentinel-2-l2a_2items.json"),
        ("cdse", "cdse_stac_sentinel-2-l2a_1item.json"),
    ],
)
def test_default_collections_are_those_of_the_real_items(name: str, file: str) -> None:
    known = next(found for found in catalogs().catalogs if found.name == name)
    for item in real_items(file):
        assert parse_item(item).collection == known.collection
        assert any(link["href"].startswith(known.url) for link in item["links"])
