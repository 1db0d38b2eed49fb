"""What can be checked of the containers without building them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILE = ROOT / "deploy" / "Containerfile"
FILES = sorted((ROOT / "deploy").glob("Containerfile*"))
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent))


def copied() -> list[str]:
    lines = [line.split() for line in FILE.read_text().splitlines() if line.startswith("COPY") and "--from" not in line]
    return sorted({name for words in lines for name in words[1:-1]})


def lint(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HADOLINT, "-"], input=text, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_hadolint_has_nothing_to_say(path):
    found = lint(path.read_text())
    assert (found.returncode, found.stdout) == (0, "")


def test_hadolint_would_say_it():
    assert "DL3020" in lint(FILE.read_text().replace("COPY cropcube cropcube", "ADD cropcube cropcube")).stdout


@pytest.mark.parametrize("name", copied())
def test_what_the_image_copies_is_here(name):
    assert (ROOT / name).exists()


def test_the_image_has_all_that_the_build_reads():
    """The readme, the licences and the native sources that pyproject.toml and CMakeLists.txt name."""
    text = (ROOT / "pyproject.toml").read_text() + (ROOT / "CMakeLists.txt").read_text()
    named = set(re.findall(r"README\.md|LICENSE|cropcube/kernels/native/\w+\.cpp|cli/cropcube_cli", text))
    assert len(named) >= 4
    for name in named:
        assert any(name == top or name.startswith(f"{top}/") for top in copied()), name


def test_entry_point_is_the_console_script():
    assert 'ENTRYPOINT ["cropcube"]' in FILE.read_text()
    assert 'cropcube = "cropcube_cli.main:main"' in (ROOT / "pyproject.toml").read_text()


def test_extras_of_the_images_are_the_projects():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        name
        for path in FILES
        for words in re.findall(r"EXTRA=([\w,-]+)", path.read_text())
        for name in words.split(",")
    }
    assert named == {"gpu", "model"}
    assert named <= set(extras)
