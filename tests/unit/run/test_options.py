"""Where work runs, decided from options and the machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cropcube.errors import InvalidInputError, UsageError
from cropcube.run.cluster import resources
from cropcube.run.memory import memory_bytes, peak_memory_bytes, processors, worker_memory_bytes
from cropcube.run.options import HANDFUL, RunOptions


@pytest.mark.parametrize(
    ("options", "tasks", "kind"),
    [
        (RunOptions(), HANDFUL, "serial"),
        (RunOptions(), HANDFUL + 1, "local"),
        (RunOptions(workers=1), 1000, "serial"),
        (RunOptions(workers=2), 2, "local"),
        (RunOptions("local"), 1, "local"),
        (RunOptions("tcp://10.0.0.1:8786"), 1, "tcp://10.0.0.1:8786"),
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
    ],
)
def test_nonsense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises((InvalidInputError, UsageError)) as caught:
        RunOptions(**fields)  # type: ignore[arg-type]
    assert caught.value.next_step


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
