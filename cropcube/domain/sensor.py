"""A sensor is a table: bands, resolutions, quality band."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cropcube.errors import InvalidInputError

NOT_ACQUIRED = 0
"""`quality` where no scene has a pixel."""
READ_FAILED = 254
"""`quality` where a scene has a pixel that could not be read."""
REFLECTANCE_SCALE = 1e-4
"""Stored integer times this is surface reflectance."""


@dataclass(frozen=True)
class Band:
    """One spectral band."""

    name: str
    "Label in the cube, for example `B02`."
    resolution_m: int
    "Native resolution."
    common_names: tuple[str, ...]
    "Other keys that catalogues use for it."
    wavelength_nm: float
    "Centre wavelength."


@dataclass(frozen=True)
class Sensor:
    """Bands and quality band of one product."""

    name: str
    bands: tuple[Band, ...]
    quality: Band
    quality_max: int
    "Highest class of the quality band; anything above is a corrupt file."
    files: tuple[str, ...] = ()
    "Labels of a scene's files where one holds all bands; empty where every band is a file of its own."
    tag: str = ""
    "Ends the names of what a project keeps of this sensor; that of the first sensor has none."

    @property
    def file_labels(self) -> tuple[str, ...]:
        """Labels of the files that a scene is made of."""
        return self.files or tuple(band.name for band in (*self.bands, self.quality))

    def file_resolution_m(self, label: str) -> int:
        """Return the resolution of what a file holds."""
        return self.quality.resolution_m if label in self.files else self.band(label).resolution_m

    def band(self, name: str) -> Band:
        """Return a band (or the quality band) by its label.

        Raises
        ------
        InvalidInputError
            If the sensor has no such band.
        """
        for band in (*self.bands, self.quality):
            if band.name == name:
                return band
        known = " ".join(b.name for b in self.bands)
        raise InvalidInputError(f"{self.name} has no band {name!r}", f"Bands: {known}")

    def select(self, names: tuple[str, ...]) -> Sensor:
        """Return the sensor with some of its bands, in the sensor's own order."""
        for name in names:
            self.band(name)
        return replace(self, bands=tuple(b for b in self.bands if b.name in names))

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Resolutions in metres of the bands and the quality band, finest first."""
        return tuple(sorted({b.resolution_m for b in (*self.bands, self.quality)}))

    def bands_at(self, resolution_m: int) -> tuple[str, ...]:
        """Return the labels of the bands with one native resolution."""
        return tuple(b.name for b in self.bands if b.resolution_m == resolution_m)


SENTINEL2 = Sensor(
    name="sentinel-2-l2a",
    bands=(
        Band("B02", 10, ("blue",), 492.4),
        Band("B03", 10, ("green",), 559.8),
        Band("B04", 10, ("red",), 664.6),
        Band("B05", 20, ("rededge1",), 704.1),
        Band("B06", 20, ("rededge2",), 740.5),
        Band("B07", 20, ("rededge3",), 782.8),
        Band("B08", 10, ("nir",), 832.8),
        Band("B8A", 20, ("nir08",), 864.7),
        Band("B11", 20, ("swir16",), 1613.7),
        Band("B12", 20, ("swir22",), 2202.4),
    ),
    quality=Band("SCL", 20, ("scl",), 0.0),
    quality_max=11,
)
"""Sentinel-2 Level-2A (ESA product specification S2-PDGS-TAS-DI-PSD, wavelengths of S2A)."""
