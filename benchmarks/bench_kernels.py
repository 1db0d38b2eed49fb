"""Every kernel beside its peers, in one process: GB/s of input, how many times faster ours is, share of memory's speed.

Usage: python benchmarks/bench_kernels.py [KERNEL ...] [--results FILE]

Prints a table for each case. With --results the figures and the machine's description go to that file as JSON, from
which `python benchmarks/readme_table.py` makes the table of the README; kernels that were not run keep theirs.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import kernel_gapfill
import kernel_geomedian
import kernel_harmonic
import kernel_indices
import kernel_masks
import kernel_median
import kernel_percentiles
from kernel_timing import Case, Limits, machine

KERNELS = {
    "median": kernel_median,
    "geomedian": kernel_geomedian,
    "percentiles": kernel_percentiles,
    "harmonic": kernel_harmonic,
    "indices": kernel_indices,
    "gapfill": kernel_gapfill,
    "masks": kernel_masks,
}


def save(path: Path, limits: Limits, cases: list[Case]) -> None:
    """Write figures beside those of kernels that were not run."""
    run = {case.kernel for case in cases}
    before = json.loads(path.read_text(encoding="utf-8"))["cases"] if path.exists() else []
    kept = [case for case in before if case["kernel"] not in run]
    made = [asdict(case) | {"limits": asdict(limits), "machine": machine()} for case in cases]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cases": kept + made}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Print a table for each case of the kernels that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernel", nargs="*", help=f"of {', '.join(KERNELS)}; all if left out")
    parser.add_argument("--results", type=Path, help="JSON file for the figures")
    asked = parser.parse_args()
    if unknown := set(asked.kernel) - set(KERNELS):
        parser.error(f"unknown kernel {', '.join(sorted(unknown))}; known: {', '.join(KERNELS)}")
    limits = Limits.measured()
    sys.stdout.write(f"{machine()}\nmemory: reads {limits.read:.1f}, copies {limits.copy:.1f} GB/s\n\n")
    done = []
    for name in asked.kernel or KERNELS:
        for case in KERNELS[name].cases():
            done.append(case)
            sys.stdout.write(case.table(limits) + "\n")
            sys.stdout.flush()
    if asked.results:
        save(asked.results, limits, done)


if __name__ == "__main__":
    main()
