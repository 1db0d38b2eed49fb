"""Prices and speeds that a dry run projects hours and costs with: stated, ranged, and replaced by a file."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from cropcube.errors import InvalidInputError, MissingError

if TYPE_CHECKING:
    from pathlib import Path

LISTED = "a round range, around list prices of large clouds"
"""Where prices are from: no provider's list in particular was looked up, so give your own where it matters."""
MEASURED = "measured (benchmarks/results/verbs.json), down to about half"
"""Where speeds are from: the highest is the measured one, the lowest about a half, for slower and busier cores and for
threads of a task that wait for one another."""


@dataclass(frozen=True)
class Range:
    """From the lowest to the highest that is expected."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def __mul__(self, other: Range | float) -> Range:
        low, high = (other.low, other.high) if isinstance(other, Range) else (other, other)
        return Range(self.low * low, self.high * high)

    def taken_by(self, amount: float) -> Range:
        """Return how long an amount takes at this speed: the highest speed gives the lowest time."""
        return Range(amount / self.high, amount / self.low)

    def rounded(self) -> list[float]:
        """Return both ends to six digits, JSON-ready."""
        return [float(f"{self.low:.6g}"), float(f"{self.high:.6g}")]


def _about(unit: str, source: str) -> dict[str, str]:
    """Return what a rate is counted in, and where its default is from."""
    return {"unit": unit, "source": source}


@dataclass(frozen=True)
class Rates:
    """What things cost and how fast they go; every one from low to high.

    Prices are in US dollars, speeds are of one core unless they say worker.
    """

    core_hour_usd: Range = field(default=Range(0.01, 0.05), metadata=_about("USD a core and hour", LISTED))
    storage_gb_month_usd: Range = field(default=Range(0.01, 0.025), metadata=_about("USD a GB and month", LISTED))
    storage_months: Range = field(
        default=Range(1, 12), metadata=_about("months that what is stored is kept", "a choice")
    )
    requests_1000_usd: Range = field(default=Range(0.0004, 0.005), metadata=_about("USD a 1,000 read requests", LISTED))
    transfer_gb_usd: Range = field(
        default=Range(0.0, 0.09), metadata=_about("USD a GB read", f"{LISTED}; 0 in the region where the scenes lie")
    )
    request_mb: Range = field(
        default=Range(0.5, 1.8),
        metadata=_about("MB a read request", "not measured: a part of a block, up to a whole one of 1,024 px"),
    )
    network_mb_s: Range = field(
        default=Range(5.0, 80.0), metadata=_about("MB/s a worker, from the catalogue", "not measured: an assumption")
    )
    build_mb_s: Range = field(
        default=Range(45.0, 95.0), metadata=_about("MB/s of observations, decoded, laid and stored", MEASURED)
    )
    features_mb_s: Range = field(
        default=Range(90.0, 520.0),
        metadata=_about("MB/s of observations, read and reduced", f"{MEASURED}; of all kinds"),
    )
    write_mb_s: Range = field(
        default=Range(150.0, 300.0), metadata=_about("MB/s of features, before compression", MEASURED)
    )
    arrange_mb_s: Range = field(
        default=Range(115.0, 235.0), metadata=_about("MB/s of features, read and arranged", MEASURED)
    )
    cropnet_gmac_s: Range = field(
        default=Range(15.0, 60.0),
        metadata=_about("10^9 multiply-adds/s of CropNet", f"{MEASURED}, a quarter where its window is short"),
    )
    forest_trees_s: Range = field(default=Range(5e6, 1e7), metadata=_about("pixels x trees/s of a forest", MEASURED))
    boosting_trees_s: Range = field(
        default=Range(18e6, 37e6), metadata=_about("pixels x iterations x classes/s of boosting", MEASURED)
    )

    def as_dict(self) -> dict[str, Any]:
        """Return every rate with what it is counted in and where it is from, JSON-ready."""
        return {
            each.name: {
                "low": getattr(self, each.name).low,
                "high": getattr(self, each.name).high,
                "unit": each.metadata["unit"],
                "source": each.metadata["source"] if getattr(self, each.name) == each.default else "given",
            }
            for each in fields(self)
        }


def read_rates(path: Path | None) -> Rates:
    """Read rates from TOML, `core_hour_usd = [0.01, 0.05]` or one number; what it leaves out has its default.

    Raises
    ------
    MissingError
        If there is no such file.
    InvalidInputError
        If it is no TOML, or a rate is unknown, no number, negative, or its low is above its high.
    """
    if path is None:
        return Rates()
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingError(f"there is no file of rates {path}", "Give --rates FILE.toml, or leave it out.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"the rates in {path} are no TOML ({error})", "Write lines such as core_hour_usd = [0.01, 0.05]."
        ) from None
    known = [each.name for each in fields(Rates)]
    for name in given:
        if name not in known:
            raise InvalidInputError(f"{path} has an unknown rate {name}", f"Known: {', '.join(known)}.")
    return replace(Rates(), **{name: _range(path, name, value) for name, value in given.items()})


def _range(path: Path, name: str, value: Any) -> Range:
    """Return what a file says of one rate, or refuse it by name."""
    ends = value if isinstance(value, list) else [value, value]
    if len(ends) != 2 or not all(_is_number(end) for end in ends):
        raise InvalidInputError(
            f"{path}: {name} = {value!r} is neither a number nor two of them", f"Write {name} = [LOW, HIGH]."
        )
    low, high = map(float, ends)
    if low < 0 or (low == 0 and not name.endswith(("_usd", "_months"))):
        least = "0 or more" if name.endswith(("_usd", "_months")) else "more than 0"
        raise InvalidInputError(f"{path}: {name} = {value!r} is too little", f"Give {least}.")
    if low > high:
        raise InvalidInputError(
            f"{path}: {name} = {value!r} has its low above its high", f"Write {name} = [{high:g}, {low:g}]."
        )
    return Range(low, high)


def _is_number(value: Any) -> bool:
    """Return whether a value of TOML is a number that can be counted with; true and nan are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
