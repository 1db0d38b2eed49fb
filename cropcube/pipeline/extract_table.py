"""Rows of an extraction, written to GeoParquet as they come."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from cropcube.errors import CropcubeError, InvalidInputError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import geopandas as gpd
    import numpy as np
    from numpy.typing import NDArray

GEOMETRY, PLACE = "geometry", "place"


class Sources:
    """The features of the source file, to be repeated in every row that is extracted of them.

    Parameters
    ----------
    frame
        In EPSG:4326.
    taken
        Column names of the extraction; a field with such a name gets `_source` behind it.
    more
        Further fields, one value a feature.
    """

    def __init__(self, frame: gpd.GeoDataFrame, taken: set[str], more: Mapping[str, NDArray[Any]]) -> None:
        import pandas as pd

        fields = pd.DataFrame(frame.drop(columns=frame.geometry.name))
        names = [str(name) for name in fields.columns]
        fields.columns = pd.Index([f"{n}_source" if n in {*taken, *more, PLACE, GEOMETRY} else n for n in names])
        try:
            self.fields = pa.Table.from_pandas(fields, preserve_index=False)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise InvalidInputError(
                f"the fields of the file cannot be written as columns ({error})", "Give each field one type."
            ) from error
        self.fields = self.fields.replace_schema_metadata(None)
        for name, values in more.items():
            self.fields = self.fields.append_column(name, pa.array(values))
        self.wkb = pa.array(shapely.to_wkb(frame.geometry.to_numpy()).tolist(), pa.binary())
        self.kinds = sorted(set(frame.geometry.geom_type))

    def table(self, places: NDArray[np.intp], columns: Mapping[str, NDArray[Any]]) -> pa.Table:
        """Return rows: number and fields of the place, what was extracted, geometry."""
        index = pa.array(places, pa.int64())
        fields = self.fields.take(index)
        names = [PLACE, *fields.column_names, *columns, GEOMETRY]
        arrays = [index, *fields.columns, *(pa.array(values) for values in columns.values()), self.wkb.take(index)]
        return pa.table(dict(zip(names, arrays, strict=True)))


@contextlib.contextmanager
def writing(path: Path, schema: pa.Schema, kinds: list[str], about: Mapping[str, Any]) -> Iterator[pq.ParquetWriter]:
    """Open a GeoParquet file for rows of one schema; it appears whole, or not at all.

    Raises
    ------
    ResourceError
        If it cannot be written.
    """
    geometry = {"encoding": "WKB", "geometry_types": kinds}
    geo = {"version": "1.0.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: geometry}}
    metadata = {b"geo": json.dumps(geo).encode(), b"cropcube": json.dumps(about, default=_plain).encode()}
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with pq.ParquetWriter(partial, schema.with_metadata(metadata), compression="zstd") as writer:
                yield writer
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except CropcubeError:
        raise  # some are OSErrors too, but not of this file
    except OSError as error:
        raise ResourceError(f"{path} cannot be written: {error}", "Make room, or give another --output.") from error


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
