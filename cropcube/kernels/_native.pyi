import numpy as np
from numpy.typing import NDArray

def variants() -> list[str]: ...
def window_median(
    reflectance: NDArray[np.uint16],
    valid: NDArray[np.bool_],
    window: NDArray[np.int32],
    median: NDArray[np.uint16],
    clear_count: NDArray[np.uint16],
    threads: int,
    variant: str,
) -> None: ...
