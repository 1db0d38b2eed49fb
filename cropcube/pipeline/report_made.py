"""What the report says of how the map came to be: scenes, failed reads, settings, commands."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from cropcube.catalog.frozen import FrozenCatalog
from cropcube.cube.ledger import Ledger
from cropcube.cube.store import Store
from cropcube.domain.emit import EMIT
from cropcube.domain.feature_spec import EMIT_KIND, FeatureSpec
from cropcube.domain.words import counted
from cropcube.model.fit_options import settings_words
from cropcube.pipeline.build_summary import tally
from cropcube.pipeline.commands import build_commands, file_name, predict_commands
from cropcube.pipeline.emit_coverage import coverage
from cropcube.pipeline.map_records import STAGE
from cropcube.pipeline.model_check import digest_of, is_of_other_model
from cropcube.pipeline.provenance import follow
from cropcube.pipeline.scoring import NAMES
from cropcube.pipeline.sources import features_command
from cropcube.report.page import Section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cropcube.config import Project
    from cropcube.domain.model_card import ModelCard
    from cropcube.pipeline.provenance import UsedScene
    from cropcube.pipeline.report_files import ReportInput

_TOLD = "Files are told by name; run the commands in the project's folder, where they lie."
LISTED_FAILURES = 10
"""Failed reads that are named; all are counted."""


def rests_section(project: Project) -> Section:
    """Return which scenes the pixels of the map are from, and which files could not be read."""
    scenes, notes = _used_scenes(project)
    facts = []
    if scenes:
        days = sorted({scene.day for scene in scenes})
        baselines = Counter(scene.baseline or "not stated" for scene in scenes)
        facts = [
            ("Scenes with pixels in the map", f"{len(scenes):,} on {len(days)} days from {days[0]} to {days[-1]}"),
            ("Processing baselines", _counted(baselines)),
        ]
        if satellites := Counter(scene.id[:3] for scene in scenes if re.match("S2[A-Z]_", scene.id)):
            facts.append(("Satellites", _counted(satellites)))
    ledger = Ledger(project.ledger_path)
    emit = project.seen_by(EMIT)
    of_emit = list(ledger.records(emit.build_stage))
    if seen := coverage(emit, of_emit):
        facts.append(("EMIT saw of the region", ", ".join(f"{share:.0%} on {day}" for day, share in seen.items())))
    found = tally(chain(ledger.records("build"), of_emit, ledger.records(STAGE)))
    facts.append(("Failed reads", f"{found.failed_reads:,}" if found.failed_reads else "none"))
    for failure in found.failures[:LISTED_FAILURES]:
        facts.append((f"{failure['scene']} {failure['band']}", without_folders(str(failure["error"]))))
    if found.failed_reads:
        notes.append("What could not be read counts as not seen; `cropcube build` tries it again.")
    return Section("What the map rests on", (), facts=tuple(facts), closing=tuple(notes))


def made_section(content: ReportInput) -> Section:
    """Return settings, versions and digests, and the commands that make the same again."""
    project, card = content.project, content.card
    spec = FeatureSpec.from_dict(card.feature_spec)
    labels = card.labels
    dropped = ", ".join(f"{count:,} {why}" for why, count in sorted(labels.dropped.items()) if count)
    counts = {name: sum(values.values()) for name, values in card.split.counts.items()}
    shape = f"{counted(len(card.bands), 'band')} x {counted(len(card.steps), 'step')}"
    facts = [
        ("Region", file_name(project.spec.region.name)),
        ("Season", f"{project.spec.season} (the last day not included)"),
        ("Grid", ", ".join(f"{z.lattice.crs}, {len(z.cells)} tiles" for z in project.spec.grid.zones)),
        *_catalogue_facts(project),
        ("Features", f"{card.feature}: {shape} ({' '.join(card.bands)})"),
        ("Clear means", _clear_words(spec)),
        ("Gaps", card.gap_fill),
        ("Classifier", f"{classifier_name(card)}: {_settings(card)}"),
        ("Labels", labels.file + (f"; left out: {dropped}" if dropped else "")),
        ("Split", f"{card.split.words}, seed {card.split.seed}: "
         + ", ".join(f"{count:,} {name}" for name, count in counts.items()) + " pixels"),
        ("Software", ", ".join(f"{name} {version}" for name, version in sorted(card.versions.items()))),
        *((f"{name} digest", value) for name, value in content.digests),
    ]  # fmt: skip
    of_model = f" --model {shlex.quote(content.model)}" if content.model else ""
    mapped = predict_commands(project) if Store.exists(project.map_path) else ()
    if not is_of_other_model(project, digest_of(card)):
        mapped = tuple(told + of_model for told in mapped)
    stored = features_command(spec) if Store.exists(project.features_path(card.feature)) else ""
    told = (*build_commands(project), stored, card.command and card.command + of_model, *mapped, content.command)
    return Section("How it was made", facts=tuple(facts), commands=tuple(filter(None, told)), closing=(_TOLD,))


def _clear_words(spec: FeatureSpec) -> str:
    if spec.kind == EMIT_KIND:
        return "no cloud, cirrus, their surroundings or space station by EMIT's own mask"
    return f"scene classes {', '.join(map(str, spec.classes))}; grown by {spec.dilate_m} m around others"


def classifier_name(card: ModelCard) -> str:
    """Return `CropNet`, or what else it is."""
    return NAMES.get(card.classifier, card.classifier)


def without_folders(message: str) -> str:
    """Return a message with files told by name: folders and hosts say nothing to others, and signed URLs are secret."""
    return re.sub(r"(?:[\w+.-]+:/)?/[^\s'\"<>()]*/([^\s/'\"<>()?]+)(?:\?[^\s'\"<>()]*)?", r"\1", message)


def _used_scenes(project: Project) -> tuple[set[UsedScene], list[str]]:
    """Return the scenes that the map's tiles rest on, and in how many tiles that cannot be followed."""
    ledger = Ledger(project.ledger_path)
    scenes: set[UsedScene] = set()
    lost = tiles = 0
    for record in ledger.records(STAGE):
        found = follow(ledger, record, record.key.rpartition("/")[2])
        scenes.update(found.scenes)
        tiles += 1
        lost += bool(found.notes)
    return scenes, [f"Of {lost} of {tiles} tiles not all scenes are recorded any more."] if lost else []


def _counted(counts: Mapping[str, int]) -> str:
    """Return `02.11 (40 scenes), 02.12 (13 scenes)`."""
    return ", ".join(
        f"{name} ({count:,} {'scene' if count == 1 else 'scenes'})" for name, count in sorted(counts.items())
    )


def _settings(card: ModelCard) -> str:
    """Return the classifier's settings in words, without those that are off."""
    return settings_words({name: value for name, value in card.options.items() if value or name == "seed"})


def _catalogue_facts(project: Project) -> list[tuple[str, str]]:
    if not project.scenes_path.is_file():
        return []
    catalogue = FrozenCatalog.open(project.scenes_path)
    summary = catalogue.summary()
    asked = " · ".join(
        f"{key} {file_name(str(catalogue.request[key]))}"
        for key in ("catalog", "collection")
        if catalogue.request.get(key)
    )
    span = f" from {summary.first} to {summary.last}" if summary.first else ""
    return [("Catalogue", asked or "-"), ("Scenes found", f"{summary.scenes:,} on {summary.days} days{span}")]
