"""The notebook runs from its first cell to its last, on the shipped sample and with a network too small to be good."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
(FIRST_MAP,) = NOTEBOOKS
SETTINGS, TINY = "WIDTH, EPOCHS, FOLDS = 48, 10, 4", "WIDTH, EPOCHS, FOLDS = 8, 1, 2"
RUN = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""


def cells(kind: str) -> list[str]:
    """Return the text of all cells of a kind."""
    return ["".join(c["source"]) for c in json.loads(FIRST_MAP.read_text())["cells"] if c["cell_type"] == kind]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Run the notebook once in a kernel, cell by cell; return its folder, with its pictures, and what it printed."""
    folder = tmp_path_factory.mktemp("notebooks")
    copy = folder / FIRST_MAP.name
    text = FIRST_MAP.read_text()
    assert SETTINGS in text
    copy.write_text(text.replace(SETTINGS, TINY))
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(copy)], cwd=folder, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr
    outputs = [output for cell in json.loads(copy.read_text())["cells"] for output in cell.get("outputs", ())]
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    for number, picture in enumerate(pictures):
        (folder / f"figure{number}.png").write_bytes(base64.b64decode(picture))
    said = "".join("".join(output["text"]) for output in outputs if output.get("name") == "stdout")
    return folder, said.splitlines()


@pytest.mark.slow
def test_every_step_of_the_job_is_done(ran: tuple[Path, list[str]]) -> None:
    folder, said = ran
    for name in (
        "cube.zarr",
        "features/median-15d.zarr",
        "model/card.json",
        "map.zarr",
        "report.html",
        "map.png",
        "map.tif",
    ):
        assert (folder / "first_map" / name).exists(), name
    assert "53 scenes, 212 observations of a tile, 0 failed reads" in said
    assert any(line.startswith("GTiff, ") and line.endswith(" of 10 m, EPSG:32631") for line in said)
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
    assert len(drawn) == sum("plt.subplots" in cell for cell in cells("code")) == 6
    assert all(picture.stat().st_size > 5_000 for picture in drawn)


def test_it_is_kept_without_output() -> None:
    kept = json.loads(FIRST_MAP.read_text())
    assert (kept["nbformat"], kept["nbformat_minor"]) == (4, 5)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in kept["cells"])
    assert len({cell["id"] for cell in kept["cells"]}) == len(kept["cells"])
