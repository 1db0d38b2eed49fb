"""What the names of EMIT files say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_NAME = re.compile(r"EMIT_L2A_(RFL|RFLUNCERT|MASK)_(\d{3})_(\d{8}T\d{6})_(\d+)_(\d{3})\.nc")


@dataclass(frozen=True)
class FileName:
    """What the name of an EMIT L2A file says."""

    label: str
    "`RFL`, `RFLUNCERT` or `MASK`."
    version: str
    "Of the product, `001`."
    when: datetime
    "Start of the acquisition, UTC, to the second."
    granule: str
    "Name of the granule, which is that of its reflectance file without the suffix."

    @classmethod
    def parse(cls, name: str) -> FileName | None:
        """Return what a file's name says, None if it is not of EMIT L2A."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        label, version, stamp, orbit, scene = found.groups()
        try:
            when = datetime.strptime(stamp, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(label, version, when, f"EMIT_L2A_RFL_{version}_{stamp}_{orbit}_{scene}")
