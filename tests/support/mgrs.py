"""The grid zone designations of MGRS, written out from the published table (NGA.STND.0037), without our code."""

from __future__ import annotations

BANDS = "CDEFGHJKLMNPQRSTUVWX"
"""From 80 S, 8 degrees each, but X has 12 (72 to 84 N); N begins at the equator."""
EXCEPTIONS = {
    "31V": (0, 3), "32V": (3, 12),
    "31X": (0, 9), "33X": (9, 21), "35X": (21, 33), "37X": (33, 42),
}  # fmt: skip
ABSENT = {"32X", "34X", "36X"}


def cells() -> dict[str, tuple[int, int, int, int]]:
    """Return west, south, east, north of every grid zone, `31U` and so on."""
    found = {}
    for place, band in enumerate(BANDS):
        south = -80 + 8 * place
        north = 84 if band == "X" else south + 8
        for zone in range(1, 61):
            name = f"{zone}{band}"
            west, east = EXCEPTIONS.get(name, (6 * zone - 186, 6 * zone - 180))
            if name not in ABSENT:
                found[name] = (west, south, east, north)
    return found


CELLS = cells()


def grid_zone(lon: float, lat: float) -> tuple[int, bool] | None:
    """Return zone and whether it is the northern one; None outside 80 S to 84 N."""
    lon = -180.0 if lon == 180 else lon  # comparing a float with a whole number is exact
    owners = [name for name, (west, south, east, north) in CELLS.items() if west <= lon < east and south <= lat < north]
    if not owners:
        return None
    (name,) = owners  # the table itself neither overlaps nor gaps
    return int(name[:-1]), name[-1] >= "N"
