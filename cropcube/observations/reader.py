"""What a reader of scene files is: raw numbers of one band on a box of lattice pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.scene import Scene


@dataclass
class ReadCounts:
    """What one reader has read so far."""

    files: int = 0
    "Files opened."
    bytes_read: int = 0
    "Compressed bytes of the file blocks that were touched."
    pixels_decoded: int = 0
    "Pixels of those blocks, wanted or not."
    retries: int = 0
    "Attempts that were repeated after a transient failure."


class Reader(Protocol):
    """Reads raw digital numbers; knows neither radiometry nor masks."""

    counts: ReadCounts

    def read(self, scene: Scene, band: str, box: PixelBox) -> NDArray[np.uint16] | NDArray[np.uint8]:
        """Return the raw DN of one band on `box`, 0 outside the file.

        Parameters
        ----------
        scene
            The granule.
        band
            Label of a spectral band (uint16) or of the quality band (uint8).
        box
            Lattice pixels at the resolution wanted.

        Raises
        ------
        cropcube.errors.ReadError
            If the file cannot be read, is corrupt or is not the one the item describes. Transient failures have been
            retried before.
        """
        ...
