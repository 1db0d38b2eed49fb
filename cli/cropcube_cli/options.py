"""Options that several commands share, and what they become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropcube.errors import InvalidInputError
from cropcube.location import Location, location

if TYPE_CHECKING:
    from cropcube.run.options import RunOptions


def _place(text: str) -> Location:
    try:
        return location(text)
    except InvalidInputError as error:
        raise typer.BadParameter(str(error)) from None


def _workers(text: str | None) -> str | None:
    from cropcube.run.options import workers_of_words

    try:
        if text is not None:
            workers_of_words(text)
    except InvalidInputError as error:
        raise typer.BadParameter(str(error)) from None
    return text


ProjectOption = Annotated[
    Path,  # or an ObjectPath: typer knows no unions
    typer.Option(
        "--project", "-p", parser=_place, metavar="DIR",
        help="Project: a folder (the current one, or one above it), or s3://BUCKET/PREFIX, az://..., gs://...",
    ),
]  # fmt: skip
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object and nothing else; after an error nothing (it is on stderr)."),
]
ClusterOption = Annotated[
    str,
    typer.Option(
        "--cluster",
        metavar="KIND|tcp://...|FILE",
        help="Where tasks run: auto (worker processes here for more than a handful), serial, local, cuda, slurm, pbs, "
        "kubernetes, or a dask scheduler by its address or scheduler file.",
    ),
]
WorkersOption = Annotated[
    str | None,
    typer.Option(
        "--workers",
        metavar="N|MIN:MAX",
        callback=_workers,
        help="Workers to start; MIN:MAX: as many as the work asks for.",
    ),
]
MemoryOption = Annotated[
    str | None, typer.Option("--memory-limit", metavar="SIZE", help="Memory of one worker, such as 6GiB.")
]
LabelsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--labels", metavar="FILE", help="Points, polygons (GeoPackage, GeoParquet, ...) or a raster; may be repeated."
    ),
]
TableOption = Annotated[
    Path | None,
    typer.Option("--table", metavar="FILE", help="Instead of labels: Parquet or CSV of series with their classes."),
]
LabelFieldOption = Annotated[
    list[str] | None,
    typer.Option("--label-field", metavar="FIELD", help="Field with the class; of several the first that says one."),
]
StartFieldOption = Annotated[
    str | None, typer.Option("--start-field", metavar="FIELD", help="Field with a label's first day (start_date).")
]
EndFieldOption = Annotated[
    str | None, typer.Option("--end-field", metavar="FIELD", help="Field with a label's last day (end_date).")
]
ErodeOption = Annotated[float, typer.Option("--erode", metavar="METRES", help="What polygons lose along their edge.")]
RadiusOption = Annotated[
    float, typer.Option("--radius", metavar="METRES", help="Ground around a point that it labels (0).")
]
MinAreaOption = Annotated[float, typer.Option("--min-area", metavar="HA", help="Leave smaller polygons out.")]
RegionsOption = Annotated[Path | None, typer.Option("--regions", metavar="FILE", help="Polygons, for --split region.")]
BlockOption = Annotated[
    int | None, typer.Option("--block-m", metavar="METRES", help="Side of the blocks, for --split blocks.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda",
        help="Features on a GPU where CuPy finds one (auto); cuda: CropNet too.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


def run_options(
    cluster: str, workers: str | None, memory_limit: str | None, quiet: bool, device: str = "auto"
) -> RunOptions:
    """Turn the shared options into what the pipeline takes."""
    from cropcube.domain.words import size_bytes
    from cropcube.run.options import RunOptions, workers_of_words

    least, most = (None, None) if workers is None else workers_of_words(workers)
    limit = None if memory_limit is None else size_bytes(memory_limit)
    return RunOptions(cluster, least, limit, quiet, device, most)
