"""Prices and speeds: what a file may say of them, and what it may not."""

from dataclasses import fields
from pathlib import Path

import pytest

from cropcube.errors import InvalidInputError, MissingError
from cropcube.pipeline.rates import Range, Rates, read_rates


def written(folder: Path, text: str) -> Path:
    """Return a file of rates."""
    path = folder / "rates.toml"
    path.write_text(text)
    return path


def test_every_rate_says_what_it_is_and_where_it_is_from() -> None:
    said = Rates().as_dict()
    assert list(said) == [each.name for each in fields(Rates)]
    for rate in said.values():
        assert 0 <= rate["low"] <= rate["high"]
        assert rate["unit"]
        assert rate["source"]


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    rates = read_rates(written(tmp_path, "core_hour_usd = [0.02, 0.03]\ntransfer_gb_usd = 0\nbuild_mb_s = 50.5\n"))
    assert rates.core_hour_usd == Range(0.02, 0.03)
    assert (rates.transfer_gb_usd, rates.build_mb_s) == (Range(0, 0), Range(50.5, 50.5))
    assert rates.network_mb_s == Rates().network_mb_s
    assert rates.as_dict()["core_hour_usd"]["source"] == "given"
    assert "assumption" in rates.as_dict()["network_mb_s"]["source"]
    assert read_rates(None) == Rates()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("core_hour = 1", r"an unknown rate core_hour\b"),
        ("core_hour_usd = 'much'", "core_hour_usd = 'much' is neither a number nor two"),
        ("core_hour_usd = true", "core_hour_usd = True is neither"),
        ("core_hour_usd = [1]", r"core_hour_usd = \[1\] is neither"),
        ("core_hour_usd = [1, 2, 3]", "is neither"),
        ("core_hour_usd = nan", "core_hour_usd = nan is neither"),
        ("core_hour_usd = [1, inf]", "is neither"),
        ("core_hour_usd = -1", "core_hour_usd = -1 is too little"),
        ("core_hour_usd = [-1, 2]", "is too little"),
        ("network_mb_s = 0", "network_mb_s = 0 is too little"),
        ("request_mb = [0, 1]", "is too little"),
        ("core_hour_usd = [2, 1]", r"core_hour_usd = \[2, 1\] has its low above its high"),
        ("[table]\ncore_hour_usd = 1", "an unknown rate table"),
        ("core_hour_usd =", "are no TOML"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(InvalidInputError, match=what) as refused:
        read_rates(written(tmp_path, text))
    assert "rates.toml" in refused.value.what
    assert refused.value.next_step


def test_a_file_that_is_not_there_is_missed(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no file of rates .*nowhere\.toml"):
        read_rates(tmp_path / "nowhere.toml")
