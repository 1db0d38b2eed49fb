"""What is computed from a tile's observations: the kind of feature, its options, and the name they give it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from cropcube.domain.emit import GOOD, WAVELENGTHS_NM
from cropcube.domain.sensor import READ_FAILED, SENTINEL2
from cropcube.domain.words import given_options, names_in
from cropcube.errors import InvalidInputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from cropcube.domain.season import Season
    from cropcube.domain.sensor import Sensor

EMIT_KIND = "emit"
KINDS = ("median", "annual-median", "geomedian", "percentiles", "statistics", "harmonic", EMIT_KIND)
IN_WINDOWS = ("median", "geomedian")
"""Kinds that have a value for each window of days."""
KINDS_OF = {
    "window": IN_WINDOWS,
    "order": ("harmonic",),
    "ridge": ("harmonic",),
    "index": ("median", "annual-median", "geomedian", "statistics", EMIT_KIND),
    "percentiles": ("percentiles",),
    "view": (EMIT_KIND,),
    "resample": (EMIT_KIND,),
    "continuum": (EMIT_KIND,),
    "join": (EMIT_KIND,),
}
"""Options that only some kinds have."""
OF_SPECTRA = ("view", "resample", "continuum", "join")
"""Options that EMIT's spectra alone have."""
FIELD_OF = {
    "window": "window_days",
    "order": "order",
    "ridge": "ridge",
    "index": "indices",
    "percentiles": "percentiles",
    "view": "view",
    "resample": "resample",
    "continuum": "continuum",
    "join": "join",
}
VIEWS = ("best", "median", "mean")
"""How one spectrum is made of a season's acquisitions: the least uncertain one, or the median or mean of all."""
JOINED = ("median", "annual-median", "geomedian")
"""Kinds of Sentinel-2 that may lie beside spectra."""
LIKE_SENTINEL2, MOST_BANDS = "sentinel-2", 150
REAL_VALUED = ("statistics", "harmonic", EMIT_KIND)
"""Kinds whose values are real numbers, NaN where there is none; those of the others are integers, 0 where there is
none."""
STATISTICS = ("mean", "sd", "min", "max", "amplitude", "day_of_max")
"""Of an index over the season, in this order."""
DEFAULT_PERCENTILES = (10.0, 25.0, 50.0, 75.0, 90.0)
DEFAULT_CLASSES = (4, 5, 6, 7)
"""Vegetation, bare soil, water and unclassified of Sentinel-2's scene classification."""
MOST_NAMED = 12
"""Percentiles or indices that a name spells out; names of files end somewhere."""
MAX_ORDER = 10
MAX_DILATE_M = 10_000


@dataclass(frozen=True)
class FeatureSpec:
    """One product of features; options that its kind does not use are set back to their defaults."""

    kind: str = "median"
    "One of `KINDS`."
    window_days: int = 5
    "Of `median` and `geomedian`: days in a window, day 0 = season start; the last may be shorter."
    order: int = 2
    "Of `harmonic`: number of harmonics."
    ridge: float = 0.0
    "Of `harmonic`: weight of the squared coefficients, the constant's not among them."
    classes: tuple[int, ...] = DEFAULT_CLASSES
    "Quality classes that count as clear."
    dilate_m: int = 0
    "Metres around pixels of other classes that do not count as clear either."
    indices: tuple[str, ...] = ()
    "Spectral indices, of medians; `statistics` are of them (of NDVI, if none is named)."
    percentiles: tuple[float, ...] = DEFAULT_PERCENTILES
    "Of `percentiles`: 0 to 100, with at most one decimal place."
    view: str = "best"
    "Of `emit`: one of `VIEWS`."
    resample: str = ""
    "Of `emit`: `sentinel-2` for its bands, or a number of broader ones; its own good bands if left out."
    continuum: bool = False
    "Of `emit`: whether spectra are divided by their continuum."
    join: str = ""
    "Of `emit`: name of features of Sentinel-2, `median-15d` say, that lie beside the spectrum, as means of 60 m."

    def __post_init__(self) -> None:
        self._check_kind(self.kind)
        if self.indices and self.kind not in KINDS_OF["index"]:
            raise InvalidInputError(
                f"indices are computed from medians; kind {self.kind} has none",
                "Use --kind median, annual-median, geomedian or statistics.",
            )
        for field in fields(self):
            if any(field.name == FIELD_OF[word] and self.kind not in kinds for word, kinds in KINDS_OF.items()):
                object.__setattr__(self, field.name, field.default)
        if self.kind == EMIT_KIND:  # EMIT's own flags mask it
            object.__setattr__(self, "classes", DEFAULT_CLASSES)
            object.__setattr__(self, "dilate_m", 0)
        object.__setattr__(self, "classes", tuple(sorted(set(self.classes))))
        indices = self.indices or (("NDVI",) if self.kind == "statistics" else ())
        object.__setattr__(self, "indices", tuple(dict.fromkeys(name.upper() for name in indices)))
        object.__setattr__(self, "percentiles", tuple(sorted({float(p) for p in self.percentiles})))
        object.__setattr__(self, "ridge", float(self.ridge))
        self._check()
        self._check_spectra()

    @staticmethod
    def _check_kind(kind: str) -> None:
        if kind not in KINDS:
            raise InvalidInputError(
                f"unknown kind of features {kind!r}", f"Give --kind {', '.join(KINDS[:-1])} or {KINDS[-1]}."
            )

    def _check(self) -> None:
        if self.window_days < 1:
            raise InvalidInputError(f"a window of {self.window_days} days holds none", "Give --window 1 or more.")
        if not 1 <= self.order <= MAX_ORDER:
            raise InvalidInputError(
                f"a harmonic fit of order {self.order} is not made", f"Give --order 1 to {MAX_ORDER}; usual is 2."
            )
        if not (math.isfinite(self.ridge) and self.ridge >= 0):
            raise InvalidInputError(
                f"a ridge of {self.ridge:g} is no weight", "Give --ridge 0 (the default) or a positive number."
            )
        wrong = [p for p in self.percentiles if not (0 <= p <= 100 and round(p, 1) == p)]
        if wrong or not self.percentiles:
            raise InvalidInputError(
                f"no percentiles are made of {', '.join(f'{p:g}' for p in wrong) or 'an empty list'}",
                "Give --percentiles from 0 to 100 with at most one decimal place, such as 10,25,50,75,90.",
            )
        if not 0 <= self.dilate_m <= MAX_DILATE_M:
            raise InvalidInputError(
                f"a dilation of {self.dilate_m} m is not done",
                f"Give --dilate 0 (the default) to {MAX_DILATE_M} metres.",
            )
        if not self.classes or not all(0 < c < READ_FAILED for c in self.classes):
            raise InvalidInputError(
                f"the mask keeps classes {self.classes}",
                f"Give classes from 1 to {READ_FAILED - 1}, such as scl:4,5,6,7.",
            )

    def _check_spectra(self) -> None:
        if self.view not in VIEWS:
            raise InvalidInputError(
                f"there is no view {self.view!r} of acquisitions", f"Give --view {' or '.join(VIEWS)}."
            )
        number = int(self.resample) if self.resample.isdecimal() else 0
        if self.resample not in ("", LIKE_SENTINEL2) and not 4 <= number <= MOST_BANDS:
            raise InvalidInputError(
                f"spectra are not resampled to {self.resample!r}",
                f"Give --resample {LIKE_SENTINEL2}, or a number of bands from 4 to {MOST_BANDS}.",
            )
        if self.continuum and self.resample:
            raise InvalidInputError(
                "a continuum is of whole spectra, not of a few bands", "Leave --continuum or --resample out."
            )
        if self.join and self.joined.kind not in JOINED:
            raise InvalidInputError(
                f"{self.join} is not laid beside spectra", f"Give --join features of --kind {', '.join(JOINED)}."
            )

    @classmethod
    def of_words(cls, kind: str, mask: str, dilate: int, own: Mapping[str, Any]) -> FeatureSpec:
        """Return what is asked for in the words of the command line.

        Parameters
        ----------
        kind, mask, dilate
            As there.
        own
            Options that only some kinds have: `window`, `order`, `ridge`, `index`, `percentiles` (text such as
            `10,50,90`, or numbers); None where not given.

        Raises
        ------
        UsageError
            If an option is given that the kind does not have.
        InvalidInputError
            If a value cannot be used.
        """
        cls._check_kind(kind)
        given = given_options(("kind", kind), KINDS_OF, own)
        if kind == EMIT_KIND and (dilate or cls.parse_mask(mask) != DEFAULT_CLASSES):
            raise UsageError(
                "--mask and --dilate are of Sentinel-2's scene classes",
                "Leave them out: EMIT's own flags mask its spectra.",
            )
        if "index" in given:
            given["index"] = names_in(given["index"])
        if "percentiles" in given:
            given["percentiles"] = cls.parse_percentiles(given["percentiles"])
        values = {FIELD_OF[word]: value for word, value in given.items()}
        return cls(kind, classes=cls.parse_mask(mask), dilate_m=dilate, **values)

    @property
    def name(self) -> str:
        """Folder and argument name: `median-5d`, `harmonic-2`; other than default options add a short digest."""
        if self._is_plain:
            return self._plain_name
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return f"{self._plain_name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @property
    def joined(self) -> FeatureSpec:
        """The features of Sentinel-2 that lie beside the spectrum."""
        return FeatureSpec.parse(self.join)

    @property
    def _plain_name(self) -> str:
        if self.join:
            return f"{self.join}+{replace(self, join='')._plain_name}"
        if self.kind in IN_WINDOWS:
            return f"{self.kind}-{self.window_days}d"
        parts: tuple[str, ...] = {
            "harmonic": (str(self.order),),
            "percentiles": tuple(f"{p:g}" for p in self.percentiles),
            "statistics": tuple(name.lower() for name in self.indices),
            EMIT_KIND: (
                *([self.view] if self.view != "best" else []),
                *([self.resample] if self.resample else []),
                *(["continuum"] if self.continuum else []),
            ),
        }.get(self.kind, ())
        return "-".join((self.kind, *(parts if len(parts) <= MOST_NAMED else [str(len(parts))])))

    @property
    def _is_plain(self) -> bool:
        if len(self.percentiles) > MOST_NAMED or (self.kind == "statistics" and len(self.indices) > MOST_NAMED):
            return False
        named = self.indices if self.kind == "statistics" else ()
        return self == replace(
            FeatureSpec(self.kind, self.window_days, self.order, indices=named, percentiles=self.percentiles),
            **{name: getattr(self, name) for name in OF_SPECTRA},
        )  # fmt: skip

    @classmethod
    def parse(cls, name: str) -> FeatureSpec:
        """Read the name of features with default options.

        Raises
        ------
        InvalidInputError
            If it is none; the name of features with other options does not say them (their store does).
        """
        if found := re.fullmatch(r"(median|geomedian)-(\d+)d", name):
            return cls(found[1], window_days=int(found[2]))
        if found := re.fullmatch(r"harmonic-(\d+)", name):
            return cls("harmonic", order=int(found[1]))
        if found := re.fullmatch(r"percentiles((?:-\d+(?:\.\d)?)+)", name):
            return cls("percentiles", percentiles=tuple(float(part) for part in found[1][1:].split("-")))
        if found := re.fullmatch(r"statistics((?:-[a-z]+)+)", name):
            return cls("statistics", indices=tuple(found[1][1:].split("-")))
        if found := re.fullmatch(r"emit(?:-(median|mean))?(?:-(sentinel-2|\d+))?(-continuum)?", name):
            return cls(EMIT_KIND, view=found[1] or "best", resample=found[2] or "", continuum=bool(found[3]))
        if name == "annual-median":
            return cls("annual-median")
        first, plus, second = name.partition("+")
        if plus and second.startswith(EMIT_KIND):
            return replace(cls.parse(second), join=cls().name if first == "median" else cls.parse(first).name)
        raise InvalidInputError(
            f"{name!r} does not name features with default options",
            "Such names are median-5d, annual-median, geomedian-30d, percentiles-10-90, statistics-ndvi, harmonic-2 or "
            "emit.",
        )

    @staticmethod
    def parse_percentiles(given: str | Iterable[float]) -> tuple[float, ...]:
        """Read `10,25,50`; numbers are taken as they are.

        Raises
        ------
        InvalidInputError
            If one is no number.
        """
        parts = given.split(",") if isinstance(given, str) else list(given)
        try:
            return tuple(float(part) for part in parts)
        except ValueError:
            raise InvalidInputError(
                f"percentiles {given!r} are not numbers with commas between them", "Example: --percentiles 10,50,90."
            ) from None

    @staticmethod
    def parse_mask(text: str) -> tuple[int, ...]:
        """Read `scl:4,5,6,7`.

        Raises
        ------
        InvalidInputError
            If the text is not of that form, or a class is not one of the scene classification's (1 to 11).
        """
        found = re.fullmatch(r"scl:(\d+(?:,\d+)*)", text.strip().lower())
        classes = tuple(int(part) for part in found[1].split(",")) if found else ()
        if not classes or not all(1 <= c <= 11 for c in classes):
            raise InvalidInputError(
                f"mask {text!r} is not scl: with classes from 1 to 11", "Example: --mask scl:4,5,6,7 (the default)."
            )
        return classes

    def as_dict(self) -> dict[str, Any]:
        """Return all options, JSON-ready; those of spectra only of kind `emit`, so that other digests stay."""
        names = [field.name for field in fields(self) if self.kind == EMIT_KIND or field.name not in OF_SPECTRA]
        values = {name: getattr(self, name) for name in names}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FeatureSpec:
        """Return the specification that `as_dict` gave.

        Raises
        ------
        InvalidInputError
            If a field is unknown, missing or of the wrong type.
        """
        names = {field.name for field in fields(cls)}
        values = {"percentiles": DEFAULT_PERCENTILES, **values}  # before there were any, none was written
        values = {name: getattr(cls, name) for name in OF_SPECTRA} | dict(values)
        if set(values) != names:
            raise InvalidInputError(f"a feature specification has the fields {sorted(names)}, not {sorted(values)}")
        try:
            return cls(
                str(values["kind"]),
                int(values["window_days"]),
                int(values["order"]),
                float(values["ridge"]),
                tuple(int(c) for c in values["classes"]),
                int(values["dilate_m"]),
                tuple(str(name) for name in values["indices"]),
                tuple(float(p) for p in values["percentiles"]),
                str(values["view"]),
                str(values["resample"]),
                bool(values["continuum"]),
                str(values["join"]),
            )
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"damaged feature specification {dict(values)} ({error})") from error

    def windows(self, season: Season) -> int:
        """Return the number of windows of time: ceil(season days / window days); 1 where the season is one."""
        return -(-season.days // self.window_days) if self.kind in IN_WINDOWS else 1

    def window_starts(self, season: Season) -> tuple[date, ...]:
        """Return the first day of each window."""
        step = self.window_days if self.kind in IN_WINDOWS else season.days
        return tuple(season.date_of(window * step) for window in range(self.windows(season)))

    def steps(self, season: Season, sensor: Sensor = SENTINEL2) -> tuple[str, ...]:
        """Return labels of what a pixel has per band: first days of the windows, terms of the fit, names of values.

        Those of spectra are their bands, and what of the sensor's bands lies beside them.
        """
        if self.kind == "harmonic":
            return self.terms
        if self.kind == "percentiles":
            return tuple(f"p{p:g}" for p in self.percentiles)
        if self.kind == "statistics":
            return STATISTICS
        if self.kind == EMIT_KIND:
            return (*self.spectral_bands, *(self.joined_steps(season, sensor) if self.join else ()))
        return tuple(day.isoformat() for day in self.window_starts(season))

    def joined_steps(self, season: Season, sensor: Sensor) -> tuple[str, ...]:
        """Return labels of what of Sentinel-2 lies beside the spectrum: band and window."""
        return tuple(f"{band.name} {step}" for band in sensor.bands for step in self.joined.steps(season))

    @property
    def spectral_bands(self) -> tuple[str, ...]:
        """Labels of the bands of spectra: wavelengths in nm, Sentinel-2's names, or numbers."""
        if self.resample == LIKE_SENTINEL2:
            return tuple(band.name for band in SENTINEL2.bands)
        if self.resample:
            return tuple(f"b{number:03d}" for number in range(int(self.resample)))
        return tuple(f"{nm:g}" for nm, good in zip(WAVELENGTHS_NM, GOOD, strict=True) if good)

    @property
    def terms(self) -> tuple[str, ...]:
        """Labels of the coefficients of a harmonic fit: constant, cos1, sin1, ..."""
        waves = (f"{wave}{n}" for n in range(1, self.order + 1) for wave in ("cos", "sin"))
        return ("constant", *waves) if self.kind == "harmonic" else ()
