"""Labels on pixels: points, polygons and rasters, checked against geometry computed another way."""

import warnings

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning
from shapely.geometry import LineString, Point, Polygon, box

from cropcube.domain.grid import inside, owned, plan_grid
from cropcube.domain.lattice import Lattice
from cropcube.domain.legend import Legend
from cropcube.domain.region import Region
from cropcube.errors import InvalidInputError, MissingError
from cropcube.samples.label_rules import LabelRules
from cropcube.samples.labels import NO_CLASS, NO_GEOMETRY, OUTSIDE, OVERLAP, READ, file_digest, lay, open_labels

LEGEND = Legend.parse("1200,Maize\n1110,Winter wheat\n9120,Grass")
LATTICE = Lattice.utm(31, True)
WEST, NORTH = 574_680, 5_622_440
TO_LONLAT = Transformer.from_crs(32631, 4326, always_xy=True)


def lonlat_box(left, bottom, right, top):
    x, y = TO_LONLAT.transform([left, right, right, left], [bottom, bottom, top, top])
    return Polygon(zip(x, y, strict=True))


REGION = Region.of("patch", lonlat_box(WEST, NORTH - 640, WEST + 640, NORTH))
GRID = plan_grid(REGION, 96)


def write(path, shapes, values, name="crop", crs=32631):
    frame = gpd.GeoDataFrame({name: values}, geometry=shapes, crs=crs)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_crs(4326 if path.suffix == ".geojson" else crs).to_file(path)
    return path


def laid_on(path, legend=LEGEND, field=None):
    labels = open_labels(path, legend, LabelRules((field,) if field else ()))
    laid = lay([labels], legend, GRID, REGION)
    rows, cols, classes, _ = laid.zones["utm31n"]
    top, left = (LATTICE.top_m - NORTH) // 10, WEST // 10
    image = np.zeros((64, 64), np.uint8)
    image[rows - top, cols - left] = classes
    return image, laid


def centres(polygon):
    """Return which pixel centres lie in a polygon of the zone's CRS, one by one."""
    return np.array(
        [[polygon.contains(Point(WEST + 10 * c + 5, NORTH - 10 * r - 5)) for c in range(64)] for r in range(64)]
    )


TILTED = Polygon(
    [(WEST + 33, NORTH - 41), (WEST + 361, NORTH - 98.3), (WEST + 288, NORTH - 402), (WEST + 71, NORTH - 333)]
)
HOLED = Polygon(
    box(WEST + 400, NORTH - 600, WEST + 620, NORTH - 350).exterior,
    [box(WEST + 450, NORTH - 500, WEST + 500, NORTH - 450).exterior],
)


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet"])
def test_polygons_label_the_pixels_whose_centre_they_hold(tmp_path, suffix):
    path = write(tmp_path / f"fields{suffix}", [TILTED, HOLED], [1200, 9120])
    image, laid = laid_on(path)
    np.testing.assert_array_equal(image, np.where(centres(TILTED), 1, np.where(centres(HOLED), 3, 0)))
    assert laid.dropped == {}


def test_names_match_without_case_and_codes_as_text(tmp_path):
    path = write(tmp_path / "fields.gpkg", [TILTED, HOLED], ["winter WHEAT", "9120"])
    image, _ = laid_on(path)
    assert set(np.unique(image)) == {0, 2, 3}


def test_pixels_of_two_classes_are_dropped_and_counted_and_of_one_class_kept(tmp_path):
    other, same = box(WEST + 200, NORTH - 300, WEST + 400, NORTH - 150), box(WEST, NORTH - 200, WEST + 150, NORTH)
    path = write(tmp_path / "fields.gpkg", [TILTED, other, same], [1200, 9120, 1200])
    image, laid = laid_on(path)
    clash = centres(TILTED) & centres(other)
    assert laid.dropped == {OVERLAP: clash.sum()}
    assert clash.sum() > 50
    assert not image[clash].any()
    assert (image[centres(same) & ~clash] == 1).all()


def test_labels_that_all_clash_are_told_from_labels_elsewhere(tmp_path):
    path = write(tmp_path / "fields.gpkg", [TILTED, TILTED], [1200, 9120])
    with pytest.raises(InvalidInputError, match=r"all \d+ labelled pixels .* several classes"):
        laid_on(path)


def test_points_label_the_pixel_they_lie_in(tmp_path):
    lon, lat = TO_LONLAT.transform([WEST + 3, WEST + 127, WEST + 128], [NORTH - 9, NORTH - 251, NORTH - 255])
    table = "lon,lat,crop\n" + "\n".join(
        f"{x:.9f},{y:.9f},{c}" for x, y, c in zip(lon, lat, (1200, 9120, 9120), strict=True)
    )
    path = tmp_path / "points.csv"
    path.write_text(table)
    image, _ = laid_on(path)
    assert {(int(r), int(c)): int(image[r, c]) for r, c in zip(*np.nonzero(image), strict=True)} == {
        (0, 0): 1,
        (25, 12): 3,
    }


def test_points_of_two_classes_in_one_pixel_are_dropped(tmp_path):
    path = write(
        tmp_path / "p.gpkg",
        [Point(WEST + 2, NORTH - 2), Point(WEST + 7, NORTH - 7), Point(WEST + 55, NORTH - 55)],
        [1200, 9120, 9120],
    )
    image, laid = laid_on(path)
    assert laid.dropped == {OVERLAP: 1}
    assert np.argwhere(image).tolist() == [[5, 5]]


def raster(path, codes, epsg=32631, transform=None, nodata=None, dtype="uint16"):
    height, width = codes.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=dtype, crs=f"EPSG:{epsg}",
        transform=transform or Affine(10, 0, WEST, 0, -10, NORTH), nodata=nodata,
    ) as out:  # fmt: skip
        out.write(codes.astype(dtype), 1)
    return path


def test_a_raster_on_the_grid_comes_back_and_zero_is_no_label(tmp_path):
    codes = np.random.default_rng(0).choice([0, 1110, 1200, 9120, 65535], (64, 64))
    image, _ = laid_on(raster(tmp_path / "labels.tif", codes, nodata=65535))
    rows = {0: 0, 65535: 0, 1200: 1, 1110: 2, 9120: 3}
    np.testing.assert_array_equal(image, np.vectorize(rows.get)(codes))


def test_a_raster_in_another_crs_gives_the_nearest_code(tmp_path):
    lon, lat = TO_LONLAT.transform(WEST - 200, NORTH + 200)
    codes = np.random.default_rng(1).choice([0, 1110, 1200, 9120], (40, 60))
    step = 0.0004
    image, _ = laid_on(raster(tmp_path / "labels.tif", codes, 4326, Affine(step, 0, lon, 0, -step, lat)))
    for r in range(0, 64, 7):
        for c in range(0, 64, 5):
            x, y = TO_LONLAT.transform(WEST + 10 * c + 5, NORTH - 10 * r - 5)
            code = codes[int((lat - y) // step), int((x - lon) // step)]
            assert image[r, c] == {0: 0, 1200: 1, 1110: 2, 9120: 3}[code]


def test_labels_stay_within_the_region_and_each_zone_takes_what_it_owns(tmp_path):
    region = Region.of("border", box(5.99, 50.74, 6.01, 50.745))
    grid = plan_grid(region, 96)
    path = write(tmp_path / "all.gpkg", [box(5.9, 50.7, 6.1, 50.8)], [1200], crs=4326)
    laid = lay([open_labels(path, LEGEND)], LEGEND, grid, region)
    for zone in grid.zones:
        wanted = sum(int((owned(t.box(10)) & inside(region, t.box(10))).sum()) for t in zone.tiles())
        assert len(laid.zones[zone.lattice.name][0]) == wanted > 0


def test_classes_that_the_legend_lacks_are_named_with_their_counts(tmp_path):
    small = box(WEST + 500, NORTH - 100, WEST + 520, NORTH - 80)
    path = write(tmp_path / "fields.gpkg", [TILTED, small, HOLED], [1200, 777, 888])
    with pytest.raises(InvalidInputError) as caught:
        laid_on(path)
    assert "777 (4 pixels)" in caught.value.what
    assert f"888 ({centres(HOLED).sum()} pixels)" in caught.value.what
    assert "--legend" in caught.value.next_step
    assert "1200 Maize" in caught.value.next_step


def test_classes_that_the_legend_lacks_outside_the_region_do_not_matter(tmp_path):
    path = write(tmp_path / "f.gpkg", [TILTED, box(WEST + 700, NORTH - 100, WEST + 760, NORTH)], [1200, 777])
    assert set(np.unique(laid_on(path)[0])) == {0, 1}


def test_raster_codes_that_the_legend_lacks_are_named(tmp_path):
    codes = np.full((64, 64), 1200)
    codes[3, 4:9] = 4711
    with pytest.raises(InvalidInputError, match=r"4711 \(5 pixels\)"):
        laid_on(raster(tmp_path / "labels.tif", codes))


def test_codes_without_a_legend_say_what_to_do(tmp_path):
    path = write(tmp_path / "fields.gpkg", [TILTED], [1200])
    with pytest.raises(InvalidInputError) as caught:
        laid_on(path, Legend.default())
    assert "1200" in caught.value.what
    assert "1 maize" in caught.value.next_step
    assert "1200,name" in caught.value.next_step


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("Hops", "a line code,name such as 9121,Hops"),
        (777, "a line code,name such as 777,name"),
        (777.0, "a line code,name such as 777,name"),
        (1200.5, "Codes are whole numbers; is 'crop' the field of classes?"),
    ],
)
def test_advice_for_a_class_that_the_legend_lacks_makes_a_legend_that_has_it(tmp_path, value, advice):
    path = write(tmp_path / "fields.gpkg", [TILTED], [value])
    with pytest.raises(InvalidInputError) as caught:
        laid_on(path)
    assert advice in caught.value.next_step
    if "code,name" in advice:
        line = advice.rpartition(" ")[2]
        assert (laid_on(path, Legend.parse(f"1200,Maize\n{line}"))[0] == 2).any()


def test_features_are_counted_with_those_that_are_no_labels(tmp_path):
    away = box(WEST + 50_000, NORTH, WEST + 50_100, NORTH + 100)
    shapes = [TILTED, HOLED, away, away, None, Polygon(), TILTED, TILTED]
    path = write(tmp_path / "fields.gpkg", shapes, ["1200", "9120", "1200", "777", "1200", "1200", None, "  "])
    _, laid = laid_on(path)
    assert laid.features == {READ: 8, NO_GEOMETRY: 2, NO_CLASS: 2, OUTSIDE: 2}
    assert laid_on(raster(tmp_path / "labels.tif", np.full((64, 64), 1200)))[1].features == {}


def test_labels_that_all_lie_elsewhere_are_counted_in_the_refusal(tmp_path):
    path = write(tmp_path / "far.gpkg", [box(1e5, 5e6, 2e5, 5.1e6), None], [1200, 1200])
    with pytest.raises(InvalidInputError, match=r"\(features: 2 read, 1 without geometry, 1 outside the region\)"):
        laid_on(path)


@pytest.mark.parametrize("kept", [8, 250, 600, 0.5, 0.99])
@pytest.mark.parametrize("compress", ["none", "deflate"])
def test_a_raster_that_is_cut_short_is_unreadable_wherever_it_is_cut(tmp_path, kept, compress):
    path = tmp_path / "labels.tif"
    codes = np.random.default_rng(0).choice([1110, 1200, 9120], (200, 200)).astype("uint16")
    with rasterio.open(path, "w", driver="GTiff", height=200, width=200, count=1, dtype="uint16", crs="EPSG:32631",
                       transform=Affine(10, 0, WEST, 0, -10, NORTH), compress=compress) as out:  # fmt: skip
        out.write(codes, 1)
    content = path.read_bytes()
    path.write_bytes(content[: kept if kept > 1 else int(kept * len(content))])
    with pytest.raises(InvalidInputError, match="cannot be read") as caught:
        open_labels(path, LEGEND)
    assert "cut short" in caught.value.next_step


def bare(path, **lacking):
    profile = {"crs": "EPSG:32631", "transform": Affine(10, 0, WEST, 0, -10, NORTH), "count": 1} | lacking
    profile = {name: value for name, value in profile.items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", height=64, width=64, dtype="uint16", **profile) as out:
            for band in range(profile["count"]):
                out.write(np.full((64, 64), 1200, "uint16"), band + 1)
    return path


@pytest.mark.parametrize(
    ("lacking", "what", "next_step"),
    [
        ({"crs": None}, "states no CRS", "gdal_edit.py"),
        ({"transform": None}, "states no geotransform", "gdal_edit.py"),
        ({"count": 2}, "has 2 bands", "gdal_translate -b 1"),
    ],
)
def test_a_raster_that_is_no_map_of_codes_is_refused_with_what_to_do(tmp_path, lacking, what, next_step):
    with pytest.raises(InvalidInputError, match=what) as caught:
        open_labels(bare(tmp_path / "labels.tif", **lacking), LEGEND)
    assert next_step in caught.value.next_step


def test_the_field_is_named_or_the_fields_are_listed(tmp_path):
    frame = gpd.GeoDataFrame({"crop": [1200], "owner": ["me"]}, geometry=[TILTED], crs=32631)
    frame.to_file(tmp_path / "two.gpkg")
    assert laid_on(tmp_path / "two.gpkg", field="crop")[0].any()
    for field in (None, "crops"):
        with pytest.raises(InvalidInputError) as caught:
            open_labels(tmp_path / "two.gpkg", LEGEND, LabelRules((field,) if field else ()))
        assert "crop, owner" in caught.value.next_step


def test_of_a_fiboa_file_the_codes_are_taken(tmp_path):
    """Columns of the fiboa specification 0.3 and its crop extension, as published files have them."""
    columns = {
        "id": ["a", "b"], "crop:code_list": ["https://fiboa.org/code/hcat.csv"] * 2, "crop:code": [1200, 9120],
        "crop:name": ["wheat", "grass"], "determination:datetime": ["2019-05-01T00:00:00Z"] * 2, "area": [1.2, 3.4],
    }  # fmt: skip
    path = tmp_path / "fields.parquet"
    gpd.GeoDataFrame(columns, geometry=[TILTED, HOLED], crs=32631).to_parquet(path)
    labels = open_labels(path, LEGEND)
    assert labels.label_field == "crop:code"
    np.testing.assert_array_equal(laid_on(path)[0], laid_on(path, field="crop:code")[0])
    assert laid_on(path, field="crop:code")[0].any()


def test_features_without_a_class_are_left_out(tmp_path):
    path = write(tmp_path / "f.gpkg", [TILTED, HOLED], [1200.0, np.nan])
    assert set(np.unique(laid_on(path)[0])) == {0, 1}


@pytest.mark.parametrize(
    ("make", "error", "part"),
    [
        (lambda folder: folder / "absent.gpkg", MissingError, "no label file"),
        (lambda folder: write(folder / "far.gpkg", [box(1e5, 5e6, 2e5, 5.1e6)], [1200]), InvalidInputError, "no label"),
        (lambda folder: write(folder / "lines.gpkg", [LineString([(WEST, NORTH), (WEST + 9, NORTH)])], [1200]),
         InvalidInputError, "LineString"),
        (lambda folder: text(folder / "swapped.csv", "lon,lat,crop\n50.74,94.05,1200\n"), InvalidInputError, "lon/lat"),
        (lambda folder: text(folder / "none.csv", "lon,lat,crop\n"), InvalidInputError, "none.csv"),
        (lambda folder: text(folder / "broken.tif", "not a raster"), InvalidInputError, "broken.tif"),
        (lambda folder: text(folder / "notes.txt", "words"), InvalidInputError, "no label file that can be read"),
        (lambda folder: raster(folder / "float.tif", np.ones((64, 64)), dtype="float32"), InvalidInputError, "float32"),
        (lambda folder: raster(folder / "zero.tif", np.zeros((64, 64))), InvalidInputError, "no label of"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(tmp_path, make, error, part):
    with pytest.raises(error) as caught:
        laid_on(make(tmp_path))
    assert part in caught.value.what
    assert caught.value.next_step


def text(path, content):
    path.write_text(content)
    return path


def test_digest_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
