"""The catalogues that have a name."""

from __future__ import annotations

from dataclasses import dataclass

from cropcube.domain.emit import EMIT
from cropcube.domain.sensor import SENTINEL2


@dataclass(frozen=True)
class KnownCatalog:
    """A STAC API that cropcube has rules for."""

    name: str
    "What `--catalog` calls it."
    url: str
    "Landing page of the API."
    collection: str
    "Collection that is asked when none is given."
    others: tuple[str, ...]
    "Further collections of it that are understood."
    files: str
    "What the scenes' files are."
    credentials: str
    "What reading the files needs."
    radiometry: str
    "How reflectance is made of the files' numbers."
    sensor: str = SENTINEL2.name
    "Of which sensor its scenes are."


DEFAULT_CATALOG = "earth-search"
DEFAULT_CATALOGS = {SENTINEL2.name: DEFAULT_CATALOG, EMIT.name: "cmr"}
"""By sensor."""

KNOWN_CATALOGS: dict[str, KnownCatalog] = {
    known.name: known
    for known in (
        KnownCatalog(
            name="earth-search",
            url="https://earth-search.aws.element84.com/v1",
            collection="sentinel-2-c1-l2a",
            others=("sentinel-2-l2a",),
            files="COG over HTTPS",
            credentials="none",
            radiometry=(
                "sentinel-2-c1-l2a: scale and offset as the item states them; "
                "sentinel-2-l2a: no offset where earthsearch:boa_offset_applied is true, whatever else is stated"
            ),
        ),
        KnownCatalog(
            name="planetary-computer",
            url="https://planetarycomputer.microsoft.com/api/stac/v1",
            collection="sentinel-2-l2a",
            others=(),
            files="COG over HTTPS, signed when read",
            credentials="none (a short-lived token is fetched for every process)",
            radiometry="offset -0.1 from processing baseline 04.00 on, none before",
        ),
        KnownCatalog(
            name="cdse",
            url="https://stac.dataspace.copernicus.eu/v1",
            collection="sentinel-2-l2a",
            others=(),
            files="JPEG 2000 on S3",
            credentials="S3 keys of the Copernicus Data Space in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            radiometry="scale and offset as the item states them (STAC 1.1)",
        ),
        KnownCatalog(
            name="cmr",
            url="https://cmr.earthdata.nasa.gov/stac/LPCLOUD",
            collection="EMITL2ARFL_001",
            others=(),
            files="netCDF-4 (HDF5) swaths over HTTPS, fetched whole when read",
            credentials="an Earthdata login: EARTHDATA_TOKEN, or urs.earthdata.nasa.gov in ~/.netrc",
            radiometry="reflectance as a fraction, as the files state it",
            sensor=EMIT.name,
        ),
    )
}
"""By name."""


def known_catalog(catalog: str) -> KnownCatalog | None:
    """Return the known catalogue of a name or address, None if it is another one."""
    by_address = (known for known in KNOWN_CATALOGS.values() if known.url == catalog.rstrip("/"))
    return KNOWN_CATALOGS.get(catalog) or next(by_address, None)
