"""Maps as cloud-optimised GeoTIFFs: what every desktop GIS opens."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.windows import Window

from cropcube.domain.lattice import PixelBox
from cropcube.domain.map_product import CLEAR_COUNT, CONFIDENCE, CROP, MARGIN, NO_DATA, PROBABILITY
from cropcube.errors import InvalidInputError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cropcube.cube.store import Store
    from cropcube.domain.legend import Legend

LAYERS = {
    "crop": CROP, "confidence": CONFIDENCE, "margin": MARGIN, "clear-count": CLEAR_COUNT, "probability": PROBABILITY
}  # fmt: skip
"""What can be exported: the word on the command line, and the array."""
BLOCK_PX = 512
_WINDOW_BLOCKS = 36
"""Blocks of one band that are held at once."""
_SEEN = np.uint8(255)
"""In masks, as GDAL has it."""
_CACHE_BYTES = 128 * 2**20


@dataclass(frozen=True)
class CogSpec:
    """What one file holds."""

    array: str
    "`crop`, `confidence`, `margin`, `clear_count` or `probability`, which has a band for each class."
    box: PixelBox
    "Its pixels."
    legend: Legend
    "Names and colours of the classes."
    tags: Mapping[str, str] = field(default_factory=dict)
    "How the map was made."

    @property
    def bands(self) -> tuple[str, ...]:
        """What each band of the file is."""
        return self.legend.names if self.masked else (self.array,)

    @property
    def masked(self) -> bool:
        """Whether pixels without data are masked: a probability of 0 is a value, which averages must not leave out."""
        return self.array == PROBABILITY


def write_cog(store: Store, spec: CogSpec, target: Path) -> int:
    """Write one array of a map as a COG, window by window, and put it in place whole.

    Parameters
    ----------
    store
        The map.
    spec
        Which array, which pixels.
    target
        The file; one that stands is replaced. Class names go beside it (`FILE.aux.xml`), where GDAL looks for them.

    Returns
    -------
    size
        Bytes of the file.

    Raises
    ------
    InvalidInputError
        If the folder is missing or cannot be written.
    ResourceError
        If writing fails on the way: a full disk, most often. Nothing is left behind.
    """
    scratch = _scratch_beside(target)
    try:
        with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_PAM_ENABLED="NO", GDAL_TIFF_INTERNAL_MASK="YES"):
            plain, done = scratch / "plain.tif", scratch / "cog.tif"
            checksums = _write_plain(store, spec, plain)
            rasterio.shutil.copy(str(plain), str(done), driver="COG", **_cog_options(spec))
            _check(done, spec, checksums)
        size = done.stat().st_size
        _place(done, spec, target)
    except (OSError, RasterioError, CPLE_BaseError) as error:
        raise ResourceError(
            f"{target} could not be written ({error.__cause__ or error})",
            "Look at the free space and the permissions of its folder.",
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return size


def _scratch_beside(target: Path) -> Path:
    """Return a fresh folder on the target's own file system, so that the file is moved and not copied."""
    if target.is_dir():
        raise InvalidInputError(f"{target} is a folder", "Give the name of a file, map.tif say.")
    try:
        return Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise InvalidInputError(
            f"cannot write in {target.parent} ({error.strerror})", "Make the folder, or choose another one."
        ) from error


def _write_plain(store: Store, spec: CogSpec, path: Path) -> list[int]:
    """Write a tiled GeoTIFF without overviews, what the COG driver reads from; return the checksum of each piece."""
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": store.array(spec.array, spec.box.resolution_m).dtype,
        "count": len(spec.bands), "nodata": None if spec.masked else NO_DATA,
        "width": spec.box.width, "height": spec.box.height,
        "crs": spec.box.lattice.crs, "transform": spec.box.transform,
        "tiled": True, "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX,
        "compress": "deflate", "zlevel": 1, "sparse_ok": True, "bigtiff": "if_safer", "photometric": "minisblack",
    }  # fmt: skip
    checksums = []
    with rasterio.open(path, "w", **profile) as file:
        for number, name in enumerate(spec.bands, 1):
            file.set_band_description(number, name)
        file.update_tags(**_tags(store, spec))
        if spec.array == CROP:
            file.write_colormap(1, colour_table(spec.legend))
        for piece in _pieces(spec):
            values, window = store.read(piece.lattice.name, spec.array, piece), _window(piece, spec.box)
            checksum = zlib.crc32(values.tobytes())
            if values.any():
                file.write(values.reshape(len(spec.bands), *piece.shape), window=window)
            if spec.masked:
                seen = (store.read(piece.lattice.name, CROP, piece) != NO_DATA).astype(np.uint8) * _SEEN
                file.write_mask(seen, window=window)
                checksum = zlib.crc32(seen.tobytes(), checksum)
            checksums.append(checksum)
    return checksums


def _check(path: Path, spec: CogSpec, checksums: list[int]) -> None:
    """Read the file back, for GDAL says nothing when the end of a file does not fit the disk.

    Raises
    ------
    OSError
        If the pixels are not those that were written.
    RasterioError
        If a block of the file or of its overviews cannot be read.
    """
    with rasterio.open(path) as file:
        overviews = len(file.overviews(1))
        for piece, wanted in zip(_pieces(spec), checksums, strict=True):
            window = _window(piece, spec.box)
            checksum = zlib.crc32(file.read(window=window).tobytes())
            if spec.masked:
                checksum = zlib.crc32(file.dataset_mask(window=window).tobytes(), checksum)
            if checksum != wanted:
                raise OSError("it does not read back as it was written")
    for level in range(overviews):
        with rasterio.open(path, overview_level=level) as file:
            for _, window in file.block_windows(1):
                file.read(window=window)
                if spec.masked:
                    file.dataset_mask(window=window)


def colour_table(legend: Legend) -> dict[int, tuple[int, int, int, int]]:
    """Return red, green, blue and opacity by map value; 0 (no data) is transparent."""
    table = {NO_DATA: (0, 0, 0, 0)}
    for value, entry in enumerate(legend.classes, 1):
        table[value] = (*entry.rgb, 255)
    return table


def _pieces(spec: CogSpec) -> Iterator[PixelBox]:
    """Yield windows that cut no block of the file, row by row."""
    box, side = spec.box, BLOCK_PX * max(1, math.isqrt(_WINDOW_BLOCKS // len(spec.bands)))
    for row in range(0, box.height, side):
        for col in range(0, box.width, side):
            height, width = min(side, box.height - row), min(side, box.width - col)
            yield PixelBox(box.lattice, box.resolution_m, box.row + row, box.col + col, height, width)


def _window(piece: PixelBox, whole: PixelBox) -> Window:
    return Window(piece.col - whole.col, piece.row - whole.row, piece.width, piece.height)


def _tags(store: Store, spec: CogSpec) -> dict[str, str]:
    tags = {"AREA_OR_POINT": "Area", **spec.tags}
    about = store.array(spec.array, spec.box.resolution_m).attrs
    tags |= {name: str(about[name]) for name in ("long_name", "units", "comment") if name in about}
    if spec.array in (CROP, PROBABILITY):
        tags["legend"] = json.dumps(spec.legend.as_json(), ensure_ascii=False)
        tags |= {f"class_{value}": entry.name for value, entry in enumerate(spec.legend.classes, 1)}
    return tags


def _cog_options(spec: CogSpec) -> dict[str, str]:
    """Return how the COG is laid out; classes are never averaged."""
    return {
        "COMPRESS": "DEFLATE",
        "LEVEL": "9",
        "BLOCKSIZE": str(BLOCK_PX),
        "BIGTIFF": "IF_SAFER",
        "SPARSE_OK": "TRUE",
        "NUM_THREADS": "ALL_CPUS",
        "OVERVIEWS": "IGNORE_EXISTING",
        "OVERVIEW_RESAMPLING": "MODE" if spec.array == CROP else "AVERAGE",
    }


def _place(done: Path, spec: CogSpec, target: Path) -> None:
    """Move the file into place; the class names of an older one never stand beside a newer one."""
    names = target.with_name(target.name + ".aux.xml")
    names.unlink(missing_ok=True)
    os.replace(done, target)
    if spec.array == CROP:
        written = done.with_name("names.xml")
        written.write_text(_category_names(spec.legend), encoding="utf-8")
        os.replace(written, names)


def _category_names(legend: Legend) -> str:
    """Return GDAL's side file with the class names, which QGIS shows in its legend."""
    lines = "".join(f"      <Category>{escape(name)}</Category>\n" for name in ("no data", *legend.names))
    return (
        '<PAMDataset>\n  <PAMRasterBand band="1">\n    <CategoryNames>\n'
        f"{lines}    </CategoryNames>\n  </PAMRasterBand>\n</PAMDataset>\n"
    )
