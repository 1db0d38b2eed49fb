"""Scene files: opened with the right access options and compared with what their item says of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import rasterio
from affine import Affine
from rasterio.errors import RasterioError

from cropcube.catalog import signing
from cropcube.catalog.hrefs import is_remote
from cropcube.errors import MissingError, ReadError
from cropcube.observations.checksums import REPLACE, check_file
from cropcube.observations.download import fetched, first_bytes
from cropcube.observations.failures import read_error
from cropcube.observations.reader import ReadCounts

if TYPE_CHECKING:
    from cropcube.domain.scene import Asset, Scene
    from cropcube.domain.sensor import Sensor

UNRECOGNISED = "not recognized as being in a supported file format"
TIFF_SUFFIXES = (".tif", ".tiff")
GDAL_OPTIONS: Mapping[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_CACHEMAX": 64
    << 20,  # bytes, to rasterio; by default a twentieth of the machine, in every worker, for blocks that are read once
    "GDAL_HTTP_MAX_RETRY": "0",  # retries are ours, so that they are counted and classified in one place
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_TIMEOUT": "120",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    # GDAL remembers an HTTP 503 and answers the next open from memory: without this a retry never reaches the server.
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/:/vsigs/:/vsiaz/",
}
TRANSFORM_TOLERANCE = 1e-6
"""Largest difference in metres (or in metres a pixel) between an item's transform and its file's."""


@dataclass(frozen=True)
class Access:
    """How remote files are reached: tokens are added here, at read time only, and never kept."""

    sign: Callable[[str], str] = signing.sign
    gdal_options: Callable[[str], dict[str, str]] = signing.gdal_options
    forget: Callable[[str], None] = signing.forget
    "Told of an href whose signature was refused, so that the next one is new."


@dataclass
class SceneFiles:
    """Opens the files of scenes, each checked against its item."""

    sensor: Sensor
    verify: bool = False
    "Check the checksums of remote files too, by fetching them whole."
    access: Access = field(default_factory=Access)
    counts: ReadCounts = field(default_factory=ReadCounts)

    @contextlib.contextmanager
    def opened(self, scene: Scene, band: str) -> Iterator[OpenFile]:
        """Open one file; everything that goes wrong inside the block comes out as a classified ReadError.

        Raises
        ------
        ReadError
            If the scene lacks the band, or its file is missing, corrupt, unreachable or not what the item says.
        """
        label = f"{scene.id} {band}"
        asset = _asset(scene, band)
        signed = asset.href
        try:
            with contextlib.ExitStack() as stack:
                if not is_remote(asset.href):
                    path = local_path(asset.href)
                    check_file(label, path, asset)
                elif self.verify and (asset.checksum is not None or asset.size is not None):
                    signed = self.access.sign(asset.href)
                    path = stack.enter_context(fetched(label, asset, signed))
                else:
                    path = signed = self.access.sign(asset.href)
                options = {**GDAL_OPTIONS, **self.access.gdal_options(asset.href)}
                stack.enter_context(rasterio.Env(**options))
                dataset = stack.enter_context(rasterio.open(path, driver=_driver(asset.href), sharing=False))
                self.counts.add(files=1)
                self._check(label, scene, band, dataset)
                yield OpenFile(label, asset.href, path, options, dataset, _size(asset, path))
        except (RasterioError, OSError) as error:
            if isinstance(error, ReadError):
                raise
            raise self._explain(label, asset, signed, error) from error

    def _explain(self, label: str, asset: Asset, signed: str, error: Exception) -> ReadError:
        """Return the classified error; where GDAL swallowed a refusal of the header, the server is asked once more."""
        if UNRECOGNISED in str(error) and signed.startswith(("http://", "https://")):
            error = OSError(f"{error}; {first_bytes(signed)}")
        failure = read_error(label, asset.href, error, signed != asset.href)
        if failure.transient and signed != asset.href:
            self.access.forget(asset.href)
        return failure

    def _check(self, label: str, scene: Scene, band: str, dataset: Any) -> None:
        """Compare the opened file with what the item states.

        Raises
        ------
        ReadError
            Naming both.
        """
        asset = scene.assets[band]
        expected = "uint8" if band == self.sensor.quality.name else "uint16"
        found, stated = [], []
        if dataset.count != 1:
            found.append(f"{dataset.count} bands")
            stated.append("1 band")
        elif dataset.dtypes[0] != expected:
            found.append(str(dataset.dtypes[0]))
            stated.append(f"{expected} for {band}")
        if asset.shape is not None and tuple(asset.shape) != dataset.shape:
            found.append(f"{dataset.height} x {dataset.width} px")
            stated.append(f"{asset.shape[0]} x {asset.shape[1]} px")
        if dataset.crs is None:
            found.append("no CRS")
            stated.append(f"EPSG:{scene.epsg}" if scene.epsg else "one it can be placed by")
        elif scene.epsg is not None and epsg_of(dataset) != scene.epsg:
            found.append(f"CRS {dataset.crs.to_string()[:60]}")
            stated.append(f"EPSG:{scene.epsg}")
        if asset.transform is not None and not _same_transform(asset.transform, dataset.transform):
            found.append(f"transform {tuple(dataset.transform)[:6]}")
            stated.append(f"{tuple(asset.transform)[:6]}")
        if found:
            what = f"{label}: {asset.href} has {', '.join(found)}; its item states {', '.join(stated)}"
            raise ReadError(what, REPLACE)


@dataclass(frozen=True)
class OpenFile:
    """An opened file, and how it was opened."""

    label: str
    "Scene and band."
    href: str
    path: str
    "What GDAL opens: the signed href, or a local copy."
    options: Mapping[str, Any]
    "GDAL's options for it."
    dataset: Any
    "The rasterio dataset."
    size: int | None
    "Bytes, where they are known."


def local_path(href: str) -> str:
    """Return the path of a local href (`file:` URLs included)."""
    return unquote(urlsplit(href).path) if href.startswith("file:") else href


def epsg_of(dataset: Any) -> int | None:
    """Return the EPSG code of a dataset's CRS, or None if it has none."""
    code: int | None = dataset.crs.to_epsg() if dataset.crs is not None else None
    return code


def _size(asset: Asset, path: str) -> int | None:
    if asset.size is not None or is_remote(path):
        return asset.size
    return os.path.getsize(path)


def _driver(href: str) -> str | None:
    """Return the format if the name tells it: it spares a remote file dozens of probing requests."""
    return "GTiff" if urlsplit(href).path.lower().endswith(TIFF_SUFFIXES) else None


def _asset(scene: Scene, band: str) -> Asset:
    try:
        return scene.asset(band)
    except MissingError as error:
        raise ReadError(error.what, error.next_step) from error


def _same_transform(stated: tuple[float, ...], found: Affine) -> bool:
    return bool(Affine(*stated[:6]).almost_equals(found, precision=TRANSFORM_TOLERANCE))
