"""The notebook runs from its first cell to its last, on the shipped sample and with a network too small to be good."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
(FIRST_MAP,) = NOTEBOOKS
SETTINGS, TINY = "WIDTH, EPOCHS, FOLDS = 48, 10, 4", "WIDTH, EPOCHS, FOLDS = 8, 1, 2"
AT_THE_END = """
for number in plt.get_fignums():
    plt.figure(number).savefig(f"figure{number}.png")
"""


def cells(kind: str) -> list[str]:
    """Return the text of all cells of a kind."""
    return ["".join(c["source"]) for c in json.loads(FIRST_MAP.read_text())["cells"] if c["cell_type"] == kind]


def program() -> str:
    """Return the code cells as one program that ends by saving the pictures."""
    code = "\n\n".join(cells("code"))
    assert SETTINGS in code
    return f"import matplotlib\nmatplotlib.use('Agg')\n{code.replace(SETTINGS, TINY)}\n{AT_THE_END}"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Run the notebook once; its folder and what it printed."""
    folder = tmp_path_factory.mktemp("notebooks")
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:cropcube", "-c", program()],
        cwd=folder, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


@pytest.mark.slow
def test_every_step_of_the_job_is_done(ran: tuple[Path, list[str]]) -> None:
    folder, said = ran
    for name in ("cube.zarr", "features/median-15d.zarr", "model/card.json", "map.zarr", "report.html", "map.png"):
        assert (folder / "first_map" / name).exists(), name
    assert "53 scenes, 212 observations of a tile, 0 failed reads" in said
    forest = next(line for line in said if line.startswith("Random forest: overall accuracy"))
    assert float(forest.split()[4].rstrip(",")) > 0.8
    report = (folder / "first_map" / "report.html").read_text()
    assert len(report) < 3_000_000
    assert "cropcube train --labels labels.tif --legend legend.csv --features median-15d --block-m 160" in report
    assert str(folder) not in report


@pytest.mark.slow
def test_the_series_are_those_of_the_crops(ran: tuple[Path, list[str]]) -> None:
    assert [line for line in ran[1] if "NDVI" in line] == [
        "maize: NDVI 0.14 on 16 May, 0.88 on 30 July",
        "winter wheat: NDVI 0.89 on 16 May, 0.21 on 30 July",
    ]


@pytest.mark.slow
def test_every_picture_is_drawn(ran: tuple[Path, list[str]]) -> None:
    drawn = sorted(ran[0].glob("figure*.png"))
    assert len(drawn) == sum("plt.subplots" in cell for cell in cells("code")) == 5
    assert all(picture.stat().st_size > 5_000 for picture in drawn)


def test_it_is_kept_without_output() -> None:
    kept = json.loads(FIRST_MAP.read_text())
    assert (kept["nbformat"], kept["nbformat_minor"]) == (4, 5)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in kept["cells"])
    assert len({cell["id"] for cell in kept["cells"]}) == len(kept["cells"])
