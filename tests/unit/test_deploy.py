"""What can be checked of the container without building it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "Containerfile"


def copied() -> list[str]:
    lines = [line.split() for line in FILE.read_text().splitlines() if line.startswith("COPY") and "--from" not in line]
    return sorted({name for words in lines for name in words[1:-1]})


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
