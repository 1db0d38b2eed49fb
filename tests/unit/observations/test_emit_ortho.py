"""EMIT swaths on the lattice: against a k-d tree over all pixels, and against a plain look-up of every cell."""

from __future__ import annotations

import dataclasses

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from scipy.spatial import KDTree

from cropcube.domain.lattice import Lattice, Tile
from cropcube.errors import InvalidInputError, ReadError
from cropcube.kernels import CellGrid, nearest_pixels
from cropcube.observations.emit_granule import open_granule
from cropcube.observations.emit_lines import block_lines
from cropcube.observations.emit_ortho import degrees, fit_transform, ortho_index, places
from cropcube.observations.emit_sweep import Seen, SweepOptions, sweep
from tests.support.emit import FILL, Files, Swath, masks, spectra, uncertainties, write_granule

ZONE, TILE_PX, STEP = Lattice.utm(11, True), 192, 60
SWATH = Swath(lines=120, samples=100, bands=12, angle_deg=25.0, lost=(40, 41, 42, 43, 44, 45))


def tiles_under(swath, lattice=ZONE, tile_px=TILE_PX):
    """Return the tiles around a swath, and the box that holds them all."""
    lat, lon = swath.place(*np.meshgrid([0, swath.lines - 1], [0, swath.samples - 1]))
    x, y = Transformer.from_crs(4326, lattice.epsg, always_xy=True).transform(lon, lat)
    box = lattice.box_of_bounds((x.min() - 60, y.min() - 60, x.max() + 60, y.max() + 60), tile_px * 10)
    tiles = [
        Tile(lattice, tile_px, row, col)
        for row in range(box.row, box.row + box.height)
        for col in range(box.col, box.col + box.width)
    ]
    return tiles, lattice.box_of_bounds(box.bounds, STEP)


def table_is_negative(granule, index):
    """Return which cells the granule's own table has a negative entry for, each centre projected by itself."""
    x, y = np.meshgrid(index.box.x_centres(), index.box.y_centres())
    lon, lat = Transformer.from_crs(index.box.lattice.epsg, 4326, always_xy=True).transform(x, y)
    left, width, _, top, _, height = granule.header.geotransform
    col, row = np.floor((lon - left) % 360 / width).astype(int), np.floor((lat - top) / height).astype(int)
    with h5py.File(granule.header.path) as file:
        table = file["location/glt_x"][:]
    inside = (row >= 0) & (row < table.shape[0]) & (col >= 0) & (col < table.shape[1])
    found = np.zeros(index.box.shape, bool)
    found[inside] = table[row[inside], col[inside]] < 0
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A granule in one piece, its index over all tiles under it, and the tiles."""
    path = write_granule(tmp_path_factory.mktemp("emit"), SWATH)
    granule = open_granule(path)
    tiles, box = tiles_under(SWATH)
    return granule, ortho_index(granule.header, box), tiles


@pytest.mark.parametrize("angle", [0.0, 13.0, 45.0, 77.5, 180.0, -30.0])
@pytest.mark.parametrize("epsg", [32611, 3310, 32610])
def test_every_cell_holds_the_pixel_nearest_to_it(tmp_path, angle, epsg):
    swath = Swath(lines=70, samples=60, bands=4, angle_deg=angle, bend_m=12.0, lost=(20, 21, 22))
    granule = open_granule(write_granule(tmp_path, swath))
    _, box = tiles_under(swath, Lattice.of_epsg(epsg))
    index = ortho_index(granule.header, box)

    lat, lon = swath.location()
    seen = lat.ravel() != FILL
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon.ravel()[seen], lat.ravel()[seen])
    centres = np.stack(np.meshgrid(box.x_centres(), box.y_centres()), axis=-1)
    distance, nearest = KDTree(np.column_stack([x, y])).query(centres, k=2)
    near = distance[..., 0] <= 45
    assert near.sum() > 0.9 * seen.sum()
    assert ((index.line >= 0) == near).all()
    assert ((index.sample >= 0) == near).all()
    found = index.line * swath.samples + index.sample
    clear = near & (distance[..., 1] - distance[..., 0] > 1e-3)
    assert clear.sum() > 0.99 * near.sum()
    np.testing.assert_array_equal(found[clear], np.flatnonzero(seen)[nearest[..., 0]][clear])


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 200), reach=st.floats(0, 59))
def test_nearest_of_scattered_pixels(seed, count, reach):
    random = np.random.default_rng(seed)
    x, y = 500_000 + random.uniform(-100, 700, count), 4_000_000 - random.uniform(-100, 500, count)
    x[random.random(count) < 0.1] = np.nan
    grid = CellGrid(500_000, 4_000_000, 60, (7, 10))
    found = nearest_pixels(x, y, grid, reach)
    cols, rows = np.meshgrid(np.arange(10), np.arange(7))
    dx = x[:, None, None] - (500_000 + 60 * (cols + 0.5))
    dy = y[:, None, None] - (4_000_000 - 60 * (rows + 0.5))
    squared = np.nan_to_num(dx * dx + dy * dy, nan=np.inf)
    squared = np.concatenate([squared, np.full((1, 7, 10), np.inf)])
    wanted = np.where(squared.min(axis=0) <= reach * reach, squared.argmin(axis=0), -1)
    np.testing.assert_array_equal(found, wanted)


def test_filled_cells_are_those_of_the_table(made):
    granule, index, _ = made
    wanted = table_is_negative(granule, index) & (index.line >= 0)
    assert 0 < wanted.sum() < (index.line >= 0).sum()
    np.testing.assert_array_equal(index.filled, wanted)


def test_projecting_each_place_by_itself_gives_the_same(made, monkeypatch):
    granule, index, _ = made
    monkeypatch.setattr("cropcube.observations.emit_ortho.POWERS", ())
    exact = ortho_index(granule.header, index.box)
    for name in ("line", "sample", "filled"):
        np.testing.assert_array_equal(getattr(exact, name), getattr(index, name))


def test_an_index_of_a_part_is_a_part_of_the_index(made):
    granule, index, tiles = made
    for tile in tiles[::3]:
        box = tile.box(STEP)
        part = ortho_index(granule.header, box, threads=2)
        inside = box.slices_in(index.box)
        for name in ("line", "sample", "filled"):
            np.testing.assert_array_equal(getattr(part, name), getattr(index, name)[inside])


def test_far_away_there_is_nothing(made):
    granule, _, _ = made
    index = ortho_index(granule.header, Tile(ZONE, TILE_PX, 0, 0).box(STEP))
    assert (index.line == -1).all()
    assert not index.filled.any()
    assert list(sweep(granule, index, [Tile(ZONE, TILE_PX, 0, 0)])) == []


def test_a_swath_over_the_antimeridian(tmp_path):
    swath = Swath(lines=50, samples=60, bands=3, lon=180.0)
    path = write_granule(tmp_path, swath)
    lat, lon = swath.location()
    with h5py.File(path, "r+") as file:
        file["location/lon"][...] = np.where(lon > 180, lon - 360, lon)
    zone = Lattice.utm(60, True)
    _, box = tiles_under(swath, zone)
    granule = open_granule(path)
    index = ortho_index(granule.header, box)
    assert (index.line >= 0).sum() > 0.97 * lat.size
    np.testing.assert_array_equal(index.filled, table_is_negative(granule, index) & (index.line >= 0))


def test_places_are_those_of_the_projection(made):
    granule, _, _ = made
    lat, lon = SWATH.location()
    x, y = places(*degrees(granule.header), ZONE.epsg)
    there = lat.ravel() != FILL
    wanted = Transformer.from_crs(4326, ZONE.epsg, always_xy=True).transform(lon.ravel()[there], lat.ravel()[there])
    np.testing.assert_allclose([x[there], y[there]], wanted, rtol=0, atol=1e-5)
    assert np.isnan(x[~there]).all()
    assert np.isnan(y[~there]).all()


def test_a_swath_without_any_place_shows_nothing(tmp_path):
    path = write_granule(tmp_path, Swath(lines=20, samples=20, bands=3))
    with h5py.File(path, "r+") as file:
        file["location/lat"][...] = FILL
    granule = open_granule(path)
    tiles, box = tiles_under(Swath(lines=20, samples=20))
    index = ortho_index(granule.header, box)
    assert (index.line == -1).all()
    assert list(sweep(granule, index, tiles)) == []


def test_a_transform_that_is_not_smooth_is_not_replaced():
    assert fit_transform(lambda u, v: (np.abs(u), v), np.array([[-1.0, 0.0], [1.0, 1.0]]), 1e-3) is None
    assert fit_transform(lambda u, v: (np.full_like(u, np.inf), v), np.array([[-1.0, 0.0], [1.0, 1.0]]), 1) is None


def plain(granule, index, tile):
    """Return what a tile must hold, cell by cell, without any of the code that is tested."""
    inside = tile.box(STEP).slices_in(index.box)
    line, sample = index.line[inside], index.sample[inside]
    held = line >= 0
    layers = []
    for values in (spectra(SWATH, 0, SWATH.lines), uncertainties(SWATH, 0, SWATH.lines)):
        gathered = values[line, sample].transpose(2, 0, 1).copy()
        gathered[gathered == FILL] = np.nan
        gathered[:, ~held] = np.nan
        layers.append(gathered)
    mask, marked = masks(SWATH)
    bits = np.where(held, int(Seen.OBSERVED), 0)
    for layer, bit in ((0, 2), (1, 4), (2, 8), (3, 16), (4, 32), (7, 64)):
        bits |= np.where(held & (mask[line, sample, layer] == 1), bit, 0)
    bits |= np.where(held & (mask[line, sample, 0] == FILL), 64, 0)
    bits |= np.where(index.filled[inside], 128, 0)
    return (*layers, bits.astype(np.uint8), marked[line, sample].transpose(2, 0, 1).astype(bool) & held)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_tiles_hold_what_a_plain_look_up_finds(made, mapped, threads):
    granule, index, tiles = made
    options = SweepOptions(mapped=mapped, threads=threads)
    found = {seen.tile: seen for seen in sweep(granule, index, tiles, options)}
    shown = [tile for tile in tiles if (index.line[tile.box(STEP).slices_in(index.box)] >= 0).any()]
    assert sorted(found) == sorted(shown)
    assert len(found) > 4
    for tile, seen in found.items():
        reflectance, uncertainty, quality, _ = plain(granule, index, tile)
        assert seen.reflectance.dtype == np.float32
        np.testing.assert_array_equal(seen.reflectance, reflectance)
        np.testing.assert_array_equal(seen.uncertainty, uncertainty)
        np.testing.assert_array_equal(seen.quality, quality)
    values = np.concatenate([seen.reflectance.ravel() for seen in found.values()])
    assert (values == np.float32(-0.01)).any()
    assert not (values == FILL).any()


def test_marked_bands_are_dropped_when_asked(made):
    granule, index, tiles = made
    for seen in sweep(granule, index, tiles, SweepOptions(drop_marked=True)):
        reflectance, uncertainty, _, marked = plain(granule, index, seen.tile)
        assert marked.any()
        reflectance[marked] = np.nan
        np.testing.assert_array_equal(seen.reflectance, reflectance)
        np.testing.assert_array_equal(seen.uncertainty, uncertainty)


@pytest.mark.parametrize("mapped", [True, False])
def test_a_subset_of_tiles_gets_what_the_whole_gets(made, mapped):
    granule, index, tiles = made
    whole = {seen.tile: seen for seen in sweep(granule, index, tiles)}
    for chosen in (sorted(whole)[:1], sorted(whole)[3:5], sorted(whole)[::-2]):
        part = ortho_index(granule.header, index.box)
        found = {seen.tile: seen for seen in sweep(granule, part, chosen, SweepOptions(mapped=mapped))}
        assert sorted(found) == sorted(chosen)
        for tile, seen in found.items():
            for name in ("reflectance", "uncertainty", "quality"):
                np.testing.assert_array_equal(getattr(seen, name), getattr(whole[tile], name))


@pytest.mark.parametrize("chunk", [(16, 32, 8), (7, 100, 12), (120, 9, 5), (1, 100, 12)])
def test_chunks_hold_the_same_as_one_piece(made, tmp_path, chunk):
    granule, index, tiles = made
    chunked = open_granule(write_granule(tmp_path, SWATH, Files(chunked=True, chunk=chunk, packed_bytes=36)))
    whole = {seen.tile: seen for seen in sweep(granule, index, tiles, SweepOptions(drop_marked=True))}
    other = ortho_index(chunked.header, index.box)
    np.testing.assert_array_equal(other.line, index.line)
    found = list(sweep(chunked, other, tiles, SweepOptions(drop_marked=True)))
    assert len(found) == len(whole)
    for seen in found:
        for name in ("reflectance", "uncertainty", "quality"):
            np.testing.assert_array_equal(getattr(seen, name), getattr(whole[seen.tile], name))


def test_a_window_moves_over_lines_that_are_many_times_its_height(made, tmp_path, monkeypatch):
    """Blocks of a few lines, so that the window wraps around often."""
    granule, index, tiles = made
    monkeypatch.setattr("cropcube.observations.emit_lines.BLOCK_BYTES", 100 * 12 * 4 * 3)
    monkeypatch.setattr("cropcube.observations.emit_lines.MOST_BLOCK_BYTES", 100 * 12 * 4 * 5)
    chunked = open_granule(write_granule(tmp_path, SWATH, Files(chunked=True, chunk=(32, 50, 12))))
    with h5py.File(chunked.header.path) as file:
        assert block_lines(file["reflectance"], 100) == 5
    whole = {seen.tile: seen.reflectance for seen in sweep(granule, index, tiles)}
    for source in (granule, chunked):
        for seen in sweep(source, index, tiles, SweepOptions(mapped=False)):
            np.testing.assert_array_equal(seen.reflectance, whole[seen.tile])


def test_arrays_may_be_used_again(made):
    granule, index, tiles = made
    whole = {seen.tile: seen.reflectance for seen in sweep(granule, index, tiles)}
    places_of_arrays = set()
    for seen in sweep(granule, index, tiles, SweepOptions(reuse=True, uncertainty=False, quality=False)):
        np.testing.assert_array_equal(seen.reflectance, whole[seen.tile])
        places_of_arrays.add(seen.reflectance.ctypes.data)
        assert seen.uncertainty is None
        assert seen.quality is None
    assert len(places_of_arrays) == 1


def test_spectra_of_all_bands_come_through_whole(tmp_path):
    swath = dataclasses.replace(SWATH, lines=40, samples=30, bands=285, lost=(11, 12))
    granule = open_granule(write_granule(tmp_path, swath))
    tiles, box = tiles_under(swath)
    index = ortho_index(granule.header, box)
    values, cells = spectra(swath, 0, swath.lines), 0
    for seen in sweep(granule, index, tiles, SweepOptions(uncertainty=False, quality=False)):
        inside = seen.tile.box(STEP).slices_in(index.box)
        line, sample = index.line[inside], index.sample[inside]
        held = (line >= 0) & ~np.isin(line, swath.lost)
        np.testing.assert_array_equal(seen.reflectance[:, held], values[line[held], sample[held]].T)
        assert np.isnan(seen.reflectance[:, ~held]).all()
        cells += held.sum()
    assert cells > 900


def test_other_fill_values_are_taken_from_the_file(made, tmp_path):
    _, index, tiles = made
    path = write_granule(tmp_path, SWATH)
    with h5py.File(path, "r+") as file:
        values = file["reflectance"][:]
        file["reflectance"][...] = np.where(values == FILL, np.float32(-1), values)
        file["reflectance"].attrs["_FillValue"] = np.array([-1], np.float32)
    for seen in sweep(open_granule(path), index, tiles):
        np.testing.assert_array_equal(seen.reflectance, plain(None, index, seen.tile)[0])


def test_a_file_that_begins_on_no_whole_number_of_floats(made, tmp_path):
    """As netCDF-C writes them: the real crop's spectra begin at byte 14339."""
    _, index, tiles = made
    path = write_granule(tmp_path, SWATH)
    with h5py.File(path, "r+") as file:
        values = file["reflectance"][:]
        del file["reflectance"]
        file.create_dataset("odd", data=np.zeros(5001, np.uint8))
        kept = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        kept.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space = h5py.h5s.create_simple(values.shape)
        h5py.h5d.create(file.id, b"reflectance", h5py.h5t.IEEE_F32LE, space, kept)
        file["reflectance"][...] = values
        file["reflectance"].attrs["_FillValue"] = np.array([FILL], np.float32)
        assert file["reflectance"].id.get_offset() % 4
    for seen in sweep(open_granule(path), index, tiles):
        np.testing.assert_array_equal(seen.reflectance, plain(None, index, seen.tile)[0])


def test_entries_that_point_outside_of_the_swath_are_counted(tmp_path):
    path = write_granule(tmp_path, SWATH)
    with h5py.File(path, "r+") as file:
        table = file["location/glt_y"]
        row, col = (int(n[0]) for n in np.nonzero(table[:]))
        table[row, col] = 121
        middle = table.shape[0] // 2, table.shape[1] // 2
        table[middle[0], middle[1] : middle[1] + 3] = [-121, 4000, 0]
    _, box = tiles_under(SWATH)
    said = r"4 of \d+ entries .* 120 lines and 100 samples \(3 in glt_y, 0 in glt_x, 1 in one of them only\)"
    with pytest.raises(InvalidInputError, match=said):
        ortho_index(open_granule(path).header, box)


def test_tiles_outside_of_the_index_are_refused(made):
    granule, index, _ = made
    with pytest.raises(InvalidInputError, match="does not lie within the index"):
        next(sweep(granule, index, [Tile(ZONE, TILE_PX, 0, 0)]))


def test_other_cells_than_60_m_are_refused(made):
    granule, _, tiles = made
    with pytest.raises(InvalidInputError, match="20 m"):
        ortho_index(granule.header, tiles[0].box(20))


def test_a_damaged_file_is_the_one_that_is_named(tmp_path):
    path = write_granule(tmp_path, SWATH, Files(chunked=True))
    granule = open_granule(path)
    _, box = tiles_under(SWATH)
    index = ortho_index(granule.header, box)
    with h5py.File(path) as file:
        where = file["reflectance"].id.get_chunk_info(5).byte_offset
    with path.open("r+b") as file:
        file.seek(where)
        file.write(b"\xff" * 200)
    tiles, _ = tiles_under(SWATH)
    with pytest.raises(ReadError, match=path.name):
        list(sweep(granule, index, tiles))


def test_a_file_cut_short_while_it_is_read_is_refused(made, tmp_path):
    _, index, tiles = made
    path = write_granule(tmp_path, SWATH)
    seen = sweep(open_granule(path), index, tiles)
    next(seen)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(ReadError, match=f"{path.name} was cut short"):
        list(seen)
