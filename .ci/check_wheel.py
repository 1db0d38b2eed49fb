"""Check a wheel as users get it; runs in an environment that holds the wheel and its dependencies, but no torch."""

import importlib.util
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

COMMAND = Path(sys.executable).with_name("cropcube")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the console script."""
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=300)


def check(condition: bool, what: str) -> None:
    """Say whether something holds, and stop where it does not."""
    print(f"{'ok' if condition else 'FAILED'}: {what}", flush=True)
    if not condition:
        sys.exit(1)


def check_contents(wheel: str) -> None:
    """Two packages, typed, with kernels and sample, and nothing else."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    version = next(top for top in tops if top.endswith(".dist-info"))
    check(tops == {"cropcube", "cropcube_cli", version}, f"the wheel holds cropcube and cropcube_cli only: {tops}")
    check("cropcube/py.typed" in names, "the wheel is typed")
    check(any(n.startswith("cropcube/kernels/_native") for n in names), "the wheel holds the native kernels")
    check(
        sum(n.startswith("cropcube/demo/data/") and n.endswith(".nc") for n in names) == 5,
        "and the two squares of the sample",
    )
    check(any(n.startswith("cropcube/catalog/data/") for n in names), "and the outlines")


def check_kernel() -> None:
    """The compiled median against numpy."""
    import numpy as np

    from cropcube.kernels import window_median

    values_TBYX = np.random.default_rng(0).integers(1, 9000, (7, 2, 5, 9), dtype=np.uint16)
    valid_TYX = np.ones((7, 5, 9), dtype=bool)
    median_WBYX, count_WYX = window_median(values_TBYX, valid_TYX, np.zeros(7, dtype=np.int64), 1)
    check(bool((median_WBYX[0] == np.median(values_TBYX, axis=0)).all() and (count_WYX == 7).all()), "kernels work")
    spec = importlib.util.find_spec("cropcube.kernels._native")
    check(spec is not None and "site-packages" in str(spec.origin), "and are the installed, compiled ones")


def check_verbs() -> None:
    """Help, version, info, and the job up to the features on the shipped sample."""
    from cropcube.demo.scenes import write_scenes

    check(importlib.util.find_spec("torch") is None, "torch is not here")
    check(importlib.util.find_spec("cli") is None, "nothing called cli is installed")
    check(run("--help").returncode == 0, "cropcube --help")
    check(run("--version").stdout.startswith("cropcube "), "cropcube --version")
    info = json.loads(run("info", "--json").stdout or "{}")
    check(info.get("packages", {}).get("torch") == "not installed", f"cropcube info: {info.get('native_kernels')}")
    with tempfile.TemporaryDirectory() as folder:
        scenes = write_scenes(Path(folder) / "scenes")
        project = ("--project", folder, "--json")
        place = ("--region", str(scenes.outline), "--season", "2019-05-01/2019-06-01", "--tile-px", "96")
        for verb in (
            ("build", *place, "--catalog", str(scenes.catalog)),
            ("features", "--kind", "harmonic", "--order", "1"),
            ("status",),
        ):
            done = run(*verb, *project)
            check(done.returncode == 0, f"cropcube {verb[0]} without torch {done.stderr[-2000:]}")
            json.loads(done.stdout)
        labels = ("--labels", str(scenes.labels), "--legend", str(scenes.legend), "--features", "harmonic-1")
        refused = run("train", *labels, "--classifier", "cropnet", *project)
        said = refused.returncode == 1 and "cropcube[model]" in refused.stderr
        check(said, f"train says which extra is missing: {refused.stderr[-500:]}")


check_contents(sys.argv[1])
check_kernel()
check_verbs()
