"""What a reader of scene files is: raw numbers of one band on a box of lattice pixels."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
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
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, *, files: int = 0, bytes_read: int = 0, pixels_decoded: int = 0, retries: int = 0) -> None:
        """Add to the counts, from any thread."""
        with self._lock:
            self.files += files
            self.bytes_read += bytes_read
            self.pixels_decoded += pixels_decoded
            self.retries += retries


class Reader(Protocol):
    """Reads raw digital numbers; knows neither radiometry nor masks."""

    @property
    def counts(self) -> ReadCounts:
        """What has been read so far."""
        ...

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
