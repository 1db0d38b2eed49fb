"""Scripts of batch systems: what shellcheck says, and the commands of cropcube in them and in the manual."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from cropcube.run.options import RunOptions
from cropcube_cli.main import make_app

DEPLOY = Path(__file__).parents[3] / "deploy"
SCRIPTS = sorted(DEPLOY.glob("*/*.sh"))
TEXTS = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()]
VERBS = get_command(make_app()).commands
COMMAND = re.compile(rf"(?<![\w/.=-])(?<!podman )({'|'.join(VERBS)}) +(?=-)(?P<options>[^\n\"'`#(&]*)")
CALLERS = ("cropcube", "driver.sh", "allocation.sh")


def shellcheck(path):
    command = [str(Path(sys.executable).with_name("shellcheck")), str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: "/".join(path.parts[-2:]))
def test_shellcheck_has_nothing_to_say(path):
    found = shellcheck(path)
    assert (found.returncode, found.stdout) == (0, "")


def test_shellcheck_would_say_it(tmp_path):
    (tmp_path / "wrong.sh").write_text("#!/bin/sh\nrm -r $1\n")
    assert "SC2086" in shellcheck(tmp_path / "wrong.sh").stdout


def commands():
    """Return the commands of cropcube in all files: verb and words."""
    for path in TEXTS:
        text = path.read_text(encoding="utf-8").replace("\\\n#", "").replace("\\\n", "")
        for line in text.splitlines():
            if any(caller in line for caller in CALLERS):
                for match in COMMAND.finditer(line):
                    yield path.name, match[1], shlex.split(match["options"])
    for path in (DEPLOY / "kubernetes" / "job.yaml", DEPLOY / "kubernetes" / "predict.yaml"):
        pod = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["template"]["spec"]
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            yield path.name, container["args"][0], container["args"][1:]


def test_commands_have_options_that_there_are():
    seen = set()
    for name, verb, words in commands():
        known = {option for parameter in VERBS[verb].params for option in parameter.opts}
        for word in words:
            if word.startswith("-"):
                assert word in known, (name, verb, word)
        seen.add((name, verb))
    for name in ("README.md", "Containerfile", "compose.yaml", "allocation.sh", "driver.sh", "job.yaml"):
        assert (name, "build") in seen
    assert {verb for _, verb in seen} >= {"build", "features", "predict", "train"}


def test_cluster_tables_in_the_manual_can_be_used():
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    tables = re.findall(r"((?:    \[cluster\]\n)(?:(?:    .*)?\n)+)", text)
    kinds = set()
    for table in tables:
        read = tomllib.loads("\n".join(line[4:] for line in table.splitlines()))["cluster"]
        kinds.add(RunOptions(quiet=True).or_else(read).cluster)
    assert kinds == {"slurm", "pbs", "kubernetes"}
