"""Devices: where arrays lie that kernels of the CUDA dialect take, and how these are compiled and started.

The array decides which dialect runs. CuPy is never imported here before somebody hands over one of its arrays or asks
for the device.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import os
import sys
import tempfile
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cropcube.errors import InvalidInputError
from cropcube.xp import is_numpy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from numpy.typing import DTypeLike, NDArray

    Size = tuple[int, int, int]

SOURCES = Path(__file__).parent / "native"
STAGED_BYTES = 2**20
"""Arrays from this size on are copied through memory that stays in place: seven times as fast."""
OPTIONS = ("-std=c++17", "--fmad=false", "-diag-suppress=177")
"""Nothing is contracted: a fit has the bits of the CPU's."""


class Device(Protocol):
    """What the kernels need of a device."""

    def holds(self, array: Any) -> bool:
        """Return whether an array lies on it."""

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return a new array in C order, not filled."""

    def put(self, array: NDArray[Any]) -> Any:
        """Return a copy in C order of an array of the host, which may lie in any order."""

    def get(self, array: Any, into: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return a copy on the host: a new array, or `into` of the same shape and type, in any order of memory."""

    def in_order(self, array: Any, dtype: DTypeLike) -> Any:
        """Return the array in C order as this type; itself where it is so."""

    def address(self, array: Any) -> int:
        """Return where its first value lies."""

    def stream(self) -> AbstractContextManager[Any]:
        """Return a context whose work runs beside that of other threads' contexts, and is done when it ends."""

    def launch(self, kernel: str, defines: Mapping[str, Any], grid: Size, block: int, shared: int, *args: Any) -> None:
        """Start `kernel` of the file of that name, compiled with `defines`.

        Parameters
        ----------
        kernel
            Name of the function and of its file without `.cu`.
        defines
            Macros and their values.
        grid
            Blocks along x, y and z.
        block
            Threads of a block, along x.
        shared
            Bytes of shared memory of a block.
        *args
            Arrays of the device and NumPy scalars of the parameters' types.
        """


def source(kernel: str, defines: Mapping[str, Any]) -> str:
    """Return a kernel's source as one text, its headers and macros in it: nothing else decides what is compiled."""
    lines = [f"#define {name} {value}" for name, value in defines.items()]
    return "\n".join([*lines, _inlined(f"{kernel}.cu", set())])


def _inlined(name: str, seen: set[str]) -> str:
    if name in seen:
        return ""
    seen.add(name)
    lines = []
    for line in (SOURCES / name).read_text(encoding="utf-8").splitlines():
        if line.startswith('#include "'):
            line = _inlined(line.split('"')[1], seen)
        if line != "#pragma once":
            lines.append(line)
    return "\n".join(lines)


class CupyDevice:
    """NVIDIA devices through CuPy, which compiles with NVRTC and keeps what it compiled in its cache.

    The cache is one file a module, named by a digest of source and options and put in place whole, so that workers may
    start at once. Where its folder cannot be made or written (`CUPY_CACHE_DIR`, else `~/.cupy/kernel_cache`), each
    process compiles into a folder of its own.

    Raises
    ------
    InvalidInputError
        If CuPy is not installed or finds no device.
    """

    def __init__(self) -> None:
        _keep_cache_writable()
        try:
            self._cupy: Any = importlib.import_module("cupy")
        except ImportError as error:
            raise InvalidInputError(
                f"no device: {error}", "pip install 'cropcube[gpu]', or leave the device out."
            ) from None
        runtime = self._cupy.cuda.runtime
        try:
            runtime.getDeviceCount()
        except runtime.CUDARuntimeError as error:
            raise InvalidInputError(
                f"no device: {error}", "Run where there is a GPU, or leave the device out."
            ) from None
        self._compiled = lru_cache(maxsize=None)(self._compile)

    def holds(self, array: Any) -> bool:
        """Return whether it is an array of CuPy."""
        return isinstance(array, self._cupy.ndarray)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return a new array of the current device."""
        return self._cupy.empty(shape, dtype)

    def put(self, array: NDArray[Any]) -> Any:
        """Return a copy on the current device, made in the current stream."""
        if array.nbytes < STAGED_BYTES:
            return self._cupy.asarray(np.ascontiguousarray(array))
        staged = self._pinned(array.shape, array.dtype)
        np.copyto(staged, array)
        copy = self._cupy.empty(array.shape, array.dtype)
        copy.set(staged)
        self._cupy.cuda.get_current_stream().synchronize()  # from here on the pool may give the memory away
        return copy

    def get(self, array: Any, into: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return a copy on the host, once the current stream has made it."""
        staged = self._pinned(array.shape, array.dtype)
        array.get(out=staged)
        if into is None:
            return staged.copy()
        np.copyto(into, staged)
        return into

    def _pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array of the host that the device copies from and to by itself, out of CuPy's pool."""
        count = math.prod(shape)
        memory = self._cupy.cuda.alloc_pinned_memory(max(1, count) * np.dtype(dtype).itemsize)
        return np.frombuffer(memory, dtype, count).reshape(shape)

    def in_order(self, array: Any, dtype: DTypeLike) -> Any:
        """Return the array in C order."""
        return self._cupy.ascontiguousarray(array, dtype)

    def address(self, array: Any) -> int:
        """Return the address on the device."""
        return int(array.data.ptr)

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Make a stream the current one of this thread, and wait for it at the end."""
        with self._cupy.cuda.Stream(non_blocking=True) as stream:
            yield
            stream.synchronize()

    def launch(self, kernel: str, defines: Mapping[str, Any], grid: Size, block: int, shared: int, *args: Any) -> None:
        """Start a kernel in the current stream."""
        function = self._compiled(kernel, tuple(defines.items()), self._cupy.cuda.Device().id)
        function(grid, (block, 1, 1), args, shared_mem=shared)

    def _compile(self, kernel: str, defines: tuple[tuple[str, Any], ...], _device: int) -> Any:
        module = self._cupy.RawModule(code=source(kernel, dict(defines)), options=OPTIONS, backend="nvrtc")
        return module.get_function(kernel)


def _keep_cache_writable() -> None:
    """Name another folder for CuPy's cache where its own cannot be written: `import cupy` fails without."""
    folder = Path(os.environ.get("CUPY_CACHE_DIR", Path.home() / ".cupy" / "kernel_cache"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        os.environ["CUPY_CACHE_DIR"] = tempfile.mkdtemp(prefix="cropcube-kernels-")


@cache
def cupy_device() -> CupyDevice:
    """Return the device of CuPy's arrays.

    Raises
    ------
    InvalidInputError
        If there is none.
    """
    return CupyDevice()


AUTO, CPU, CUDA = "auto", "cpu", "cuda"


@cache
def worker_device(choice: str) -> Device | None:
    """Return the device that a worker reduces tiles on; None is the processor.

    Parameters
    ----------
    choice
        `auto` (a GPU where CuPy is installed and finds one), `cpu` or `cuda`. The bytes are the same.

    Raises
    ------
    InvalidInputError
        If `cuda` is asked for where there is none.
    """
    if choice == CPU or (choice == AUTO and importlib.util.find_spec("cupy") is None):
        return None
    try:
        return cupy_device()
    except InvalidInputError:
        if choice == CUDA:
            raise
        return None


def device_of(*arrays: Any) -> Device | None:
    """Return the device that all arrays lie on; None where they are NumPy's.

    Raises
    ------
    InvalidInputError
        If they lie on no device that is known, or not all on the same.
    """
    if is_numpy(*arrays):
        return None
    own: Device | None = getattr(arrays[0], "kernel_device", None)  # arrays of another library than CuPy bring theirs
    device = own or (cupy_device() if "cupy" in sys.modules else None)
    if device is not None and all(device.holds(array) for array in arrays):
        return device
    kinds = ", ".join(dict.fromkeys(f"{type(array).__module__}.{type(array).__qualname__}" for array in arrays))
    raise InvalidInputError(f"arrays are of {kinds}; expected all of numpy, or all of cupy")


def on_host(array: Any) -> NDArray[Any]:
    """Return a small array as one of NumPy, wherever it lies."""
    device = device_of(array)
    return np.asarray(array) if device is None else device.get(array)
