"""Which windows of time a model sees: by calendar days, in any year."""

from datetime import date, timedelta

import pytest

from cropcube.domain.feature_spec import FeatureSpec
from cropcube.domain.model_window import ModelWindow
from cropcube.domain.season import Season
from cropcube.errors import InvalidInputError, ModelMismatchError

FIVE = FeatureSpec("median", window_days=5)
PAPER = ModelWindow.parse("05-01/12-01")


def starts(spec, season, window):
    return [spec.window_starts(season)[at] for at in (window[0], window[1] - 1)]


def test_the_papers_window_has_43_steps_of_five_days_from_day_121():
    year = Season.of_year(2021)
    first, last = PAPER.steps_of(FIVE, year)
    assert last - first == 43
    assert starts(FIVE, year, (first, last)) == [date(2021, 5, 1), date(2021, 11, 27)]
    assert date(2021, 5, 1).timetuple().tm_yday == 121


def test_the_window_that_starts_nearest_to_the_day_is_the_first():
    season = Season.parse("2018-12-01/2019-11-30")
    window = PAPER.steps_of(FIVE, season)
    assert window[1] - window[0] == 43
    assert starts(FIVE, season, window) == [date(2019, 4, 30), date(2019, 11, 26)]
    late = Season.parse("2019-05-03/2019-12-20")
    assert starts(FIVE, late, PAPER.steps_of(FIVE, late)) == [date(2019, 5, 3), date(2019, 11, 24)]
    with pytest.raises(InvalidInputError):
        PAPER.steps_of(FIVE, Season.parse("2019-05-04/2019-12-20"))


def test_geometric_medians_have_windows_of_time_and_other_kinds_have_none():
    year = Season.of_year(2021)
    assert PAPER.steps_of(FeatureSpec("geomedian", window_days=5), year) == PAPER.steps_of(FIVE, year)
    for kind in ("annual-median", "percentiles", "statistics", "harmonic"):
        with pytest.raises(InvalidInputError, match="has no windows of time to choose from"):
            PAPER.steps_of(FeatureSpec(kind), year)


@pytest.mark.parametrize("days", [5, 15, 30])
@pytest.mark.parametrize("start", [date(2018, 11, 1) + timedelta(days=3 * place) for place in range(20)])
def test_the_same_steps_of_any_season_lie_at_the_same_days_within_half_a_step(days, start):
    spec, window = FeatureSpec("median", window_days=days), ModelWindow.parse("04-01/10-28")
    season = Season(start, start + timedelta(days=365))
    first, last = window.steps_of(spec, season)
    assert abs((spec.window_starts(season)[first] - date(2019, 4, 1)).days) <= days / 2
    assert window.same_steps_of(spec, season, last - first) == (first, last)


def test_a_window_may_pass_the_turn_of_the_year():
    season = Season.parse("2022-07-01/2023-07-01")
    window = ModelWindow.parse("10-01/04-01").steps_of(FIVE, season)
    assert starts(FIVE, season, window) == [date(2022, 9, 29), date(2023, 3, 28)]


@pytest.mark.parametrize("season", ["2021-06-01/2022-01-01", "2021-01-01/2021-09-01", "2021-12-01/2022-04-01"])
def test_a_window_that_the_season_does_not_hold_is_refused(season):
    with pytest.raises(InvalidInputError, match="05-01/12-01"):
        PAPER.steps_of(FIVE, Season.parse(season))


def test_harmonics_have_no_windows():
    with pytest.raises(InvalidInputError, match="harmonic-2"):
        PAPER.steps_of(FeatureSpec("harmonic"), Season.of_year(2021))


def test_another_season_gives_as_many_steps_or_is_refused():
    leap = Season.parse("2023-12-03/2024-12-20")
    window = PAPER.same_steps_of(FIVE, leap, 43)
    assert window[1] - window[0] == 43
    assert starts(FIVE, leap, window)[0] == date(2024, 5, 1)
    with pytest.raises(ModelMismatchError, match=r"takes 43 windows of 5 days from 2019-05-01, .* has 42"):
        PAPER.same_steps_of(FIVE, Season.parse("2018-12-01/2019-11-24"), 43)


@pytest.mark.parametrize("text", ["", "05-01", "2019-05-01/2019-12-01", "5-1/12-1", "13-01/12-01", "02-30/03-10"])
def test_other_text_is_refused(text):
    with pytest.raises(InvalidInputError, match="MM-DD"):
        ModelWindow.parse(text)


def test_an_empty_window_is_refused_and_the_rest_said_again():
    with pytest.raises(InvalidInputError, match="empty"):
        ModelWindow.parse("05-01/05-01")
    assert str(PAPER) == "05-01/12-01"


def test_the_29th_of_february_is_the_first_of_march_where_there_is_none():
    daily = FeatureSpec("median", window_days=1)
    window = ModelWindow.parse("02-29/03-05")
    for year, first in ((2023, date(2023, 3, 1)), (2024, date(2024, 2, 29))):
        season = Season.of_year(year)
        assert starts(daily, season, window.steps_of(daily, season))[0] == first
