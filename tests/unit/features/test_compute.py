import warnings
from datetime import date

import numpy as np
import pytest

from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.lattice import Lattice, PixelBox, Tile
from cropcube.domain.season import Season
from cropcube.errors import InvalidInputError
from cropcube.features.compute import clear_observations, compute, index_resolutions
from cropcube.kernels import reference
from cropcube.observations.tile import TileObservations
from tests.support.series import least_squares, nan_median

SEASON = Season(date(2019, 3, 1), date(2019, 4, 12))
TILE = Tile(Lattice.utm(31, True), 96, 4559, 598)
BANDS = {10: ("B02", "B03", "B04", "B08"), 20: ("B05", "B8A", "B11")}


def observed(days=(0, 3, 4, 5, 20, 41), halo_px=0, seed=1):
    generator = np.random.default_rng(seed)
    box = TILE.box(20)
    frame = PixelBox(
        box.lattice, 20, box.row - halo_px, box.col - halo_px, box.height + 2 * halo_px, box.width + 2 * halo_px
    )
    reflectance = {
        m: generator.integers(0, 9000, (len(days), len(names), *TILE.box(m).shape)).astype(np.uint16)
        for m, names in BANDS.items()
    }
    for values in reflectance.values():
        values[generator.random(values.shape) < 0.02] = 0
    quality = generator.choice(np.array([0, 4, 5, 6, 7, 8, 9, 254], np.uint8), (len(days), *frame.shape))
    return TileObservations(TILE, np.array(days, np.int32), BANDS, reflectance, quality, frame)


def clear_by_hand(seen, resolution_m, halo_px=0):
    inner = slice(halo_px, -halo_px or None)
    kept = np.isin(seen.quality[:, inner, inner], (4, 5, 6, 7))
    if resolution_m == 10:
        kept = np.kron(kept, np.ones((1, 2, 2), bool))
    return kept & (seen.reflectance[resolution_m] != 0).all(axis=1)


@pytest.mark.parametrize("resolution_m", [10, 20])
def test_medians_of_windows(resolution_m):
    seen = observed()
    made = compute(FeatureSpec(window_days=5), seen, SEASON)[resolution_m]
    assert set(made) == {"median", "clear_count"}
    window = np.array([0, 0, 0, 1, 4, 8])
    median, count = nan_median(seen.reflectance[resolution_m], clear_by_hand(seen, resolution_m), window, 9)
    np.testing.assert_array_equal(made["median"], median)
    np.testing.assert_array_equal(made["clear_count"], count)


def test_the_annual_median_is_one_window():
    seen = observed()
    made = compute(FeatureSpec("annual-median"), seen, SEASON)[20]
    median, count = nan_median(seen.reflectance[20], clear_by_hand(seen, 20), np.zeros(6, int), 1)
    np.testing.assert_array_equal(made["median"], median)
    np.testing.assert_array_equal(made["clear_count"], count)


def test_harmonics():
    seen = observed(days=tuple(range(0, 41, 2)))
    made = compute(FeatureSpec("harmonic", order=1, ridge=0.5), seen, SEASON)[20]
    corner = slice(0, 6)
    clear = clear_by_hand(seen, 20)
    expected, rmse, _ = least_squares(
        seen.reflectance[20][..., corner, corner], clear[:, corner, corner], seen.days, 1, 0.5
    )
    found = made["coefficient"][..., corner, corner]
    np.testing.assert_array_less(np.abs(found - expected), 1e-3 * np.maximum(1, np.abs(expected)) + 1e-9)
    np.testing.assert_allclose(made["rmse"][..., corner, corner], rmse, rtol=1e-4)
    np.testing.assert_array_equal(made["clear_count"], clear.sum(axis=0))


def test_zero_in_one_band_counts_at_its_own_resolution_only():
    seen = observed()
    seen.quality[:] = 4
    for values in seen.reflectance.values():
        values[:] = 7
    seen.reflectance[10][2, 1, 30, 40] = 0
    fine = clear_observations(FeatureSpec(), seen, 10)
    assert np.argwhere(~fine).tolist() == [[2, 30, 40]]
    assert clear_observations(FeatureSpec(), seen, 20).all()


def test_no_day_at_all():
    seen = observed(days=())
    made = compute(FeatureSpec(indices=("NDVI", "LSWI")), seen, SEASON)
    assert not made[10]["median"].any()
    assert np.isnan(made[10]["index"]).all()
    assert np.isnan(compute(FeatureSpec("harmonic"), seen, SEASON)[20]["coefficient"]).all()
    assert not compute(FeatureSpec("geomedian"), seen, SEASON)[20]["geomedian"].any()
    assert not compute(FeatureSpec("percentiles"), seen, SEASON)[20]["percentile"].any()
    assert np.isnan(compute(FeatureSpec("statistics"), seen, SEASON)[10]["statistic"]).all()


def test_dilation_sees_beyond_the_tile():
    seen = observed(halo_px=2)
    seen.quality[:] = 4
    for values in seen.reflectance.values():
        values[:] = 7
    seen.quality[0, 10, 0] = 9
    assert clear_observations(FeatureSpec(dilate_m=20), seen, 20)[0].all()
    near = clear_observations(FeatureSpec(dilate_m=40), seen, 20)
    assert np.argwhere(~near).tolist() == [[0, 8, 0]]
    assert np.argwhere(~clear_observations(FeatureSpec(dilate_m=21), seen, 20)).tolist() == [[0, 8, 0]]
    fine = clear_observations(FeatureSpec(dilate_m=40), seen, 10)
    assert np.argwhere(~fine)[:, 1:].tolist() == [[16, 0], [16, 1], [17, 0], [17, 1]]


def test_quality_that_does_not_cover_the_tile_is_refused():
    seen = observed()
    box = seen.quality_box
    cut = PixelBox(box.lattice, 20, box.row, box.col, box.height - 1, box.width)
    short = TileObservations(TILE, seen.days, BANDS, seen.reflectance, seen.quality[:, :-1], cut)
    with pytest.raises(InvalidInputError, match="r4559c0598"):
        compute(FeatureSpec(), short, SEASON)


def test_indices_live_at_the_coarsest_of_their_bands():
    spec = FeatureSpec(indices=("ndvi", "LSWI", "EVI", "NDRE"))
    assert index_resolutions(spec, BANDS) == {10: ("NDVI", "EVI"), 20: ("LSWI", "NDRE")}
    with pytest.raises(InvalidInputError, match="B12"):
        index_resolutions(FeatureSpec(indices=("NBR",)), BANDS)


def test_indices_of_medians():
    seen = observed()
    made = compute(FeatureSpec(window_days=21, indices=("NDVI", "LSWI")), seen, SEASON)
    fine, coarse = (made[m]["median"].astype(np.float64) for m in (10, 20))
    red, nir = fine[:, 2], fine[:, 3]
    ndvi = np.where((red > 0) & (nir > 0), (nir - red) / np.where(nir + red > 0, nir + red, 1), np.nan)
    assert made[10]["index"].shape == (2, 1, 96, 96)
    np.testing.assert_allclose(made[10]["index"][:, 0], ndvi, rtol=1e-5, atol=1e-6)
    squares = nir.reshape(2, 48, 2, 48, 2)
    number = (squares > 0).sum(axis=(2, 4))
    mean = squares.sum(axis=(2, 4)) / np.where(number > 0, number, 1)
    swir = coarse[:, 2]
    lswi = np.where((number > 0) & (swir > 0), (mean - swir) / np.where(mean + swir > 0, mean + swir, 1), np.nan)
    assert np.isnan(lswi).any()
    assert np.isfinite(lswi).any()
    np.testing.assert_allclose(made[20]["index"][:, 0], lswi, rtol=1e-5, atol=1e-6)


def test_geometric_medians_are_those_of_the_bands_of_one_resolution():
    seen = observed()
    made = compute(FeatureSpec("geomedian", window_days=5), seen, SEASON)[20]
    assert set(made) == {"geomedian", "clear_count"}
    clear = clear_by_hand(seen, 20)
    window = np.array([0, 0, 0, 1, 4, 8])
    np.testing.assert_array_equal(made["clear_count"], nan_median(seen.reflectance[20], clear, window, 9)[1])
    first = clear & (window == 0)[:, None, None]
    _, least = reference.geomedian(seen.reflectance[20], first)
    found = reference.distances(seen.reflectance[20].astype(float), first, made["geomedian"][0].astype(float))
    np.testing.assert_allclose(found, least, rtol=1e-3, atol=1)
    assert not made["geomedian"][2].any()


def test_indices_of_geometric_medians():
    seen = observed()
    made = compute(FeatureSpec("geomedian", window_days=42, indices=("NDVI",)), seen, SEASON)[10]
    red, nir = (made["geomedian"][:, band].astype(float) for band in (2, 3))
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(made["index"][:, 0], (nir - red) / (nir + red), rtol=1e-5, atol=1e-6)


def test_percentiles_of_the_season():
    seen = observed()
    made = compute(FeatureSpec("percentiles", percentiles=(50, 0, 87.5)), seen, SEASON)[10]
    clear = clear_by_hand(seen, 10)
    values = np.where(clear[:, None], seen.reflectance[10].astype(float), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.nan_to_num(np.nanpercentile(values, (0, 50, 87.5), axis=0))
    assert np.abs(made["percentile"] - expected).max() <= 0.5
    np.testing.assert_array_equal(made["clear_count"], clear.sum(axis=0))


def test_statistics_of_an_index_within_one_resolution():
    seen = observed()
    made = compute(FeatureSpec("statistics"), seen, SEASON)
    assert set(made) == {10}
    clear = clear_by_hand(seen, 10)
    red, nir = (np.where(clear, seen.reflectance[10][:, band].astype(float), np.nan) for band in (2, 3))
    ndvi = (nir - red) / (nir + red)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [np.nanmean(ndvi, 0), np.nanstd(ndvi, 0), np.nanmin(ndvi, 0), np.nanmax(ndvi, 0)]
    found = made[10]["statistic"][:, 0]
    np.testing.assert_allclose(found[:4], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[4], expected[3] - expected[2], rtol=1e-5, atol=1e-6)
    seen_once = np.isfinite(ndvi).any(axis=0)
    best = np.where(np.isnan(ndvi), -np.inf, ndvi).argmax(axis=0)
    np.testing.assert_array_equal(found[5][seen_once], seen.days[best][seen_once])
    assert np.isnan(found[:, ~seen_once]).all()
    np.testing.assert_array_equal(made[10]["clear_count"], clear.sum(axis=0))


def test_statistics_of_an_index_of_two_resolutions_take_what_is_clear_at_each():
    seen = observed()
    made = compute(FeatureSpec("statistics", indices=("LSWI",)), seen, SEASON)
    assert set(made[10]) == {"clear_count"}
    nir = np.where(clear_by_hand(seen, 10), seen.reflectance[10][:, 3].astype(float), np.nan)
    swir = np.where(clear_by_hand(seen, 20), seen.reflectance[20][:, 2].astype(float), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nir = np.nanmean(nir.reshape(-1, 48, 2, 48, 2), axis=(2, 4))
        expected = np.nanmean((nir - swir) / (nir + swir), axis=0)
    np.testing.assert_allclose(made[20]["statistic"][0, 0], expected, rtol=1e-5, atol=1e-6)
