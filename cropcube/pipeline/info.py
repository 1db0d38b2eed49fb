"""What this machine has: versions, processor, memory, GPU, GDAL."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cropcube.run.memory import memory_bytes, processors

PACKAGES = (
    "numpy", "xarray", "zarr", "dask", "distributed", "dask-cuda", "cupy-cuda13x", "cupy-cuda12x", "stackstac",
    "pystac", "pystac-client", "rasterio", "odc-geo", "pyproj", "shapely", "geopandas", "scikit-learn", "torch",
)  # fmt: skip
NOT_INSTALLED = "not installed"


@dataclass(frozen=True)
class MachineInfo:
    """What `cropcube info` shows."""

    cropcube: str
    python: str
    platform: str
    processor: str
    processors: int
    memory_gib: float
    gpu: list[str]
    "Name and memory of each CUDA device, or why there is none."
    gdal: str
    native_kernels: str
    packages: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, JSON-ready."""
        return asdict(self)


def info() -> MachineInfo:
    """Look at this machine; imports neither torch nor cupy unless a GPU package is installed."""
    import rasterio

    return MachineInfo(
        cropcube=_version("cropcube"),
        python=sys.version.split()[0],
        platform=platform.platform(),
        processor=_processor(),
        processors=processors(),
        memory_gib=round(memory_bytes() / 2**30, 1),
        gpu=_gpus(),
        gdal=str(rasterio.__gdal_version__),
        native_kernels=_native(),
        packages={name: _version(name) for name in PACKAGES},
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return NOT_INSTALLED


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _native() -> str:
    try:
        import cropcube.kernels._native as native
    except ImportError as error:
        return f"missing ({error}); reinstall cropcube"
    return Path(str(native.__file__)).name


def _gpus() -> list[str]:
    try:
        import cupy
    except ImportError:
        return ["none (cupy is not installed: pip install 'cropcube[gpu]')"]
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        return [f"none ({error})"]
    found = []
    for device in range(count):
        properties = runtime.getDeviceProperties(device)
        found.append(f"{properties['name'].decode()} ({properties['totalGlobalMem'] / 2**30:.0f} GiB)")
    return found
