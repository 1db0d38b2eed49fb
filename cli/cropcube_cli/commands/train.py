"""`cropcube train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube_cli import show
from cropcube_cli.options import (
    BlockOption,
    EndFieldOption,
    ErodeOption,
    JsonOption,
    LabelFieldOption,
    LabelsOption,
    MinAreaOption,
    ProjectOption,
    QuietOption,
    RadiusOption,
    RegionsOption,
    StartFieldOption,
    TableOption,
)

if TYPE_CHECKING:
    from rich.console import Console

    from cropcube.domain.model_card import ModelCard
    from cropcube.model.classifier import Epoch
    from cropcube.pipeline.train import TrainSummary


def train(
    labels: LabelsOption = None,
    table: TableOption = None,
    label_field: LabelFieldOption = None,
    start_field: StartFieldOption = None,
    end_field: EndFieldOption = None,
    erode: ErodeOption = 0.0,
    radius: RadiusOption = 0.0,
    min_area: MinAreaOption = 0.0,
    legend: Annotated[
        Path | None,
        typer.Option("--legend", metavar="FILE.csv", help="code,name[,colour]; default: six crops and other."),
    ] = None,
    features: Annotated[
        str, typer.Option("--features", metavar="NAME", help="median-5d, harmonic-2, annual-median, ...")
    ] = "median-5d",
    source: Annotated[
        str,
        typer.Option("--from", metavar="features|cube", help="Where they come from: their store, or made on the fly."),
    ] = "features",
    classifier: Annotated[
        str, typer.Option("--classifier", metavar="cropnet|forest|boosting", help="What to fit.")
    ] = "cropnet",
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", metavar="default|local|paper", help="CropNet: settings that go together; others override."
        ),
    ] = None,
    model_window: Annotated[
        str | None,
        typer.Option(
            "--model-window",
            metavar="growing|all|MM-DD/MM-DD",
            help="Part of the season that the model sees, any year (CropNet: growing; others: all).",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option("--augment", metavar="none|half|default|paper", help="CropNet: changed copies of the samples."),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option("--width", metavar="CHANNELS", help="CropNet: of every convolution (48; published: 128)."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="E", help="CropNet: passes (10); the best on validation is kept.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option("--patience", metavar="E", help="CropNet: stop after so many epochs without a better one."),
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", metavar="SAMPLES", help="CropNet: in a training step (64).")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", metavar="RATE", help="CropNet: Adam's (0.003).")
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", metavar="RATE", help="CropNet: AdamW's (0).")
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            "--class-weights", metavar="none|balanced|sqrt", help="CropNet: whether rare classes weigh more (none)."
        ),
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option("--label-smoothing", metavar="PART", help="CropNet: of a label, spread over all classes (0.05)."),
    ] = None,
    average: Annotated[
        float | None,
        typer.Option(
            "--average", metavar="PART", help="CropNet: decay of the running mean of weights (0.99; 0 = off)."
        ),
    ] = None,
    trees: Annotated[int | None, typer.Option("--trees", metavar="N", help="Forest: number of trees (200).")] = None,
    iterations: Annotated[
        int | None, typer.Option("--iterations", metavar="N", help="Boosting: trees for each class (100).")
    ] = None,
    split: Annotated[
        str,
        typer.Option("--split", metavar="blocks|field|region|COLUMN", help="What is dealt as a whole to the sets."),
    ] = "blocks",
    block_m: BlockOption = None,
    regions: RegionsOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the split and the fit.")] = 0,
    threads: Annotated[int, typer.Option("--threads", help="0 = all processors.")] = 0,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="Folder to write (PROJECT/model).")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="CropNet: write TensorBoard's files beside log.csv.")
    ] = False,
    project: ProjectOption = Path("."),
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fit a classifier to labels, split by place into training, validation and test, and write it with its card."""
    from cropcube.model.fit_options import FitOptions
    from cropcube.pipeline.labels import LabelFiles
    from cropcube.pipeline.train import TrainOptions, window_of_words
    from cropcube.pipeline.train import train as run_train
    from cropcube.samples.places import SplitRule

    said = {
        "recipe": recipe, "augment": augment, "width": width, "epochs": epochs, "patience": patience, "batch": batch,
        "learning_rate": learning_rate, "weight_decay": weight_decay, "class_weights": class_weights,
        "label_smoothing": label_smoothing, "average": average, "trees": trees, "iterations": iterations, "seed": seed,
        "threads": threads,
    }  # fmt: skip
    fit = FitOptions.of_words(classifier, said)
    rules = {
        "start_field": start_field, "end_field": end_field, "erode": erode, "radius": radius, "min_area": min_area,
        "table": table,
    }  # fmt: skip
    files = LabelFiles.of_words(labels or (), label_field or (), rules)
    rule, window = SplitRule(split, block_m, regions), window_of_words(model_window, recipe, classifier)
    options = TrainOptions(files, legend, features, classifier, rule, fit, model, window, tensorboard, source)
    summary = run_train(project, options, progress=None if quiet else _say_epoch)
    for warning in summary.warnings:
        show.note(f"warning: {warning}")
    show.result(summary, as_json, lambda console: _render(console, summary))


def _say_epoch(epoch: Epoch) -> None:
    show.note(str(epoch))


def _render(console: Console, summary: TrainSummary) -> None:
    from cropcube.domain.words import counted

    card = summary.card
    console.print(show.table(f"Labels of {card.labels.file}", ("what", "count"), _label_rows(card)))
    f1 = {score.name: score.f1 for score in summary.scores.classes} if summary.scores else {}
    rows = [
        (name, *(str(card.split.counts[part][name]) for part in ("train", "validation", "test")), _two(f1.get(name)))
        for name in card.class_names
    ]
    title = f"Samples ({card.split.words})"
    console.print(show.table(title, ("class", "train", "validation", "test", "F1 on validation"), rows))
    if summary.scores:
        console.print(
            f"validation: overall accuracy {summary.scores.overall_accuracy:.3f}, "
            f"macro-F1 {summary.scores.macro_f1:.3f} (commonest class alone: {summary.majority_accuracy:.3f})"
        )
    if card.model_window:
        console.print(
            f"the model sees {card.model_window} of the season: {counted(len(card.steps), 'step')} from {card.steps[0]}"
        )
    if summary.best_epoch:
        console.print(f"kept epoch {summary.best_epoch} of {card.options['epochs']}")
    stood = " (stood already, made of the same)" if summary.reused else ""
    show.line(console, f"model: {summary.path}{stood}")


def _label_rows(card: ModelCard) -> list[tuple[str, str]]:
    """Return what was read and what was dropped: features of a vector file, then pixels; or samples of a table."""
    features = dict(card.labels.features)
    samples = sum(sum(counts.values()) for counts in card.split.counts.values())
    rows = [("features read", features.pop("read"))] if features else []
    rows += [(f"features dropped: {reason}", count) for reason, count in features.items()]
    read, one = ("labelled pixels in the region", "pixels") if card.split.anchors else ("samples read", "samples")
    rows.append((read, samples + sum(card.labels.dropped.values())))
    rows += [(f"{one} dropped: {reason}", count) for reason, count in card.labels.dropped.items()]
    return [(what, f"{count:,}") for what, count in (*rows, ("samples", samples))]


def _two(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.2f}"
