"""Commands of Slurm and PBS that run a job's script on this machine, at once, as a real worker process."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

SUBMIT = """#!/bin/sh
# Runs the job's script in a session of its own, as a batch system does.
number=0
until mkdir "{folder}/$number" 2>/dev/null; do number=$((number + 1)); done
for script; do :; done
cp "$script" "{folder}/jobs/$number.sh"
setsid bash "{folder}/jobs/$number.sh" >"{folder}/$number.log" 2>&1 </dev/null &
echo $! >"{folder}/$number.pid"
echo {answer}
"""
CANCEL = """#!/bin/sh
number=${{1%%.*}}
echo "$number" >>"{folder}/cancelled"
kill -TERM -- -"$(cat "{folder}/$number.pid")"
"""
REFUSE = """#!/bin/sh
echo "invalid partition specified" >&2
exit 1
"""
COMMANDS = {"slurm": ("sbatch", "scancel", "Submitted batch job $number"), "pbs": ("qsub", "qdel", "$number.head")}


class BatchSystem:
    """A folder with its commands, first in the path."""

    def __init__(self, folder: Path, kind: str, environment: pytest.MonkeyPatch, refuses: bool = False) -> None:
        self.folder = folder
        (folder / "jobs").mkdir(parents=True)
        submit, cancel, answer = COMMANDS[kind]
        self._place(submit, REFUSE if refuses else SUBMIT.format(folder=folder, answer=answer))
        self._place(cancel, CANCEL.format(folder=folder))
        environment.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def _place(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def jobs(self) -> list[str]:
        """The scripts that were submitted."""
        return [path.read_text(encoding="utf-8") for path in sorted((self.folder / "jobs").iterdir())]

    @property
    def cancelled(self) -> list[str]:
        """The jobs that were cancelled."""
        path = self.folder / "cancelled"
        return path.read_text(encoding="ascii").split() if path.exists() else []

    def kill(self, number: int) -> None:
        """End a job as its time limit does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int((self.folder / f"{number}.pid").read_text(encoding="ascii")), signal.SIGKILL)

    def end(self) -> None:
        """Kill what still runs."""
        for path in self.folder.glob("*.pid"):
            self.kill(int(path.stem))
