"""EMIT files on this machine: granules of a folder, and what the head of a file says of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from cropcube.catalog.emit_names import FileName
from cropcube.domain.emit import MASK_FILE, REFLECTANCE_FILE, UNCERTAINTY_FILE
from cropcube.errors import InvalidInputError, MissingError

VARIABLES = {REFLECTANCE_FILE: "reflectance", UNCERTAINTY_FILE: "reflectance_uncertainty", MASK_FILE: "mask"}
"""The variable that makes a file what its name says."""
SIDES = ("westernmost_longitude", "southernmost_latitude", "easternmost_longitude", "northernmost_latitude")
START = "time_coverage_start"
AGAIN = "Download the file again, and ask again with --search."


@dataclass(frozen=True)
class FileFacts:
    """What the global attributes of a file say."""

    bounds: tuple[float, float, float, float]
    "West, south, east, north in degrees; east is over 180 where the granule crosses the antimeridian."
    start: datetime | None
    "Start of the acquisition, UTC; None where it is not stated."

    @property
    def geometry(self) -> Mapping[str, Any]:
        """The bounds as a GeoJSON polygon; the swath lies slanted in it."""
        west, south, east, north = self.bounds
        ring = [(west, south), (east, south), (east, north), (west, north), (west, south)]
        return {"type": "Polygon", "coordinates": [ring]}


def granule_items(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Yield an item without geometry for every granule in a folder and below, and one for every other netCDF file.

    The files of a granule are those of its name that lie in one folder, as readers look for them.

    Raises
    ------
    MissingError
        If the folder has no netCDF file.
    """
    granules: dict[tuple[str, Path], dict[str, str]] = {}
    collections: dict[str, str] = {}
    for path in sorted(folder.rglob("*.nc")):
        name = FileName.parse(path.name)
        identity, label = (path.name, "file") if name is None else (name.granule, name.label)
        granules.setdefault((identity, path.parent), {})[label] = str(path)
        if name is not None:
            collections[identity] = f"EMITL2ARFL_{name.version}"
    if not granules:
        raise MissingError(
            f"{folder} has neither a catalog.json nor an EMIT file (EMIT_L2A_RFL_*.nc)",
            "Give the folder that the granules were downloaded to.",
        )
    for (identity, _), files in sorted(granules.items()):
        yield {
            "id": identity,
            "collection": collections.get(identity, ""),
            "properties": {},
            "assets": {label: {"href": path, "file:size": Path(path).stat().st_size} for label, path in files.items()},
        }


def read_facts(path: str, label: str) -> FileFacts:
    """Return what a file's global attributes say.

    Raises
    ------
    InvalidInputError
        If there is no such file, it is cut short, no HDF5, or not the EMIT file that its name says.
    """
    import h5py

    if not Path(path).is_file():
        raise InvalidInputError(f"there is no file {path}", AGAIN)
    try:
        with h5py.File(path, "r", locking=False) as file:
            if not isinstance(file.get(VARIABLES[label]), h5py.Dataset):
                raise _not_emit(path, f"it has no variable {VARIABLES[label]}")
            # No others: HDF5 may follow a damaged one round and round.
            return _facts(path, {name: file.attrs[name] for name in (*SIDES, START) if name in file.attrs})
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise _damaged(path, error) from error


def check_file(path: str, label: str) -> None:
    """Refuse a file that is not there, not whole, or not what its name says; no pixel is read.

    Raises
    ------
    InvalidInputError
        Naming the file.
    """
    read_facts(path, label)


def _facts(path: str, attributes: Mapping[str, Any]) -> FileFacts:
    absent = [side for side in SIDES if side not in attributes]
    if absent:
        raise _not_emit(path, f"it does not state {' '.join(absent)}")
    try:
        west, south, east, north = (float(np.ravel(attributes[side])[0]) for side in SIDES)
    except (ValueError, TypeError, IndexError):
        raise _not_emit(path, "its bounds are no numbers") from None
    east = east + 360 if east < west else east
    if not (all(map(math.isfinite, (west, south, east, north))) and south < north and west < east):
        raise _not_emit(path, f"its bounds have no area: {west:g},{south:g},{east:g},{north:g}")
    return FileFacts((west, south, east, north), _start(attributes.get(START)))


def _start(stated: Any) -> datetime | None:
    text = stated.decode("ascii", "replace") if isinstance(stated, bytes) else str(stated)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)


def _not_emit(path: str, why: str) -> InvalidInputError:
    return InvalidInputError(f"{path} is no file of EMIT L2A: {why}", f"Take it out of the folder. {AGAIN}")


def _damaged(path: str, error: Exception) -> InvalidInputError:
    said = " ".join(str(error).split())
    if "truncated" in said:
        return InvalidInputError(f"{path} is cut short ({Path(path).stat().st_size} bytes are there)", AGAIN)
    if "signature not found" in said:
        return InvalidInputError(f"{path} is no HDF5 file", AGAIN)
    return InvalidInputError(f"{path} cannot be read ({said[:200]})", AGAIN)
