"""Catalogues that are files."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import rustac
import shapely

from cropcube.catalog import files
from cropcube.catalog.files import file_items, is_file_catalog
from cropcube.catalog.search import SearchRequest, freeze
from cropcube.domain.grid import plan_grid
from cropcube.domain.region import Region
from cropcube.domain.season import Season
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import CatalogError, InvalidInputError, MissingError
from tests.support.stac_items import BANDS, REAL, plain_item

FLANDERS = Region.of("flanders", shapely.box(4.0, 50.8, 4.3, 51.0))
SPRING = Season.parse("2023-03-01/2023-06-01")
NAMES = [f"S2A_{n}" for n in range(7)]


def items() -> list[dict[str, Any]]:
    """Return items with relative hrefs."""
    return [
        plain_item(name, f"2023-0{3 + n % 3}-0{1 + n}T10:46:31Z", href="./{band}.tif") for n, name in enumerate(NAMES)
    ]


def write_static(root: Path) -> Path:
    """Write a static catalogue of two levels whose links are relative; one links back to the root."""
    collection = root / "sentinel-2-l2a"
    links = [{"rel": "root", "href": "../catalog.json"}, {"rel": "child", "href": "../catalog.json"}]
    for item in items():
        folder = collection / item["id"]
        folder.mkdir(parents=True)
        (folder / f"{item['id']}.json").write_text(json.dumps(item))
        links.append({"rel": "item", "href": f"./{item['id']}/{item['id']}.json"})
    (collection / "collection.json").write_text(json.dumps({"type": "Collection", "id": "c", "links": links}))
    child = {"rel": "child", "href": "./sentinel-2-l2a/collection.json"}
    (root / "catalog.json").write_text(json.dumps({"type": "Catalog", "id": "r", "links": [child]}))
    return root / "catalog.json"


def frozen_ids(catalog: str, folder: Path, **options: Any) -> list[str]:
    """Return the ids that a search of a catalogue freezes."""
    request = SearchRequest(catalog, FLANDERS, SPRING, SENTINEL2, **options)
    frozen = freeze(request, plan_grid(FLANDERS, 768), folder / "project" / "scenes.parquet")
    return [scene.id for scene in frozen.scenes(range(SPRING.days), SPRING)]


def first_href(catalog: str, folder: Path) -> str:
    """Return the file of the first scene's B02 after a search."""
    request = SearchRequest(catalog, FLANDERS, SPRING, SENTINEL2)
    frozen = freeze(request, plan_grid(FLANDERS, 768), folder / "project" / "scenes.parquet")
    return frozen.scenes(range(SPRING.days), SPRING)[0].asset("B02").href


def test_a_static_catalogue_is_walked(tmp_path: Path) -> None:
    write_static(tmp_path / "stac")
    assert frozen_ids(str(tmp_path / "stac" / "catalog.json"), tmp_path) == NAMES
    assert frozen_ids(str(tmp_path / "stac"), tmp_path) == NAMES
    assert first_href(str(tmp_path / "stac"), tmp_path) == str(tmp_path / "stac/sentinel-2-l2a/S2A_0/B02.tif")
    assert frozen_ids(f"file://{tmp_path}/stac/catalog.json", tmp_path) == NAMES


def test_an_item_collection_counts_from_its_folder(tmp_path: Path) -> None:
    for name in ("scenes.json", "scenes.geojson"):
        path = tmp_path / name
        path.write_text(json.dumps({"type": "FeatureCollection", "features": items()}))
        assert frozen_ids(str(path), tmp_path) == NAMES
        assert first_href(str(path), tmp_path) == str(tmp_path / "B02.tif")


def test_relative_paths_are_taken_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scenes.json").write_text(json.dumps({"type": "FeatureCollection", "features": items()}))
    monkeypatch.chdir(tmp_path)
    assert first_href("scenes.json", tmp_path) == str(tmp_path / "B02.tif")


def test_a_single_item_is_a_catalogue(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(items()[0]))
    assert frozen_ids(str(tmp_path / "one.json"), tmp_path) == NAMES[:1]


def test_stac_geoparquet_as_others_write_it(tmp_path: Path) -> None:
    path = tmp_path / "scenes.parquet"
    rustac.write_sync(str(path), items())
    assert frozen_ids(str(path), tmp_path) == NAMES
    assert first_href(str(path), tmp_path) == str(tmp_path / "B02.tif")


def test_our_own_frozen_catalogue_is_a_catalogue(tmp_path: Path) -> None:
    (tmp_path / "scenes.json").write_text(json.dumps({"type": "FeatureCollection", "features": items()}))
    before = frozen_ids(str(tmp_path / "scenes.json"), tmp_path)
    (tmp_path / "project").rename(tmp_path / "first")
    assert frozen_ids(str(tmp_path / "first" / "scenes.parquet"), tmp_path) == before


def test_rows_of_stac_geoparquet_are_never_all_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PARQUET_ROWS", 10)
    path = REAL / "planetarycomputer_sentinel-2-l2a_100items_13TDE_2024.stac-geoparquet"
    found = [item for item, folder in file_items(str(path)) if folder == str(REAL)]
    assert len({item["id"] for item in found}) == 100
    assert set(BANDS) <= set(found[0]["assets"])


def test_a_collection_can_be_chosen(tmp_path: Path) -> None:
    found = items()
    found[0]["collection"] = "other"
    (tmp_path / "scenes.json").write_text(json.dumps({"type": "FeatureCollection", "features": found}))
    assert frozen_ids(str(tmp_path / "scenes.json"), tmp_path, collection="sentinel-2-l2a") == NAMES[1:]


def test_duplicates_in_a_file_count_once(tmp_path: Path) -> None:
    (tmp_path / "scenes.json").write_text(json.dumps({"type": "FeatureCollection", "features": items() + items()}))
    assert frozen_ids(str(tmp_path / "scenes.json"), tmp_path) == NAMES


@contextmanager
def web(folder: Path) -> Iterator[str]:
    """Serve a folder over loopback HTTP."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_static_catalogue_on_the_web(tmp_path: Path) -> None:
    write_static(tmp_path / "stac")
    with web(tmp_path / "stac") as url:
        assert frozen_ids(f"{url}/catalog.json", tmp_path) == NAMES
        assert first_href(f"{url}/catalog.json", tmp_path) == f"{url}/sentinel-2-l2a/S2A_0/B02.tif"
        with pytest.raises(CatalogError, match="answers HTTP 404"):
            frozen_ids(f"{url}/nothing.json", tmp_path)
        (tmp_path / "stac" / "catalog.json").write_text(
            json.dumps({"type": "Catalog", "links": [{"rel": "item", "href": "file:///etc/item.json"}]})
        )
        with pytest.raises(InvalidInputError, match="points to a file of this machine"):
            frozen_ids(f"{url}/catalog.json", tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("[1]", "is no STAC object"),
        ('{"type": "Topology"}', "is no STAC catalogue.*Topology"),
        ('{"type": "FeatureCollection", "features": {"a": 1}}', "has no list of features"),
        ('{"type": "FeatureCollection", "features": [7]}', "has no list of features"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_json_that_is_no_catalogue(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(InvalidInputError, match=f"bad.json {words}"):
        frozen_ids(str(tmp_path / "bad.json"), tmp_path)
    assert not (tmp_path / "project" / "scenes.parquet").exists()


def test_parquet_that_is_no_catalogue(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InvalidInputError, match=r"bad\.parquet is no readable stac-geoparquet"):
        frozen_ids(str(tmp_path / "bad.parquet"), tmp_path)


def test_a_link_to_nothing(tmp_path: Path) -> None:
    catalog = write_static(tmp_path / "stac")
    (tmp_path / "stac/sentinel-2-l2a/S2A_3/S2A_3.json").unlink()
    with pytest.raises(MissingError, match=r"S2A_3\.json, which is not there"):
        frozen_ids(str(catalog), tmp_path)


@pytest.mark.parametrize("catalog", ["earth-serch", "nothing.json", "/no/such/folder"])
def test_a_catalogue_that_is_not_there(tmp_path: Path, catalog: str) -> None:
    with pytest.raises(MissingError, match=f"there is no catalogue '{catalog}'.*\n.*cropcube catalogs"):
        frozen_ids(catalog, tmp_path)


def test_huge_json_is_refused_with_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST_JSON", 2**20)
    (tmp_path / "huge.json").write_text(" " * (2 * 2**20))
    with pytest.raises(InvalidInputError, match=r"2 MiB of JSON; up to 1 MiB are read.*\n.*parquet"):
        frozen_ids(str(tmp_path / "huge.json"), tmp_path)


@pytest.mark.parametrize(
    ("catalog", "is_file"),
    [
        ("scenes.parquet", True),
        ("folder", True),
        ("https://example.org/stac/catalog.json?x=1", True),
        ("https://example.org/stac/v1", False),
        ("http://127.0.0.1:8080", False),
    ],
)
def test_files_and_apis_are_told_apart(catalog: str, is_file: bool) -> None:
    assert is_file_catalog(catalog) is is_file


def test_a_misspelt_name_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="Did you mean planetary-computer"):
        frozen_ids(f"{tmp_path}/planetary-computr", tmp_path)
