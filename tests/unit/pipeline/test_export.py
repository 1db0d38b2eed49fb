"""Maps as COGs: what a GIS reads must be what the map holds."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from cropcube.cube.ledger import Ledger
from cropcube.cube.store import Store
from cropcube.domain.grid import inside, owned
from cropcube.domain.lattice import Lattice
from cropcube.domain.map_product import CROP, PROBABILITY
from cropcube.errors import InvalidInputError, MissingError, ResourceError
from cropcube.maps import export as cogs
from cropcube.pipeline.export import ExportOptions, export
from cropcube.pipeline.predict import PredictOptions, predict
from cropcube.run.options import RunOptions
from tests.support.small_features import train_forest, write_features
from tests.support.small_map import LEGEND, TWO_ZONES, known_classes, small_project, write_known_map

if TYPE_CHECKING:
    from pathlib import Path


def expected(project, box):
    counted = inside(project.spec.region, box) & owned(box)
    return np.where(counted, known_classes(box), 0)


def test_classes_crs_transform_and_colours_are_what_the_map_holds(tmp_path: Path):
    project = small_project(tmp_path / "project")
    write_known_map(project)
    summary = export(project.root, ExportOptions(tmp_path / "map.tif"))
    with rasterio.open(tmp_path / "map.tif") as file:
        values, table = file.read(1), file.colormap(1)
        assert file.crs.to_epsg() == 32631
        assert file.nodata == 0
        assert file.dtypes == ("uint8",)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.profile["tiled"]
        assert file.tags()["region"] == "small"
        assert json.loads(file.tags()["legend"])[0] == {"code": 1110, "name": "Winter wheat", "colour": "#e69f00"}
        assert file.tags()["class_2"] == "Maize & more"
        left, bottom, right, top = file.bounds
    box = Lattice.utm(31, True).box_of_bounds((left, bottom, right, top), 10)
    np.testing.assert_array_equal(values, expected(project, box))
    # The file is cut to the region, whose corners are not where its edges' rows and columns are: one may be empty.
    assert values[:2].any()
    assert values[-2:].any()
    assert values[:, :2].any()
    assert values[:, -2:].any()
    assert values.shape < (140, 160)
    assert table[1] == (230, 159, 0, 255)
    assert table[2] == (240, 228, 66, 255)
    assert table[0][3] == 0
    assert summary.as_dict()["files"][0]["size_bytes"] == (tmp_path / "map.tif").stat().st_size
    assert summary.missing_tiles == 0


def test_class_names_stand_where_gdal_looks_for_them(tmp_path: Path):
    project = small_project(tmp_path / "project")
    write_known_map(project)
    export(project.root, ExportOptions(tmp_path / "map.tif"))
    side = (tmp_path / "map.tif.aux.xml").read_text()
    assert "<Category>no data</Category>" in side
    assert "<Category>Maize &amp; more</Category>" in side
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.tif", "map.tif.aux.xml", "project"]


def test_overviews_hold_classes_of_the_legend_only(tmp_path: Path):
    project = small_project(tmp_path / "project", (4.05, 50.74, 4.15, 50.79))
    write_known_map(project)
    export(project.root, ExportOptions(tmp_path / "map.tif"))
    with rasterio.open(tmp_path / "map.tif") as file:
        factors = file.overviews(1)
        assert factors[0] == 2
        small = file.read(1, out_shape=(file.height // 2, file.width // 2))
    assert set(np.unique(small)) <= {0, 1, 2, 3}
    assert (small == 2).any()


def test_counts_and_confidence_keep_their_numbers(tmp_path: Path):
    project = small_project(tmp_path / "project")
    write_known_map(project)
    for layer, value, dtype in (("confidence", 90, "uint8"), ("clear-count", 300, "uint16")):
        export(project.root, ExportOptions(tmp_path / f"{layer}.tif", layer))
        with rasterio.open(tmp_path / f"{layer}.tif") as file:
            assert file.dtypes == (dtype,)
            assert set(np.unique(file.read(1))) == {0, value}


def test_probabilities_have_a_band_for_each_class_and_a_mask(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(cogs, "BLOCK_PX", 128)
    project = small_project(tmp_path / "project", (4.05, 50.74, 4.09, 50.765))
    train_forest(project, write_features(project))
    predict(project.root, PredictOptions(probabilities=True), RunOptions("serial", quiet=True)).check()
    store = Store.open(project.map_path)
    export(project.root, ExportOptions(tmp_path / "p.tif", "probability"))
    with rasterio.open(tmp_path / "p.tif") as file:
        assert file.descriptions == LEGEND.names
        assert file.dtypes == ("uint8",) * 3
        assert file.nodata is None
        assert file.height > 256
        assert json.loads(file.tags()["legend"])[1]["name"] == "Maize & more"
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        box = Lattice.utm(31, True).box_of_bounds(tuple(file.bounds), 10)
        values, crop = store.read("utm31n", PROBABILITY, box), store.read("utm31n", CROP, box)
        np.testing.assert_array_equal(file.read(), values)
        np.testing.assert_array_equal(file.dataset_mask() > 0, crop > 0)
        assert file.tags()["units"] == "percent"
        assert "all 0 where crop is 0" in file.tags()["comment"]
        assert ((values == 0) & (crop > 0)).any()  # which is a value, and not masked
    whole = crop[: crop.shape[0] // 2 * 2, : crop.shape[1] // 2 * 2]
    seen = (whole.reshape(len(whole) // 2, 2, -1, 2) > 0).all(axis=(1, 3))
    with rasterio.open(tmp_path / "p.tif", overview_level=0) as file:
        small = file.read()[:, : seen.shape[0], : seen.shape[1]]
    mean = values[:, : whole.shape[0], : whole.shape[1]].reshape(3, len(seen), 2, -1, 2).mean(axis=(2, 4))
    assert np.abs(small - mean)[:, seen].max() <= 0.5  # zeros count


@pytest.mark.parametrize("array", [CROP, PROBABILITY])
def test_a_file_that_is_cut_off_is_noticed(tmp_path: Path, monkeypatch, array):
    project = small_project(tmp_path / "project")
    train_forest(project, write_features(project))
    predict(project.root, PredictOptions(probabilities=True), RunOptions("serial", quiet=True)).check()
    real, sizes = cogs.rasterio.shutil.copy, []

    def cut(source: str, target: str, **options: str) -> None:
        real(source, target, **options)
        sizes.append(os.path.getsize(target))
        os.truncate(target, sizes[-1] - 10)

    monkeypatch.setattr(cogs.rasterio.shutil, "copy", cut)
    with pytest.raises(ResourceError, match="could not be written"):
        export(project.root, ExportOptions(tmp_path / "map.tif", array))
    assert sizes
    assert not (tmp_path / "map.tif").exists()


def test_a_map_without_probabilities_says_how_to_have_them(tmp_path: Path):
    project = small_project(tmp_path / "project")
    write_known_map(project)
    with pytest.raises(MissingError, match="has no probability") as caught:
        export(project.root, ExportOptions(tmp_path / "p.tif", "probability"))
    assert "cropcube predict --rebuild --probabilities" in caught.value.next_step
    assert not (tmp_path / "p.tif").exists()


def test_two_zones_become_two_files_without_gap_or_overlap(tmp_path: Path):
    project = small_project(tmp_path / "project", TWO_ZONES)
    write_known_map(project)
    summary = export(project.root, ExportOptions(tmp_path / "map.tif"))
    assert [file.path.name for file in summary.files] == ["map-utm31n.tif", "map-utm32n.tif"]
    assert not (tmp_path / "map.tif").exists()
    for file in summary.files:
        with rasterio.open(file.path) as opened:
            box = Lattice.of_epsg(opened.crs.to_epsg()).box_of_bounds(tuple(opened.bounds), 10)
            np.testing.assert_array_equal(opened.read(1), expected(project, box))


def test_a_file_larger_than_one_window_is_whole(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(cogs, "BLOCK_PX", 128)
    monkeypatch.setattr(cogs, "_WINDOW_BLOCKS", 1)
    project = small_project(tmp_path / "project", (4.05, 50.74, 4.09, 50.765))
    write_known_map(project)
    export(project.root, ExportOptions(tmp_path / "map.tif"))
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.height > 256
        assert file.width > 256
        box = Lattice.utm(31, True).box_of_bounds(tuple(file.bounds), 10)
        np.testing.assert_array_equal(file.read(1), expected(project, box))


def test_without_a_map_the_verb_that_makes_one_is_named(tmp_path: Path):
    project = small_project(tmp_path / "project")
    with pytest.raises(MissingError, match="cropcube predict"):
        export(project.root, ExportOptions(tmp_path / "map.tif"))


def test_a_missing_folder_a_folder_as_file_and_an_unknown_layer_are_refused(tmp_path: Path):
    project = small_project(tmp_path / "project")
    write_known_map(project)
    with pytest.raises(InvalidInputError, match="cannot write in"):
        export(project.root, ExportOptions(tmp_path / "nowhere" / "map.tif"))
    with pytest.raises(InvalidInputError, match="is a folder"):
        export(project.root, ExportOptions(tmp_path / "project"))
    with pytest.raises(InvalidInputError, match="crop, confidence, margin, clear-count, probability"):
        ExportOptions(tmp_path / "map.tif", "height")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch):
    project = small_project(tmp_path / "project")
    write_known_map(project)
    target = tmp_path / "map.tif"
    export(project.root, ExportOptions(target))
    before = target.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cogs.rasterio.shutil, "copy", full)
    with pytest.raises(ResourceError, match="No space left"):
        export(project.root, ExportOptions(target))
    assert target.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["map.tif", "map.tif.aux.xml", "project"]


def test_missing_tiles_are_counted(tmp_path: Path):
    project = small_project(tmp_path / "project")
    store = write_known_map(project)
    tile = next(project.spec.grid.tiles())
    (project.ledger_path / "predict" / tile.lattice.name / f"{tile.name}.json").unlink()
    store.erase(tile.lattice.name, CROP, tile.box(10))
    ledger = Ledger(project.ledger_path)
    first = next(ledger.records("predict"))
    ledger.write(replace(first, details={**first.details, "parts": ["4.05,50.74,4.06,50.75"]}))
    summary = export(project.root, ExportOptions(tmp_path / "map.tif"))
    assert (summary.missing_tiles, summary.partial_tiles) == (1, 1)


def test_the_legend_of_the_map_is_the_one_it_was_made_with(tmp_path: Path):
    project = small_project(tmp_path / "project")
    store = write_known_map(project)
    attrs = store.array(CROP, 10).attrs
    assert list(attrs["flag_values"]) == [1, 2, 3]
    assert attrs["flag_meanings"] == "Winter_wheat Maize_more Grass"
    assert list(attrs["flag_codes"]) == list(LEGEND.codes)


def test_a_map_of_another_model_than_the_projects_is_said(tmp_path: Path):
    project = small_project(tmp_path / "project")
    write_known_map(project)
    assert not export(project.root, ExportOptions(tmp_path / "map.tif")).other_model
    project.model_path.mkdir()
    (project.model_path / "card.json").write_text("{}")
    assert export(project.root, ExportOptions(tmp_path / "map.tif")).as_dict()["other_model"] is True
