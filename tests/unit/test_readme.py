"""What the README says that can be checked without measuring again."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_table_of_kernels_is_that_of_the_results():
    script = ROOT / "benchmarks" / "readme_table.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
