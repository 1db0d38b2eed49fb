"""A country planned from the command line: without the network, in tables and in JSON."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cropcube_cli.main import main, make_app

VERBS = ("build", "features", "predict")
INDIA = ("--region", "india", "--season", "2024", "--dry-run", "--workers", "64")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where anything is looked up or connected to."""

    def refuse(*given: object, **more: object) -> None:
        pytest.fail(f"the network was touched: {given}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)


def run(folder: Path, *arguments: str) -> str:
    """Return what a command printed."""
    done = CliRunner().invoke(make_app(), [*arguments, "--project", str(folder / "india")])
    assert done.exit_code == 0, done.output
    assert list(folder.iterdir()) == []
    return done.stdout


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("verb", VERBS)
def test_india_is_planned_without_the_network(tmp_path: Path, verb: str) -> None:
    figures = json.loads(run(tmp_path, verb, *INDIA, "--json"))
    assert figures["verb"] == verb
    assert set(figures["tiles"]) == {f"utm{zone}n" for zone in range(42, 48)}
    assert 50_000 < sum(figures["tiles"].values()) < 60_000
    assert figures["tasks"] > 25_000
    assert figures["workers"] == 64
    assert 0 < figures["hours"][0] < figures["hours"][1]
    assert 0 < figures["cost_usd"]["all"][0] < figures["cost_usd"]["all"][1]
    assert figures["rates"]["core_hour_usd"]["high"] == 0.05
    assert "steps of median-5d" in figures["source"] or "no catalogue was asked" in figures["source"]


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("verb", VERBS)
def test_people_see_what_it_comes_to_and_what_that_rests_on(tmp_path: Path, verb: str) -> None:
    said = run(tmp_path, verb, "--region", "belgium", "--season", "2024", "--dry-run", "--workers", "8")
    assert f"Dry run of {verb}: nothing was written" in said
    for words in ("utm31n", "hours on 8 workers", "Cost in USD", "core_hour_usd", "to store", "fits"):
        assert words in said
    assert ("network_mb_s" in said) == (verb == "build")


@pytest.mark.parametrize("verb", VERBS)
def test_rates_that_cannot_be_used_end_with_1(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rates.toml").write_text("core_hours_usd = 1\n")
    rates = ("--rates", str(tmp_path / "rates.toml"))
    for arguments, code in (((*INDIA, *rates), 1), (rates, 2)):
        monkeypatch.setattr("sys.argv", ["cropcube", verb, *arguments, "--project", str(tmp_path / "p")])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == code
        printed = capsys.readouterr()
        assert not printed.out
        assert ("unknown rate core_hours_usd" if code == 1 else "--rates goes with --dry-run") in printed.err
