"""A device that is none: its arrays lie in the host's memory and CUDA kernels run there, compiled as C++."""

import contextlib
import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from cropcube.kernels.device import source

EMULATOR = Path(__file__).parent / "cuda" / "emulator.hpp"
COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
BUILT = Path(tempfile.gettempdir()) / f"cropcube-emulated-{os.getuid()}"


@dataclass(frozen=True)
class EmulatedArray:
    """An array that only kernels may look at, as one on a device."""

    held: np.ndarray
    kernel_device: "EmulatedDevice | None" = None

    def __getitem__(self, part):
        return EmulatedArray(self.held[part], self.kernel_device)

    @property
    def shape(self):
        return self.held.shape

    @property
    def dtype(self):
        return self.held.dtype

    @property
    def ndim(self):
        return self.held.ndim


class EmulatedDevice:
    """See `cropcube.kernels.device.Device`; counts what is moved and started."""

    def __init__(self):
        self.put_bytes = self.series_bytes = self.got_bytes = 0
        self.launched, self.puts = [], []
        self._one_at_a_time = threading.Lock()

    def holds(self, array):
        return isinstance(array, EmulatedArray)

    def empty(self, shape, dtype):
        fill = np.full(shape, 0x5A, np.uint8) if np.dtype(dtype).itemsize == 1 else None
        return EmulatedArray(np.full(shape, 77).astype(dtype) if fill is None else fill.view(dtype), self)

    def put(self, array):
        self.put_bytes += array.nbytes
        self.series_bytes += array.nbytes if array.ndim > 2 else 0
        self.puts.append(array.shape)
        return EmulatedArray(np.array(array, order="C"), self)

    def get(self, array, into=None):
        self.got_bytes += array.held.nbytes
        if into is None:
            return array.held.copy()
        into[...] = array.held
        return into

    def in_order(self, array, dtype):
        return EmulatedArray(np.ascontiguousarray(array.held, dtype), self)

    def address(self, array):
        return array.held.ctypes.data

    def stream(self):
        return contextlib.nullcontext()

    def launch(self, kernel, defines, grid, block, shared, *args):
        assert all(size > 0 for size in grid)
        assert 0 < block <= 1024
        self.launched.append(kernel)
        function = _compiled(kernel, tuple(defines.items()))
        held = [a.held if isinstance(a, EmulatedArray) else np.atleast_1d(a) for a in args]
        places = [ctypes.c_void_p(array.ctypes.data) for array in held]
        pointers = [
            ctypes.addressof(place) if isinstance(a, EmulatedArray) else array.ctypes.data
            for a, place, array in zip(args, places, held, strict=True)
        ]
        sizes = (ctypes.c_uint * 3)(*grid)
        with self._one_at_a_time:
            done = function(sizes, block, shared, (ctypes.c_void_p * len(pointers))(*pointers))
        assert done, "shared memory overrun"


@cache
def _compiled(kernel, defines):
    text = f'#include "{EMULATOR}"\n' + source(kernel, dict(defines))
    digest = hashlib.sha256((text + EMULATOR.read_text()).encode()).hexdigest()[:32]
    library = BUILT / f"{digest}.so"
    if not library.exists():
        BUILT.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILT) as folder:
            written = Path(folder) / f"{kernel}.cpp"
            written.write_text(text)
            made = written.with_suffix(".so")
            command = [COMPILER, "-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-o", made, written]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[:3000]
            made.rename(library)
    function = ctypes.CDLL(str(library)).emulate
    function.restype = ctypes.c_bool
    function.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_size_t, ctypes.c_void_p]
    return function
