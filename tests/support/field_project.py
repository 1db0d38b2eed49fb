"""A project of fields to learn from: features, a polygon in every field, and a legend."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import geopandas as gpd
from shapely.geometry import box

from cropcube.model.fit_options import FitOptions
from cropcube.pipeline.labels import LabelFiles
from cropcube.pipeline.train import TrainOptions
from cropcube.samples.places import SplitRule
from tests.support.learning import LEFT, SIDE_M, SPEC, TOP, fields, make_project, write_features

if TYPE_CHECKING:
    from pathlib import Path

    from cropcube.config import Project

FAST = FitOptions(width=8, epochs=2, batch=32, learning_rate=5e-3, trees=10, threads=1, augment=None)
LEGEND_CSV = "code,name,colour\n1200,Maize,#f5c542\n1110,Winter wheat,#c98a3b\n9120,Grass,#4daf4a\n77,Hops\n"
CODES = {1: 1200, 2: 1110, 3: 9120}


def labelled_project(root: Path) -> Project:
    """Make it."""
    project = make_project(root)
    write_features(project)
    lattice = project.spec.grid.zones[0].lattice
    whole = lattice.box_of_bounds((LEFT, TOP - SIDE_M, LEFT + SIDE_M, TOP), 10)
    classes = fields(whole)
    shapes, codes = [], []
    for row in range(-(whole.row % 8), whole.height, 8):
        for col in range(-(whole.col % 8), whole.width, 8):
            left, top = LEFT + 10 * col, TOP - 10 * row
            shapes.append(box(left + 12, top - 68, left + 68, top - 12))
            codes.append(CODES[int(classes[max(row, 0), max(col, 0)])])
    gpd.GeoDataFrame({"crop": codes, "farm": "x"}, geometry=shapes, crs=32631).to_file(project.root / "fields.gpkg")
    (project.root / "legend.csv").write_text(LEGEND_CSV)
    return project


def training_options(project: Project, **changes: Any) -> TrainOptions:
    """Return options for a forest of its labels."""
    given = TrainOptions(
        LabelFiles.of(project.root / "fields.gpkg", "crop"),
        project.root / "legend.csv",
        SPEC.name,
        "forest",
        SplitRule(block_m=160),
        FAST,
    )
    return replace(given, **changes)
