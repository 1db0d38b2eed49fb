"""What a model is made of: labelled samples with their features, dealt to the three sets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cropcube.cube.ledger import digest
from cropcube.cube.store import Store
from cropcube.domain.emit import EMIT, RESOLUTION_M
from cropcube.domain.feature_spec import EMIT_KIND, FeatureSpec
from cropcube.domain.lattice import FINEST_M
from cropcube.domain.model_card import LabelSource, SplitRecord
from cropcube.domain.model_window import window_of
from cropcube.domain.sensor import SENTINEL2
from cropcube.errors import InvalidInputError
from cropcube.features.layout import feature_spec_of
from cropcube.features.model_input import InputLayout
from cropcube.features.source import StoredFeatures, check_store, stored_source
from cropcube.pipeline.feature_sources import FEATURES, contents_under, whole_source
from cropcube.pipeline.labels import WITHOUT_PLACE, grouped, grouped_rows, read_labels
from cropcube.pipeline.sources import open_source, refuse_damaged
from cropcube.samples.index import LEFT_OUT, SETS
from cropcube.samples.labels import READ
from cropcube.samples.legend_file import read_legend
from cropcube.samples.places import BLOCKS, FIELD, SplitRule
from cropcube.samples.read import OnGrid, Samples
from cropcube.samples.series_table import read_series
from cropcube.samples.split import places, three_sets
from cropcube.samples.table import coordinates, table_samples

if TYPE_CHECKING:
    from pathlib import Path

    from cropcube.config import Project
    from cropcube.domain.model_window import ModelWindow
    from cropcube.features.source import FeatureSource
    from cropcube.pipeline.train import TrainOptions
    from cropcube.samples.index import SampleIndex
    from cropcube.samples.split import Blocks

UNOBSERVED, SHARED_FIELD = "without a clear observation", "in a field that another set uses"
OF_CELL = "not at the centre of their cell of 60 m"
"""Why samples are dropped: their features hold nothing; a field that reaches over blocks is used by one set."""


@dataclass(frozen=True)
class Origin:
    """Where samples are from."""

    sensor: str
    region: str
    "Of the project, or the name of the table."
    season: str
    digest: str
    "Of the project's specification, or of the table."


@dataclass(frozen=True)
class TrainingSet:
    """Samples dealt to the three sets, and how that came about."""

    origin: Origin
    spec: FeatureSpec
    samples: Samples
    source: LabelSource
    split: SplitRecord
    left_out: SampleIndex
    "Samples of fields that reach into blocks of other sets."
    features_digest: str
    unfinished: tuple[str, ...] = ()
    "Tiles with samples on unfinished builds."
    empty_bands: tuple[str, ...] = ()
    "Bands of a table without a single value."
    model_window: ModelWindow | None = None
    "What of the season the model sees; None = all."


def of_project(project: Project, options: TrainOptions) -> TrainingSet:
    """Read and check everything but the samples' features; they are pixels of a project."""
    spec, features = _features(project, options)
    season = project.spec.season
    window = window_of(options.model_window, spec, season, project.spec.region.geometry.centroid.y)
    layout = InputLayout.of(spec, season, project.spec.sensor, window)
    if isinstance(features, StoredFeatures):
        check_store(features.store, layout)
    legend = read_legend(options.legend)
    labels = read_labels(options.labels, legend, project.spec)
    tiles = contents_under(project, spec, options.origin, labels.laid.zones)
    index, blocks = grouped(labels.index, options.split, project.spec, labels)
    samples, dropped = observed_samples(Samples(OnGrid(features), layout, index, legend))
    samples, placeless = placed(samples)
    samples, split, left_out = dealt(samples, blocks, options.split, options.fit.seed)
    source = LabelSource(
        options.labels.name, options.labels.digest, labels.label_fields,
        {**labels.laid.dropped, **dropped, **_undealt(placeless, left_out)},
        labels.laid.features, options.labels.rules.as_dict(),
    )  # fmt: skip
    sensor = EMIT if spec.kind == EMIT_KIND else project.spec.sensor
    origin = Origin(sensor.name, project.spec.region.name, str(project.spec.season), project.spec.digest)
    unfinished = tuple(place for place, tile in tiles.items() if tile.unfinished)
    features_digest = digest(*(tile.digest for tile in tiles.values()))
    return TrainingSet(origin, spec, samples, source, split, left_out, features_digest, unfinished, (), window)


def of_table(path: Path, options: TrainOptions) -> TrainingSet:
    """Read a table of series with labels; it needs no project.

    Raises
    ------
    MissingError
        If there is no such file.
    InvalidInputError
        If it lacks bands, dates, classes or places.
    """
    legend = read_legend(options.legend)
    series = read_series(path, options.feature)
    lonlat = coordinates(series.about)
    latitude = None if lonlat is None else float(lonlat[:, 1].mean())
    window = window_of(options.model_window, series.spec, series.season, latitude)
    found = table_samples(path, series, legend, options.labels.rules.fields, window)
    index, blocks = grouped_rows(path, found, options.split)
    samples, placeless = placed(Samples(found.source, found.layout, index, legend))
    samples, split, left_out = dealt(samples, blocks, options.split, options.fit.seed)
    counts = {why: count for why, count in found.counts.items() if why != READ}
    sha256 = options.labels.digest
    source = LabelSource(path.name, sha256, found.label_field, {**counts, **_undealt(placeless, left_out)})
    origin = Origin(SENTINEL2.name, path.name, str(series.season), sha256)
    return TrainingSet(origin, series.spec, samples, source, split, left_out, sha256, (), found.empty_bands, window)


def observed_samples(samples: Samples) -> tuple[Samples, dict[str, int]]:
    """Return the samples that have been observed, and how many have not, by reason.

    All pixels in a cell of EMIT have its one spectrum: the one at its centre stands for it, or an accuracy would count
    the same spectrum thirty-six times.

    Raises
    ------
    InvalidInputError
        If none has been observed.
    """
    dropped = {}
    if samples.layout.kind == EMIT_KIND:
        step = RESOLUTION_M // FINEST_M
        central = (samples.index.row % step == step // 2) & (samples.index.col % step == step // 2)
        dropped = {OF_CELL: int((~central).sum())}
        samples = samples.select(central)
    seen = samples.observed()
    if not seen.any():
        raise InvalidInputError(
            f"none of the {len(samples)} labelled pixels has features in {samples.source.name}",
            "They were never observed clear, or `cropcube build` and `cropcube features` have not reached them.",
        )
    return samples.select(seen), dropped if seen.all() else {**dropped, UNOBSERVED: int((~seen).sum())}


def placed(samples: Samples) -> tuple[Samples, int]:
    """Return the samples that lie in a group, and how many lie in none (outside all regions, without the column)."""
    found = samples.select(samples.index.block >= 0)
    return found, len(samples) - len(found)


def dealt(samples: Samples, blocks: Blocks, rule: SplitRule, seed: int) -> tuple[Samples, SplitRecord, SampleIndex]:
    """Return samples dealt to the three sets, how that was done, and those in none, as their field is in another.

    Raises
    ------
    InvalidInputError
        If there are too few groups.
    """
    index = samples.index
    groups = len(np.unique(index.block))
    if rule.by != BLOCKS and groups < len(SETS):
        raise InvalidInputError(
            f"the samples lie in {groups} groups by {rule.by}, which cannot be dealt into {len(SETS)} sets",
            f"Split by smaller places (--split {BLOCKS}), or give labels of more.",
        )
    part = three_sets(index.block, index.label, seed, index.field)
    lone = np.unique(index.label)[places(index.block, index.field, index.label) == 1]
    whole = index.with_blocks(index.block, part)
    index, left_out = whole.select(part != LEFT_OUT), whole.select(part == LEFT_OUT)
    record = SplitRecord(
        blocks.block_px * FINEST_M, seed, dict(blocks.anchors), index.counts(samples.legend.names), rule.by, groups,
        tuple(samples.legend.names[row - 1] for row in lone.tolist()),
    )  # fmt: skip
    return replace(samples, index=index), record, left_out


def _undealt(placeless: int, left_out: SampleIndex) -> dict[str, int]:
    """Return how many samples are in no set, by reason."""
    counts = {WITHOUT_PLACE: placeless, SHARED_FIELD: len(left_out)}
    return {why: count for why, count in counts.items() if count}


def _features(project: Project, options: TrainOptions) -> tuple[FeatureSpec, FeatureSource]:
    """Return what the features are, and where they come from."""
    if options.origin == FEATURES:
        # `median+emit` is short for `median-5d+emit`
        name = FeatureSpec.parse(options.feature).name if "+" in options.feature else options.feature
        refuse_damaged(project, name)
        store = open_source(project, name)
        return feature_spec_of(store), stored_source(store)
    path = project.features_path(options.feature)
    spec = feature_spec_of(Store.open(path)) if Store.exists(path) else FeatureSpec.parse(options.feature)
    return spec, whole_source(project, spec, options.origin, options.fit.threads)


def warnings_of(made: TrainingSet) -> tuple[str, ...]:
    """Return what is to be said of the samples, in words."""
    samples = made.samples
    counts = samples.index.counts(samples.legend.names)
    found = []
    label_file, unfinished, untestable = made.source.file, made.unfinished, made.split.untestable
    if unfinished:
        found.append(f"tiles with samples of which the build is unfinished: {len(unfinished)} ({unfinished[0]})")
    if made.split.by == FIELD and made.split.groups == len(samples.index):
        found.append("every field is a single sample: those close to one another may be of one field; --split blocks")
    absent = [name for name in samples.legend.names if not any(counts[part][name] for part in SETS)]
    if made.empty_bands:
        found.append(f"no value in {label_file} of {', '.join(made.empty_bands)}: left out")
    if absent:
        found.append(f"no samples in {label_file}: {', '.join(absent)}")
    if untestable:
        found.append(f"in a single place, so learnt but not tested: {', '.join(untestable)}")
    absent += untestable
    for part, verb in (("train", "learnt"), ("validation", "validated"), ("test", "tested")):
        lacking = [n for n in samples.legend.names if n not in absent and not counts[part][n]]
        if lacking:
            found.append(f"too few places to be {verb}: {', '.join(lacking)}")
    return tuple(found)
