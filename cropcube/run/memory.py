"""What the machine has: processors and memory that this process may use."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

RESERVED_SHARE = 0.2
"""Share of the memory left to the driver, the file cache and everything else."""
CGROUP_SHARE = Path("/sys/fs/cgroup/cpu.max")
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def processors() -> int:
    """Return the number of processors this process may run on; of a container, what its share amounts to."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if CGROUP_SHARE.is_file():
        quota, period = CGROUP_SHARE.read_text(encoding="ascii").split()
        if quota.isdigit():
            count = min(count, max(1, int(quota) // int(period)))
    return count


def memory_bytes() -> int:
    """Return the memory of the machine or of its control group, whichever is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in CGROUP_LIMITS:
        path = Path(name)
        if path.is_file():
            text = path.read_text(encoding="ascii").strip()
            if text.isdigit():
                total = min(total, int(text))
    return total


def worker_memory_bytes(workers: int) -> int:
    """Return the memory that one of several workers on this machine may use."""
    return int(memory_bytes() * (1 - RESERVED_SHARE) / workers)


def peak_memory_bytes() -> int:
    """Return the largest resident size of this process so far."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux its maximum is inherited from the process that started this one.
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
