"""How the report says what a project is: places, days, areas, classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cropcube.catalog.vectors import VECTOR_SUFFIXES
from cropcube.cube.store import Store
from cropcube.domain.feature_spec import EMIT_KIND, FeatureSpec
from cropcube.domain.lattice import FINEST_M
from cropcube.domain.map_product import CROP, legend_of
from cropcube.report.pictures import Swatch

if TYPE_CHECKING:
    from cropcube.config import Project
    from cropcube.domain.legend import Legend
    from cropcube.domain.model_card import ModelCard
    from cropcube.pipeline.map_records import MappedArea


def map_legend(project: Project) -> Legend:
    """Return the legend of the map that stands."""
    return legend_of(Store.open(project.map_path).array(CROP, FINEST_M).attrs)


def swatches(legend: Legend, areas: MappedArea | None = None) -> tuple[Swatch, ...]:
    """Return the lines of a picture's legend, with the mapped area where it is known."""
    notes = [hectares_text(area) for area in areas.hectares()] if areas else [""] * len(legend)
    return tuple(Swatch(c.name, c.colour, note) for c, note in zip(legend.classes, notes, strict=True))


def place_name(region: str) -> str:
    """Return a region's name for a title: without a file's folder and suffix, and with a capital."""
    name = region if region.count(",") == 3 else Path(region).name
    stem = name.removesuffix(Path(name).suffix) if Path(name).suffix.lower() in VECTOR_SUFFIXES else name
    return stem[:1].upper() + stem[1:]


def hectares_text(hectares: float) -> str:
    """Return `0.04 ha`, `13.8 ha`, `1,380 ha`, or `2.31 Mha`."""
    if hectares >= 1e6:
        return f"{hectares / 1e6:,.2f} Mha"
    if 0 < hectares < 1:
        return f"{hectares:.2f} ha"
    return f"{hectares:,.1f} ha" if hectares < 100 else f"{hectares:,.0f} ha"


def season_text(project: Project) -> str:
    """Return `1 December 2018 to 27 November 2019`."""
    season = project.spec.season
    last = season.date_of(season.days - 1)
    return f"{season.start.day} {season.start:%B %Y} to {last.day} {last:%B %Y}"


def credit(project: Project, card: ModelCard) -> str:
    """Return what users of the data are asked to say."""
    season, spec = project.spec.season, FeatureSpec.from_dict(card.feature_spec)
    years = "–".join(map(str, sorted({season.start.year, season.date_of(season.days - 1).year})))
    said = [f"Contains modified Copernicus Sentinel data {years}."] if spec.kind != EMIT_KIND or spec.join else []
    said += [f"EMIT L2A reflectance {years}: NASA/JPL, LP DAAC."] if spec.kind == EMIT_KIND else []
    return " ".join(said)
