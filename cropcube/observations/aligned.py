"""Direct window reads of files that lie on the lattice: no pixel is resampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.enums import MaskFlags
from rasterio.windows import Window

from cropcube.domain.lattice import PixelBox
from cropcube.errors import ReadError
from cropcube.observations.files import SceneFiles, epsg_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cropcube.domain.lattice import Lattice
    from cropcube.domain.scene import Scene
    from cropcube.observations.files import OpenFile
    from cropcube.observations.reader import ReadCounts


@dataclass
class AlignedReader:
    """Reads files whose CRS is the lattice's and whose pixels are lattice pixels, whatever their tiling."""

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
            If the file cannot be read, is not what its item says, or does not lie on the lattice.
        """
        with self.files.opened(scene, band) as file:
            covered = box_of_file(file.dataset, box.lattice, box.resolution_m)
            if covered is None:
                raise ReadError(
                    f"{file.label}: {file.href} does not lie on the {box.resolution_m} m lattice of {box.lattice.name}",
                    "Such a file has to be read by the warping reader.",
                )
            return read_window(file, covered, box, self.counts)


def box_of_file(dataset: Any, lattice: Lattice, resolution_m: int) -> PixelBox | None:
    """Return the lattice pixels that a file covers, or None if its pixels are not lattice pixels.

    Parameters
    ----------
    dataset
        An opened rasterio dataset.
    lattice
        Where pixels may lie.
    resolution_m
        Pixel size wanted.
    """
    t = dataset.transform
    if epsg_of(dataset) != lattice.epsg or (t.a, t.b, t.d, t.e) != (resolution_m, 0.0, 0.0, -resolution_m):
        return None
    col, row = (t.c - lattice.left_m) / resolution_m, (lattice.top_m - t.f) / resolution_m
    if not (col.is_integer() and row.is_integer()):
        return None
    return PixelBox(lattice, resolution_m, int(row), int(col), dataset.height, dataset.width)


def read_window(file: OpenFile, covered: PixelBox, box: PixelBox, counts: ReadCounts) -> NDArray[Any]:
    """Return the pixels of `box` from a file that covers `covered`, 0 elsewhere and where the file has no data.

    Raises
    ------
    rasterio.errors.RasterioError
        If the file cannot be decoded.
    """
    dataset = file.dataset
    out = np.zeros(box.shape, dtype=dataset.dtypes[0])
    common = box.intersection(covered)
    if common is None:
        return out
    rows, cols = common.slices_in(covered)
    window = Window(cols.start, rows.start, common.width, common.height)
    if dataset.nodata in (None, 0) and MaskFlags.per_dataset not in dataset.mask_flag_enums[0]:
        out[common.slices_in(box)] = dataset.read(1, window=window)
    else:
        out[common.slices_in(box)] = dataset.read(1, window=window, masked=True).filled(0)
    count_blocks(file, rows, cols, counts)
    return out


def count_blocks(file: OpenFile, rows: slice, cols: slice, counts: ReadCounts, stated: bool = True) -> None:
    """Add the file blocks that a window touches to the counts: pixels decoded and compressed bytes.

    Parameters
    ----------
    file
        The file.
    rows, cols
        The window.
    counts
        Added to.
    stated
        Whether to take the bytes from the file's own table of blocks. That table is at hand only after a direct read:
        looking into it anew may mean a request to the server. Otherwise, and for formats without one (JPEG 2000), the
        bytes are a share of the file's size.
    """
    dataset = file.dataset
    height, width = dataset.block_shapes[0]
    stated = stated and dataset.driver == "GTiff"
    pixels = bytes_read = 0
    for row in range(rows.start // height, -(-rows.stop // height)):
        # The last strip of a TIFF is short; tiles are always whole.
        decoded = min(height, dataset.height - row * height) * width if width >= dataset.width else height * width
        for col in range(cols.start // width, -(-cols.stop // width)):
            pixels += decoded
            if stated:
                bytes_read += int(dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1) or 0)
    if not stated:
        whole = file.size if file.size is not None else pixels * int(np.dtype(dataset.dtypes[0]).itemsize)
        bytes_read = round(whole * min(1.0, pixels / (dataset.height * dataset.width)))
    counts.add(pixels_decoded=pixels, bytes_read=bytes_read)
