"""Another place and year: what is learnt on a square of Flanders in 2019, asked of points of 2021; a table in Markdown.

Usage: python benchmarks/compare_year.py [--seeds 10] [--classifiers cropnet:default,cropnet:local,forest,boosting]
       [--folder DIR]

The square is a project of the nine bands that the table of points has, with medians of 30 days. `cropcube train` learns
its growing season, `cropcube evaluate --table` scores monthly series of 2021 (tests/data/point-series): 12 points of
maize and 28 of grass all over Flanders. What is taken for any other class of the square is wrong.
What stands in the folder is used again.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from compare_classifiers import SEASON
from compare_transfer import Attempt, Place

import cropcube
from cropcube.demo.scenes import write_scenes
from cropcube.report.accuracy import Spread

POINTS = Path(__file__).parents[1] / "tests" / "data" / "point-series" / "flanders_2021_long_100.parquet"
BANDS, FEATURES = "B02,B03,B04,B05,B06,B07,B08,B11,B12", "median-30d"
CODES = {"Maize": "1101060000", "Permanent grass crops": "2001020000"}
"""Of the table, by the names that the square's legend has."""


def square(folder: Path) -> Place:
    """Build the square, with a legend that has the table's codes too."""
    scenes, root = write_scenes(folder / "scenes"), folder / "project"
    run = {"cluster": "serial", "quiet": True}
    cropcube.build(
        root, region=str(scenes.outline), season=SEASON, catalog=str(scenes.catalog), bands=BANDS, tile_px=96, **run
    )
    cropcube.features(root, kind="median", window=30, **run)
    legend = folder / "legend.csv"
    lines = [line.split(",") for line in scenes.legend.read_text(encoding="utf-8").splitlines()]
    with_codes = [[f"{code}|{CODES[name]}" if name in CODES else code, name, *rest] for code, name, *rest in lines]
    legend.write_text("\n".join(map(",".join, with_codes)) + "\n", encoding="utf-8")
    return Place(root, scenes.labels, legend)


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--classifiers", default="cropnet:default,cropnet:local,forest,boosting")
    parser.add_argument("--folder", type=Path, help="where the project is made and kept (default: a scratch folder)")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (said.folder or Path(scratch)) / "nine_bands"
        folder.mkdir(parents=True, exist_ok=True)
        place = square(folder)
        print("| classifier | of 40 points | least |")
        print("| --- | --- | --- |")
        for word in said.classifiers.split(","):
            attempt, values = Attempt.parse(word, "growing", FEATURES), []
            for seed in range(said.seeds):
                model = attempt.model(place, folder / "models", seed)
                scores = cropcube.evaluate(place.root, table=POINTS, model=model, quiet=True).accuracy.scores
                values.append(scores.overall_accuracy)
            print(f"| {word} | {Spread(tuple(values))} | {min(values):.2f} |", flush=True)


if __name__ == "__main__":
    main()
