"""`cropcube catalogs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cropcube_cli import show
from cropcube_cli.options import JsonOption

if TYPE_CHECKING:
    from rich.console import Console

OTHER_FORMS = (
    "--catalog also takes the URL of any STAC API, a static catalogue (catalog.json or its folder), "
    "an ItemCollection (.json, .geojson) or stac-geoparquet (.parquet); of EMIT also a folder of granules (.nc)."
)


def catalogs(as_json: JsonOption = False) -> None:
    """Catalogues that `build --catalog` knows by name."""
    from cropcube.pipeline.catalogs import catalogs as collect

    summary = collect()

    def render(console: Console) -> None:
        for known in summary.catalogs:
            default = " (default)" if known.name == summary.default else ""
            collections = f"{known.collection}{''.join(f', or {other}' for other in known.others)}"
            rows = (
                ("sensor", known.sensor),
                ("address", known.url),
                ("collection", collections),
                ("files", known.files),
                ("credentials", known.credentials),
                ("reflectance", known.radiometry),
            )
            console.print(show.table(f"{known.name}{default}", ("what", "value"), rows))
        console.print(OTHER_FORMS)

    show.result(summary, as_json, render)
