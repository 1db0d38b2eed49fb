"""The notebooks run on the demo's project as it stands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def code_of(notebook: Path) -> str:
    """Return the code cells as one program that ends by saving the picture."""
    cells = json.loads(notebook.read_text())["cells"]
    code = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return f"import matplotlib\nmatplotlib.use('Agg')\n{code}\nfigure.savefig('picture.png')\n"


def test_there_is_one():
    assert NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook, sample_project, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "demo").symlink_to(sample_project)
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:cropcube", "-c", code_of(notebook)],
        cwd=tmp_path / "notebooks", capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "notebooks" / "picture.png").stat().st_size > 10_000


def test_the_series_are_those_of_the_crops(sample_project, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "demo").symlink_to(sample_project)
    (notebook,) = (path for path in NOTEBOOKS if path.stem == "two_fields")
    done = subprocess.run(
        [sys.executable, "-c", code_of(notebook)],
        cwd=tmp_path / "notebooks", capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "maize: NDVI 0.14 on 16 May, 0.88 on 30 July",
        "winter wheat: NDVI 0.89 on 16 May, 0.21 on 30 July",
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_output(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
