"""Where work runs, decided from options and the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cropcube.errors import InvalidInputError, UsageError
from cropcube.run.cluster import resources
from cropcube.run.memory import memory_bytes, peak_memory_bytes, processors, worker_memory_bytes
from cropcube.run.options import HANDFUL, RunOptions, workers_of_words


@pytest.mark.parametrize(
    ("options", "tasks", "kind"),
    [
        (RunOptions(), HANDFUL, "serial"),
        (RunOptions(), HANDFUL + 1, "local"),
        (RunOptions(workers=1), 1000, "serial"),
        (RunOptions(workers=2), 2, "local"),
        (RunOptions("local"), 1, "local"),
        (RunOptions("tcp://10.0.0.1:8786"), 1, "tcp://10.0.0.1:8786"),
        (RunOptions("/shared/scheduler.json"), 1, "/shared/scheduler.json"),
        (RunOptions("slurm"), 1, "slurm"),
    ],
)
def test_kind(options: RunOptions, tasks: int, kind: str) -> None:
    assert options.kind(tasks) == kind


@pytest.mark.parametrize(
    "fields",
    [
        {"cluster": "slurmish"},
        {"cluster": "tcp://"},
        {"cluster": "tcp://10.0.0.1"},
        {"workers": 0},
        {"cluster": "serial", "workers": 2},
        {"cluster": "tcp://10.0.0.1:8786", "workers": 2},
        {"memory_limit": 0},
        {"cluster": "cuda", "device": "cpu"},
        {"cluster": "local", "workers": 2, "most_workers": 4},
        {"cluster": "slurm", "most_workers": 4},
        {"cluster": "slurm", "workers": 4, "most_workers": 2},
        {"cluster": "local", "cluster_options": {"queue": "normal"}},
    ],
)
def test_nonsense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises((InvalidInputError, UsageError)) as caught:
        RunOptions(**fields)  # type: ignore[arg-type]
    assert caught.value.next_step


TABLE = {"kind": "slurm", "workers": [2, 40], "memory_limit": "16GiB", "options": {"queue": "normal", "cores": 8}}


def test_the_table_of_a_project_says_what_the_command_does_not() -> None:
    found = RunOptions(quiet=True, device="cpu").or_else(TABLE)
    assert found == RunOptions("slurm", 2, 16 * 2**30, True, "cpu", 40, {"queue": "normal", "cores": 8})
    assert RunOptions("slurm", workers=3).or_else(TABLE) == RunOptions(
        "slurm", 3, 16 * 2**30, cluster_options={"queue": "normal", "cores": 8}
    )
    assert RunOptions(memory_limit=5).or_else(TABLE).memory_limit == 5
    assert RunOptions("local").or_else(TABLE) == RunOptions("local")
    assert RunOptions("serial").or_else({}) == RunOptions("serial")
    assert RunOptions().or_else({"workers": 3}) == RunOptions(workers=3)


@pytest.mark.parametrize(
    "table",
    [
        {"kind": 3},
        {"kind": "lsf"},
        {"workers": "4"},
        {"workers": True},
        {"workers": [1, 2, 3], "kind": "slurm"},
        {"workers": [40, 2], "kind": "slurm"},
        {"workers": [2, 4]},
        {"memory_limit": "much"},
        {"options": []},
        {"queue": "normal", "kind": "slurm"},
        {"kind": "local", "options": {"queue": "normal"}},
    ],
)
def test_a_table_that_cannot_be_used_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        RunOptions().or_else(table)
    assert caught.value.next_step


@pytest.mark.parametrize(("words", "workers"), [("4", (4, None)), ("2:40", (2, 40))])
def test_workers_in_words(words: str, workers: tuple[int, int | None]) -> None:
    assert workers_of_words(words) == workers


@pytest.mark.parametrize("words", ["", "many", "0", "0:3", "-1", "1:", ":2", "1:2:3", "1.5"])
def test_words_that_are_no_workers(words: str) -> None:
    with pytest.raises(UsageError, match="2:40"):
        workers_of_words(words)


def test_a_container_has_its_share_of_the_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = tmp_path / "cpu.max"
    monkeypatch.setattr("cropcube.run.memory.CGROUP_SHARE", share)
    whole = processors()
    for text, expected in (("max 100000", whole), ("50000 100000", 1), ("100000 100000", 1), ("9900000 100000", whole)):
        share.write_text(text + "\n", encoding="ascii")
        assert processors() == expected


def test_resources_share_the_machine() -> None:
    two = resources(RunOptions("local", workers=2), 100)
    assert two.workers == 2
    assert two.threads == max(1, processors() // 2)
    assert two.memory_bytes == worker_memory_bytes(2) < memory_bytes() / 2
    assert resources(RunOptions("local", memory_limit=123), 100).memory_bytes == 123
    assert resources(RunOptions("local"), 1).workers == 1


def test_peak_memory_is_of_this_process_alone() -> None:
    held = bytearray(b"x") * 2**28
    code = "from cropcube.run.memory import peak_memory_bytes; print(peak_memory_bytes())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(child.stdout) < len(held) / 2


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_memory_bytes()
    held = bytearray(b"x") * (before + 2**26)
    assert peak_memory_bytes() > before + 2**25
    assert len(held) > 0
