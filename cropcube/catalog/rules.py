"""What differs between the sensors when a catalogue's items become scenes: a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cropcube.catalog import emit, sentinel2
from cropcube.catalog.emit_files import granule_items
from cropcube.catalog.files import Located, file_items
from cropcube.catalog.hrefs import is_remote
from cropcube.domain.emit import EMIT
from cropcube.domain.scene import Scene
from cropcube.domain.sensor import SENTINEL2, Sensor


@dataclass(frozen=True)
class ItemRules:
    """How the items of one sensor are understood."""

    sensor: Sensor
    "With all of its bands."
    title: str
    "What users call it."
    collections: tuple[str, ...]
    "Asked in an API without a name of ours, the first that it has."
    parse: Callable[[Mapping[str, Any], str | None], Scene]
    "Makes a scene of an item and of the folder that its relative hrefs are counted from."
    items: Callable[[str], Iterator[Located]]
    "Yields the items of a catalogue that is a file or folder."
    check: Callable[[Scene], None] | None = None
    "Refuses a wanted scene whose files cannot do; looks at those of this machine."
    one_by_one: bool = False
    "Whether what is refused is named, recorded and left out, however much it is; else it ends a search."


def _items_or_granules(catalog: str) -> Iterator[Located]:
    """Yield the items of a catalogue, or of a folder of granules that has none."""
    folder = Path(catalog).expanduser()
    if is_remote(catalog) or not folder.is_dir() or (folder / "catalog.json").is_file():
        yield from file_items(catalog)
        return
    yield from ((item, str(folder.absolute())) for item in granule_items(folder.absolute()))


SENTINEL2_RULES = ItemRules(
    sensor=SENTINEL2,
    title="Sentinel-2 L2A",
    collections=("sentinel-2-c1-l2a", "sentinel-2-l2a"),
    parse=sentinel2.parse_item,
    items=file_items,
)
EMIT_RULES = ItemRules(
    sensor=EMIT,
    title="EMIT L2A reflectance",
    collections=emit.COLLECTIONS,
    parse=emit.parse_item,
    items=_items_or_granules,
    check=emit.check_granule,
    one_by_one=True,
)
RULES = {rules.sensor.name: rules for rules in (SENTINEL2_RULES, EMIT_RULES)}
"""By the sensor's name."""
