"""Curves of the crops: quartiles worked out by hand from series that are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from io import BytesIO

import numpy as np
import pytest

from cropcube.domain.legend import Legend
from cropcube.domain.season import Season
from cropcube.features.model_input import InputLayout
from cropcube.report import curves as module
from cropcube.report.curves import season_curves
from cropcube.report.figures import curve_picture
from cropcube.samples.index import SampleIndex
from cropcube.samples.read import Cell, Samples

LEGEND = Legend.parse("1200,Maize\n1110,Winter wheat\n9120,Grass")
SEASON = Season.parse("2019-03-01/2019-04-10")
STEPS = ("2019-03-01", "2019-03-11", "2019-03-21", "2019-03-31")


@dataclass(frozen=True)
class Table:
    """Series in memory; a cell is one sample of the index, which is found by its column."""

    values: np.ndarray
    name: str = "table"

    def cells(self, layout, index):
        return [Cell(np.array([place])) for place in range(len(index))]

    def read_into(self, rows, layout, index, cell):
        rows[:] = self.values[index.col[cell.positions]][..., slice(*layout.window)]

    def observed(self, layout, index):
        return np.ones(len(index), bool)


def samples(values, labels, layout) -> Samples:
    n = len(labels)
    index = SampleIndex.of("utm31n", np.zeros(n), np.arange(n), np.asarray(labels))
    return Samples(Table(np.asarray(values)), layout, index, LEGEND)


def layout(bands=("B04", "B08"), kind="median", steps=STEPS, window=(0, 0)) -> InputLayout:
    return InputLayout("made", kind, bands, (10,) * len(bands), steps, window)


def of_index(ndvi) -> np.ndarray:
    """Return red and near infrared whose index is known: (n, 2, steps)."""
    ndvi = np.asarray(ndvi, float)
    return np.stack([1000 * (1 - ndvi), 1000 * (1 + ndvi)], axis=1)


def test_curves_are_the_quartiles_of_each_class():
    maize = [
        [0.1, 0.2, 0.5, 0.8],
        [0.2, 0.3, 0.6, 0.9],
        [0.3, 0.4, 0.7, 0.7],
        [0.4, 0.5, 0.8, 0.8],
        [0.5, 0.6, 0.9, 0.5],
    ]
    wheat = [[0.6, 0.7, 0.7, 0.3]]
    found = season_curves(samples(of_index(maize + wheat), [1] * 5 + [2], layout()), SEASON)
    assert found.index == "NDVI"
    assert [curve.name for curve in found.curves] == ["Maize", "Winter wheat"]  # no pixel of grass
    assert found.curves[0].pixels == 5
    np.testing.assert_allclose(found.curves[0].middle, [0.3, 0.4, 0.7, 0.8], atol=1e-6)
    np.testing.assert_allclose(found.curves[0].low, [0.2, 0.3, 0.6, 0.7], atol=1e-6)
    np.testing.assert_allclose(found.curves[0].high, [0.4, 0.5, 0.8, 0.8], atol=1e-6)
    np.testing.assert_allclose(found.curves[1].low, wheat[0], atol=1e-6)
    assert found.days == (date(2019, 3, 5), date(2019, 3, 15), date(2019, 3, 25), date(2019, 4, 4))
    assert found.seen == (found.days[0], found.days[-1])


def test_the_whole_season_is_shown_and_what_the_model_sees_is_said():
    ndvi = [[0.1, 0.2, 0.5, 0.8]]
    found = season_curves(samples(of_index(ndvi), [1], layout(window=(1, 3))), SEASON)
    np.testing.assert_allclose(found.curves[0].middle, ndvi[0], atol=1e-6)
    assert found.seen == (found.days[1], found.days[2])


def test_of_harmonics_the_fitted_curve_is_shown():
    days = np.arange(0, SEASON.days, 5)
    phase = 2 * np.pi * days / 365.25
    coefficients = np.array([[[900.0, 30.0, -20.0], [2500.0, -400.0, 700.0]]])
    found = season_curves(
        samples(coefficients, [3], layout(kind="harmonic", steps=("constant", "cos1", "sin1"))), SEASON
    )
    red, near = 900 + 30 * np.cos(phase) - 20 * np.sin(phase), 2500 - 400 * np.cos(phase) + 700 * np.sin(phase)
    assert found.fitted
    assert found.days[1] == date(2019, 3, 6)
    np.testing.assert_allclose(found.curves[0].middle, (near - red) / (near + red), rtol=1e-6)


def test_pixels_that_were_never_seen_count_for_nothing():
    values = of_index([[0.1, 0.2, 0.5, 0.8], [0.1, 0.2, 0.5, 0.8]])
    values[1] = 0
    found = season_curves(samples(values, [1, 2], layout()), SEASON)
    assert [curve.name for curve in found.curves] == ["Maize"]


def test_of_very_many_pixels_some_are_read_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(module, "MOST_PIXELS", 3)
    ndvi = np.linspace(0.1, 0.9, 9)[:, None] * np.ones(4)
    found = season_curves(samples(of_index(ndvi), [1] * 9, layout()), SEASON)
    assert found.curves[0].pixels == 9
    np.testing.assert_allclose(found.curves[0].middle, 0.5, atol=1e-6)
    np.testing.assert_allclose(found.curves[0].low, 0.3, atol=1e-6)  # of 0.1, 0.5 and 0.9


@pytest.mark.parametrize(("bands", "index"), [(("B05", "B8A"), "NDRE"), (("B04", "B8A"), "NDVI")])
def test_bands_of_20_m_have_an_index_too(bands, index):
    found = season_curves(samples(of_index([[0.1, 0.2, 0.5, 0.8]]), [1], layout(bands)), SEASON)
    assert found.index == index
    np.testing.assert_allclose(found.curves[0].middle, [0.1, 0.2, 0.5, 0.8], atol=1e-6)


def test_features_without_a_course_have_no_curves():
    values = of_index([[0.1, 0.2, 0.5, 0.8]])
    assert season_curves(samples(values[:, :, :1], [1], layout(kind="annual-median", steps=STEPS[:1])), SEASON) is None
    assert season_curves(samples(values, [1], layout(("B03", "B11"))), SEASON) is None
    assert (
        season_curves(samples(values, [1], layout(kind="percentiles", steps=("p5", "p50", "p90", "p95"))), SEASON)
        is None
    )


def test_geometric_medians_have_the_curves_of_medians():
    values = of_index([[0.1, 0.2, 0.5, 0.8]])
    found = season_curves(samples(values, [1], layout(kind="geomedian")), SEASON)
    assert (
        found.curves[0].middle.tolist()
        == season_curves(samples(values, [1], layout()), SEASON).curves[0].middle.tolist()
    )


def test_a_curve_is_drawn_in_the_colour_of_its_class():
    found = season_curves(samples(of_index([[0.1, 0.2, 0.5, 0.8], [0.3, 0.3, 0.3, 0.3]]), [1, 2], layout()), SEASON)
    found = replace(
        found, curves=tuple(replace(c, colour=c2) for c, c2 in zip(found.curves, ("#ff0000", "#00ff00"), strict=True))
    )
    from matplotlib.image import imread

    pictures = [curve_picture(found, curve) for curve in found.curves]
    for png, (much, none) in zip(pictures, ((0, 1), (1, 0)), strict=True):
        image = np.round(imread(BytesIO(png))[..., :3] * 255).astype(int)
        coloured = image[..., much] - image[..., none] > 200
        assert coloured.sum() > 200
        assert not (image[..., none] - image[..., much] > 60).any()
    assert curve_picture(found, found.curves[0]) == pictures[0]
