"""Reads through stackstac: any CRS, any grid, nearest neighbour."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cropcube.errors import ReadError
from cropcube.observations.failures import read_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.scene import Scene
    from cropcube.observations.files import OpenFile, SceneFiles
    from cropcube.observations.reader import ReadCounts

CHUNK_PX = 2048
"""Side of the pieces that stackstac warps at a time."""
_ONE_AT_A_TIME = threading.Lock()
"""Warning filters belong to the process, so two threads must not set one at the same time."""


@dataclass
class StackstacReader:
    """Reads any file onto any lattice, nearest neighbour, by stackstac.

    Each file is opened once before by us, to compare it with its item and to classify what goes wrong.
    """

    files: SceneFiles

    @property
    def counts(self) -> ReadCounts:
        """What has been read so far."""
        return self.files.counts

    def read(self, scene: Scene, band: str, box: PixelBox) -> NDArray[np.uint16] | NDArray[np.uint8]:
        """Return the raw DN of one band on `box`, 0 outside the file.

        Raises
        ------
        ReadError
            If the file cannot be read or is not what its item says.
        """
        with self.files.opened(scene, band) as file:
            return read_warped(file, box, self.counts)


def read_warped(file: OpenFile, box: PixelBox, counts: ReadCounts) -> NDArray[Any]:
    """Return the pixels of `box` from an opened file of any CRS and grid.

    Parameters
    ----------
    file
        The file; stackstac opens it once more by its path.
    box
        Lattice pixels wanted.
    counts
        Gets the pixels and (as a share of the file's blocks) the bytes.

    Raises
    ------
    ReadError
        Whatever stackstac could not open or read; nothing is turned into no data.
    """
    import stackstac

    dtype = np.dtype(file.dataset.dtypes[0])
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            # stackstac 0.5.1 multiplies transforms and points the old way, which affine 3 warns about.
            warnings.filterwarnings("ignore", message="Use `@` matmul", category=PendingDeprecationWarning)
            stack = stackstac.stack(
                [_plain_item(file, box)],
                assets=["band"],
                epsg=box.lattice.epsg,
                resolution=box.resolution_m,
                bounds=box.bounds,
                snap_bounds=False,
                chunksize=CHUNK_PX,
                dtype=dtype,
                fill_value=dtype.type(0),
                rescale=False,
                xy_coords="center",
                properties=False,
                band_coords=False,
                gdal_env=stackstac.DEFAULT_GDAL_ENV.updated(always=dict(file.options)),
                errors_as_nodata=(),
            )
            stack.attrs.clear()
            pixels = np.asarray(stack.isel(time=0, band=0).compute(scheduler="synchronous").values)
    except (RuntimeError, OSError) as error:
        raise read_error(file.label, file.href, error, file.path != file.href) from error
    if pixels.shape != box.shape:
        raise ReadError(f"{file.label}: stackstac returned {pixels.shape} pixels for {box.shape}")
    _count(file, box, counts)
    return pixels


def _plain_item(file: OpenFile, box: PixelBox) -> dict[str, Any]:
    """Return the least item stackstac takes.

    It is said to cover the box: what lies outside the file is found by the warp, pixel by pixel, and not by stackstac
    from bounds, which would leave out slivers where reprojected bounds are too small.
    """
    left, bottom, right, top = box.bounds
    return {
        "id": file.label,
        "properties": {"datetime": "1970-01-01T00:00:00Z"},
        "bbox": None,
        "assets": {"band": {"href": file.path, "proj:epsg": box.lattice.epsg, "proj:bbox": [left, bottom, right, top]}},
    }


def _count(file: OpenFile, box: PixelBox, counts: ReadCounts) -> None:
    """Count every block of the file's window that the box covers."""
    from rasterio.warp import transform_bounds

    from cropcube.observations.aligned import count_blocks

    dataset = file.dataset
    left, bottom, right, top = transform_bounds(box.lattice.crs, dataset.crs, *box.bounds)
    (col0, row0), (col1, row1) = ~dataset.transform @ (left, top), ~dataset.transform @ (right, bottom)
    rows = slice(max(0, int(row0)), min(dataset.height, int(row1) + 1))
    cols = slice(max(0, int(col0)), min(dataset.width, int(col1) + 1))
    if rows.start < rows.stop and cols.start < cols.stop:
        count_blocks(file, rows, cols, counts, stated=False)
