"""Makes the README's table of kernels from benchmarks/results/kernels.json, which bench_kernels.py --results writes.

Usage: python benchmarks/readme_table.py [--check]

Writes the table between its markers in README.md; with --check it changes nothing and ends with 1 where they differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "kernels.json"
BEGIN, END = "<!-- kernels: made by benchmarks/readme_table.py -->\n", "<!-- end of kernels -->"
OURS = "cropcube"


def row(case: dict[str, Any]) -> str:
    """Return one case: our speed on two threads, its share of the memory's, and the fastest of the others."""
    rates = case["gb_per_s"]
    (_, ours), *others = rates.items()
    peer, rate = max(((n, r) for n, r in others if not n.startswith(OURS)), key=lambda pair: pair[1])
    share = 100 * ours / case["limits"]["read"]
    what = f"{case['kernel']}: {case['title']}"
    return f"| {what} | {ours:.1f} | {share:.0f} % | {peer}: {rate:.2f} | {ours / rate:.0f} x |"


def table(results: dict[str, Any]) -> str:
    """Return the whole table with what it was measured on; cases without others beside ours are left out."""
    cases = [case for case in results["cases"] if any(not name.startswith(OURS) for name in case["gb_per_s"])]
    machines = sorted({f"{case['machine'].split(', load')[0]}" for case in cases})
    head = "| | GB/s of input | of memory reads | the fastest other | ours |\n| --- | --- | --- | --- | --- |\n"
    reads = [case["limits"]["read"] for case in cases]
    said = f"On {' and '.join(machines)}, two threads; memory reads at {min(reads):.0f} to {max(reads):.0f} GB/s.\n"
    return head + "\n".join(row(case) for case in cases) + "\n\n" + said


def main() -> int:
    """Put the table in, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    page = ROOT / "README.md"
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    made = before + BEGIN + table(json.loads(RESULTS.read_text(encoding="utf-8"))) + END + after
    if asked.check:
        if made != text:
            sys.stderr.write("README.md has another table than the results give: run this without --check.\n")
        return int(made != text)
    page.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
