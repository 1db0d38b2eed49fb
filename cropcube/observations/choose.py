"""The reader that a build uses: the direct one where a file lies on the lattice, stackstac elsewhere, with retries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from cropcube.errors import ReadError
from cropcube.observations.aligned import box_of_file, read_window
from cropcube.observations.files import Access, SceneFiles
from cropcube.observations.retry import Retry
from cropcube.observations.warped import read_warped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cropcube.domain.lattice import PixelBox
    from cropcube.domain.scene import Scene
    from cropcube.domain.sensor import Sensor
    from cropcube.observations.reader import ReadCounts, Reader


PATIENCE = 3
"""After so many files in a row that used up all attempts, others get one each until one succeeds: a server that is down
would otherwise hold every file of a task for a quarter of a minute."""


@dataclass
class SceneReader:
    """Decides file by file: what lies on the lattice is read directly, anything else is warped."""

    files: SceneFiles
    retry: Retry = field(default_factory=Retry)
    given_up: int = 0
    "Files in a row that used up all attempts."

    @property
    def counts(self) -> ReadCounts:
        """What has been read so far."""
        return self.files.counts

    def read(self, scene: Scene, band: str, box: PixelBox) -> NDArray[np.uint16] | NDArray[np.uint8]:
        """Return the raw DN of one band on `box`, 0 outside the file.

        Raises
        ------
        ReadError
            If the file cannot be read, is corrupt or is not what its item says; transient failures were retried.
        """
        retry = self.retry if self.given_up < PATIENCE else replace(self.retry, attempts=1)
        try:
            pixels = retry.call(partial(self._once, scene, band, box), self._count_retry)
        except ReadError as error:
            self.given_up += error.transient
            raise
        self.given_up = 0
        return pixels

    def _once(self, scene: Scene, band: str, box: PixelBox) -> NDArray[np.uint16] | NDArray[np.uint8]:
        with self.files.opened(scene, band) as file:
            covered = box_of_file(file.dataset, box.lattice, box.resolution_m)
            if covered is None:
                return read_warped(file, box, self.counts)
            return read_window(file, covered, box, self.counts)

    def _count_retry(self, error: ReadError) -> None:
        self.counts.add(retries=1)


def reader_for(
    sensor: Sensor, verify: bool = False, retry: Retry | None = None, access: Access | None = None
) -> Reader:
    """Return the reader for the scenes of a sensor.

    Parameters
    ----------
    sensor
        Tells the quality band from the others.
    verify
        Check the checksums of remote files too (local ones always are).
    retry
        How transient failures are repeated; by default five attempts, waiting 1, 2, 4 and 8 s.
    access
        How remote files are signed; by default by the catalogue's own rule.
    """
    return SceneReader(SceneFiles(sensor, verify, access or Access()), retry or Retry())
